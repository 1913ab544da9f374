//! The pools of the services that are called, for those who report and order: breakers, and who is
//! out.

use std::sync::Arc;

use super::Directory;
use crate::names::ServiceName;
use crate::proxy::cluster::ClusterCell;
use crate::xds::agent;

impl Directory {
    /// The pools that there is something to say of, by service.
    pub fn pools(&self) -> Vec<agent::Pool> {
        // The lock is one that requests may wait for; a report looks at every endpoint.
        let cells: Vec<_> = self.clusters.lock().values().cloned().collect();
        let mut pools: Vec<_> = cells.iter().filter_map(|cell| cell.report()).collect();
        pools.sort_unstable_by(|a, b| a.service.cmp(&b.service));
        pools
    }

    /// The pool of a service, where that is called.
    pub fn called(&self, service: &ServiceName) -> Option<Arc<ClusterCell>> {
        self.clusters.lock().get(service).cloned()
    }
}
