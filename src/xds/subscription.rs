//! The proxy's end of delta discovery: all kinds on one stream, as a machine without I/O.
//!
//! In go subscriptions, responses and the caller's verdicts; out come requests and updates. What
//! arrives is not held until the caller has [settled](Subscription::settle) it, which may be later
//! and out of order (make before break: a route waits for its clusters), so several responses may
//! be unsettled at once. A refused resource keeps the last good version. Nothing is ever read from
//! a name that is not subscribed. Where an update and an earlier unsettled one are about the same
//! name, the later one replaces the earlier.

use std::collections::BTreeMap;
use std::collections::btree_map;
use std::sync::Arc;

use bytes::Bytes;

use super::codec::{Decoder, Encoded};
use super::discovery::{DeltaRequest, DeltaResponse, Node, Refusal, Status, WireResource};
use crate::resource::{Key, Kind, Resource};

#[cfg(test)]
mod tests;
mod ticket;

pub use ticket::Ticket;

/// The most names that may be subscribed at once, over all kinds.
pub const NAMES: usize = 40_000;

/// The most responses of one stream that may be unsettled; those beyond are refused.
pub const UNSETTLED: usize = 256;

/// What an end knows the proxy to hold under a name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Held {
    /// Nothing, or it is not known what.
    Unknown,
    /// That there is no such thing.
    Absent,
    /// This version.
    Version(Arc<str>),
}

/// There are [`NAMES`] subscriptions already.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("more than {NAMES} names are subscribed")]
pub struct TooManyNames;

/// What a response brought; the ticket must be settled.
#[derive(Debug)]
#[must_use = "the control plane waits until the ticket is settled"]
pub struct Received {
    /// To be handed to [`Subscription::settle`].
    pub ticket: Ticket,
    /// What changed, in order; `None` where there is no such thing.
    pub updates: Vec<(Key, Option<Resource>)>,
    /// The resources among them as they came, in the same order.
    pub encoded: Vec<Encoded>,
    /// What could not be decoded, for the log; the ticket knows them already.
    pub refused: Vec<Refusal>,
}

/// Subscriptions, and what is held under each; it outlives streams.
#[derive(Debug, Default)]
pub struct Subscription {
    names: BTreeMap<Key, Entry>,
    /// Changes of subscriptions that this stream was not told of yet; `true` for wanted.
    untold: BTreeMap<Key, bool>,
    /// Whether there is a stream.
    live: bool,
    /// Counts streams; tickets of earlier ones are void.
    stream: u64,
    /// Counts what happens, to order it.
    clock: u64,
    unsettled: usize,
}

#[derive(Debug)]
struct Entry {
    held: Held,
    /// How often it stands in responses that are not settled.
    unsettled: usize,
    /// When it was subscribed; older responses are about an earlier subscription.
    since: u64,
    /// When the response came that `held` is from.
    accepted: u64,
    decoder: Decoder,
}

impl Subscription {
    /// Without any name.
    pub fn new() -> Self {
        Self::default()
    }

    /// Wants `key` from now on; nothing changes where it is wanted already. The request that says
    /// so comes from [`poll`](Self::poll).
    ///
    /// # Errors
    /// [`TooManyNames`]; nothing has changed then.
    pub fn subscribe(&mut self, key: &Key) -> Result<(), TooManyNames> {
        self.insert(key, Held::Unknown)
    }

    /// Wants `key`, of which the caller uses `version` already (from its last good configuration).
    ///
    /// # Errors
    /// [`TooManyNames`]; nothing has changed then.
    pub fn resume(&mut self, key: &Key, version: &str) -> Result<(), TooManyNames> {
        self.insert(key, Held::Version(version.into()))
    }

