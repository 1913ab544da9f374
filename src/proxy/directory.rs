//! The configuration in use, one cell per service, as the request path reads it.
//!
//! Goes in: what [`Loader`] publishes on the control thread. Comes out: on any thread and without
//! a lock the cell of a service, or that there is none; or, for a service nobody called yet, a
//! bounded wait until the control plane has answered. Where a caller has nothing but an address,
//! `addresses` says which service or workload that is. Invariant: a cell that can be found has a table whose
//! clusters are all loaded (make before break). How answers become tables is `loader`'s; the wire
//! is `control`'s.

use std::collections::HashMap;
use std::hash::Hash;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::time::Duration;

use arc_swap::ArcSwap;
use parking_lot::Mutex;
use tokio::sync::Notify;

use crate::names::{Namespace, ServiceName, TrustDomain};
use crate::resource::{self, OutboundMode};
use crate::telemetry::limits::Limit;

use super::bell::Bell;
use super::cluster::ClusterCell;
use super::service::ServiceTable;
use super::spent::Spent;
use book::Book;
use waiting::{Bounds, Waiter, Waiting};

mod addresses;
mod book;
mod hosts;
mod loader;
mod pools;
mod slot;
#[cfg(test)]
pub(super) mod tests;
mod waiting;

pub use addresses::{Answering, Destination};
pub use hosts::HostCell;
pub use loader::{Effect, Fault, Loader, Ticket};

/// The bounds of a directory.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// How long a request waits for a service that nobody called before.
    pub patience: Duration,
    /// How many requests wait for one name.
    pub waiters: usize,
    /// How many names are known at a time, those that are no service included.
    pub names: usize,
    /// How many addresses are known at a time, those outside of the mesh included; as many again of
    /// workloads' own.
    pub addresses: usize,
}

impl Limits {
    /// What DESIGN.md promises: 1 s and 64 requests per name.
    pub const STANDARD: Self = Self {
        patience: Duration::from_secs(1),
        waiters: Limit::PendingRequests.most(),
        names: Limit::KnownNames.most(),
        addresses: Limit::KnownAddresses.most(),
    };
}

/// What is known of a name right now.
#[derive(Debug, Clone)]
pub enum Lookup {
    /// A service, and how it is called.
    Ready(Arc<ServiceCell>),
    /// The control plane says that there is no such service.
    NotAService,
    /// Nobody asked yet, or the answer is not complete.
    Unknown,
}

/// Why there is no cell.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Miss {
    /// There is no such service.
    NotAService,
    /// No complete answer in time, or too many wait already: `config_pending`.
    Pending,
}

/// How one service is called. Kept by whoever uses it; the table inside is exchanged in place.
#[derive(Debug)]
pub struct ServiceCell {
    /// The tables in use; load it once per request.
    pub table: ArcSwap<ServiceTable>,
    last_used: AtomicU32,
    retired: AtomicBool,
}

impl ServiceCell {
    fn new(table: ServiceTable, now: u32) -> Self {
        Self {
            table: ArcSwap::from_pointee(table),
            last_used: AtomicU32::new(now),
            retired: AtomicBool::new(false),
        }
    }

    /// Says that the service is in use; for those who keep a cell instead of looking it up.
    pub fn touch(&self, directory: &Directory) {
        touch(&self.last_used, directory.clock.load(Ordering::Relaxed));
    }

    /// Whether the service is gone or was let go: look it up again.
    pub fn is_retired(&self) -> bool {
        self.retired.load(Ordering::Acquire)
    }
}

/// Mesh-wide settings that the request path reads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MeshSettings {
    /// The trust domain.
    pub trust_domain: TrustDomain,
    /// What may be called outside of the mesh. Until the control plane has said: nothing.
    pub outbound: OutboundMode,
    /// How many of a million new traces are sampled.
    pub sampling_ppm: u32,
}

/// What the directory holds under a name.
#[derive(Debug, Clone)]
enum Known {
    Service(Arc<ServiceCell>),
    Nothing(Arc<AtomicU32>),
}

/// See the head of this file.
#[derive(Debug)]
pub struct Directory {
    namespace: Namespace,
    limits: Limits,
    known: ArcSwap<HashMap<ServiceName, Known>>,
    clusters: Mutex<HashMap<ServiceName, Arc<ClusterCell>>>,
    mesh: ArcSwap<MeshSettings>,
    workload: ArcSwap<resource::Workload>,
    waiting: Mutex<Waiting<ServiceName>>,
    addresses: Book<SocketAddr, (ServiceName, u16)>,
    hosts: Book<IpAddr, Arc<HostCell>>,
    wanted: Notify,
    bell: Arc<Bell>,
    spent: Spent,
    /// Whole seconds since the control thread began; coarse on purpose.
    clock: AtomicU32,
    turned_away: AtomicU64,
    crowded: AtomicU64,
}

impl Directory {
    /// Knows nothing yet: no service, the strictest mesh settings, and `workload` as given.
    pub fn new(namespace: Namespace, workload: resource::Workload, limits: Limits) -> Self {
        let mesh = MeshSettings {
            trust_domain: workload.identity.trust_domain.clone(),
            outbound: OutboundMode::RegistryOnly,
            sampling_ppm: 0,
        };
        Self {
            namespace,
            limits,
            known: ArcSwap::default(),
            clusters: Mutex::default(),
            mesh: ArcSwap::from_pointee(mesh),
            workload: ArcSwap::from_pointee(workload),
            waiting: Mutex::default(),
            addresses: Book::default(),
            hosts: Book::default(),
            wanted: Notify::new(),
            bell: Arc::default(),
            spent: Spent::default(),
            clock: AtomicU32::new(0),
            turned_away: AtomicU64::new(0),
            crowded: AtomicU64::new(0),
        }
    }

