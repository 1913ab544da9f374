//! The board: what there is to have, who has what of it, and how far each revision has come.
//!
//! One structure behind one short lock, so that publishing, subscribing and acknowledging cannot
//! interleave: who subscribes either gets the new version or is woken for it. Pure; the time is an
//! argument. A resource is encoded once, in here it is only shared.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Instant;

use jiff::Timestamp;

use crate::control::convergence::Convergence;
use crate::control::propagation::{Ledger, Version};
use crate::control::proxies::{DiscoveryLink, Proxies};
use crate::control::session::Session;
use crate::mesh::ObjectRef;
use crate::names::ProxyId;
use crate::resource::Key;
use crate::xds::codec::Encoded;
use crate::xds::subscription::Held;

#[cfg(test)]
mod tests;

/// A resource as it is given out.
#[derive(Debug, Clone)]
pub struct Published {
    /// The bytes.
    pub encoded: Arc<Encoded>,
    /// The rules that it came from, with their generations.
    pub origins: Vec<(ObjectRef, u64)>,
}

/// What proxies make of one rule.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Programmed {
    /// Each proxy that subscribes to what came of the rule, and whether it has all of it.
    pub proxies: BTreeMap<ProxyId, bool>,
    /// A refusal, for people.
    pub refusal: Option<String>,
}

/// See the head of this file.
#[derive(Debug, Default)]
pub struct Board {
    catalog: HashMap<Key, Published>,
    changes: u64,
    /// Who is here.
    pub proxies: Proxies,
    /// How far revisions have come.
    pub ledger: Ledger,
    /// How long proxies take.
    pub convergence: Convergence,
}

impl Board {
    /// Nothing yet; the rules are at `revision`.
    pub fn new(revision: u64) -> Self {
        Self { ledger: Ledger::new(revision), ..Self::default() }
    }

    /// Goes up whenever [`Board::programmed`] may have become different.
    pub fn changes(&self) -> u64 {
        self.changes
    }

    /// The resource of `key`, if there is one.
    pub fn resource(&self, key: &Key) -> Option<Arc<Encoded>> {
        self.catalog.get(key).map(|published| Arc::clone(&published.encoded))
    }

    /// The same with the rules that it came from.
    pub fn published(&self, key: &Key) -> Option<Published> {
        self.catalog.get(key).cloned()
    }

    /// Its version.
    pub fn version(&self, key: &Key) -> Version {
        self.catalog.get(key).map(|published| Arc::clone(&published.encoded.version))
    }

    /// What proxies make of each rule in each generation: those that subscribe to what came of it.
    pub fn programmed(&self) -> HashMap<(ObjectRef, u64), Programmed> {
        let mut rules: HashMap<&(ObjectRef, u64), Programmed> = HashMap::new();
        for (key, published) in &self.catalog {
            let version = Some(Some(Arc::clone(&published.encoded.version)));
            for origin in &published.origins {
                let rule = rules.entry(origin).or_default();
                for id in self.proxies.subscribers(key) {
                    let Some(proxy) = self.proxies.get(id) else { continue };
                    let holding = proxy.holdings.get(key);
                    let up_to_date = holding.is_some_and(|it| it.acknowledged == version);
                    *rule.proxies.entry(id.clone()).or_insert(true) &= up_to_date;
                    let refusal = holding.and_then(|it| it.rejected.as_ref());
                    if let (None, Some((_, why))) = (&rule.refusal, refusal) {
                        rule.refusal = Some(format!("proxy `{id}` refused {key}: {why}"));
                    }
                }
            }
        }
        rules.into_iter().map(|(rule, programmed)| (rule.clone(), programmed)).collect()
    }

    /// Puts out what was compiled anew, and wakes those who subscribe to what is different. The first
    /// of what changed came in at `since`.
    pub fn publish(
        &mut self,
        fresh: Vec<(Key, Option<Published>)>,
        revisions: &[(u64, Instant)],
        since: Instant,
        now: Instant,
    ) {
        self.changes += 1;
        let mut changed = Vec::new();
        for (key, published) in fresh {
            let version = published.as_ref().map(|it| Arc::clone(&it.encoded.version));
            if version != self.version(&key) {
                changed.push((key.clone(), version));
            }
            match published {
                Some(published) => drop(self.catalog.insert(key, published)),
                None => drop(self.catalog.remove(&key)),
            }
        }
        let Self { proxies, ledger, convergence, .. } = self;
        let subscribers = |key: &Key| proxies.subscribers(key).cloned().collect();
        ledger.compiled(revisions, &changed, now, subscribers);
        for (key, _) in &changed {
            for proxy in proxies.connected_subscribers(key) {
                convergence.changed(proxy, key, since);
            }
            proxies.wake(key);
        }
    }

