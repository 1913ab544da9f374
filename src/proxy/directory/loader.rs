//! Turns what the control plane answers into what the request path may use; a machine without I/O
//! and without a clock, driven by the control thread.
//!
//! Goes in: names that are wanted, resources, removals, the time. Comes out: cells in the
//! [`Directory`], and [`Effect`]s: what to subscribe to and what to acknowledge. Make before break:
//! a service is published, and its ticket accepted, when all clusters that it points to are loaded
//! or known to be absent; after [`CLUSTER_WAIT`] it is refused. One does not hold back another.

use std::collections::{BTreeSet, HashMap};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use super::slot::{Answer, Choice, Slot, Staged, needs};
use super::{Directory, HostCell, Known, MeshSettings, ServiceCell, ServiceTable};
use crate::names::ServiceName;
use crate::resource::{self, Key, Resource, Service};
use asked::Asked;
use pools::Pools;

mod addresses;
mod asked;
mod idle;
mod pools;

/// How long a service waits for its clusters before it is refused.
pub(super) const CLUSTER_WAIT: Duration = Duration::from_secs(5);

/// Stands for one resource of one response until it is accepted or refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Ticket(pub u64);

/// What the control thread has to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Effect {
    /// Ask for it.
    Subscribe(Key),
    /// Let it go.
    Unsubscribe(Key),
    /// The resource is in use (or was overtaken by one that is).
    Accept(Ticket),
    /// The resource is not used, for this reason.
    Refuse(Ticket, Fault),
}

/// Why a resource cannot be used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// The path of the field at fault.
    pub field: String,
    /// Why, for people.
    pub reason: String,
}

impl Fault {
    fn new(field: &str, reason: impl Into<String>) -> Self {
        Self { field: field.into(), reason: reason.into() }
    }
}

/// See the head of this file.
#[derive(Debug)]
pub struct Loader {
    directory: Arc<Directory>,
    slots: HashMap<ServiceName, Slot>,
    pools: Pools,
    addresses: Asked<SocketAddr, (ServiceName, u16)>,
    hosts: Asked<IpAddr, Arc<HostCell>>,
    known: HashMap<ServiceName, Known>,
    /// Names whose entry in `known` changed since it was last published.
    changed: BTreeSet<ServiceName>,
    /// Tables out of use, kept until no worker has them, so that they are freed here.
    replaced: Vec<Arc<ServiceTable>>,
    effects: Vec<Effect>,
    began: Instant,
}

impl Loader {
    /// Feeds `directory`; asks for the mesh and this proxy's workload first of all.
    pub fn new(directory: Arc<Directory>, now: Instant) -> Self {
        let workload = Key::workload(&directory.workload().proxy);
        Self {
            directory,
            slots: HashMap::new(),
            pools: Pools::default(),
            addresses: Asked::default(),
            hosts: Asked::default(),
            known: HashMap::new(),
            changed: BTreeSet::new(),
            replaced: Vec::new(),
            effects: vec![Effect::Subscribe(Key::mesh()), Effect::Subscribe(workload)],
            began: now,
        }
    }

    /// Somebody calls `name`.
    pub fn want(&mut self, name: &ServiceName, now: Instant) {
        if let Some(slot) = self.slots.get_mut(name) {
            slot.asked = now;
            return;
        }
        if self.slots.len() >= self.directory.limits.names && !self.make_room() {
            self.directory.crowded.fetch_add(1, Ordering::Relaxed);
            return;
        }
        self.slots.insert(name.clone(), Slot::new(now));
        self.effects.push(Effect::Subscribe(Key::service(name)));
    }

    /// A resource has come. Without a ticket (from the last good configuration) nothing is answered.
    pub fn offer(&mut self, resource: Resource, ticket: Option<Ticket>, now: Instant) {
        match resource {
            Resource::Mesh(mesh) => self.offer_mesh(&mesh, ticket),
            Resource::Workload(workload) => self.offer_workload(workload, ticket, now),
            Resource::Cluster(cluster) => self.offer_cluster(&cluster, ticket, now),
            Resource::Service(service) => self.offer_service(service, ticket, now),
            Resource::Address(address) => self.offer_address(address, ticket, now),
            Resource::Host(host) => self.offer_host(host, ticket, now),
        }
    }

