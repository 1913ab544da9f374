//! Every proxy that is or was lately here: its registration, its streams, what it subscribes to
//! and what it said to each resource. Pure, with the time as argument.
//!
//! What `status` shows is derived here. The index from key to subscribers is always in step with
//! what each proxy subscribes to. A proxy that left without a goodbye is shown for [`FORGET`].

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use tokio::sync::{Notify, mpsc, oneshot};
use tokio_util::sync::CancellationToken;

use crate::control::api::shapes::ProxyState;
use crate::control::propagation::Version;
use crate::control::registration::Registration;
use crate::names::ProxyId;
use crate::resource::Key;
use crate::telemetry::limits::Limit;
use crate::xds::agent;

#[cfg(test)]
mod tests;

/// How long a proxy that is away is remembered.
pub const FORGET: SignedDuration = SignedDuration::from_hours(1);

/// Proxies that may be registered at once.
pub const PROXIES_MAX: usize = Limit::Proxies.most();

/// A command on its way to a proxy.
#[derive(Debug)]
pub struct Ask {
    /// What to do.
    pub action: agent::command::Action,
    /// Where the answer goes: JSON, or what went wrong.
    pub answer: oneshot::Sender<Result<String, String>>,
}

/// A live agent stream.
#[derive(Debug, Clone)]
pub struct AgentLink {
    /// Tells streams of one proxy apart.
    pub stream: u64,
    /// Commands go here; boxed, because a channel has room for 32 from its beginning.
    pub asks: mpsc::Sender<Box<Ask>>,
    /// Ends the stream, when another of the same proxy takes its place.
    pub end: CancellationToken,
    /// The process, with its start: a restarted one differs.
    pub process: (u32, u64),
    /// The version of its program, as it says.
    pub version: String,
    /// The process whose place it takes, where it takes one.
    pub succeeds: Option<(u32, u64)>,
    /// Whether the mesh knows what it registered; before, it has but its place.
    pub in_mesh: bool,
}

impl AgentLink {
    /// Whether it may take the place of `other`: the same process again, or its successor.
    pub fn may_replace(&self, other: &Self) -> bool {
        self.process == other.process || self.succeeds == Some(other.process)
    }
}

/// A live discovery stream.
#[derive(Debug, Clone)]
pub struct DiscoveryLink {
    /// Tells streams of one proxy apart.
    pub stream: u64,
    /// The agent stream that was the proxy's when this one began.
    pub agent: u64,
    /// Woken when one of its keys changed.
    pub wake: Arc<Notify>,
    /// Which keys changed since it last looked.
    pub dirty: BTreeSet<Key>,
}

/// What is left of a proxy's process after a successor has registered: it measures and learns of
/// changes to the end, and decides nothing about the proxy any more.
#[derive(Debug, Default)]
pub struct Predecessor {
    /// Its agent stream.
    pub agent: Option<AgentLink>,
    /// Its discovery stream.
    pub discovery: Option<DiscoveryLink>,
}

/// What a proxy has of one key.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Holding {
    /// The version sent last, if any was.
    pub sent: Option<Version>,
    /// The version that it acknowledged last.
    pub acknowledged: Option<Version>,
    /// The version that it refused last, unless it has acknowledged one since, and why.
    pub rejected: Option<(Version, String)>,
}

/// One proxy.
#[derive(Debug)]
pub struct Proxy {
    /// What it said when it registered.
    pub registration: Registration,
    /// Its agent stream.
    pub agent: Option<AgentLink>,
    /// Its discovery stream.
    pub discovery: Option<DiscoveryLink>,
    /// The process that another has taken the place of and that still ends what it began.
    pub predecessor: Predecessor,
    /// What it said of itself last.
    pub told: Option<agent::State>,
    /// What it said of the pools of the services that it calls; nothing while it is away.
    pub pools: agent::Pools,
    /// What it counts of itself; nothing while it is away.
    pub counters: agent::Counters,
    /// What it subscribes to (or did, while it is away).
    pub holdings: HashMap<Key, Holding>,
    /// In which state it is.
    pub state: ProxyState,
    /// Since when.
    pub since: Timestamp,
}

