//! The way to a control plane on a cluster: a port of its pod forwarded through the API server, TLS
//! to nobody but the control plane of the mesh's roots, and a token that says who asks.
//!
//! What the user's own rights allow is what this allows: the API server hands out the token
//! (`serviceaccounts/token`), forwards the port (`pods/portforward`) and tells the roots. A
//! connection is kept for the next request.

use std::collections::HashMap;
use std::time::Duration;

use bytes::Bytes;
use http::header::{AUTHORIZATION, CONTENT_TYPE, HOST};
use http::{Method, Request, StatusCode};
use http_body_util::{BodyExt as _, Full};
use hyper::client::conn::http1::SendRequest;
use hyper_util::rt::TokioIo;
use k8s_openapi::api::authentication::v1::{TokenRequest, TokenRequestSpec};
use k8s_openapi::api::core::v1::{ConfigMap, ServiceAccount};
use kube::Api;
use kube::api::{ListParams, PostParams};
use kube::client::UpgradeConnectionError;
use rustls::pki_types::ServerName;
use tokio::sync::Mutex;
use tokio_rustls::TlsConnector;

use super::Fault;
use crate::certs::{Roots, to_control_plane};
use crate::cli::cluster::{Cluster, refused};
use crate::cli::exit::Failure;
use crate::control::api::shapes::LOOKS;
use crate::names::sidecar::{
    API_PORT, AUDIENCE, CONTROL_PLANE, OPERATOR, ROOT_CONFIG_MAP, ROOT_KEY, VIEWER,
};
use crate::platform::kubernetes::partial::Pod;

/// The label that the control plane's pods carry.
const NAME_LABEL: &str = "app.kubernetes.io/name";

/// How long a token is asked for, seconds: the shortest that an API server gives.
const TOKEN_SECONDS: i64 = 600;

/// How long a control plane that is not ready is waited for: so long takes one to be replaced.
const PATIENCE: Duration = Duration::from_secs(15);

/// How often it is looked whether it is ready.
const INTERVAL: Duration = Duration::from_millis(300);

/// A control plane on a cluster.
pub(super) struct Forwarded {
    cluster: Cluster,
    open: Mutex<Open>,
}

/// What is kept from one request to the next.
#[derive(Default)]
struct Open {
    sender: Option<SendRequest<Full<Bytes>>>,
    tokens: HashMap<&'static str, String>,
}

impl std::fmt::Debug for Forwarded {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Forwarded").field("cluster", &self.cluster).finish_non_exhaustive()
    }
}

impl Forwarded {
    pub(super) fn new(cluster: Cluster) -> Self {
        Self { cluster, open: Mutex::default() }
    }

    pub(super) fn cluster(&self) -> &Cluster {
        &self.cluster
    }

    /// Asks, as an operator where it is more than a look.
    pub(super) async fn send(
        &self,
        method: Method,
        path: &str,
        body: Option<Vec<u8>>,
    ) -> Result<(StatusCode, Bytes), Fault> {
        let mut open = self.open.lock().await;
        let looks = method == Method::GET || LOOKS.contains(&path);
        let account = if looks { VIEWER } else { OPERATOR };
        let known = open.tokens.contains_key(account);
        let answer = self.ask(&mut open, account, &method, path, body.clone()).await?;
        // A token that was good may have come to its end meanwhile.
        if answer.0 == StatusCode::UNAUTHORIZED && known {
            open.tokens.remove(account);
            return self.ask(&mut open, account, &method, path, body).await;
        }
        Ok(answer)
    }

