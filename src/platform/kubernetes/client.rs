//! The way to an API server: by kubeconfig as `kubectl` reads it, or from inside a pod.
//!
//! [`connect`] reads files and may run a credential plugin, but makes no request; what a request
//! answers is put into words by [`fault`]. TLS is `rustls` with `aws-lc-rs`. The trust store of the
//! system is asked only where a kubeconfig names no certificate authority, so that an empty image
//! does.

use std::path::Path;
use std::time::Duration;

use http::Uri;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::client::legacy::connect::proxy::Tunnel;
use hyper_util::client::proxy::matcher::{Intercept, Matcher};
use hyper_util::rt::{TokioExecutor, TokioIo};
use kube::client::retry::RetryPolicy;
use kube::client::{Body, ConfigExt as _};
use kube::{Client, Config};
use tokio::net::TcpStream;
use tower::filter::AsyncFilterLayer;
use tower::retry::RetryLayer;
use tower::util::{BoxCloneSyncService, option_layer};
use tower::{BoxError, Layer as _, ServiceExt as _};

mod exec;
pub mod fault;
mod kubeconfig;
#[cfg(test)]
mod tests;

use exec::Plugin;
use kubeconfig::Chosen;

/// The longest that opening a connection may take.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// What [`Connection::context`] says inside a pod.
const IN_CLUSTER: &str = "in-cluster";

/// A cluster that can be asked.
#[derive(Clone)]
pub struct Connection {
    /// The client; clones share it.
    pub client: Client,
    /// The name of the context; `in-cluster` inside a pod.
    pub context: String,
    /// The API server's URL.
    pub server: String,
    /// The namespace of what names none.
    pub namespace: String,
    /// Whether the API server's certificate is not looked at, which is worth a warning.
    pub insecure: bool,
}

impl std::fmt::Debug for Connection {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { context, server, namespace, insecure, .. } = self;
        let mut shown = f.debug_struct("Connection");
        shown.field("context", context).field("server", server).field("namespace", namespace);
        shown.field("insecure", insecure).finish_non_exhaustive()
    }
}

/// Why a cluster cannot be asked. `Display` names the file and the context, [`Self::help`] the way
/// out.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// No kubeconfig is there.
    #[error("there is no kubeconfig: `{0}` does not exist")]
    Missing(String),
    /// One cannot be read.
    #[error("cannot read kubeconfig `{file}`")]
    Read {
        /// The file.
        file: String,
        /// Why.
        source: tower::BoxError,
    },
    /// None is chosen.
    #[error("kubeconfig `{file}` has no current context")]
    NoContext {
        /// The file or files.
        file: String,
    },
    /// The context is not there.
    #[error("kubeconfig `{file}` has no context `{context}`")]
    UnknownContext {
        /// The file or files.
        file: String,
        /// The context asked for.
        context: String,
        /// Those that are there.
        known: Vec<String>,
    },
    /// A context names something that is not there.
    #[error(
        "context `{context}` of kubeconfig `{file}` names the {what} `{name}`, which is not there"
    )]
    Dangling {
        /// The file or files.
        file: String,
        /// The context.
        context: String,
        /// `cluster` or `user`.
        what: &'static str,
        /// The name.
        name: String,
    },
    /// What a context says cannot be used.
    #[error("context `{context}` of kubeconfig `{file}` cannot be used")]
    Unusable {
        /// The file or files.
        file: String,
        /// The context.
        context: String,
        /// Why.
        source: BoxError,
    },
    /// This is no pod, or one without a service account.
    #[error("this process does not run in a pod that may ask the API server")]
    InCluster(#[source] BoxError),
}

impl ClientError {
    /// What to do.
    pub fn help(&self) -> String {
        match self {
            Self::Missing(_) => {
                "name another file with `--kubeconfig FILE` or `KUBECONFIG`".to_owned()
            }
            Self::Read { .. } => {
                "correct the file, or name another one with `--kubeconfig FILE` or `KUBECONFIG`"
                    .to_owned()
            }
            Self::NoContext { .. } => {
                "choose a cluster with `--context NAME`, or `kubectl config use-context NAME`"
                    .to_owned()
            }
            Self::UnknownContext { known, .. } if known.is_empty() => {
                "it has no contexts at all; name another file with `--kubeconfig FILE` or `KUBECONFIG`"
                    .to_owned()
            }
            Self::UnknownContext { known, .. } => {
                format!("choose one of those that it has: `{}`", known.join("`, `"))
            }
            Self::Dangling { .. } => {
                "correct the file, or choose another context with `--context NAME`".to_owned()
            }
            Self::Unusable { source, .. } => match source.downcast_ref::<exec::ExecError>() {
                Some(error) => error.help(),
                None => "try `kubectl get --raw /version` with the same context".to_owned(),
            },
            Self::InCluster(_) => {
                "check that the pod has a service account whose token is mounted".to_owned()
            }
        }
    }
}