impl Proxy {
    fn derive(&self) -> ProxyState {
        let holdings = || self.holdings.values();
        if self.discovery.is_none() {
            ProxyState::Disconnected
        } else if holdings().any(|holding| holding.rejected.is_some()) {
            ProxyState::Rejected
        } else if holdings().any(|holding| holding.sent != holding.acknowledged) {
            ProxyState::Pending
        } else {
            ProxyState::Synced
        }
    }

    fn refresh(&mut self, now: Timestamp) {
        let state = self.derive();
        if state != self.state {
            (self.state, self.since) = (state, now);
        }
    }

    /// Why it is in its state, for people; empty where there is nothing to say.
    pub fn reason(&self) -> String {
        let rejected = self.holdings.iter().filter_map(|(key, holding)| {
            holding.rejected.as_ref().map(|(_, reason)| (key, reason))
        });
        if let Some((key, reason)) = rejected.min() {
            return format!("{key}: {reason}");
        }
        match &self.told {
            Some(told) if told.last_good => "serves from its last good configuration".to_owned(),
            _ => String::new(),
        }
    }
}

/// All of them.
#[derive(Debug, Default)]
pub struct Proxies {
    proxies: BTreeMap<ProxyId, Proxy>,
    subscribers: HashMap<Key, BTreeSet<ProxyId>>,
    /// Those whose predecessor has a discovery stream; few, and not for long.
    succeeding: BTreeSet<ProxyId>,
}

impl Proxies {
    /// By name.
    pub fn iter(&self) -> impl Iterator<Item = (&ProxyId, &Proxy)> {
        self.proxies.iter()
    }

    /// One of them.
    pub fn get(&self, id: &ProxyId) -> Option<&Proxy> {
        self.proxies.get(id)
    }

    /// The agent stream that speaks for a proxy, by its number.
    pub fn agent_stream(&self, id: &ProxyId) -> Option<u64> {
        self.proxies.get(id)?.agent.as_ref().map(|agent| agent.stream)
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        self.proxies.len()
    }

    /// Takes note of a registration, new or again.
    pub fn register(&mut self, registration: Registration, now: Timestamp) -> &mut Proxy {
        let fresh = Proxy {
            registration: registration.clone(),
            agent: None,
            discovery: None,
            predecessor: Predecessor::default(),
            told: None,
            pools: agent::Pools::default(),
            counters: agent::Counters::default(),
            holdings: HashMap::new(),
            state: ProxyState::Disconnected,
            since: now,
        };
        let proxy = self.proxies.entry(registration.proxy()).or_insert(fresh);
        proxy.registration = registration;
        proxy
    }

    /// Changes one proxy, and its state with it.
    pub fn update<T>(
        &mut self,
        id: &ProxyId,
        now: Timestamp,
        change: impl FnOnce(&mut Proxy) -> T,
    ) -> Option<T> {
        let proxy = self.proxies.get_mut(id)?;
        let result = change(proxy);
        proxy.refresh(now);
        Some(result)
    }

    /// It left, or is forgotten.
    pub fn remove(&mut self, id: &ProxyId) {
        self.succeeding.remove(id);
        let Some(proxy) = self.proxies.remove(id) else { return };
        for key in proxy.holdings.keys() {
            unindex(&mut self.subscribers, key, id);
        }
    }

    /// It has no stream and had none for [`FORGET`]: those, so that they can be removed.
    pub fn forgotten(&self, now: Timestamp) -> Vec<ProxyId> {
        let old = |proxy: &&Proxy| {
            proxy.agent.is_none()
                && proxy.state == ProxyState::Disconnected
                && now.duration_since(proxy.since) >= FORGET
        };
        let old = self.proxies.iter().filter(|(_, proxy)| old(proxy));
        old.map(|(id, _)| id.clone()).collect()
    }

    /// It subscribes to `key` now.
    pub fn subscribe(&mut self, id: &ProxyId, key: Key) {
        if let Some(proxy) = self.proxies.get_mut(id) {
            self.subscribers.entry(key.clone()).or_default().insert(id.clone());
            proxy.holdings.entry(key).or_default();
        }
    }

