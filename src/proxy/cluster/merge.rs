//! The endpoints of a new resource for one port, those known before taken over.
//!
//! Both lists are in order of names. What the two resources share is taken over without a look at
//! it; anything else is searched for. An update of one endpoint among thousands compares pointers.

use std::net::SocketAddr;
use std::sync::Arc;

use super::{Endpoint, Port};
use crate::resource;

/// See the head of this file.
#[derive(Debug, Default)]
pub(super) struct Merged {
    /// The endpoints, in order of workload names.
    pub(super) endpoints: Vec<Arc<Endpoint>>,
    /// What the control plane says of each.
    pub(super) told: Vec<Arc<resource::Endpoint>>,
    /// Which one each of them was before.
    pub(super) origin: Vec<Option<u32>>,
}

impl Merged {
    /// Those of `wire` that answer for `port`.
    pub(super) fn new(wire: &[Arc<resource::Endpoint>], port: u16, known: Option<&Port>) -> Self {
        let mut known = Known {
            endpoints: known.map_or(&[], |port| &port.endpoints),
            told: known.map_or(&[], |port| &port.told),
            next: 0,
        };
        let mut merged = Self {
            endpoints: Vec::with_capacity(wire.len()),
            told: Vec::with_capacity(wire.len()),
            origin: Vec::with_capacity(wire.len()),
        };
        let mut ordered = true;
        for endpoint in wire {
            let from = merged.endpoints.len();
            if !merged.take_over(&mut known, endpoint) {
                merged.add(&mut known, endpoint, port);
            }
            ordered &= merged.is_ordered_at(from);
        }
        if !ordered {
            merged.sort();
        }
        merged
    }

    /// Takes over what was made of the same `endpoint` before, where that is what is expected next.
    fn take_over(&mut self, known: &mut Known<'_>, endpoint: &Arc<resource::Endpoint>) -> bool {
        let from = known.next;
        let is_same = |at: usize| known.told.get(at).is_some_and(|it| Arc::ptr_eq(it, endpoint));
        // All of its addresses or none.
        if from.checked_sub(1).is_some_and(is_same) {
            return false;
        }
        let until = (from..known.told.len()).find(|&at| !is_same(at)).unwrap_or(known.told.len());
        for (at, kept) in known.endpoints.iter().enumerate().take(until).skip(from) {
            self.push(Arc::clone(kept), endpoint, Some(at as u32));
        }
        known.next = until;
        until > from
    }

    /// Looks for every address of `endpoint` among those known.
    fn add(&mut self, known: &mut Known<'_>, endpoint: &Arc<resource::Endpoint>, port: u16) {
        let mapping = endpoint.ports.iter().find(|mapping| mapping.service_port == port);
        let Some(mapping) = mapping else { return };
        for (number, &ip) in endpoint.addresses.iter().enumerate() {
            if endpoint.addresses.iter().take(number).any(|earlier| *earlier == ip) {
                continue;
            }
            let address = SocketAddr::new(ip, mapping.target_port);
            let found = known.find(endpoint, address);
            let kept = found.filter(|(_, found)| found.is_still(endpoint, address));
            match kept {
                Some((index, kept)) => {
                    kept.weigh(endpoint.weight);
                    self.push(Arc::clone(kept), endpoint, Some(index));
                }
                None => {
                    let new = Endpoint::of_service(endpoint, address, number);
                    self.push(Arc::new(new), endpoint, None);
                }
            }
        }
    }

    fn push(
        &mut self,
        endpoint: Arc<Endpoint>,
        told: &Arc<resource::Endpoint>,
        origin: Option<u32>,
    ) {
        self.endpoints.push(endpoint);
        self.told.push(Arc::clone(told));
        self.origin.push(origin);
    }

    /// Whether what stands at `at` may follow what stands before it. Those of before are in order,
    /// so that of them only the places are compared.
    fn is_ordered_at(&self, at: usize) -> bool {
        let Some(before) = at.checked_sub(1) else { return true };
        if let (Some(Some(one)), Some(Some(next))) = (self.origin.get(before), self.origin.get(at))
        {
            return one < next;
        }
        match (self.endpoints.get(before), self.endpoints.get(at)) {
            (Some(one), Some(next)) => one.workload <= next.workload,
            _ => true,
        }
    }

    fn sort(&mut self) {
        let Self { endpoints, told, origin } = std::mem::take(self);
        let mut all: Vec<_> = endpoints.into_iter().zip(told).zip(origin).collect();
        all.sort_by(|((one, _), _), ((other, _), _)| one.workload.cmp(&other.workload));
        for ((endpoint, told), origin) in all {
            self.push(endpoint, &told, origin);
        }
    }

    /// The same endpoints as before.
    pub(super) fn same(Port { endpoints, told, .. }: &Port) -> Self {
        let origin = (0..endpoints.len()).map(|index| Some(index as u32)).collect();
        Self { endpoints: endpoints.clone(), told: told.clone(), origin }
    }

    /// Those that are new.
    pub(super) fn fresh(&self) -> impl Iterator<Item = &Endpoint> {
        let each = self.endpoints.iter().zip(&self.origin);
        each.filter(|(_, origin)| origin.is_none()).map(|(endpoint, _)| &**endpoint)
    }
}

/// The endpoints of before, in order of workload names.
struct Known<'a> {
    endpoints: &'a [Arc<Endpoint>],
    told: &'a [Arc<resource::Endpoint>],
    /// Where the next one is expected.
    next: usize,
}

impl<'a> Known<'a> {
    fn find(
        &mut self,
        endpoint: &resource::Endpoint,
        address: SocketAddr,
    ) -> Option<(u32, &'a Arc<Endpoint>)> {
        let expected = self.endpoints.get(self.next);
        let at = match expected.is_some_and(|known| known.is_at(endpoint, address)) {
            true => self.next,
            false => {
                let first = self.endpoints.partition_point(|it| it.workload < endpoint.workload);
                let mut from = self.endpoints.iter().skip(first);
                let own = |known: &&Arc<Endpoint>| known.workload == endpoint.workload;
                first + from.by_ref().take_while(own).position(|it| it.address == address)?
            }
        };
        self.next = at + 1;
        self.endpoints.get(at).map(|found| (at as u32, found))
    }
}
