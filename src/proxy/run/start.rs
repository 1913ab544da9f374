//! From nothing to a proxy that serves: directory, ports, certificate, last good configuration,
//! workers, control thread, admin server. Sockets are bound before anything runs.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;
use tokio_util::task::AbortOnDropHandle;

use super::place::{Place, Ports, recall};
use super::{AdminAddress, Config, RunError};
use crate::certs::Tls;
use crate::names::Identity;
use crate::net::holder;
use crate::proxy::admin::Admin;
use crate::proxy::control::{Control, Order, Parts, Registration, Serves};
use crate::proxy::dataplane::{self, Addresses, DataPlane, Running, Shared};
use crate::proxy::directory::{Directory, Limits};
use crate::proxy::join::{Applicant, Joined, chain};
use crate::proxy::last_good::{self, LastGood};
use crate::proxy::overload::memory::Gauge;
use crate::proxy::probes::Probes;
use crate::proxy::ready::Ready;
use crate::proxy::resolve::Resolver;
use crate::proxy::view::{Status, View};
use crate::proxy::warden::Warden;
use crate::resource::{MtlsMode, Workload};
use crate::telemetry::collector::Collector;
use crate::telemetry::logging::LogLevel;
use crate::telemetry::span::SpanQueue;

/// How long a fresh proxy waits for the mesh's settings before it says that it is ready.
const FIRST_CONFIGURATION: Duration = Duration::from_secs(5);

/// How long a fresh proxy waits until the mesh counts on it before it says that it is ready.
const ANNOUNCEMENT: Duration = Duration::from_secs(1);

/// Orders that wait for the control thread; there are three in a life.
const ORDERS: usize = 4;

/// A proxy that serves.
pub(super) struct Started {
    pub(super) ready: Ready,
    pub(super) running: Running,
    pub(super) orders: mpsc::Sender<Order>,
    pub(super) control: JoinHandle<()>,
    pub(super) admin: AbortOnDropHandle<std::io::Result<()>>,
    pub(super) warden: AbortOnDropHandle<()>,
    pub(super) overload: Option<AbortOnDropHandle<()>>,
    pub(super) probes: Option<AbortOnDropHandle<std::io::Result<Infallible>>>,
    pub(super) status: watch::Receiver<Status>,
    /// Last, so that the directory stays locked until all else is gone.
    pub(super) place: Place,
}

/// What is bound, before anything runs.
struct Bound {
    data_plane: DataPlane,
    admin: Admin,
    ready_admin: String,
    probes: Option<Probes>,
}

/// Starts everything; when it returns the proxy listens and has what it needs to answer.
pub(super) async fn start(config: &Config, log: Option<LogLevel>) -> Result<Started, RunError> {
    let place = Place::claim(config)?;
    let bound = bind(config, &place).await?;
    let (status, seen) = watch::channel(Status::default());
    // Before all else: whoever waits for us is to see what we wait for.
    let (refusal, refused) = watch::channel(None);
    let metrics = Collector::new();
    let serve =
        |probes: Probes| probes.serve(seen.clone(), refused.clone(), Arc::clone(&metrics.limits));
    let probes = bound.probes.map(|probes| AbortOnDropHandle::new(tokio::spawn(serve(probes))));
    let addresses = bound.data_plane.addresses().clone();
    let applicant = Applicant {
        proxy: place.proxy.clone(),
        service_account: config.service_account.clone(),
        proof: config.proof(),
        directory: place.directory.clone(),
    };
    let joined = certificate(&applicant, &refusal).await?;
    status.send_modify(|status| status.certified = true);
    let identity = joined.credentials.identity().clone();
    let namespace = place.proxy.namespace.clone();
    let bare = bare_workload(&place, identity.clone());
    let directory = Arc::new(Directory::new(namespace, bare, Limits::STANDARD));
    directory.prefetch(config.upstreams.iter().map(|upstream| &upstream.service));
    let view = View {
        proxy: place.proxy.clone(),
        service: config.service.clone(),
        app: config.app,
        directory: Arc::clone(&directory),
        tls: Tls::new(joined.credentials, joined.roots)?,
        metrics,
        spans: Arc::new(SpanQueue::default()),
        accepted: Arc::default(),
        status: seen,
        log,
    };
    let now = Instant::now();
    let parts = Parts {
        applicant,
        registration: registration(config, &place, &addresses),
        directory,
        view: view.clone(),
        status,
        control_plane: joined.control_plane,
        refusal,
    };
    let mut control = Control::new(parts, now);
    if let Some(last_good) = recalled(&place, &identity) {
        control.restore(last_good, now);
    }
    let shared = shared(config, &view);
    let overload = watch_memory(config, &shared);
    let running = bound.data_plane.start(&shared);
    let running = running.map_err(|error| RunError::System("start the workers", error))?;
    let (orders, receiver) = mpsc::channel(ORDERS);
    let control = tokio::spawn(control.run(receiver));
    let admin = AbortOnDropHandle::new(tokio::spawn(bound.admin.serve(view.clone())));
    let (watched, tls) = (Arc::clone(&view.directory), Arc::clone(&view.tls));
    let warden = Warden::new(watched, tls, running.own_pod());
    let warden = AbortOnDropHandle::new(tokio::spawn(warden.run()));
    let mut status = view.status.clone();
    configured(config, &mut status, &refused).await?;
    announced(&orders, status.clone()).await;
    let ready = ready(config, &place, &identity, &addresses, bound.ready_admin);
    Ok(Started { ready, running, orders, control, admin, warden, overload, probes, status, place })
}

