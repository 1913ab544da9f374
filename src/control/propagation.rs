//! How far a revision has come: who subscribes to what it changed, and what they said to it.
//!
//! Pure, with the time as argument. A proxy has acknowledged a revision when for every key that it
//! subscribed to, it acknowledged the version that the revision made, or a later one. Who is away
//! or refused does not hold the others up. The last [`REVISIONS`] revisions are remembered.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Instant;

use crate::control::api::shapes::{Propagation, Rejection};
use crate::names::ProxyId;
use crate::resource::Key;

#[cfg(test)]
mod tests;

/// Revisions that are followed.
pub const REVISIONS: usize = 64;

/// Versions of one key that count for a revision: its own and later ones.
const SUCCESSORS: usize = 64;

/// The version of a key; `None` where the key does not exist.
pub type Version = Option<Arc<str>>;

/// What became of each of the last revisions.
#[derive(Debug, Default)]
pub struct Ledger {
    compiled: u64,
    records: VecDeque<Record>,
}

#[derive(Debug)]
struct Record {
    revision: u64,
    committed: Instant,
    /// When the last answer that counts came; at first when it was compiled.
    last: Instant,
    settled_ms: Option<f64>,
    keys: BTreeMap<Key, Vec<Version>>,
    proxies: BTreeMap<ProxyId, BTreeMap<Key, Progress>>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Progress {
    Pending,
    Acknowledged,
    Rejected { reason: String, rules: Vec<String> },
}

/// Where a revision stands, in a word.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Standing {
    Acknowledged,
    Pending,
    Rejected,
}

impl Ledger {
    /// The rules were at `revision` when the control plane started.
    pub fn new(revision: u64) -> Self {
        Self { compiled: revision, records: VecDeque::new() }
    }

    /// The versions of some keys changed; `revisions` (with when each was committed) are among the
    /// causes. `subscribers` says who must hear of a key.
    pub fn compiled(
        &mut self,
        revisions: &[(u64, Instant)],
        changed: &[(Key, Version)],
        now: Instant,
        subscribers: impl Fn(&Key) -> Vec<ProxyId>,
    ) {
        for record in &mut self.records {
            for (key, version) in changed {
                let Some(versions) = record.keys.get_mut(key) else { continue };
                // The revision's own version and the latest ones: what is in between a proxy that
                // is behind will leave for a later one.
                if versions.len() >= SUCCESSORS {
                    versions.remove(1);
                }
                versions.push(version.clone());
            }
        }
        for &(revision, committed) in revisions {
            let mut proxies: BTreeMap<ProxyId, BTreeMap<Key, Progress>> = BTreeMap::new();
            for (key, _) in changed {
                for proxy in subscribers(key) {
                    proxies.entry(proxy).or_default().insert(key.clone(), Progress::Pending);
                }
            }
            let keys = changed.iter().map(|(key, version)| (key.clone(), vec![version.clone()]));
            self.compiled = self.compiled.max(revision);
            self.records.push_back(Record {
                revision,
                committed,
                last: now,
                settled_ms: None,
                keys: keys.collect(),
                proxies,
            });
        }
        while self.records.len() > REVISIONS {
            self.records.pop_front();
        }
    }

    /// `proxy` uses `version` of `key`.
    pub fn acknowledged(&mut self, proxy: &ProxyId, key: &Key, version: &Version, now: Instant) {
        self.progress(proxy, key, version, now, &Progress::Acknowledged);
    }

    /// `proxy` refused `version` of `key`, which came from `rules`.
    pub fn rejected(
        &mut self,
        (proxy, key): (&ProxyId, &Key),
        version: &Version,
        now: Instant,
        (reason, rules): (String, Vec<String>),
    ) {
        self.progress(proxy, key, version, now, &Progress::Rejected { reason, rules });
    }

    fn progress(
        &mut self,
        proxy: &ProxyId,
        key: &Key,
        version: &Version,
        now: Instant,
        progress: &Progress,
    ) {
        for record in &mut self.records {
            if !record.keys.get(key).is_some_and(|versions| versions.contains(version)) {
                continue;
            }
            let Some(state) = record.proxies.get_mut(proxy).and_then(|keys| keys.get_mut(key))
            else {
                continue;
            };
            if *state != Progress::Acknowledged && *state != *progress {
                state.clone_from(progress);
                record.last = now;
            }
        }
    }