    async fn ask(
        &self,
        open: &mut Open,
        account: &'static str,
        method: &Method,
        path: &str,
        body: Option<Vec<u8>>,
    ) -> Result<(StatusCode, Bytes), Fault> {
        let kept = open.sender.take().filter(|sender| !sender.is_closed());
        let is_kept = kept.is_some();
        let mut sender = match kept {
            Some(sender) => sender,
            None => self.connect().await?,
        };
        let token = match open.tokens.get(account) {
            Some(token) => token.clone(),
            None => open.tokens.entry(account).or_insert(self.token(account).await?).clone(),
        };
        let request = || {
            Request::builder()
                .method(method)
                .uri(path)
                .header(HOST, CONTROL_PLANE)
                .header(AUTHORIZATION, format!("Bearer {token}"))
                .header(CONTENT_TYPE, "application/json")
                .body(Full::from(body.clone().unwrap_or_default()))
                .map_err(|error| Fault::Other(error.into()))
        };
        let answer = match sender.send_request(request()?).await {
            // The pod may have gone since; what only looks is asked again, of whom there is now.
            Err(_) if is_kept && *method == Method::GET => {
                sender = self.connect().await?;
                sender.send_request(request()?).await
            }
            answer => answer,
        };
        let answer = answer.map_err(|error| Fault::Other(error.into()))?;
        let status = answer.status();
        let body = answer.into_body().collect().await.map_err(|e| Fault::Other(e.into()))?;
        open.sender = Some(sender);
        Ok((status, body.to_bytes()))
    }

    fn pods(&self) -> Api<Pod> {
        Api::namespaced(self.cluster.connection.client.clone(), self.cluster.namespace.as_str())
    }

    fn refused(&self, attempt: String, error: &kube::Error) -> Fault {
        Fault::Told(Box::new(refused(&self.cluster.connection, attempt, error)))
    }