/// What the workers share.
fn shared(config: &Config, view: &View) -> Arc<Shared> {
    Arc::new(Shared {
        directory: Arc::clone(&view.directory),
        tls: Arc::clone(&view.tls),
        metrics: Arc::clone(&view.metrics),
        spans: Arc::clone(&view.spans),
        overload: Arc::default(),
        resolver: Resolver::system(Arc::clone(&view.metrics.limits)),
        proxy: view.proxy.clone(),
        service: config.service.clone(),
        version: config.version.clone().unwrap_or_default(),
    })
}

/// Sheds load when memory runs out, where there is a limit to it.
fn watch_memory(config: &Config, shared: &Shared) -> Option<AbortOnDropHandle<()>> {
    let gauge = Gauge::of_process(config.memory_limit);
    let bell = Arc::clone(shared.directory.bell());
    gauge.is_limited().then(|| {
        let watch = Arc::clone(&shared.overload).watch(move || gauge.fill(), bell);
        AbortOnDropHandle::new(tokio::spawn(watch))
    })
}

/// Waits for the mesh's settings: in a pod without end, because to end would only be to begin again.
async fn configured(
    config: &Config,
    status: &mut watch::Receiver<Status>,
    refused: &watch::Receiver<Option<String>>,
) -> Result<(), RunError> {
    let mut configured = std::pin::pin!(status.wait_for(|status| status.configured));
    if tokio::time::timeout(FIRST_CONFIGURATION, configured.as_mut()).await.is_ok() {
        return Ok(());
    }
    let refused = refused.borrow().clone();
    match (config.is_pod(), refused) {
        (true, why) => {
            tracing::warn!(why, "no configuration yet; waiting for the control plane");
            let _ = configured.await;
        }
        (false, Some(why)) => return Err(RunError::Refused(why)),
        (false, None) => {
            tracing::warn!(
                "no configuration yet: what is outside of the mesh is refused until then"
            );
        }
    }
    Ok(())
}

/// Everything listens: waits until the mesh counts on us, because whoever sees the ready file calls
/// at once. Without a control plane nobody new could learn of us.
async fn announced(orders: &mpsc::Sender<Order>, mut status: watch::Receiver<Status>) {
    let _ = orders.send(Order::Serving).await;
    let announced = status.wait_for(|status| status.announced || !status.connected);
    let _ = tokio::time::timeout(ANNOUNCEMENT, announced).await;
}

async fn bind(config: &Config, place: &Place) -> Result<Bound, RunError> {
    let before = place.ports();
    let (admin, admin_address, ready_admin) = bind_admin(config, &before).await?;
    let (probes, probing) = bind_probes(config)?;
    let upstreams: Vec<_> = config
        .upstreams
        .iter()
        .map(|upstream| {
            let wanted = SocketAddr::new(config.outbound.ip(), upstream.local_port);
            let key = format!("{}:{}", upstream.service, upstream.port);
            let port = before.upstreams.get(&key).copied().unwrap_or_default();
            (upstream.service.clone(), upstream.port, recall(wanted, port))
        })
        .collect();
    let plan = dataplane::Config {
        inbound: recall(config.inbound, before.inbound),
        outbound: recall(config.outbound, before.outbound),
        upstreams,
        captured: config.captured,
        own: probing.into_iter().chain(admin_address).collect(),
        app: config.app,
        workers: config.workers,
    };
    let what = format!("inbound {}, outbound {}", plan.inbound, plan.outbound);
    let what = plan.upstreams.iter().fold(what, |what, (name, port, address)| {
        format!("{what}, upstream {name}:{port} {address}")
    });
    let data_plane = DataPlane::bind(plan).map_err(|error| RunError::Listen { what, error })?;
    keep_ports(config, place, &before, data_plane.addresses(), admin_address);
    Ok(Bound { data_plane, admin, ready_admin, probes })
}