    /// `proxy` no longer subscribes to `key`.
    pub fn unsubscribed(&mut self, proxy: &ProxyId, key: &Key) {
        for record in &mut self.records {
            let Some(keys) = record.proxies.get_mut(proxy) else { continue };
            keys.remove(key);
            if keys.is_empty() {
                record.proxies.remove(proxy);
            }
        }
    }

    /// `proxy` left the mesh.
    pub fn left(&mut self, proxy: &ProxyId) {
        for record in &mut self.records {
            record.proxies.remove(proxy);
        }
    }

    /// How far `revision` has come; `connected` says who has a stream.
    pub fn propagation(
        &mut self,
        revision: u64,
        connected: impl Fn(&ProxyId) -> bool,
    ) -> Propagation {
        let mut answer = Propagation { compiled: revision <= self.compiled, ..empty(revision) };
        let Some(record) = self.records.iter_mut().find(|record| record.revision == revision)
        else {
            // Older than what is remembered: whatever it changed was followed up since.
            answer.settled_ms = answer.compiled.then_some(0.0);
            return answer;
        };
        for (proxy, keys) in &record.proxies {
            tell(&mut answer, proxy, keys, &connected);
        }
        if answer.pending.is_empty() {
            let took = record.last.saturating_duration_since(record.committed).as_secs_f64() * 1e3;
            answer.settled_ms = Some(*record.settled_ms.get_or_insert(took));
        }
        answer
    }

    /// How far everything has come that was compiled for revisions after `revision`.
    pub fn since(&self, revision: u64, connected: impl Fn(&ProxyId) -> bool) -> Propagation {
        let mut answer = Propagation { compiled: true, ..empty(revision) };
        let mut proxies: BTreeMap<&ProxyId, BTreeMap<Key, Progress>> = BTreeMap::new();
        let mut took: Option<(Instant, Instant)> = None;
        for record in self.records.iter().filter(|record| record.revision > revision) {
            let (from, to) = took.unwrap_or((record.committed, record.last));
            took = Some((from.min(record.committed), to.max(record.last)));
            for (proxy, keys) in &record.proxies {
                // Of one key the last word counts.
                let keys = keys.iter().map(|(key, progress)| (key.clone(), progress.clone()));
                proxies.entry(proxy).or_default().extend(keys);
            }
        }
        for (proxy, keys) in proxies {
            tell(&mut answer, proxy, &keys, &connected);
        }
        let took = took.filter(|_| answer.pending.is_empty());
        let milliseconds =
            |(from, to): (Instant, Instant)| to.saturating_duration_since(from).as_secs_f64() * 1e3;
        Propagation { settled_ms: took.map(milliseconds), ..answer }
    }
}

/// Nobody has said anything yet.
fn empty(revision: u64) -> Propagation {
    Propagation {
        revision,
        compiled: false,
        acknowledged: Vec::new(),
        pending: Vec::new(),
        disconnected: Vec::new(),
        rejected: Vec::new(),
        settled_ms: None,
    }
}

/// Puts a proxy where it belongs.
fn tell(
    answer: &mut Propagation,
    proxy: &ProxyId,
    keys: &BTreeMap<Key, Progress>,
    connected: impl Fn(&ProxyId) -> bool,
) {
    match standing(keys) {
        Standing::Acknowledged => answer.acknowledged.push(proxy.to_string()),
        Standing::Rejected => answer.rejected.extend(rejections(proxy, keys)),
        Standing::Pending if connected(proxy) => answer.pending.push(proxy.to_string()),
        Standing::Pending => answer.disconnected.push(proxy.to_string()),
    }
}

fn standing(keys: &BTreeMap<Key, Progress>) -> Standing {
    if keys.values().any(|progress| matches!(progress, Progress::Rejected { .. })) {
        Standing::Rejected
    } else if keys.values().all(|progress| *progress == Progress::Acknowledged) {
        Standing::Acknowledged
    } else {
        Standing::Pending
    }
}

fn rejections(proxy: &ProxyId, keys: &BTreeMap<Key, Progress>) -> Vec<Rejection> {
    let rejected = keys.iter().filter_map(|(key, progress)| match progress {
        Progress::Rejected { reason, rules } => Some(Rejection {
            proxy: proxy.to_string(),
            resource: key.to_string(),
            rules: rules.clone(),
            reason: reason.clone(),
        }),
        _ => None,
    });
    rejected.collect()
}
