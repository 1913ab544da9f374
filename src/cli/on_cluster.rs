//! A cluster that a command works on step by step: the connection, and a runtime of its own, so that
//! commands read top to bottom.

#[cfg(test)]
pub(crate) mod fake;
pub(crate) mod steps;

use super::cluster::{Cluster, failed, unchecked};
use super::exit::Failure;
use super::installation::Target;
use super::output::Printer;
use crate::platform::kubernetes::client::Connection;
use crate::platform::kubernetes::client::fault::RequestError;

/// A connection, and a runtime to use it.
pub(crate) struct OnCluster {
    pub(crate) connection: Connection,
    runtime: tokio::runtime::Runtime,
}

impl OnCluster {
    /// Reads the kubeconfig; asks nothing of the cluster yet.
    pub(crate) fn connect(target: &Target, printer: Printer) -> Result<Self, Failure> {
        super::client::install_provider();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let Cluster { connection, .. } = runtime.block_on(Cluster::connect(target))?;
        if connection.insecure {
            printer.note(&unchecked(&connection));
        }
        Ok(Self { connection, runtime })
    }

    /// Runs what is asked of the cluster to its end.
    pub(crate) fn wait_for<T>(
        &self,
        asked: impl Future<Output = Result<T, RequestError>>,
    ) -> Result<T, Failure> {
        self.attempt(asked).map_err(failed)
    }

    /// The same for those who look at the error.
    pub(crate) fn attempt<T>(
        &self,
        asked: impl Future<Output = Result<T, RequestError>>,
    ) -> Result<T, RequestError> {
        self.runtime.block_on(asked)
    }

    /// `context X (URL)`, for what must name its target.
    pub(crate) fn target(&self) -> String {
        format!("context `{}` ({})", self.connection.context, self.connection.server)
    }
}
