//! A workload that is called by its own address: who must answer there, and its ports as endpoints.
//!
//! There is no route and no balancing. A cell is retired when somebody else has the address: what
//! was decided about it must not reach the next one.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use parking_lot::Mutex;

use super::{Directory, touch};
use crate::names::Protocol;
use crate::proxy::cluster::{Endpoint, next_id};
use crate::resource::Host;

/// Ports of one workload that are kept as endpoints; others are made for each connection.
const MAX_PORTS: usize = 64;

/// One workload.
#[derive(Debug)]
pub struct HostCell {
    /// Tells it apart in caches of counters; never 0.
    pub id: u64,
    /// What it is counted under: `namespace/service`.
    pub label: Arc<str>,
    /// What is known of it.
    pub host: Host,
    endpoints: Mutex<Vec<Arc<Endpoint>>>,
    used: Arc<AtomicU32>,
    retired: AtomicBool,
}

impl HostCell {
    /// A workload that nobody called yet.
    pub fn new(host: Host) -> Self {
        Self::used_with(host, Arc::default())
    }

    pub(super) fn used_with(host: Host, used: Arc<AtomicU32>) -> Self {
        Self {
            id: next_id(),
            label: host.service.to_string().into(),
            host,
            endpoints: Mutex::default(),
            used,
            retired: AtomicBool::new(false),
        }
    }

    /// One port of it; the same endpoint each time, so that its connections are reused.
    pub fn endpoint(&self, port: u16) -> Arc<Endpoint> {
        let mut endpoints = self.endpoints.lock();
        let known = endpoints.iter().find(|endpoint| endpoint.address.port() == port);
        if let Some(endpoint) = known {
            return Arc::clone(endpoint);
        }
        let endpoint = Arc::new(Endpoint::of_host(&self.host, port));
        if endpoints.len() < MAX_PORTS {
            endpoints.push(Arc::clone(&endpoint));
        }
        endpoint
    }

    /// What is declared to be spoken on a port.
    pub fn protocol(&self, port: u16) -> Protocol {
        let declared = self.host.ports.iter().find(|(number, _)| *number == port);
        declared.map(|(_, protocol)| *protocol).unwrap_or_default()
    }

    /// Says that it is in use; for those who keep a cell instead of looking it up.
    pub fn touch(&self, directory: &Directory) {
        touch(&self.used, directory.clock.load(Ordering::Relaxed));
    }

    /// Whether the workload has gone from its address.
    pub fn is_retired(&self) -> bool {
        self.retired.load(Ordering::Acquire)
    }

    /// `next` is known in its place, or nothing is.
    pub(super) fn replaced_by(&self, next: Option<&Host>) {
        let same = next.is_some_and(|next| {
            (&next.workload, &next.service, &next.identity)
                == (&self.host.workload, &self.host.service, &self.host.identity)
        });
        if !same {
            self.retired.store(true, Ordering::Release);
        }
    }
}
