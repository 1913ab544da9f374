//! The data plane as a whole: sockets bound before anything runs, worker threads, an acceptor that
//! hands each new connection to the least loaded worker, and the drain.

use std::io;
use std::net::{Ipv6Addr, SocketAddr, TcpListener, TcpStream};
use std::num::NonZeroUsize;
use std::os::fd::OwnedFd;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use tokio::runtime::LocalRuntime;
use tokio::sync::{mpsc, watch};

use crate::certs::tls::ClientAuth;
use crate::names::ServiceName;
use crate::proxy::captured::OwnPod;
use crate::proxy::connect::Alpn;
use crate::proxy::handover::Listeners;
use crate::proxy::slots::SWEEP;
pub use crate::proxy::worker::Shared;
use crate::proxy::worker::{Duties, Worker};

mod acceptor;
mod role;
mod task;

pub use role::Role;

/// Connections that wait for a worker to take them.
const HANDOVER: usize = 1_024;

/// How long new connections are still taken after the drain has begun, or a caller has last made
/// one, where there are callers: they learn only a moment later that the endpoint has gone.
pub const LAST_CALLS: Duration = Duration::from_millis(500);

/// Who calls on and on is not waited for any longer: who has not heard by then may never hear.
const LONGEST_LAST_CALLS: Duration = Duration::from_secs(5);

/// After a successor has begun to take connections, those that are idle are kept for so long: who uses
/// one meanwhile is told with the answer that it was the last.
const IDLE_AFTER_SUCCESSION: Duration = Duration::from_secs(5);

/// How often the drain looks whether all connections have ended.
const DRAIN_TICK: Duration = Duration::from_millis(20);

/// Where the data plane listens, and for whom.
#[derive(Debug, Clone)]
pub struct Config {
    /// Calls from the mesh.
    pub inbound: SocketAddr,
    /// Calls of our application: HTTP, as a proxy or by `Host`.
    pub outbound: SocketAddr,
    /// Local ports that stand for one port of a service each.
    pub upstreams: Vec<(ServiceName, u16, SocketAddr)>,
    /// Connections that the kernel redirects.
    pub captured: Captured,
    /// Where else the proxy listens: never called, like its other listeners.
    pub own: Vec<SocketAddr>,
    /// Where our application listens; `None` where it only calls.
    pub app: Option<SocketAddr>,
    /// Worker threads.
    pub workers: NonZeroUsize,
}

/// Ports, on all addresses, where redirected connections arrive; `None`: nothing is captured.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Captured {
    /// Calls to our applications, in place of [`Config::inbound`].
    pub inbound: Option<u16>,
    /// Calls of our application, beside [`Config::outbound`].
    pub outbound: Option<u16>,
}

/// Bound, not yet running.
#[derive(Debug)]
pub struct DataPlane {
    listeners: Vec<(TcpListener, Role)>,
    addresses: Addresses,
    captured: Captured,
    own: Vec<SocketAddr>,
    app: Option<SocketAddr>,
    workers: NonZeroUsize,
}

/// Where the data plane really listens.
#[derive(Debug, Clone)]
pub struct Addresses {
    /// Calls from the mesh.
    pub inbound: SocketAddr,
    /// Calls of our application.
    pub outbound: SocketAddr,
    /// In the order of [`Config::upstreams`].
    pub upstreams: Vec<SocketAddr>,
}

impl DataPlane {
    /// Binds every socket that `inherited` does not have.
    ///
    /// # Errors
    /// The first address that cannot be bound, named in the message.
    pub fn bind(config: Config, inherited: &mut Listeners) -> io::Result<Self> {
        let mut listeners = Vec::new();
        let mut bind = |address: SocketAddr, role: Role| {
            let listener = inherited.take_or_listen(&role.to_string(), address)?;
            let bound = listener.local_addr()?;
            listeners.push((listener, role));
            io::Result::Ok(bound)
        };
        let everywhere = |port| SocketAddr::from((Ipv6Addr::UNSPECIFIED, port));
        let inbound = match config.captured.inbound {
            Some(port) => bind(everywhere(port), Role::CapturedInbound)?,
            None => bind(config.inbound, Role::Inbound)?,
        };
        if let Some(port) = config.captured.outbound {
            bind(everywhere(port), Role::CapturedOutbound)?;
        }
        let outbound = bind(config.outbound, Role::Outbound)?;
        let mut upstreams = Vec::new();
        for (service, port, address) in config.upstreams.clone() {
            upstreams.push(bind(address, Role::Upstream(service, port))?);
        }
        let addresses = Addresses { inbound, outbound, upstreams };
        let Config { captured, own, app, workers, .. } = config;
        Ok(Self { listeners, addresses, captured, own, app, workers })
    }

