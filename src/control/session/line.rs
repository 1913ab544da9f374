//! One kind of resource in a session: its names, which of them may have changed, and the response
//! that is not answered yet.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::{Limits, Refused};
use crate::resource::{Key, Kind};
use crate::xds::codec::Encoded;
use crate::xds::discovery::{DeltaResponse, Refusal, Status};
use crate::xds::subscription::Held;

/// Versions that a proxy claims to hold are ours only if they are not longer than this.
const VERSION_BYTES: usize = 64;

/// A version that was refused is not sent again within this time, also to who subscribes anew: a
/// proxy that goes round in circles does not take us along.
pub(super) const RESEND: Duration = Duration::from_secs(1);

#[derive(Debug)]
pub(super) struct Line {
    kind: Kind,
    /// Whether the proxy has spoken of this kind; what it holds it says the first time.
    opened: bool,
    names: HashMap<Arc<str>, Name>,
    /// Names to look at on the next poll, in the order in which they came to be: none starves.
    queue: BTreeMap<u64, Arc<str>>,
    queued: u64,
    unanswered: Option<Unanswered>,
    /// What was refused within [`RESEND`], and when that was sent.
    recent: BTreeMap<Arc<str>, (Held, Instant)>,
    /// What turned out to be too large to be sent; nobody has been told yet.
    withheld: Vec<Arc<str>>,
}

#[derive(Debug)]
struct Name {
    /// Tells this subscription from an earlier one of the same name.
    subscription: u64,
    held: Held,
    refused: Option<Box<Refused>>,
    /// Its place in the queue.
    place: Option<u64>,
}

#[derive(Debug)]
struct Unanswered {
    nonce: String,
    since: Instant,
    sent: Vec<Sent>,
}

#[derive(Debug)]
struct Sent {
    name: Arc<str>,
    subscription: u64,
    version: Held,
}

impl Line {
    pub(super) fn new(kind: Kind) -> Self {
        let (names, queue, recent) = (HashMap::new(), BTreeMap::new(), BTreeMap::new());
        let (unanswered, withheld) = (None, Vec::new());
        Self { kind, opened: false, names, queue, queued: 0, unanswered, recent, withheld }
    }

    /// Whether this is the first time that the proxy speaks of this kind.
    pub(super) fn open(&mut self) -> bool {
        !std::mem::replace(&mut self.opened, true)
    }

    /// A name asked for again counts as new: the proxy has forgotten it (xDS, "subscribing to
    /// resources").
    pub(super) fn subscribe(&mut self, name: &Arc<str>, version: Option<&str>, subscription: u64) {
        self.unsubscribe(name);
        let ours = version.filter(|version| version.len() <= VERSION_BYTES);
        let held = ours.map_or(Held::Unknown, |version| Held::Version(version.into()));
        self.names.insert(name.clone(), Name { subscription, held, refused: None, place: None });
        self.on_change(name);
    }

    pub(super) fn unsubscribe(&mut self, name: &str) {
        let place = self.names.remove(name).and_then(|name| name.place);
        if let Some(place) = place {
            self.queue.remove(&place);
        }
    }

    pub(super) fn on_change(&mut self, name: &Arc<str>) {
        let Some(known) = self.names.get_mut(name) else { return };
        if known.place.is_none() {
            self.queued += 1;
            known.place = Some(self.queued);
            self.queue.insert(self.queued, name.clone());
        }
    }

    /// An ACK, or with `error` a NACK. An answer to another response than the last is stale.
    pub(super) fn on_answer(&mut self, nonce: &str, error: Option<&Status>) {
        let Some(answered) = self.unanswered.take_if(|sent| sent.nonce == nonce) else { return };
        let details = error.into_iter().flat_map(Status::refusals);
        let mut refusals: HashMap<String, Refusal> =
            details.map(|refusal| (refusal.name.clone(), refusal)).collect();
        let named = answered.sent.iter().any(|sent| refusals.contains_key(&*sent.name));
        let whole = error.filter(|_| !named || refusals.contains_key(""));
        for Sent { name, subscription, version } in answered.sent {
            let refusal = match (refusals.remove(&*name), whole) {
                (Some(refusal), _) => Some(Refusal::new(&name, &refusal.field, &refusal.reason)),
                (None, Some(status)) => Some(Refusal::new(&name, "", &status.message)),
                (None, None) => None,
            };
            if refusal.is_some() {
                // Also where it was let go since, or subscribed anew.
                self.recent.insert(name.clone(), (version.clone(), answered.since));
            }
            let known = self.names.get_mut(&name);
            match (known.filter(|known| known.subscription == subscription), refusal) {
                (Some(known), Some(refusal)) => {
                    known.refused = Some(Box::new(Refused { version, refusal }));
                }
                (Some(known), None) => (known.held, known.refused) = (version, None),
                (None, _) => {}
            }
        }
    }