    fn insert(&mut self, key: &Key, held: Held) -> Result<(), TooManyNames> {
        let full = self.names.len() >= NAMES;
        if let btree_map::Entry::Vacant(vacant) = self.names.entry(key.clone()) {
            if full {
                return Err(TooManyNames);
            }
            self.clock += 1;
            let since = self.clock;
            let decoder = Decoder::default();
            vacant.insert(Entry { held, unsettled: 0, since, accepted: since, decoder });
            self.tell(key, true);
        }
        Ok(())
    }

    /// No longer wants `key`; the caller has let go of what it held.
    pub fn unsubscribe(&mut self, key: &Key) {
        if self.names.remove(key).is_some() {
            self.tell(key, false);
        }
    }

    fn tell(&mut self, key: &Key, wanted: bool) {
        if self.live {
            self.untold.insert(key.clone(), wanted);
        }
    }

    /// What is held under `key`; `None` where it is not subscribed. What a proxy holds is in its
    /// directory: this is for who watches whether both sides agree.
    pub fn held(&self, key: &Key) -> Option<&Held> {
        self.names.get(key).map(|entry| &entry.held)
    }

    /// Every subscribed name and what is held, in order.
    pub fn iter(&self) -> impl Iterator<Item = (&Key, &Held)> {
        self.names.iter().map(|(key, entry)| (key, &entry.held))
    }

    /// A new stream begins: the requests to send first, with every name and what is held of it.
    /// Tickets of the stream before are void. Where one was not settled, what is held is not known
    /// and will be sent again.
    pub fn start(&mut self, node: Node) -> Vec<DeltaRequest> {
        self.end();
        self.live = true;
        for entry in self.names.values_mut() {
            if std::mem::take(&mut entry.unsettled) > 0 {
                entry.held = Held::Unknown;
            }
        }
        let mut node = Some(node);
        let mut requests = Vec::new();
        for kind in Kind::ALL {
            let names = || self.names.iter().filter(move |(key, _)| key.kind == kind);
            if names().next().is_none() {
                continue;
            }
            let versions = names().filter_map(|(key, entry)| match &entry.held {
                Held::Version(version) => Some((key.name.to_string(), version.to_string())),
                Held::Unknown | Held::Absent => None,
            });
            requests.push(DeltaRequest {
                node: node.take(),
                type_url: kind.type_url().into(),
                subscribe: names().map(|(key, _)| key.name.to_string()).collect(),
                initial_versions: versions.collect(),
                ..DeltaRequest::default()
            });
        }
        if let Some(node) = node {
            // A stream must say at once who asks, also before there is anything to ask for.
            let type_url = Kind::Mesh.type_url().into();
            requests.push(DeltaRequest { node: Some(node), type_url, ..DeltaRequest::default() });
        }
        requests
    }

    /// The stream has ended. Everything held stays, tickets are void.
    pub fn end(&mut self) {
        self.live = false;
        self.stream += 1;
        self.unsettled = 0;
        self.untold.clear();
    }

    /// The requests that tell of changed subscriptions, to be asked for after a batch of changes;
    /// none while there is no stream.
    pub fn poll(&mut self) -> Vec<DeltaRequest> {
        let mut requests = BTreeMap::<usize, DeltaRequest>::new();
        for (key, wanted) in std::mem::take(&mut self.untold) {
            let rank = Kind::ALL.iter().position(|&kind| kind == key.kind).unwrap_or_default();
            let request = requests.entry(rank).or_insert_with(|| DeltaRequest {
                type_url: key.kind.type_url().into(),
                ..DeltaRequest::default()
            });
            let list = if wanted { &mut request.subscribe } else { &mut request.unsubscribe };
            list.push(key.name.to_string());
        }
        requests.into_values().collect()
    }