    /// A resource is gone or was never there.
    pub fn gone(&mut self, key: &Key, now: Instant) {
        match key.kind {
            resource::Kind::Address => return self.address_gone(&key.name, now),
            resource::Kind::Host => return self.host_gone(&key.name, now),
            _ => {}
        }
        let (name, consumer) = match key.name.split_once('@') {
            Some((name, consumer)) => (name, Some(consumer)),
            None => (&*key.name, None),
        };
        let Ok(name) = name.parse::<ServiceName>() else { return };
        match (key.kind, consumer) {
            (resource::Kind::Service, None) => self.service_gone(&name, now),
            (resource::Kind::Service, Some(_)) => {
                if let Some(own) = self.slots.get_mut(&name).and_then(|slot| slot.own.as_mut()) {
                    *own = Answer::Absent;
                    self.settle(&name, None, now);
                }
            }
            (resource::Kind::Cluster, _) => {
                let waiting = self.pools.gone(&name, &self.directory, now);
                self.proceed(&waiting, now);
            }
            // The last word on the mesh and on ourselves stays in force.
            _ => {}
        }
    }

    /// Publishes what changed and hands out what is to be done.
    pub fn take_effects(&mut self) -> Vec<Effect> {
        self.publish_addresses();
        if !self.changed.is_empty() {
            // The old map is freed here, on the control thread.
            drop(self.directory.known.swap(Arc::new(self.known.clone())));
            let mut waiting = self.directory.waiting.lock();
            for name in std::mem::take(&mut self.changed) {
                if self.known.contains_key(&name) {
                    waiting.release(&name);
                }
            }
        }
        std::mem::take(&mut self.effects)
    }

    fn offer_mesh(&mut self, mesh: &resource::Mesh, ticket: Option<Ticket>) {
        let ours = self.directory.mesh().trust_domain.clone();
        if mesh.trust_domain != ours {
            let reason = format!("it is `{}`, but ours is `{ours}`", mesh.trust_domain);
            return self.answer(ticket, Err(Fault::new("trustDomain", reason)));
        }
        self.directory.mesh.store(Arc::new(MeshSettings {
            trust_domain: mesh.trust_domain.clone(),
            outbound: mesh.outbound,
            sampling_ppm: mesh.sampling_ppm.min(resource::PARTS_PER_MILLION),
        }));
        self.answer(ticket, Ok(()));
    }

    fn offer_workload(
        &mut self,
        workload: resource::Workload,
        ticket: Option<Ticket>,
        now: Instant,
    ) {
        let ours = self.directory.workload();
        if (&workload.proxy, &workload.identity) != (&ours.proxy, &ours.identity) {
            let reason = format!(
                "it is `{}` of `{}`, but we are `{}` of `{}`",
                workload.identity, workload.proxy, ours.identity, ours.proxy
            );
            return self.answer(ticket, Err(Fault::new("identity", reason)));
        }
        self.directory.workload.store(Arc::new(workload));
        self.pools.relocate(&self.directory, now);
        self.answer(ticket, Ok(()));
    }

    fn offer_cluster(&mut self, cluster: &resource::Cluster, ticket: Option<Ticket>, now: Instant) {
        let waiting = self.pools.apply(cluster, &self.directory, now);
        self.answer(ticket, Ok(()));
        self.proceed(&waiting, now);
    }

    fn offer_service(&mut self, service: Service, ticket: Option<Ticket>, now: Instant) {
        let name = service.name.clone();
        let ours = &self.directory.namespace;
        let slot = self.slots.get_mut(&name);
        let (Some(slot), true) = (slot, service.consumer.as_ref().is_none_or(|c| c == ours)) else {
            // Let go while the answer was on its way.
            return self.answer(ticket, Ok(()));
        };
        if service.consumer.is_some() {
            if let Some(own) = &mut slot.own {
                *own = Answer::Have(Arc::new(service));
            }
        } else {
            slot.general = Answer::Have(Arc::new(service));
            let key = Key::service_for(&name, ours);
            match (slot.is_overridden(ours), slot.own.is_some()) {
                (true, false) => {
                    slot.own = Some(Answer::Waiting);
                    self.effects.push(Effect::Subscribe(key));
                }
                (false, true) => {
                    slot.own = None;
                    self.effects.push(Effect::Unsubscribe(key));
                }
                (true, true) | (false, false) => {}
            }
        }
        self.settle(&name, ticket, now);
    }

    fn service_gone(&mut self, name: &ServiceName, now: Instant) {
        let Some(slot) = self.slots.get_mut(name) else { return };
        slot.general = Answer::Absent;
        slot.active = None;
        if slot.own.take().is_some() {
            let key = Key::service_for(name, &self.directory.namespace);
            self.effects.push(Effect::Unsubscribe(key));
        }
        let uses = std::mem::take(&mut slot.uses);
        self.unstage(name, &Ok(()));
        self.release(&uses);
        let used = Arc::new(AtomicU32::new(self.seconds(now)));
        self.put(name, Some(Known::Nothing(used)));
    }

