//! The control plane's end of delta discovery with one proxy, as a machine without I/O.
//!
//! In go requests, the keys that changed, and the resources as they are now; out come responses.
//! What is sent is always the difference between the present state and what the proxy holds, and
//! at most one response per kind is unanswered: changes meanwhile merge, so a proxy that stops
//! reading costs no more than its names. A version that the proxy refused is not sent again until
//! it changes, or the proxy asks anew, and then at most once a second. A session lives as long as
//! its stream; what the proxy holds beyond that it says itself, in `initial_versions`.

use std::sync::Arc;
use std::time::Instant;

use crate::resource::{Key, Kind};
use crate::telemetry::limits::Limit;
use crate::xds::codec::Encoded;
use crate::xds::discovery::{DeltaRequest, DeltaResponse, Refusal};
use crate::xds::subscription::{Held, NAMES};

mod line;
#[cfg(test)]
mod tests;

use line::Line;

/// The longest name that may be asked for; the longest valid one has 317 characters.
pub const NAME_BYTES: usize = 512;

/// The table of limits says the same of it, and it is enough for what a proxy may know: a service costs
/// up to three names, its rules for all, its rules for the proxy's namespace and its endpoints; an
/// address or a workload costs one; and there are the mesh's settings and the proxy's own. As many
/// again as services are left for endpoints that only rules lead to.
const _: () = {
    assert!(NAMES == Limit::SubscribedNames.most());
    let (services, addresses) = (Limit::KnownNames.most(), Limit::KnownAddresses.most());
    assert!(NAMES >= 3 * services + 2 * addresses + 2 + services);
};

/// What one stream may use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Names subscribed, over all kinds.
    pub names: usize,
    /// The size from which on a response is ended and the rest waits for its ACK.
    pub response_bytes: usize,
    /// The largest body that is sent at all.
    pub resource_bytes: usize,
}

impl Default for Limits {
    /// As many names as a proxy may have; far enough below `grpc::MESSAGE_BYTES` that a response
    /// of a little less than the first and one resource of the last size fit together.
    fn default() -> Self {
        Self { names: NAMES, response_bytes: 1024 * 1024, resource_bytes: 8 * 1024 * 1024 }
    }
}

/// Why a request ends the stream.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refuse {
    /// INVALID_ARGUMENT.
    #[error("`{0}` is not a kind of resource of this control plane")]
    UnknownKind(String),
    /// INVALID_ARGUMENT.
    #[error("a name has more than {NAME_BYTES} bytes")]
    NameTooLong,
    /// RESOURCE_EXHAUSTED.
    #[error("more than {0} names are subscribed")]
    TooManyNames(usize),
    /// PERMISSION_DENIED.
    #[error("{0} is not for this proxy")]
    NotAuthorized(Key),
}

/// A version that a proxy could not use.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refused {
    /// The version; [`Held::Absent`] for a removal.
    pub version: Held,
    /// Why.
    pub refusal: Refusal,
}

/// One stream of one proxy.
#[derive(Debug)]
pub struct Session {
    limits: Limits,
    lines: [Line; Kind::ALL.len()],
    /// Counts responses, for their nonces.
    responses: u64,
    /// Counts subscriptions, to tell an old one from a new one of the same name.
    subscriptions: u64,
}

impl Session {
    /// A stream that has said nothing yet.
    pub fn new(limits: Limits) -> Self {
        let lines = Kind::ALL.map(Line::new);
        Self { limits, lines, responses: 0, subscriptions: 0 }
    }