/// A connection by kubeconfig: `kubeconfig`, else the files of `KUBECONFIG`, else `~/.kube/config`;
/// `context`, else the current one. Never another one than was asked for.
///
/// # Errors
/// [`ClientError`], before any request is made.
pub async fn connect(
    kubeconfig: Option<&Path>,
    context: Option<&str>,
) -> Result<Connection, ClientError> {
    let Chosen { file, context, config, options } = kubeconfig::choose(kubeconfig, context)?;
    let unusable = |source: BoxError| ClientError::Unusable {
        file: file.clone(),
        context: context.clone(),
        source,
    };
    let (config, plugin) = kubeconfig::resolve(config, &options).await.map_err(unusable)?;
    let (server, namespace) = (config.cluster_url.to_string(), config.default_namespace.clone());
    let insecure = config.accept_invalid_certs;
    let client = build(&config, plugin).map_err(unusable)?;
    Ok(Connection { client, context, server, namespace, insecure })
}

/// A connection with the service account of the pod that this process runs in. Its token and the
/// certificate authority are read again as they change.
///
/// # Errors
/// [`ClientError::InCluster`].
pub fn in_cluster() -> Result<Connection, ClientError> {
    let config = Config::incluster().map_err(|error| ClientError::InCluster(error.into()))?;
    let (server, namespace) = (config.cluster_url.to_string(), config.default_namespace.clone());
    let client = build(&config, None).map_err(ClientError::InCluster)?;
    Ok(Connection { client, context: IN_CLUSTER.to_owned(), server, namespace, insecure: false })
}

/// The layers of a client: base URL, retries of what is safe, credentials, headers, TLS, TCP.
fn build(config: &Config, plugin: Option<Plugin>) -> Result<Client, BoxError> {
    let tls = config.rustls_https_connector_with_connector(tcp(config))?;
    let http = hyper_util::client::legacy::Client::builder(TokioExecutor::new())
        .build::<_, Body>(tls)
        .map_err(BoxError::from);
    let service = config.extra_headers_layer()?.layer(http);
    let service = option_layer(config.auth_layer()?).layer(service).map_err(BoxError::from);
    let service = option_layer(plugin.map(AsyncFilterLayer::new)).layer(service);
    let service = service.map_err(BoxError::from);
    let service = RetryLayer::new(RetryPolicy::server_retry()).layer(service);
    let service = config.base_uri_layer().layer(service);
    Ok(Client::new(service, config.default_namespace.clone()))
}

/// Connects, by the proxy where there is one; one type for both, so that HTTP is compiled once.
fn tcp(config: &Config) -> BoxCloneSyncService<Uri, TokioIo<TcpStream>, BoxError> {
    let mut tcp = HttpConnector::new();
    tcp.enforce_http(false);
    tcp.set_connect_timeout(Some(CONNECT_TIMEOUT));
    let Some((to, intercept)) = proxy(config) else {
        return BoxCloneSyncService::new(tcp.map_err(BoxError::from));
    };
    let mut tunnel = Tunnel::new(to, tcp);
    if let Some(auth) = intercept.as_ref().and_then(Intercept::basic_auth) {
        tunnel = tunnel.with_auth(auth.clone());
    }
    BoxCloneSyncService::new(tunnel.map_err(BoxError::from))
}

/// The proxy before the API server: the kubeconfig's, else what the environment wants, which is
/// never one before this machine itself.
fn proxy(config: &Config) -> Option<(Uri, Option<Intercept>)> {
    if let Some(uri) = &config.proxy_url {
        return Some((uri.clone(), None));
    }
    let host = config.cluster_url.host()?;
    let address = host.trim_matches(['[', ']']).parse::<std::net::IpAddr>();
    if host == "localhost" || address.is_ok_and(|it| it.is_loopback()) {
        return None;
    }
    let intercept = Matcher::from_env().intercept(&config.cluster_url)?;
    Some((intercept.uri().clone(), Some(intercept)))
}
