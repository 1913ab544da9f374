//! The caller behind a subscription, as a proxy is one: it uses what it could, keeps its last good
//! where it could not, and takes its time over some verdicts.

use std::collections::{BTreeMap, BTreeSet};

use fastrand::Rng;
use meshctl::resource::{Key, Resource};
use meshctl::xds::codec::encode;
use meshctl::xds::discovery::{DeltaRequest, DeltaResponse, Refusal};
use meshctl::xds::subscription::{Held, Subscription, Ticket};

/// What the proxy runs on.
#[derive(Default)]
pub(super) struct Proxy {
    pub(super) subscription: Subscription,
    pub(super) wanted: BTreeSet<Key>,
    /// What is in use, and which arrival it came with.
    used: BTreeMap<Key, (Held, usize)>,
    /// The version that was refused last.
    pub(super) refused: BTreeMap<Key, Held>,
    waiting: Vec<Waiting>,
    arrivals: usize,
}

struct Waiting {
    arrival: usize,
    ticket: Ticket,
    updates: Vec<(Key, Option<Resource>)>,
}

impl Proxy {
    pub(super) fn want(&mut self, key: &Key) {
        self.subscription.subscribe(key).expect("there are few names");
        self.wanted.insert(key.clone());
    }

    /// Lets go of everything it knows of `key`.
    pub(super) fn drop_name(&mut self, key: &Key) {
        self.subscription.unsubscribe(key);
        self.wanted.remove(key);
        self.used.remove(key);
        self.refused.remove(key);
        for waiting in &mut self.waiting {
            waiting.updates.retain(|(other, _)| other != key);
        }
    }

    /// Starts anew, from the last good configuration or from nothing.
    pub(super) fn restart(&mut self, keep: bool) {
        let Self { wanted, mut used, .. } = std::mem::take(self);
        if !keep {
            used.clear();
        }
        for key in &wanted {
            match used.get(key) {
                Some((Held::Version(version), _)) => self.subscription.resume(key, version),
                _ => self.subscription.subscribe(key),
            }
            .expect("there are few names");
        }
        (self.wanted, self.used) = (wanted, used);
        self.used.values_mut().for_each(|(_, arrival)| *arrival = 0);
    }

    pub(super) fn receive(&mut self, response: DeltaResponse) {
        let received = self.subscription.on_response(response);
        assert!(received.refused.is_empty(), "everything is well encoded");
        self.arrivals += 1;
        let (ticket, updates) = (received.ticket, received.updates);
        self.waiting.push(Waiting { arrival: self.arrivals, ticket, updates });
    }

    pub(super) fn is_waiting(&self) -> bool {
        !self.waiting.is_empty()
    }

    /// Comes to a verdict on one of the responses, any of them; each resource in it is refused
    /// with a chance of one in eight.
    pub(super) fn decide(&mut self, rng: &mut Rng) -> Option<DeltaRequest> {
        let Waiting { arrival, ticket, updates } =
            self.waiting.swap_remove(rng.usize(..self.waiting.len()));
        let mut refusals = Vec::new();
        for (key, resource) in updates {
            let held = resource.map_or(Held::Absent, |one| Held::Version(encode(&one).version));
            if rng.u8(..8) == 0 {
                refusals.push(Refusal::new(&key.name, "", "bad luck"));
                self.refused.insert(key, held);
            } else if self.used.get(&key).is_none_or(|(_, newest)| *newest < arrival) {
                self.used.insert(key, (held, arrival));
            }
        }
        self.subscription.settle(ticket, refusals)
    }

    pub(super) fn used(&self, key: &Key) -> Option<&Held> {
        self.used.get(key).map(|(held, _)| held)
    }
}