/// Binds the admin server; where it listens, where that is an address, and as text.
async fn bind_admin(
    config: &Config,
    before: &Ports,
) -> Result<(Admin, Option<SocketAddr>, String), RunError> {
    let wanted = match &config.admin {
        AdminAddress::Tcp(wanted) => AdminAddress::Tcp(recall(*wanted, before.admin)),
        unix @ AdminAddress::Unix(_) => unix.clone(),
    };
    let failed = |error: std::io::Error| {
        let error = match &wanted {
            AdminAddress::Tcp(at) => {
                std::io::Error::new(error.kind(), holder::why_not(*at, &error))
            }
            AdminAddress::Unix(_) => error,
        };
        RunError::Listen { what: format!("admin {wanted}"), error }
    };
    let admin = Admin::bind(&wanted).await.map_err(failed)?;
    let address = admin.address().map_err(failed)?;
    let text = address.map_or_else(|| wanted.to_string(), |address| address.to_string());
    Ok((admin, address, text))
}

/// Binds the server that the kubelet asks, where there is to be one; also where it listens.
fn bind_probes(config: &Config) -> Result<(Option<Probes>, Option<SocketAddr>), RunError> {
    let Some(probes) = config.probes.clone() else { return Ok((None, None)) };
    let what = format!("probes {}", probes.listen);
    let bound = Probes::bind(probes).and_then(|probes| Ok((probes.address()?, probes)));
    let (address, probes) = bound.map_err(|error| RunError::Listen { what, error })?;
    Ok((Some(probes), Some(address)))
}

/// Keeps the ports for the next start; that they cannot be kept is no reason not to run.
fn keep_ports(
    config: &Config,
    place: &Place,
    before: &Ports,
    addresses: &Addresses,
    admin: Option<SocketAddr>,
) {
    let keys = config.upstreams.iter().map(|one| format!("{}:{}", one.service, one.port));
    let ports = addresses.upstreams.iter().map(SocketAddr::port);
    let ports = Ports {
        inbound: addresses.inbound.port(),
        outbound: addresses.outbound.port(),
        admin: admin.map_or(before.admin, |admin| admin.port()),
        upstreams: keys.zip(ports).collect(),
    };
    if ports != *before
        && let Err(error) = place.keep(&ports)
    {
        tracing::warn!(%error, "the chosen ports could not be kept for the next start");
    }
}

/// The certificate of the run before while it is valid, else a new one.
async fn certificate(
    applicant: &Applicant,
    waiting: &watch::Sender<Option<String>>,
) -> Result<Joined, RunError> {
    match applicant.saved(SystemTime::now()) {
        Ok(Some(joined)) if applicant.is_of_its_mesh(&joined).await => return Ok(joined),
        Ok(Some(_)) => tracing::warn!("the saved certificate is of another mesh than the token"),
        Ok(None) => {}
        Err(error) => tracing::warn!(error = chain(&error), "the saved certificate is not used"),
    }
    Ok(applicant.join(waiting).await?)
}

fn recalled(place: &Place, identity: &Identity) -> Option<LastGood> {
    match last_good::load(&place.directory, &place.proxy, identity) {
        Ok(last_good) => last_good,
        Err(error) => {
            tracing::warn!(error = chain(&error), "the last good configuration is not used");
            None
        }
    }
}

/// What holds until the control plane has said more: nothing without a certificate gets in.
fn bare_workload(place: &Place, identity: Identity) -> Workload {
    Workload {
        proxy: place.proxy.clone(),
        identity,
        services: Vec::new(),
        zone: String::new(),
        mtls: MtlsMode::Strict,
        ports: Vec::new(),
    }
}

fn registration(config: &Config, place: &Place, addresses: &Addresses) -> Registration {
    let serves = config.app.map(|app| Serves {
        app,
        inbound: addresses.inbound.port(),
        service_port: config.service_port,
        protocol: config.protocol,
    });
    Registration {
        proxy: place.proxy.clone(),
        service: config.service.clone(),
        version: config.version.clone().unwrap_or_default(),
        labels: config.all_labels(),
        service_account: config.service_account.clone(),
        addresses: vec![config.advertise.unwrap_or(addresses.inbound.ip())],
        serves,
        started: SystemTime::now(),
    }
}

fn ready(
    config: &Config,
    place: &Place,
    identity: &Identity,
    addresses: &Addresses,
    admin: String,
) -> Ready {
    let name = |upstream: &super::Upstream| {
        let service = &upstream.service;
        match service.namespace == config.service.namespace {
            true => format!("{}:{}", service.name, upstream.port),
            false => format!("{}.{}:{}", service.name, service.namespace, upstream.port),
        }
    };
    let upstreams: BTreeMap<_, _> =
        config.upstreams.iter().map(name).zip(addresses.upstreams.iter().copied()).collect();
    Ready {
        pid: std::process::id(),
        service: config.service.name.to_string(),
        namespace: config.service.namespace.to_string(),
        proxy: place.proxy.name.to_string(),
        identity: identity.to_string(),
        inbound: addresses.inbound,
        outbound: addresses.outbound,
        admin,
        upstreams,
    }
}