    /// Takes a response apart.
    pub fn on_response(&mut self, response: DeltaResponse) -> Received {
        self.clock += 1;
        let ticket = Ticket::new(self.stream, self.clock, response.type_url, response.nonce);
        let (updates, encoded, refused) = (Vec::new(), Vec::new(), Vec::new());
        let mut received = Received { ticket, updates, encoded, refused };
        match Kind::from_type_url(received.ticket.type_url()) {
            Some(_) if self.unsettled >= UNSETTLED => {
                let reason = format!("more than {UNSETTLED} responses are unsettled");
                received.refuse_all(&reason);
            }
            Some(kind) => self.read(kind, response.resources, response.removed, &mut received),
            None => received.refuse_all("this kind of resource is not known"),
        }
        self.unsettled += 1;
        received
    }

    fn read(
        &mut self,
        kind: Kind,
        resources: Vec<WireResource>,
        removed: Vec<String>,
        received: &mut Received,
    ) {
        for WireResource { name, version, resource } in resources {
            let key = Key { kind, name: name.into() };
            let Some(entry) = self.names.get_mut(&key) else { continue };
            entry.unsettled += 1;
            let version = Arc::<str>::from(version);
            match decode(&key, resource, &mut entry.decoder) {
                Ok((resource, body)) => {
                    received.updates.push((key.clone(), Some(resource)));
                    let version = Arc::clone(&version);
                    received.encoded.push(Encoded { key: key.clone(), version, body });
                }
                Err(refusal) => received.refuse(refusal),
            }
            received.ticket.offer(key, Held::Version(version));
        }
        for name in removed {
            let key = Key { kind, name: name.into() };
            let Some(entry) = self.names.get_mut(&key) else { continue };
            entry.unsettled += 1;
            entry.decoder = Decoder::default();
            received.updates.push((key.clone(), None));
            received.ticket.offer(key, Held::Absent);
        }
    }

    /// The verdict on a response: `refusals` names what the caller could not use of it; all else
    /// is in use now. Returns the ACK or NACK, or `None` where the response came over a stream
    /// that has ended.
    #[must_use = "the request must be sent"]
    pub fn settle(&mut self, ticket: Ticket, refusals: Vec<Refusal>) -> Option<DeltaRequest> {
        if ticket.stream() != self.stream {
            return None;
        }
        self.unsettled = self.unsettled.saturating_sub(1);
        let (at, verdict) = (ticket.at(), ticket.judge(refusals));
        for (key, held) in verdict.offered {
            let Some(entry) = self.names.get_mut(&key).filter(|entry| entry.since < at) else {
                continue;
            };
            entry.unsettled = entry.unsettled.saturating_sub(1);
            if let Some(held) = held.filter(|_| entry.accepted <= at) {
                (entry.held, entry.accepted) = (held, at);
            }
        }
        let refusals = verdict.refusals;
        Some(DeltaRequest {
            type_url: verdict.type_url,
            response_nonce: verdict.nonce,
            error: (!refusals.is_empty()).then(|| Status::refused(&refusals)),
            ..DeltaRequest::default()
        })
    }
}

impl Received {
    fn refuse(&mut self, refusal: Refusal) {
        self.refused.push(refusal.clone());
        self.ticket.refuse(refusal);
    }

    /// Refuses the response as a whole: a refusal without a name.
    fn refuse_all(&mut self, reason: &str) {
        self.refuse(Refusal::new("", "", reason));
    }
}

/// The resource and its body.
fn decode(
    key: &Key,
    wire: Option<super::discovery::Any>,
    decoder: &mut Decoder,
) -> Result<(Resource, Bytes), Refusal> {
    let refuse = |field: &str, reason: &str| Refusal::new(&key.name, field, reason);
    let any = wire.ok_or_else(|| refuse("", "there is no body"))?;
    if any.type_url != key.kind.type_url() {
        return Err(refuse("", "the body is of another kind than the response"));
    }
    // A response is one buffer: what is kept of it must not keep the rest.
    let body = Bytes::copy_from_slice(&any.value);
    let resource = decoder
        .decode(key.kind, &key.name, body.clone())
        .map_err(|error| refuse(&error.field, &error.reason))?;
    Ok((resource, body))
}