    /// It no longer does.
    pub fn unsubscribe(&mut self, id: &ProxyId, key: &Key) {
        unindex(&mut self.subscribers, key, id);
        if let Some(proxy) = self.proxies.get_mut(id) {
            proxy.holdings.remove(key);
        }
    }

    /// What it has of `key`. The proxy's state follows at the next [`update`](Self::update), so
    /// that thousands of keys cost one look at them.
    pub fn holding(&mut self, id: &ProxyId, key: &Key) -> Option<&mut Holding> {
        self.proxies.get_mut(id)?.holdings.get_mut(key)
    }

    /// Who subscribes to `key`, those away included.
    pub fn subscribers(&self, key: &Key) -> impl Iterator<Item = &ProxyId> {
        self.subscribers.get(key).into_iter().flatten()
    }

    /// Those of them that have a stream.
    pub fn connected_subscribers(&self, key: &Key) -> impl Iterator<Item = &ProxyId> {
        let connected = |id: &&ProxyId| self.get(id).is_some_and(|it| it.discovery.is_some());
        self.subscribers(key).filter(connected)
    }

    /// Tells every subscriber that has a stream that `key` changed.
    pub fn wake(&mut self, key: &Key) {
        for id in self.subscribers.get(key).into_iter().flatten() {
            if let Some(link) = self.proxies.get_mut(id).and_then(|proxy| proxy.discovery.as_mut())
            {
                link.tell(key);
            }
        }
        // What a predecessor subscribes to stands in no index: its session knows.
        for id in &self.succeeding {
            let proxy = self.proxies.get_mut(id);
            if let Some(link) = proxy.and_then(|proxy| proxy.predecessor.discovery.as_mut()) {
                link.tell(key);
            }
        }
    }

    /// A discovery stream of `id` begins in place of another; that of a predecessor goes on beside
    /// it, any other ends.
    pub fn attach(&mut self, id: &ProxyId, link: DiscoveryLink, now: Timestamp) {
        let replaced = self.update(id, now, |proxy| {
            let old = proxy.discovery.replace(link)?;
            let predecessor = proxy.predecessor.agent.as_ref();
            if predecessor.is_some_and(|agent| agent.stream == old.agent) {
                return Some(proxy.predecessor.discovery.replace(old));
            }
            Some(Some(old))
        });
        let Some(Some(ended)) = replaced else { return };
        if let Some(ended) = ended {
            ended.wake.notify_one();
        }
        let succeeds = |proxy: &Proxy| proxy.predecessor.discovery.is_some();
        if self.proxies.get(id).is_some_and(succeeds) {
            self.succeeding.insert(id.clone());
        }
    }

    /// Stream `stream` of `id` has ended; whether it was the proxy's own.
    pub fn detach(&mut self, id: &ProxyId, stream: u64, now: Timestamp) -> bool {
        let ended = self.update(id, now, |proxy| {
            let is_it = |link: &mut DiscoveryLink| link.stream == stream;
            let predecessor = proxy.predecessor.discovery.take_if(is_it).is_some();
            (proxy.discovery.take_if(is_it).is_some(), predecessor)
        });
        let (own, predecessor) = ended.unwrap_or_default();
        if predecessor {
            self.succeeding.remove(id);
        }
        own
    }

    /// An agent stream of `id` begins in place of another: that of the same process ends, that of one
    /// which it succeeds is the predecessor's from now on.
    pub fn take_place(&mut self, id: &ProxyId, link: AgentLink, now: Timestamp) {
        let ended = self.update(id, now, |proxy| {
            let process = link.process;
            let old = proxy.agent.replace(link)?;
            match old.process == process {
                true => Some(old),
                false => proxy.predecessor.agent.replace(old),
            }
        });
        if let Some(Some(ended)) = ended {
            ended.end.cancel();
        }
    }
}

impl DiscoveryLink {
    fn tell(&mut self, key: &Key) {
        self.dirty.insert(key.clone());
        self.wake.notify_one();
    }
}

fn unindex(subscribers: &mut HashMap<Key, BTreeSet<ProxyId>>, key: &Key, id: &ProxyId) {
    if let Some(of_key) = subscribers.get_mut(key) {
        of_key.remove(id);
        if of_key.is_empty() {
            subscribers.remove(key);
        }
    }
}
