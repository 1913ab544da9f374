//! A control plane in a pod (or beside a cluster, for tests): its state is the API server's, so a
//! restart or a second one is nothing special.
//!
//! Health is served first, so that whoever waits sees why. Then come the authority, what the cluster
//! has, and with that everything else. Proxies, the command line, the API server and Prometheus have
//! a port each. Nothing is written to a disk.

use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use axum::middleware::from_fn_with_state;
use kube::Client;
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio_stream::StreamExt as _;
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::sync::CancellationToken;

use super::health::{self, Health};
use super::listen::{READY, Secure, accept_plain, accept_tls, serve_proxies, with_address};
use super::{CertificateError, Parts, RunError, assemble, begin, finish, http, live, webhook};
use crate::certs::{Authority, ClientAuth, ServerCertificate};
use crate::control::ground::Ground;
use crate::control::identity::Joining;
use crate::control::plane::Plane;
use crate::control::store::Store;
use crate::control::{api, callers, status_writer};
use crate::names::sidecar::{API_PORT, CONTROL_PLANE, CONTROL_PORT, METRICS_PORT, WEBHOOK_PORT};
use crate::names::{Namespace, TrustDomain};
use crate::net::accept::Acceptor;
use crate::net::backoff::Backoff;
use crate::net::listen;
use crate::platform::kubernetes::authority::authority;
use crate::platform::kubernetes::discovery::Discovery;
use crate::platform::kubernetes::tokens::Tokens;
use crate::platform::kubernetes::{inject, roots, webhook as configuration};
use crate::telemetry::limits::LimitCounts;

/// The longest wait between two questions to an API server that does not answer.
const LONGEST_RETRY: Duration = Duration::from_secs(5);

/// Where a control plane on a cluster listens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Addresses {
    /// For proxies.
    pub proxies: SocketAddr,
    /// For the command line.
    pub api: SocketAddr,
    /// For the API server.
    pub webhook: SocketAddr,
    /// For the kubelet and Prometheus.
    pub metrics: SocketAddr,
}

impl Default for Addresses {
    /// The ports that Services and manifests name, on all addresses.
    fn default() -> Self {
        let any = |port| SocketAddr::new(IpAddr::V6(Ipv6Addr::UNSPECIFIED), port);
        Self {
            proxies: any(CONTROL_PORT),
            api: any(API_PORT),
            webhook: any(WEBHOOK_PORT),
            metrics: any(METRICS_PORT),
        }
    }
}

/// What a control plane on a cluster is started with.
#[derive(Clone)]
pub struct KubernetesConfig {
    /// The way to the API server.
    pub client: Client,
    /// The namespace that it runs in.
    pub namespace: Namespace,
    /// The trust domain, fixed when the mesh is first started.
    pub trust_domain: TrustDomain,
    /// The image of sidecars.
    pub image: String,
    /// Where it listens.
    pub addresses: Addresses,
    /// The life of the webhooks' certificate.
    pub webhook_life: Duration,
}

/// The bound sockets.
struct Sockets {
    proxies: TcpListener,
    api: TcpListener,
    webhook: TcpListener,
    metrics: TcpListener,
}

impl Sockets {
    /// Binds; `[::]` is that of IPv4 where there is no IPv6.
    fn bind(addresses: &Addresses) -> Result<Self, RunError> {
        Ok(Self {
            proxies: bind(addresses.proxies)?,
            api: bind(addresses.api)?,
            webhook: bind(addresses.webhook)?,
            metrics: bind(addresses.metrics)?,
        })
    }
}

fn bind(address: SocketAddr) -> Result<TcpListener, RunError> {
    let bound = listen::bind(address).and_then(TcpListener::from_std);
    bound.map_err(|error| RunError::port(address, &error))
}

/// Runs a control plane on a cluster until `shutdown`.
///
/// # Errors
/// [`RunError`]: it could not start. An API server that is away is waited for.
pub async fn run(config: KubernetesConfig, shutdown: CancellationToken) -> Result<(), RunError> {
    let Sockets { proxies, api, webhook, metrics } = Sockets::bind(&config.addresses)?;
    let (health, stop, mut tasks) = (Health::starting(), CancellationToken::new(), JoinSet::new());
    tasks.spawn(health::leave(Arc::clone(&health), shutdown, stop.clone(), health::LAST_CALLS));
    let (ready, plain) = mpsc::channel(READY);
    let limits = Arc::<LimitCounts>::default();
    let (counts, plain) = (Arc::clone(&limits), ReceiverStream::new(plain));
    tasks.spawn(accept_plain(Acceptor::new(metrics), ready, Arc::clone(&limits), stop.clone()));
    tasks.spawn(http::serve(plain, health.router(), counts, stop.clone()));

    let gathered = stop.run_until_cancelled(gather(&config, &health, &stop)).await;
    let Some(Some(parts)) = gathered.transpose()? else {
        finish(tasks).await;
        return Ok(());
    };
    let (plane, owner) = assemble(parts, limits, stop)?;
    let certificate = webhook::Certificate::issue(&plane, &config.namespace, config.webhook_life);
    let certificate = certificate.map_err(CertificateError::from)?;
    let heart = begin(&plane, owner, &mut tasks);
    keep_objects(&plane, &config.client, &mut tasks);
    // A pod that joins has no certificate yet; both streams demand one.
    let tls = plane.tls.server_config(&[b"h2"], ClientAuth::Optional);
    serve_proxies(&plane, proxies, tls, &mut tasks);
    serve_api(&plane, api, &config, &mut tasks);
    serve_webhooks(&plane, webhook, certificate, &config, &mut tasks);
    health.serves(&plane);
    let Addresses { proxies, api, webhook, metrics } = config.addresses;
    tracing::info!(%proxies, %api, %webhook, %metrics, "the control plane is ready");

    let ended = live(&plane, heart).await;
    health.leaves();
    finish(tasks).await;
    ended
}