    /// What is known of `name`, without waiting; marks it as used.
    pub fn service(&self, name: &ServiceName) -> Lookup {
        let now = self.clock.load(Ordering::Relaxed);
        match self.known.load().get(name) {
            Some(Known::Service(cell)) => {
                touch(&cell.last_used, now);
                Lookup::Ready(Arc::clone(cell))
            }
            Some(Known::Nothing(used)) => {
                touch(used, now);
                Lookup::NotAService
            }
            None => Lookup::Unknown,
        }
    }

    /// The cell of `name`; asks the control plane at first use and waits within [`Limits`].
    ///
    /// # Errors
    /// [`Miss`], which says whether asking again makes sense.
    pub async fn wait_service(&self, name: &ServiceName) -> Result<Arc<ServiceCell>, Miss> {
        let bounds = Bounds { waiters: self.limits.waiters, names: self.limits.names };
        self.wait(&self.waiting, name, bounds, || answered(self.service(name))).await
    }

    /// What `look` finds; asks for `name` where it finds nothing, and waits.
    async fn wait<K: Clone + Eq + Hash + Ord, T>(
        &self,
        queue: &Mutex<Waiting<K>>,
        name: &K,
        bounds: Bounds,
        look: impl Fn() -> Option<Result<T, Miss>>,
    ) -> Result<T, Miss> {
        if let Some(answer) = look() {
            return answer;
        }
        let waiter = Waiter::enter(queue, name, bounds, || self.wanted.notify_one());
        let Ok(waiter) = waiter else {
            self.turned_away.fetch_add(1, Ordering::Relaxed);
            return Err(Miss::Pending);
        };
        let arrived = waiter.notify.notified();
        tokio::pin!(arrived);
        arrived.as_mut().enable();
        // The answer may have come between the look and the entry.
        if let Some(answer) = look() {
            return answer;
        }
        // The outcome is read from the directory, so a lost race with the deadline does no harm.
        let _ = tokio::time::timeout(self.limits.patience, arrived).await;
        look().unwrap_or(Err(Miss::Pending))
    }

    /// Asks for `names` before anybody calls them.
    pub fn prefetch<'a>(&self, names: impl IntoIterator<Item = &'a ServiceName>) {
        let mut waiting = self.waiting.lock();
        for name in names {
            waiting.want(name);
        }
        drop(waiting);
        self.wanted.notify_one();
    }

    /// The pool of `service`, made empty where there is none yet.
    pub fn cluster(&self, service: &ServiceName) -> Arc<ClusterCell> {
        let mut clusters = self.clusters.lock();
        let fresh = || Arc::new(ClusterCell::with_bell(service.clone(), Arc::clone(&self.bell)));
        Arc::clone(clusters.entry(service.clone()).or_insert_with(fresh))
    }

    /// When repetitions were last in vain.
    pub fn spent(&self) -> &Spent {
        &self.spent
    }

    /// By which pools call other threads.
    pub fn bell(&self) -> &Arc<Bell> {
        &self.bell
    }

    /// How often its limits were reached.
    pub fn limits(&self) -> [(Limit, u64); 2] {
        let count = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        [
            (Limit::PendingRequests, count(&self.turned_away)),
            (Limit::KnownNames, count(&self.crowded)),
        ]
    }

    /// The pools of all services in use.
    pub fn live_clusters(&self) -> Vec<Arc<ClusterCell>> {
        self.clusters.lock().values().cloned().collect()
    }

    /// The mesh-wide settings.
    pub fn mesh(&self) -> Arc<MeshSettings> {
        self.mesh.load_full()
    }

    /// How this proxy receives.
    pub fn workload(&self) -> Arc<resource::Workload> {
        self.workload.load_full()
    }

    /// The names that are known as services, in order; for people.
    pub fn names(&self) -> Vec<ServiceName> {
        let is_service = |(name, known): (&ServiceName, &Known)| {
            matches!(known, Known::Service(_)).then(|| name.clone())
        };
        let mut names: Vec<_> = self.known.load().iter().filter_map(is_service).collect();
        names.sort_unstable();
        names
    }

    /// Returns when somebody asked for a name or an address since it was last taken.
    pub async fn wanted(&self) {
        self.wanted.notified().await;
    }

    /// The names asked for since the last call.
    pub fn take_wanted(&self) -> Vec<ServiceName> {
        self.waiting.lock().take_wanted()
    }
}

fn answered(lookup: Lookup) -> Option<Result<Arc<ServiceCell>, Miss>> {
    match lookup {
        Lookup::Ready(cell) => Some(Ok(cell)),
        Lookup::NotAService => Some(Err(Miss::NotAService)),
        Lookup::Unknown => None,
    }
}

/// A write only where the second has changed, so that the line stays shared between cores.
fn touch(last_used: &AtomicU32, now: u32) {
    if last_used.load(Ordering::Relaxed) != now {
        last_used.store(now, Ordering::Relaxed);
    }
}