    /// Acts on the answers about one service.
    fn settle(&mut self, name: &ServiceName, ticket: Option<Ticket>, now: Instant) {
        let Some(slot) = self.slots.get_mut(name) else { return };
        match slot.choice(&self.directory.namespace) {
            Choice::Use(service) if !slot.has(&service) => self.stage(name, service, ticket, now),
            Choice::Use(_) | Choice::Wait | Choice::Nothing => self.answer(ticket, Ok(())),
        }
    }

    fn stage(
        &mut self,
        name: &ServiceName,
        service: Arc<Service>,
        ticket: Option<Ticket>,
        now: Instant,
    ) {
        let needs = needs(&service);
        for cluster in &needs {
            self.pools.acquire(cluster, name, &self.directory, &mut self.effects);
        }
        let Some(slot) = self.slots.get_mut(name) else { return };
        let before = slot.staged.take();
        let carried = before.as_ref().map(|staged| staged.tickets.clone()).unwrap_or_default();
        let tickets = carried.into_iter().chain(ticket).collect();
        let deadline = Some(now + CLUSTER_WAIT);
        slot.staged = Some(Staged { service, needs, tickets, deadline });
        if let Some(before) = before {
            self.release(&before.needs);
        }
        self.proceed(std::slice::from_ref(name), now);
    }

    /// Publishes those of `names` whose clusters are complete now.
    fn proceed(&mut self, names: &[ServiceName], now: Instant) {
        for name in names {
            let Some(slot) = self.slots.get_mut(name) else { continue };
            let Some(staged) = &slot.staged else { continue };
            if self.pools.settled(&staged.needs) {
                self.publish(name, now);
            }
        }
    }

    /// Refuses what is staged but keeps it: when its clusters are complete after all, it is used.
    fn refuse_staged(&mut self, name: &ServiceName, reason: String) {
        let Some(slot) = self.slots.get_mut(name) else { return };
        let Some(staged) = &mut slot.staged else { return };
        staged.deadline = None;
        let fault = Fault::new("backends", reason);
        for ticket in std::mem::take(&mut staged.tickets) {
            self.answer(Some(ticket), Err(fault.clone()));
        }
    }

    fn publish(&mut self, name: &ServiceName, now: Instant) {
        let Some(slot) = self.slots.get_mut(name) else { return };
        let Some(staged) = &slot.staged else { return };
        let directory = &self.directory;
        let mut cell = |cluster: &ServiceName| directory.cluster(cluster);
        let me = &directory.workload().identity;
        let table = ServiceTable::build(&staged.service, me, &mut cell);
        let table = match table {
            Ok(table) => table,
            Err(error) => {
                let fault = Fault::new(&error.field, error.reason);
                return self.unstage(name, &Err(fault));
            }
        };
        let Some(staged) = slot.staged.take() else { return };
        slot.active = Some(staged.service);
        let uses = std::mem::replace(&mut slot.uses, staged.needs);
        match self.known.get(name) {
            Some(Known::Service(cell)) => self.replaced.push(cell.table.swap(Arc::new(table))),
            Some(Known::Nothing(_)) | None => {
                let cell = Arc::new(ServiceCell::new(table, self.seconds(now)));
                self.put(name, Some(Known::Service(cell)));
            }
        }
        self.release(&uses);
        for ticket in staged.tickets {
            self.answer(Some(ticket), Ok(()));
        }
    }

    /// Gives up what was staged for `name`; what is in use stays.
    fn unstage(&mut self, name: &ServiceName, outcome: &Result<(), Fault>) {
        let Some(slot) = self.slots.get_mut(name) else { return };
        let Some(staged) = slot.staged.take() else { return };
        self.release(&staged.needs);
        for ticket in staged.tickets {
            self.answer(Some(ticket), outcome.clone());
        }
    }

    fn release(&mut self, clusters: &BTreeSet<ServiceName>) {
        for cluster in clusters {
            self.pools.release(cluster, &self.directory, &mut self.effects);
        }
    }

    /// Changes what is known of `name`; visible after [`Loader::take_effects`].
    fn put(&mut self, name: &ServiceName, known: Option<Known>) {
        self.changed.insert(name.clone());
        let before = match known {
            Some(known) => self.known.insert(name.clone(), known),
            None => self.known.remove(name),
        };
        if let Some(Known::Service(cell)) = before {
            cell.retired.store(true, Ordering::Release);
        }
    }

    fn answer(&mut self, ticket: Option<Ticket>, outcome: Result<(), Fault>) {
        self.effects.extend(ticket.map(|ticket| match outcome {
            Ok(()) => Effect::Accept(ticket),
            Err(fault) => Effect::Refuse(ticket, fault),
        }));
    }

    fn seconds(&self, now: Instant) -> u32 {
        let seconds = now.saturating_duration_since(self.began).as_secs();
        u32::try_from(seconds).unwrap_or(u32::MAX)
    }
}
