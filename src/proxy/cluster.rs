//! The pool of a service.

use crate::names::ServiceName;
use crate::resource;

use super::service::BuildError;

/// One cluster.
#[derive(Debug)]
pub struct ClusterCell {
    name: ServiceName,
    loaded: std::sync::atomic::AtomicBool,
}

impl ClusterCell {
    /// Empty.
    pub fn new(name: ServiceName) -> Self {
        Self { name, loaded: false.into() }
    }

    /// Applies.
    ///
    /// # Errors
    /// [`BuildError`].
    pub fn apply(&self, cluster: &resource::Cluster) -> Result<(), BuildError> {
        if cluster.name != self.name {
            return Err(BuildError { field: "name".into(), reason: "another".into() });
        }
        self.loaded.store(true, std::sync::atomic::Ordering::Release);
        Ok(())
    }

    /// Whether applied.
    pub fn is_loaded(&self) -> bool {
        self.loaded.load(std::sync::atomic::Ordering::Acquire)
    }
}