/// What the plane is made of, once the API server has given it; `None`: stopped before.
async fn gather(
    config: &KubernetesConfig,
    health: &Health,
    stop: &CancellationToken,
) -> Result<Option<Parts>, RunError> {
    let authority = patient_authority(config, health).await?;
    health.waits("waiting for the API server to list what the cluster has".to_owned());
    let discovery = Discovery::start(&config.client, authority.trust_domain(), stop).await;
    let Some(discovery) = discovery else { return Ok(None) };
    let opened = Store::follow(discovery);
    Ok(Some(Parts {
        authority,
        ground: Ground::Kubernetes(Joining::new(Tokens::new(config.client.clone()))),
        address: format!("{CONTROL_PLANE}.{}.svc:{CONTROL_PORT}", config.namespace),
        store: opened.store,
        contents: opened.contents,
        commits: opened.commits,
    }))
}

async fn patient_authority(
    config: &KubernetesConfig,
    health: &Health,
) -> Result<Authority, RunError> {
    let mut backoff = Backoff::new(Duration::from_millis(200), LONGEST_RETRY);
    loop {
        match authority(&config.client, &config.namespace, &config.trust_domain).await {
            Ok(authority) => return Ok(authority),
            Err(error) if error.is_transient() => {
                health.waits(format!("{:#}", anyhow::Error::from(error)));
                tokio::time::sleep(backoff.fail(fastrand::u64(..))).await;
            }
            Err(error) => return Err(error.into()),
        }
    }
}

/// What has to stand in the cluster for as long as this runs.
fn keep_objects(plane: &Arc<Plane>, client: &Client, tasks: &mut JoinSet<()>) {
    let pem = plane.authority.roots().pem();
    tasks.spawn(roots::keep(client.clone(), pem.clone(), plane.stop.clone()));
    tasks.spawn(configuration::keep(client.clone(), pem, plane.stop.clone()));
    tasks.spawn(status_writer::keep(Arc::clone(plane), client.clone()));
}

fn serve_api(
    plane: &Arc<Plane>,
    listener: TcpListener,
    config: &KubernetesConfig,
    tasks: &mut JoinSet<()>,
) {
    let (tokens, limits) = (Tokens::new(config.client.clone()), Arc::clone(&plane.limits));
    let callers = callers::Callers::new(tokens, config.namespace.clone(), limits);
    let judge = from_fn_with_state(Arc::new(callers), callers::judge);
    let router = api::cluster_router(plane).layer(judge);
    let tls = plane.tls.server_config(&[b"h2", b"http/1.1"], ClientAuth::Optional);
    serve_https(plane, listener, tls, router, tasks);
}

fn serve_webhooks(
    plane: &Arc<Plane>,
    listener: TcpListener,
    certificate: webhook::Certificate,
    config: &KubernetesConfig,
    tasks: &mut JoinSet<()>,
) {
    let KubernetesConfig { image, namespace, .. } = config.clone();
    let router = webhook::router(inject::Settings::new(image, namespace));
    let tls = ServerCertificate::server_config(certificate.current(), &[b"h2", b"http/1.1"]);
    tasks.spawn(certificate.keep(Arc::clone(plane)));
    serve_https(plane, listener, tls, router, tasks);
}

fn serve_https(
    plane: &Arc<Plane>,
    listener: TcpListener,
    tls: Arc<rustls::ServerConfig>,
    router: axum::Router,
    tasks: &mut JoinSet<()>,
) {
    let (ready, secure) = mpsc::channel::<Secure>(READY);
    tasks.spawn(accept_tls(Arc::clone(plane), tls, Acceptor::new(listener), ready));
    let (secure, limits) =
        (ReceiverStream::new(secure).map(with_address), Arc::clone(&plane.limits));
    tasks.spawn(http::serve(secure, router, limits, plane.stop.clone()));
}
