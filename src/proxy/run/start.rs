//! From nothing to a proxy that serves: directory, ports, certificate, last good configuration,
//! workers, control thread, admin server. Sockets are bound before anything runs.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::time::{Instant, SystemTime};

use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

use super::bind::bind;
use super::place::Place;
use super::succession::claim;
use super::wait::{announced, configured, prepared, unheard};
use super::{Config, Hands, RunError};
use crate::certs::Tls;
use crate::names::Identity;
use crate::net::causes::chain;
use crate::proxy::control::{Control, Order, Parts, Registration, Serves};
use crate::proxy::dataplane::{Addresses, Running, Shared};
use crate::proxy::directory::{Directory, Limits};
use crate::proxy::handover::{Goods, Inherited, Listeners, Older, ProcessId, Rules};
use crate::proxy::join::{Applicant, Joined};
use crate::proxy::last_good::{self, LastGood};
use crate::proxy::overload::Overload;
use crate::proxy::overload::memory::Gauge;
use crate::proxy::ready::Ready;
use crate::proxy::resolve::Resolver;
use crate::proxy::view::{Status, View};
use crate::proxy::warden::Warden;
use crate::resource::{MtlsMode, Workload};
use crate::telemetry::collector::Collector;
use crate::telemetry::logging::LogLevel;
use crate::telemetry::span::SpanQueue;

/// Orders that wait for the control thread; there are few in a life.
const ORDERS: usize = 4;

/// A proxy that serves.
pub(super) struct Started {
    pub(super) ready: Ready,
    pub(super) running: Running,
    pub(super) orders: mpsc::Sender<Order>,
    pub(super) control: JoinHandle<()>,
    pub(super) servers: Servers,
    pub(super) warden: AbortOnDropHandle<()>,
    pub(super) overload: Option<AbortOnDropHandle<()>>,
    pub(super) status: watch::Receiver<Status>,
    /// What a newer process would get.
    pub(super) goods: Goods,
    /// Last, so that the directory stays locked until all else is gone.
    pub(super) place: Place,
}

/// What answers those who ask the proxy itself.
pub(super) struct Servers {
    pub(super) admin: AbortOnDropHandle<std::io::Result<()>>,
    /// Leaves the admin server's new callers to another process.
    pub(super) stop: CancellationToken,
    pub(super) probes: Option<AbortOnDropHandle<std::io::Result<Infallible>>>,
}

impl Servers {
    /// Leaves whoever asks from now on to another process.
    pub(super) fn leave(&mut self) {
        self.stop.cancel();
        self.probes = None;
    }
}

/// How a proxy begins: by itself, or in the place of another process.
struct Entry {
    place: Place,
    /// Sockets of the other process.
    listeners: Listeners,
    /// The other process, which still takes the connections.
    older: Option<Older>,
    started: SystemTime,
    rules: Option<Rules>,
}

impl Entry {
    fn new(config: &Config, Hands { inherited, rules }: Hands) -> Result<Self, RunError> {
        let Some(inherited) = inherited else {
            let (place, started) = (Place::claim(config)?, SystemTime::now());
            return Ok(Self {
                place,
                listeners: Listeners::default(),
                older: None,
                started,
                rules,
            });
        };
        // Rules of the other process that are not among `rules` are not wanted, and go with it.
        let Inherited { proxy, started, lock, listeners, older, .. } = inherited;
        let place = Place::inherit(config, proxy, lock);
        Ok(Self { place, listeners, older: Some(older), started, rules })
    }
}

/// Starts everything; when it returns the proxy listens and has what it needs to answer, and the mesh
/// counts on it: but where an application does not listen yet, which is returned beside.
pub(super) async fn start(
    config: &Config,
    log: Option<LogLevel>,
    hands: Hands,
) -> Result<(Started, Option<SocketAddr>), RunError> {
    let started = open(config, log, hands).await?;
    // One that takes the place of another serves from its start.
    let succeeds = started.status.borrow().serving;
    let unheard = unheard(config, succeeds).await;
    if unheard.is_none() {
        announced(&started.orders, started.status.clone()).await;
    }
    Ok((started, unheard))
}