    /// Takes a request: ACK or NACK, then names no longer wanted, then names wanted. `authorize`
    /// says whether this proxy may ask for a key. What it asks for comes from the next
    /// [`poll`](Self::poll).
    ///
    /// # Errors
    /// [`Refuse`]: the stream must end with that.
    pub fn on_request(
        &mut self,
        request: DeltaRequest,
        authorize: &dyn Fn(&Key) -> bool,
    ) -> Result<(), Refuse> {
        let DeltaRequest { type_url, subscribe, unsubscribe, mut initial_versions, .. } = request;
        let kind = Kind::from_type_url(&type_url).ok_or(Refuse::UnknownKind(type_url))?;
        let line = self.line_mut(kind);
        if !request.response_nonce.is_empty() {
            line.on_answer(&request.response_nonce, request.error.as_ref());
        }
        for name in unsubscribe {
            line.unsubscribe(&name);
        }
        let opening = line.open();
        for name in subscribe {
            if name.len() > NAME_BYTES {
                return Err(Refuse::NameTooLong);
            }
            let version = initial_versions.remove(&name).filter(|_| opening);
            let key = Key { kind, name: name.into() };
            if !authorize(&key) {
                return Err(Refuse::NotAuthorized(key));
            }
            self.subscriptions += 1;
            let subscription = self.subscriptions;
            self.line_mut(kind).subscribe(&key.name, version.as_deref(), subscription);
            if self.names() > self.limits.names {
                return Err(Refuse::TooManyNames(self.limits.names));
            }
        }
        Ok(())
    }

    /// These may be different now; those that the proxy does not subscribe to cost nothing.
    pub fn on_change<'k>(&mut self, keys: impl IntoIterator<Item = &'k Key>) {
        for key in keys {
            self.line_mut(key.kind).on_change(&key.name);
        }
    }

    /// What is to be sent now: at most one response per kind, clusters before services. `resources`
    /// gives each key as it is now, `None` where there is no such thing.
    pub fn poll(
        &mut self,
        now: Instant,
        resources: &dyn Fn(&Key) -> Option<Arc<Encoded>>,
    ) -> Vec<DeltaResponse> {
        let Self { limits, lines, responses, .. } = self;
        let each = lines.iter_mut().filter_map(|line| {
            *responses += 1;
            line.poll(now, limits, &responses.to_string(), resources)
        });
        each.collect()
    }

    /// When to poll again though nothing has changed; `None`: not before something has.
    pub fn resend_at(&self) -> Option<Instant> {
        self.lines.iter().filter_map(Line::resend_at).min()
    }

    /// How many names are subscribed.
    pub fn names(&self) -> usize {
        self.lines.iter().map(Line::len).sum()
    }

    /// Whether the proxy wants `key`.
    pub fn subscribed(&self, key: &Key) -> bool {
        self.acknowledged(key).is_some()
    }

    /// What the proxy has acknowledged of `key`; `None` where it does not want it.
    pub fn acknowledged(&self, key: &Key) -> Option<&Held> {
        self.line(key.kind).held(&key.name)
    }

    /// The version of `key` that the proxy refused, where nothing newer was acknowledged since.
    pub fn refused(&self, key: &Key) -> Option<&Refused> {
        self.line(key.kind).refused(&key.name)
    }

    /// What [`poll`](Self::poll) has withheld since this was asked last, because it is too large to be
    /// sent: it counts as refused, though the proxy has not said so.
    pub fn take_withheld(&mut self) -> Vec<Key> {
        self.lines.iter_mut().flat_map(Line::take_withheld).collect()
    }

    /// Whether the proxy has answered everything and nothing waits to be sent.
    pub fn is_settled(&self) -> bool {
        self.lines.iter().all(Line::is_settled)
    }

    fn line(&self, kind: Kind) -> &Line {
        let [mesh, workload, cluster, service, address, host] = &self.lines;
        match kind {
            Kind::Mesh => mesh,
            Kind::Workload => workload,
            Kind::Cluster => cluster,
            Kind::Service => service,
            Kind::Address => address,
            Kind::Host => host,
        }
    }

    fn line_mut(&mut self, kind: Kind) -> &mut Line {
        let [mesh, workload, cluster, service, address, host] = &mut self.lines;
        match kind {
            Kind::Mesh => mesh,
            Kind::Workload => workload,
            Kind::Cluster => cluster,
            Kind::Service => service,
            Kind::Address => address,
            Kind::Host => host,
        }
    }
}