    /// Where it listens.
    pub fn addresses(&self) -> &Addresses {
        &self.addresses
    }

    /// The same sockets once more, by what they are for.
    ///
    /// # Errors
    /// Descriptors have run out.
    pub fn share(&self) -> io::Result<Vec<(String, OwnedFd)>> {
        let share = |(listener, role): &(TcpListener, Role)| {
            Ok((role.to_string(), listener.try_clone()?.into()))
        };
        self.listeners.iter().map(share).collect()
    }

    /// Starts the workers and the acceptor, which takes nothing before [`Running::open`] where it
    /// `waits`.
    ///
    /// # Errors
    /// A thread or its runtime cannot be made.
    pub fn start(self, shared: &Arc<Shared>, waits: bool) -> io::Result<Running> {
        let alpn = Alpn::ALL.map(Alpn::as_bytes);
        let own = self.listeners.iter().filter_map(|(listener, _)| listener.local_addr().ok());
        let inbound = self.addresses.inbound.port();
        let duties = Duties {
            app: self.app,
            listeners: own.chain(self.own).collect(),
            own_pod: self.captured.inbound.map(|_| Arc::new(OwnPod::new(inbound))),
            server: shared.tls.server_config(&alpn, ClientAuth::Required),
        };
        let own_pod = duties.own_pod.clone();
        let (phase, _) = watch::channel(if waits { Phase::Waiting } else { Phase::Serving });
        let mut workers = Vec::new();
        let mut seats = Vec::new();
        for index in 0..self.workers.get() {
            let (sender, receiver) = mpsc::channel(HANDOVER);
            let load = Arc::new(AtomicUsize::new(0));
            seats.push(Seat { sender, load: Arc::clone(&load) });
            let (shared, duties) = (Arc::clone(shared), duties.clone());
            let phases = phase.subscribe();
            let work = move || run_worker(shared, duties, load, receiver, phases);
            workers.push(acceptor::thread(&format!("worker-{index}"), work)?);
        }
        let load = seats.iter().map(|seat| Arc::clone(&seat.load)).collect();
        let phases = phase.subscribe();
        let listeners = self.listeners;
        let shared = Arc::clone(shared);
        let calls = Arc::<AtomicUsize>::default();
        let counted = Arc::clone(&calls);
        let accept = move || acceptor::run(listeners, (seats, counted), shared, phases);
        let acceptor = acceptor::thread("acceptor", accept)?;
        Ok(Running { phase, workers, acceptor: Some(acceptor), load, calls, own_pod })
    }
}

/// How far the data plane is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// It could serve; another process still takes the connections.
    Waiting,
    /// It serves.
    Serving,
    /// Connections end with their next answer; new ones are still taken, and idle ones kept,
    /// because callers have not heard of it yet.
    Draining,
    /// As before, but new ones are another process's.
    Succeeded,
    /// No new connections, no idle ones.
    Closed,
    /// Everything ends now.
    Over,
}

/// The place of a worker, as the acceptor sees it.
#[derive(Debug)]
pub struct Seat {
    sender: mpsc::Sender<Arrival>,
    load: Arc<AtomicUsize>,
}

/// A new connection on its way to a worker.
#[derive(Debug)]
pub struct Arrival {
    stream: TcpStream,
    role: Role,
}

/// Running.
#[derive(Debug)]
pub struct Running {
    phase: watch::Sender<Phase>,
    workers: Vec<JoinHandle<()>>,
    acceptor: Option<JoinHandle<()>>,
    load: Vec<Arc<AtomicUsize>>,
    /// Connections of callers so far.
    calls: Arc<AtomicUsize>,
    own_pod: Option<Arc<OwnPod>>,
}

impl Running {
    /// How calls of the own pod come in, where inbound is captured.
    pub fn own_pod(&self) -> Option<Arc<OwnPod>> {
        self.own_pod.clone()
    }