async fn open(config: &Config, log: Option<LogLevel>, hands: Hands) -> Result<Started, RunError> {
    let Entry { place, mut listeners, older, started, rules } = Entry::new(config, hands)?;
    let bound = bind(config, &place, &mut listeners)?;
    drop(listeners);
    let system = |error| RunError::System("share its sockets", error);
    let passed = (place.share().map_err(system)?, bound.share().map_err(system)?);
    let serving = older.is_some();
    let (status, seen) = watch::channel(Status { serving, ..Status::default() });
    // Until then the servers of this process leave their callers to the older one.
    let open = CancellationToken::new();
    if older.is_none() {
        open.cancel();
    }
    // Before all else: whoever waits for us is to see what we wait for.
    let (refusal, refused) = watch::channel(None);
    let metrics = Collector::new();
    let probes = bound.probes.map(|probes| {
        let limits = Arc::clone(&metrics.limits);
        once(&open, probes.serve(seen.clone(), refused.clone(), limits))
    });
    let addresses = bound.data_plane.addresses().clone();
    let applicant = applicant(config, &place);
    let joined = certificate(&applicant, &refusal).await?;
    status.send_modify(|status| status.certified = true);
    let (control_plane, identity) =
        (joined.control_plane.clone(), joined.credentials.identity().clone());
    let view = view(config, &place, joined, (metrics, seen, log))?;
    let process = ProcessId::own(started);
    let registration = registration(config, &place, &addresses);
    let registration =
        Registration { process, succeeds: older.as_ref().map(|it| it.process), ..registration };
    let now = Instant::now();
    let parts = Parts {
        applicant,
        registration,
        directory: Arc::clone(&view.directory),
        view: view.clone(),
        status,
        control_plane,
        refusal,
    };
    let mut control = Control::new(parts, now);
    if let Some(last_good) = recalled(&place, &identity) {
        control.restore(last_good, now);
    }
    let shared = shared(config, &view);
    let overload = watch_memory(&shared);
    let running = bound.data_plane.start(&shared, older.is_some());
    let running = running.map_err(|error| RunError::System("start the workers", error))?;
    let (orders, receiver) = mpsc::channel(ORDERS);
    let control = tokio::spawn(control.run(receiver));
    let stop = CancellationToken::new();
    let admin = once(&open, bound.admin.serve(view.clone(), stop.clone()));
    let warden = watch_endpoints(&view, &running);
    let mut status = view.status.clone();
    match older {
        None => configured(config, &mut status, &refused).await?,
        Some(older) => succeed(older, (&mut status, &refused), (&running, &open)).await?,
    }
    let ready = ready(config, &place, &identity, &addresses, bound.ready_admin);
    let goods = goods(config, &place, (process, status.clone()), passed, rules);
    let servers = Servers { admin, stop, probes };
    Ok(Started { ready, running, orders, control, servers, warden, overload, status, goods, place })
}

/// Runs a server in a task of its own, from the moment on that `open` is cancelled.
fn once<T: Send + 'static>(
    open: &CancellationToken,
    server: impl Future<Output = T> + Send + 'static,
) -> AbortOnDropHandle<T> {
    let open = open.clone();
    AbortOnDropHandle::new(tokio::spawn(async move {
        open.cancelled().await;
        server.await
    }))
}

/// Gets ready beside the older process, and then takes the connections in its place.
async fn succeed(
    older: Older,
    (status, refused): (&mut watch::Receiver<Status>, &watch::Receiver<Option<String>>),
    (running, open): (&Running, &CancellationToken),
) -> Result<(), RunError> {
    prepared(&older, status, refused).await?;
    older.ready().await?;
    running.open();
    open.cancel();
    Ok(())
}

/// What a newer process would get. A proxy that runs its application cannot be handed over.
fn goods(
    config: &Config,
    place: &Place,
    (process, status): (ProcessId, watch::Receiver<Status>),
    (lock, listeners): (OwnedFd, Vec<(String, OwnedFd)>),
    rules: Option<Rules>,
) -> Goods {
    let program = config.command.first().map(|program| program.to_string_lossy());
    let bound = |program| format!("it runs its application, `{program}`, which would end with it");
    Goods {
        claim: claim(config, &place.proxy),
        process,
        status,
        lock,
        listeners,
        rules,
        bound: program.map(bound),
    }
}

/// Who asks for a certificate.
fn applicant(config: &Config, place: &Place) -> Applicant {
    Applicant {
        proxy: place.proxy.clone(),
        service_account: config.service_account.clone(),
        proof: config.proof(),
        directory: place.directory.clone(),
    }
}

/// Looks after the endpoints that are called.
fn watch_endpoints(view: &View, running: &Running) -> AbortOnDropHandle<()> {
    let (directory, tls) = (Arc::clone(&view.directory), Arc::clone(&view.tls));
    let warden = Warden::new(directory, tls, running.own_pod(), view.metrics.panics.clone());
    AbortOnDropHandle::new(tokio::spawn(warden.run()))
}

/// What is shown of the proxy.
fn view(
    config: &Config,
    place: &Place,
    joined: Joined,
    (metrics, status, log): (Arc<Collector>, watch::Receiver<Status>, Option<LogLevel>),
) -> Result<View, RunError> {
    let namespace = place.proxy.namespace.clone();
    let bare = bare_workload(place, joined.credentials.identity().clone());
    let directory = Arc::new(Directory::new(namespace, bare, Limits::STANDARD));
    directory.prefetch(config.upstreams.iter().map(|upstream| &upstream.service));
    Ok(View {
        proxy: place.proxy.clone(),
        service: config.service.clone(),
        app: config.app,
        directory,
        tls: Tls::new(joined.credentials, joined.roots)?,
        metrics,
        spans: Arc::new(SpanQueue::default()),
        accepted: Arc::default(),
        status,
        log,
    })
}

/// What the workers share.
fn shared(config: &Config, view: &View) -> Arc<Shared> {
    Arc::new(Shared {
        directory: Arc::clone(&view.directory),
        tls: Arc::clone(&view.tls),
        metrics: Arc::clone(&view.metrics),
        spans: Arc::clone(&view.spans),
        overload: Arc::new(Overload::new(Gauge::of_process(config.memory_limit))),
        resolver: Resolver::system(Arc::clone(&view.metrics.limits)),
        proxy: view.proxy.clone(),
        service: config.service.clone(),
        version: config.version.clone().unwrap_or_default(),
    })
}

/// Sheds load when memory runs out, where there is a limit to it.
fn watch_memory(shared: &Shared) -> Option<AbortOnDropHandle<()>> {
    let bell = Arc::clone(shared.directory.bell());
    let watch = || Arc::clone(&shared.overload).watch(bell);
    shared.overload.is_limited().then(|| AbortOnDropHandle::new(tokio::spawn(watch())))
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
        process: ProcessId::own(SystemTime::now()),
        succeeds: None,
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