    /// The next response, if the one before was answered and something is different.
    pub(super) fn poll(
        &mut self,
        now: Instant,
        limits: &Limits,
        nonce: &str,
        resources: &dyn Fn(&Key) -> Option<Arc<Encoded>>,
    ) -> Option<DeltaResponse> {
        if self.unanswered.is_some() {
            return None;
        }
        let type_url = self.kind.type_url().into();
        let mut response = DeltaResponse { type_url, nonce: nonce.into(), ..Default::default() };
        let (mut sent, mut later, mut bytes) = (Vec::new(), Vec::new(), 0);
        self.recent.retain(|_, (_, since)| now < *since + RESEND);
        while bytes < limits.response_bytes
            && let Some((_, name)) = self.queue.pop_first()
        {
            let Some(known) = self.names.get_mut(&name) else { continue };
            known.place = None;
            let current = resources(&Key { kind: self.kind, name: name.clone() });
            let Some(version) = known.due(current.as_deref()) else { continue };
            if let Some(why) = current.as_deref().and_then(|current| too_large(current, limits)) {
                let refusal = Refusal::new(&name, "", &why);
                known.refused = Some(Box::new(Refused { version, refusal }));
                self.withheld.push(name);
                continue;
            }
            if self.recent.get(&name).is_some_and(|(refused, _)| *refused == version) {
                later.push(name);
                continue;
            }
            bytes += name.len();
            match current {
                Some(encoded) => {
                    bytes += encoded.body.len();
                    response.resources.push(encoded.to_wire());
                }
                None => response.removed.push(name.to_string()),
            }
            sent.push(Sent { name, subscription: known.subscription, version });
        }
        if self.queue.is_empty() {
            // One that was in use keeps room for eleven, and most of the time nothing waits.
            self.queue = BTreeMap::new();
        }
        for name in later {
            self.on_change(&name);
        }
        if sent.is_empty() {
            return None;
        }
        self.unanswered = Some(Unanswered { nonce: nonce.into(), since: now, sent });
        Some(response)
    }

    /// When to poll again though nothing has changed.
    pub(super) fn resend_at(&self) -> Option<Instant> {
        let waits = self.unanswered.is_none() && !self.queue.is_empty();
        let times = self.recent.values().filter(|_| waits).map(|(_, since)| *since + RESEND);
        times.min()
    }

    pub(super) fn len(&self) -> usize {
        self.names.len()
    }

    pub(super) fn held(&self, name: &str) -> Option<&Held> {
        self.names.get(name).map(|known| &known.held)
    }

    pub(super) fn refused(&self, name: &str) -> Option<&Refused> {
        self.names.get(name)?.refused.as_deref()
    }

    pub(super) fn take_withheld(&mut self) -> impl Iterator<Item = Key> {
        let kind = self.kind;
        std::mem::take(&mut self.withheld).into_iter().map(move |name| Key { kind, name })
    }

    pub(super) fn is_settled(&self) -> bool {
        self.queue.is_empty() && self.unanswered.is_none()
    }
}

impl Name {
    /// The version to send, if what is there now is neither held nor refused already.
    fn due(&mut self, current: Option<&Encoded>) -> Option<Held> {
        let version = current.map_or(Held::Absent, |now| Held::Version(now.version.clone()));
        if self.held == version {
            // The same text, but now shared with all other sessions.
            (self.held, self.refused) = (version, None);
            return None;
        }
        if self.refused.as_ref().is_some_and(|refused| refused.version == version) {
            return None;
        }
        Some(version)
    }
}

/// Why it cannot be sent, if it cannot.
fn too_large(encoded: &Encoded, limits: &Limits) -> Option<String> {
    let (size, limit) = (encoded.body.len(), limits.resource_bytes);
    (size > limit).then(|| format!("it has {size} bytes encoded, and {limit} is the most"))
}