    /// How many connections there are.
    pub fn connections(&self) -> usize {
        self.load.iter().map(|load| load.load(Ordering::Relaxed)).sum()
    }

    /// Takes connections from now on.
    pub fn open(&self) {
        let begin = |phase: &mut Phase| {
            let waited = *phase == Phase::Waiting;
            *phase = if waited { Phase::Serving } else { *phase };
            waited
        };
        self.phase.send_if_modified(begin);
    }

    /// Leaves new connections to another process that has the same sockets; when it returns, no more
    /// are taken here. [`Running::drain`] is to follow.
    pub async fn succeeded(&mut self) {
        self.phase.send_replace(Phase::Succeeded);
        if let Some(acceptor) = self.acceptor.take() {
            join(acceptor).await;
        }
    }

    /// Ends: idle connections when for `last_calls` no caller has made one, until which new ones are
    /// still taken, busy ones with their request, all of them after `grace`.
    pub async fn drain(self, grace: Duration, last_calls: Duration) {
        let began = Instant::now();
        // A short grace leaves half of itself for connections to end in order.
        let (last_calls, longest) = (last_calls.min(grace / 2), LONGEST_LAST_CALLS.min(grace / 2));
        let succeeded = self.acceptor.is_none();
        if !succeeded {
            self.phase.send_replace(Phase::Draining);
        }
        let mut last = (self.calls.load(Ordering::Relaxed), began);
        let mut takes = !succeeded && !last_calls.is_zero();
        let keeps = IDLE_AFTER_SUCCESSION.min(grace / 2);
        while began.elapsed() < grace && (self.connections() > 0 || takes) {
            tokio::time::sleep(DRAIN_TICK).await;
            let calls = self.calls.load(Ordering::Relaxed);
            if calls != last.0 {
                last = (calls, Instant::now());
            }
            takes &= last.1.elapsed() < last_calls && began.elapsed() < longest;
            if !takes && (!succeeded || began.elapsed() >= keeps) {
                self.phase.send_if_modified(|phase| {
                    std::mem::replace(phase, Phase::Closed) != Phase::Closed
                });
            }
        }
        self.phase.send_replace(Phase::Over);
        for thread in self.workers.into_iter().chain(self.acceptor) {
            join(thread).await;
        }
    }
}

async fn join(thread: JoinHandle<()>) {
    // A thread that panicked has ended too.
    let _ = tokio::task::spawn_blocking(move || thread.join()).await;
}

/// The life of a worker's thread.
fn run_worker(
    shared: Arc<Shared>,
    duties: Duties,
    load: Arc<AtomicUsize>,
    arrivals: mpsc::Receiver<Arrival>,
    phases: watch::Receiver<Phase>,
) {
    match LocalRuntime::new() {
        Ok(runtime) => {
            runtime.block_on(work(Worker::new(shared, duties, load), arrivals, phases));
        }
        Err(error) => tracing::error!(%error, "a worker cannot run"),
    }
}

async fn work(
    worker: Rc<Worker>,
    mut arrivals: mpsc::Receiver<Arrival>,
    mut phases: watch::Receiver<Phase>,
) {
    let housekeeper = Rc::clone(&worker);
    tokio::task::spawn_local(async move {
        let panics = &housekeeper.shared.metrics.panics;
        // Without it no deadline would ever end: it begins again.
        while panics.contain("housekeeping", Rc::clone(&housekeeper).housekeep()).await.is_none() {
            tokio::time::sleep(SWEEP).await;
        }
    });
    loop {
        tokio::select! {
            arrival = arrivals.recv() => match arrival {
                Some(arrival) => task::begin(&worker, arrival),
                // The acceptor has ended; the phases go on.
                None => break,
            },
            changed = phases.changed() => {
                if changed.is_err() || enter(&worker, *phases.borrow()) {
                    return;
                }
            }
        }
    }
    while phases.changed().await.is_ok() && !enter(&worker, *phases.borrow()) {}
}

/// A new phase begins; `true`: it is the last.
fn enter(worker: &Worker, phase: Phase) -> bool {
    match phase {
        Phase::Waiting | Phase::Serving => {}
        Phase::Draining | Phase::Succeeded => worker.slots.drain(),
        Phase::Closed => worker.slots.close(),
        Phase::Over => return true,
    }
    false
}
