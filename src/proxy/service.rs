//! The calling side of a service, compiled to tables.

use std::sync::Arc;

use crate::names::ServiceName;
use crate::resource;

use super::cluster::ClusterCell;

/// Why a resource cannot be honoured.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{field}: {reason}")]
pub struct BuildError {
    /// The field's path.
    pub field: String,
    /// The reason.
    pub reason: String,
}

/// The tables.
#[derive(Debug)]
pub struct ServiceTable {
    /// The clusters.
    pub clusters: Vec<Arc<ClusterCell>>,
}

impl ServiceTable {
    /// Builds.
    ///
    /// # Errors
    /// [`BuildError`].
    pub fn build(
        service: &resource::Service,
        clusters: &mut dyn FnMut(&ServiceName) -> Arc<ClusterCell>,
    ) -> Result<Self, BuildError> {
        let backends = service.ports.iter().flat_map(|p| &p.rules).flat_map(|r| &r.backends);
        Ok(Self {
            clusters: backends.filter(|b| b.resolved).map(|b| clusters(&b.service)).collect(),
        })
    }
}
