//! Addresses that were called: asked for, answered, let go when idle.
//!
//! An address points to a service by name only, so there is nothing to be made before it is used;
//! the service is asked for as soon as it is known, because whoever waits for the one waits for
//! both.

use std::collections::{BTreeSet, HashMap};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Instant;

use super::idle::{IDLE, IDLE_NOTHING};
use super::{Effect, Loader, Ticket};
use crate::proxy::directory::addresses::Known;
use crate::resource::{self, Key};

/// All addresses that are subscribed to.
#[derive(Debug, Default)]
pub(super) struct Addresses {
    /// With the time of the first wish, which counts until there is an answer.
    asked: HashMap<SocketAddr, Instant>,
    known: HashMap<SocketAddr, Known>,
    /// Those whose answer changed since it was last published.
    changed: BTreeSet<SocketAddr>,
}

impl Loader {
    /// Somebody calls `address`.
    pub fn want_address(&mut self, address: SocketAddr, now: Instant) {
        if let Some(asked) = self.addresses.asked.get_mut(&address) {
            *asked = now;
            return;
        }
        let full = self.addresses.asked.len() >= self.directory.limits.addresses;
        if full && !self.make_room_for_address() {
            return;
        }
        self.addresses.asked.insert(address, now);
        self.effects.push(Effect::Subscribe(Key::address(address)));
    }

    /// The addresses that are known to be outside of the mesh, in order; what a restart without a
    /// control plane may still call.
    pub fn outside(&self) -> Vec<SocketAddr> {
        let outside = |(address, known): (&SocketAddr, &Known)| match known.service {
            None => Some(*address),
            Some(_) => None,
        };
        let mut addresses: Vec<_> = self.addresses.known.iter().filter_map(outside).collect();
        addresses.sort();
        addresses
    }

    pub(super) fn offer_address(
        &mut self,
        found: resource::Address,
        ticket: Option<Ticket>,
        now: Instant,
    ) {
        // Else it was let go while the answer was on its way.
        if self.addresses.asked.contains_key(&found.address) {
            self.want(&found.service, now);
            self.put_address(found.address, Some((found.service, found.port)), now);
        }
        self.answer(ticket, Ok(()));
    }

    /// `address` is outside, as the control plane says.
    pub(super) fn address_gone(&mut self, name: &str, now: Instant) {
        let address = name.strip_prefix("address/").and_then(|address| address.parse().ok());
        let Some(address) = address else { return };
        if self.addresses.asked.contains_key(&address) {
            self.put_address(address, None, now);
        }
    }

    fn put_address(
        &mut self,
        address: SocketAddr,
        service: Option<(crate::names::ServiceName, u16)>,
        now: Instant,
    ) {
        let used = match self.addresses.known.get(&address) {
            Some(known) => Arc::clone(&known.used),
            None => Arc::new(AtomicU32::new(self.seconds(now))),
        };
        self.addresses.known.insert(address, Known { service, used });
        self.addresses.changed.insert(address);
    }

    /// Makes what changed visible and wakes who waits for it.
    pub(super) fn publish_addresses(&mut self) {
        let Addresses { known, changed, .. } = &mut self.addresses;
        if changed.is_empty() {
            return;
        }
        drop(self.directory.addresses.known.swap(Arc::new(known.clone())));
        let mut waiting = self.directory.addresses.waiting.lock();
        for address in std::mem::take(changed) {
            if known.contains_key(&address) {
                waiting.release(&address);
            }
        }
    }

    pub(super) fn let_go_idle_addresses(&mut self, now: Instant) {
        let second = self.seconds(now);
        let idle = |(address, asked): (&SocketAddr, &Instant)| {
            let idle = match self.addresses.known.get(address) {
                Some(Known { service, used }) => {
                    let since = u64::from(second.saturating_sub(used.load(Ordering::Relaxed)));
                    let limit = if service.is_some() { IDLE } else { IDLE_NOTHING };
                    since >= limit.as_secs()
                }
                None => now.saturating_duration_since(*asked) >= IDLE_NOTHING,
            };
            idle.then_some(*address)
        };
        let mut idle: Vec<_> = self.addresses.asked.iter().filter_map(idle).collect();
        idle.sort();
        for address in idle {
            self.let_address_go(address);
        }
    }

    /// Lets go of the outside address that was not called the longest; whether there was one.
    fn make_room_for_address(&mut self) -> bool {
        let outside = |(address, known): (&SocketAddr, &Known)| match known.service {
            None => Some((known.used.load(Ordering::Relaxed), *address)),
            Some(_) => None,
        };
        let oldest = self.addresses.known.iter().filter_map(outside).min();
        match oldest {
            Some((_, address)) => {
                self.let_address_go(address);
                true
            }
            None => false,
        }
    }

    fn let_address_go(&mut self, address: SocketAddr) {
        self.addresses.asked.remove(&address);
        if self.addresses.known.remove(&address).is_some() {
            self.addresses.changed.insert(address);
        }
        self.effects.push(Effect::Unsubscribe(Key::address(address)));
    }
}
