//! Addresses that were called: which service answers there, and which workload has it.
//!
//! An address points to a service by name only, so there is nothing to be made before it is used;
//! the service is asked for as soon as it is known, because whoever waits for the one waits for
//! both. A workload's own address needs nothing else.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Instant;

use super::asked::Wish;
use super::{Effect, Loader, Ticket};
use crate::proxy::directory::HostCell;
use crate::resource::{self, Key};

impl Loader {
    /// Somebody calls `address`.
    pub fn want_address(&mut self, address: SocketAddr, now: Instant) {
        let wish = self.addresses.want(address, now, self.directory.limits.addresses);
        self.wish(wish, Key::address, address);
    }

    /// Somebody calls a workload by its own address.
    pub fn want_host(&mut self, ip: IpAddr, now: Instant) {
        let wish = self.hosts.want(ip, now, self.directory.limits.addresses);
        self.wish(wish, Key::host, ip);
    }

    /// The addresses that no service answers at, in order; what a restart without a control plane
    /// may still call.
    pub fn outside(&self) -> Vec<SocketAddr> {
        self.addresses.nothing()
    }

    /// The addresses that no workload of the mesh has, in order; as [`Loader::outside`].
    pub fn outside_hosts(&self) -> Vec<IpAddr> {
        self.hosts.nothing()
    }

    pub(super) fn offer_address(
        &mut self,
        found: resource::Address,
        ticket: Option<Ticket>,
        now: Instant,
    ) {
        // Else it was let go while the answer was on its way.
        if self.addresses.is_asked(found.address) {
            self.want(&found.service, now);
            let second = self.seconds(now);
            self.addresses.put(found.address, Some((found.service, found.port)), second);
        }
        self.answer(ticket, Ok(()));
    }

    pub(super) fn offer_host(
        &mut self,
        host: resource::Host,
        ticket: Option<Ticket>,
        now: Instant,
    ) {
        let ip = host.ip;
        let before = self.hosts.found(ip);
        if self.hosts.is_asked(ip) && before.is_none_or(|before| before.host != host) {
            if let Some(before) = before {
                before.replaced_by(Some(&host));
            }
            let second = self.seconds(now);
            let cell = HostCell::used_with(host, self.hosts.used(ip, second));
            self.hosts.put(ip, Some(Arc::new(cell)), second);
        }
        self.answer(ticket, Ok(()));
    }

    /// The address `name` is outside, as the control plane says.
    pub(super) fn address_gone(&mut self, name: &str, now: Instant) {
        let address = name.strip_prefix("address/").and_then(|address| address.parse().ok());
        let Some(address) = address else { return };
        if self.addresses.is_asked(address) {
            self.addresses.put(address, None, self.seconds(now));
        }
    }

    /// No workload of the mesh has the address `name`, as the control plane says.
    pub(super) fn host_gone(&mut self, name: &str, now: Instant) {
        let ip = name.strip_prefix("host/").and_then(|ip| ip.parse().ok());
        let Some(ip) = ip else { return };
        if let Some(before) = self.hosts.found(ip) {
            before.replaced_by(None);
        }
        if self.hosts.is_asked(ip) {
            self.hosts.put(ip, None, self.seconds(now));
        }
    }

    pub(super) fn publish_addresses(&mut self) {
        self.addresses.publish(&self.directory.addresses);
        self.hosts.publish(&self.directory.hosts);
    }

    pub(super) fn let_go_idle_addresses(&mut self, now: Instant) {
        let second = self.seconds(now);
        for address in self.addresses.idle(second, now) {
            self.addresses.let_go(address);
            self.effects.push(Effect::Unsubscribe(Key::address(address)));
        }
        for ip in self.hosts.idle(second, now) {
            self.hosts.let_go(ip);
            self.effects.push(Effect::Unsubscribe(Key::host(ip)));
        }
    }

    fn wish<K>(&mut self, wish: Wish<K>, key: fn(K) -> Key, wanted: K) {
        if let Wish::Ask(room) = wish {
            self.effects.extend(room.map(|room| Effect::Unsubscribe(key(room))));
            self.effects.push(Effect::Subscribe(key(wanted)));
        }
    }
}
