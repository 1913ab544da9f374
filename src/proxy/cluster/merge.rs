//! The endpoints of a new resource for one port, those known before taken over.
//!
//! Both lists are in order of names, so that most are found where they are expected; once something
//! is not, the rest is looked up in an index. Linear either way, and independent of the order.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;

use super::{Endpoint, Port};
use crate::names::ObjectName;
use crate::resource;

/// See the head of this file.
#[derive(Debug, Default)]
pub(super) struct Merged {
    /// The endpoints.
    pub(super) endpoints: Vec<Arc<Endpoint>>,
    /// Which one each of them was before.
    pub(super) origin: Vec<Option<u32>>,
}

impl Merged {
    /// Those of `wire` that answer for `port`.
    pub(super) fn new(wire: &[resource::Endpoint], port: u16, known: Option<&Port>) -> Self {
        let mut known =
            Known { endpoints: known.map_or(&[], |port| &port.endpoints), ..Known::default() };
        let mut merged = Self {
            endpoints: Vec::with_capacity(wire.len()),
            origin: Vec::with_capacity(wire.len()),
        };
        for endpoint in wire {
            let mapping = endpoint.ports.iter().find(|mapping| mapping.service_port == port);
            let Some(mapping) = mapping else { continue };
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
                        merged.push(Arc::clone(kept), Some(index));
                    }
                    None => {
                        let new = Endpoint::of_service(endpoint, address, number);
                        merged.push(Arc::new(new), None);
                    }
                }
            }
        }
        merged
    }

    /// The same endpoints as before.
    pub(super) fn same(endpoints: &[Arc<Endpoint>]) -> Self {
        let origin = (0..endpoints.len()).map(|index| Some(index as u32)).collect();
        Self { endpoints: endpoints.to_vec(), origin }
    }

    /// Those that are new.
    pub(super) fn fresh(&self) -> impl Iterator<Item = &Endpoint> {
        let each = self.endpoints.iter().zip(&self.origin);
        each.filter(|(_, origin)| origin.is_none()).map(|(endpoint, _)| &**endpoint)
    }

    fn push(&mut self, endpoint: Arc<Endpoint>, origin: Option<u32>) {
        self.endpoints.push(endpoint);
        self.origin.push(origin);
    }
}

/// The endpoints of before.
#[derive(Default)]
struct Known<'a> {
    endpoints: &'a [Arc<Endpoint>],
    /// Where the next one is expected.
    next: usize,
    /// Made when one is not there.
    index: Option<HashMap<(&'a ObjectName, SocketAddr), usize>>,
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
                let index = self.index.get_or_insert_with(|| index(self.endpoints));
                *index.get(&(&endpoint.workload, address))?
            }
        };
        self.next = at + 1;
        self.endpoints.get(at).map(|found| (at as u32, found))
    }
}

fn index(endpoints: &[Arc<Endpoint>]) -> HashMap<(&ObjectName, SocketAddr), usize> {
    endpoints
        .iter()
        .enumerate()
        .map(|(at, endpoint)| ((&endpoint.workload, endpoint.address), at))
        .collect()
}