    /// A discovery stream of `id` begins; returns what the proxy subscribed to on its last one.
    pub fn attach(&mut self, id: &ProxyId, link: DiscoveryLink, now: Timestamp) -> Vec<Key> {
        let before: Vec<Key> = match self.proxies.get(id) {
            Some(proxy) => proxy.holdings.keys().cloned().collect(),
            None => Vec::new(),
        };
        for key in &before {
            self.proxies.unsubscribe(id, key);
        }
        self.proxies.attach(id, link, now);
        before
    }

    /// Stream `stream` of `id` has ended.
    pub fn detach(&mut self, id: &ProxyId, stream: u64, now: Timestamp) {
        if self.proxies.detach(id, stream, now) {
            self.convergence.left(id);
        }
    }

    /// Which keys changed for stream `stream` of `id`; `None` where another has taken its place.
    pub fn take_dirty(
        &mut self,
        id: &ProxyId,
        stream: u64,
        now: Timestamp,
    ) -> Option<BTreeSet<Key>> {
        self.proxies.update(id, now, |proxy| {
            let own = proxy.discovery.as_mut();
            let mut streams = own.into_iter().chain(proxy.predecessor.discovery.as_mut());
            let link = streams.find(|link| link.stream == stream)?;
            Some(std::mem::take(&mut link.dirty))
        })?
    }

    /// Whether stream `stream` speaks for `id`: that of a predecessor does not.
    pub fn speaks_for(&self, id: &ProxyId, stream: u64) -> bool {
        let own = self.proxies.get(id).and_then(|proxy| proxy.discovery.as_ref());
        own.is_some_and(|link| link.stream == stream)
    }

    /// The proxy no longer wants `key`.
    pub fn let_go(&mut self, id: &ProxyId, key: &Key) {
        self.changes += 1;
        self.proxies.unsubscribe(id, key);
        self.ledger.unsubscribed(id, key);
        self.convergence.forget(id, key);
    }

    /// The proxy left the mesh for good.
    pub fn leave(&mut self, id: &ProxyId) {
        self.changes += 1;
        self.proxies.remove(id);
        self.ledger.left(id);
        self.convergence.left(id);
    }

    /// `version` of `key` is on its way to the proxy.
    pub fn sent(&mut self, id: &ProxyId, key: &Key, version: &Version) {
        if let Some(holding) = self.proxies.holding(id, key) {
            holding.sent = Some(version.clone());
        }
    }

    /// Takes over what `session` knows of `key` after the proxy spoke.
    pub fn heard(&mut self, id: &ProxyId, key: &Key, session: &Session, now: Instant) {
        self.changes += 1;
        let acknowledged = match session.acknowledged(key) {
            Some(Held::Version(version)) => Some(Some(Arc::clone(version))),
            Some(Held::Absent) => Some(None),
            Some(Held::Unknown) | None => None,
        };
        let refused = session.refused(key).map(|refused| {
            let version = match &refused.version {
                Held::Version(version) => Some(Arc::clone(version)),
                Held::Absent | Held::Unknown => None,
            };
            let why = match refused.refusal.field.as_str() {
                "" => refused.refusal.reason.clone(),
                field => format!("{field}: {}", refused.refusal.reason),
            };
            (version, why)
        });
        if let Some(version) = &acknowledged {
            self.ledger.acknowledged(id, key, version, now);
        }
        if let Some((version, why)) = &refused {
            let rules = self.rules(key);
            self.ledger.rejected((id, key), version, now, (why.clone(), rules));
        }
        let current = self.version(key);
        if acknowledged.as_ref() == Some(&current) {
            self.convergence.acknowledged(id, key, now);
        } else if refused.as_ref().is_some_and(|(version, _)| *version == current) {
            self.convergence.forget(id, key);
        }
        let Some(holding) = self.proxies.holding(id, key) else { return };
        // What it brought along from its last stream, and is still so, is not sent.
        if holding.sent.is_none() && acknowledged.as_ref() == Some(&current) {
            holding.sent.clone_from(&acknowledged);
        }
        holding.acknowledged = acknowledged;
        holding.rejected = refused;
    }

    /// The proxy's state follows from what was sent and heard.
    pub fn settle(&mut self, id: &ProxyId, now: Timestamp) {
        self.proxies.update(id, now, |_| ());
    }

    fn rules(&self, key: &Key) -> Vec<String> {
        let origins = self.catalog.get(key).map(|published| published.origins.as_slice());
        origins.unwrap_or_default().iter().map(|(origin, _)| origin.to_string()).collect()
    }
}