    /// Opens a connection to a pod that is ready.
    async fn connect(&self) -> Result<SendRequest<Full<Bytes>>, Fault> {
        let pod = self.ready_pod().await?;
        let roots = self.roots().await?;
        let mut forwarder = match self.pods().portforward(&pod, &[API_PORT]).await {
            Ok(forwarder) => forwarder,
            Err(error) => return Err(self.not_forwarded(&pod, &error)),
        };
        let told = forwarder.take_error(API_PORT);
        let stream = forwarder
            .take_stream(API_PORT)
            .ok_or_else(|| Fault::Other(anyhow::anyhow!("the API server forwards no port")))?;
        let tls = TlsConnector::from(to_control_plane(roots, &[b"http/1.1"]));
        let name = ServerName::try_from(CONTROL_PLANE).expect("the constant is a DNS name");
        let stream = match tls.connect(name, stream).await {
            Ok(stream) => stream,
            Err(error) => {
                let told = match told {
                    Some(told) => told.await,
                    None => None,
                };
                return Err(self.not_trusted(&pod, &error, told));
            }
        };
        let (sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream))
            .await
            .map_err(|error| Fault::Other(error.into()))?;
        tokio::spawn(async move {
            // Who waits for an answer is told of its end.
            let _ = connection.await;
        });
        Ok(sender)
    }

    /// The name of a control plane's pod that is ready; one that is being replaced is waited for.
    async fn ready_pod(&self) -> Result<String, Fault> {
        let began = tokio::time::Instant::now();
        loop {
            let pods = self.control_planes().await?;
            let found = pods.len();
            let ready = pods.into_iter().find(is_ready).and_then(|pod| pod.metadata.name);
            if found == 0 || ready.is_some() || began.elapsed() >= PATIENCE {
                return self.named(found, ready);
            }
            tokio::time::sleep(INTERVAL).await;
        }
    }

    /// The control plane's pods, ready or not.
    async fn control_planes(&self) -> Result<Vec<Pod>, Fault> {
        let namespace = &self.cluster.namespace;
        let params = ListParams::default().labels(&format!("{NAME_LABEL}={CONTROL_PLANE}"));
        let pods = self.pods().list(&params).await.map_err(|error| {
            let attempt = format!("look for the control plane in the namespace `{namespace}`");
            self.refused(attempt, &error)
        })?;
        Ok(pods.items)
    }

    /// The pod that is ready, or what to do where of those `found` none is.
    fn named(&self, found: usize, ready: Option<String>) -> Result<String, Fault> {
        let namespace = &self.cluster.namespace;
        ready.ok_or_else(|| {
            let context = &self.cluster.connection.context;
            let place = format!("in the namespace `{namespace}` (context `{context}`)");
            Fault::Told(Box::new(match found {
                0 => Failure::new(format!("no control plane is installed {place}"))
                    .help("install it with `meshctl install --platform kubernetes`, or name another cluster with `--context`"),
                _ => Failure::new(format!("no control plane is ready {place}")).help(format!(
                    "see why with `kubectl -n {namespace} describe pods -l {NAME_LABEL}={CONTROL_PLANE}`"
                )),
            }))
        })
    }

    /// What the mesh trusts, as everybody in it is told.
    async fn roots(&self) -> Result<Roots, Fault> {
        let namespace = &self.cluster.namespace;
        let maps: Api<ConfigMap> =
            Api::namespaced(self.cluster.connection.client.clone(), namespace.as_str());
        let map = maps.get(ROOT_CONFIG_MAP).await.map_err(|error| {
            let what = format!("the ConfigMap `{ROOT_CONFIG_MAP}` in the namespace `{namespace}`");
            self.refused(format!("read {what}, which has the mesh's roots"), &error)
        })?;
        let text = map.data.and_then(|mut data| data.remove(ROOT_KEY)).unwrap_or_default();
        Roots::from_pem(text.as_bytes()).map_err(|error| {
            Fault::Other(anyhow::Error::from(error).context(format!(
                "the ConfigMap `{ROOT_CONFIG_MAP}` in the namespace `{namespace}` has no roots"
            )))
        })
    }

    /// A token for the control plane alone, in the name of an account that the user may speak for.
    async fn token(&self, account: &'static str) -> Result<String, Fault> {
        let namespace = &self.cluster.namespace;
        let accounts: Api<ServiceAccount> =
            Api::namespaced(self.cluster.connection.client.clone(), namespace.as_str());
        let spec = TokenRequestSpec {
            audiences: vec![AUDIENCE.to_owned()],
            expiration_seconds: Some(TOKEN_SECONDS),
            ..TokenRequestSpec::default()
        };
        let request = TokenRequest { spec, ..TokenRequest::default() };
        let made = accounts.create_token_request(account, &PostParams::default(), &request).await;
        let made = made.map_err(|error| {
            let what = format!("a token of the service account `{account}`");
            self.refused(format!("get {what} in the namespace `{namespace}`"), &error)
        })?;
        made.status.map(|status| status.token).ok_or_else(|| {
            Fault::Other(anyhow::anyhow!("the API server gave no token for `{account}`"))
        })
    }

    /// The answer to an upgrade has no words of its own.
    fn not_forwarded(&self, pod: &str, error: &kube::Error) -> Fault {
        let namespace = &self.cluster.namespace;
        let attempt = format!("forward a port to the control plane's pod `{pod}`");
        match error {
            kube::Error::UpgradeConnection(UpgradeConnectionError::ProtocolSwitch(
                StatusCode::FORBIDDEN,
            )) => Fault::Told(Box::new(
                Failure::new(format!(
                    "cannot {attempt} (context `{}`): it needs `get` and `create` on `pods/portforward` in the namespace `{namespace}`",
                    self.cluster.connection.context
                ))
                .help("ask whoever administers the cluster for that right"),
            )),
            error => self.refused(attempt, error),
        }
    }

    fn not_trusted(&self, pod: &str, error: &std::io::Error, told: Option<String>) -> Fault {
        let why = told.unwrap_or_else(|| error.to_string());
        let namespace = &self.cluster.namespace;
        Fault::Told(Box::new(
            Failure::new(format!("cannot speak with the control plane's pod `{pod}`: {why}")).help(
                format!("see its log with `kubectl -n {namespace} logs {pod}`, or try again"),
            ),
        ))
    }
}

/// Whether a pod serves and is not about to end.
fn is_ready(pod: &Pod) -> bool {
    let conditions = pod.status.iter().flat_map(|status| status.conditions.iter().flatten());
    let mut ready = conditions.filter(|it| it.type_ == "Ready");
    pod.metadata.deletion_timestamp.is_none() && ready.any(|it| it.status == "True")
}
