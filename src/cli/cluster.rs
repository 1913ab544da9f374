//! A mesh on a cluster, as commands see it: connected by kubeconfig, in words where that fails.

pub(crate) mod rules;

use super::args::Context;
use super::exit::Failure;
use super::installation::Target;
use crate::names::Namespace;
use crate::platform::kubernetes::client::fault::RequestError;
use crate::platform::kubernetes::client::{self, ClientError, Connection};

/// A cluster, and where on it the control plane is.
#[derive(Debug, Clone)]
pub(crate) struct Cluster {
    /// The way to its API server.
    pub(crate) connection: Connection,
    /// The namespace of the control plane.
    pub(crate) namespace: Namespace,
}

impl Cluster {
    /// Connects; asks nothing yet.
    pub(crate) async fn connect(target: &Target) -> Result<Self, Failure> {
        let kubeconfig = target.kubeconfig.as_deref();
        let connection = client::connect(kubeconfig, target.context.as_deref()).await;
        let connection = connection.map_err(unusable)?;
        Ok(Self { connection, namespace: target.namespace.clone() })
    }

    /// Says what is about to be changed.
    pub(crate) fn announce(&self, context: &Context) {
        let Connection { context: name, server, insecure, .. } = &self.connection;
        context.printer.note(&format!("context `{name}`, cluster {server}"));
        if *insecure {
            context.printer.note(&unchecked(&self.connection));
        }
    }
}

/// That a kubeconfig says not to check the certificate of its cluster.
pub(crate) fn unchecked(connection: &Connection) -> String {
    let Connection { context, server, .. } = connection;
    format!("warning: context `{context}` does not check the certificate of `{server}`")
}

/// A request that was refused, in words; `attempt` continues "cannot".
pub(crate) fn refused(
    connection: &Connection,
    attempt: impl Into<String>,
    error: &kube::Error,
) -> Failure {
    failed(RequestError::new(connection, attempt, error))
}

/// The same, where the words are there already.
pub(crate) fn failed(error: RequestError) -> Failure {
    let help = error.help().to_owned();
    Failure::from(error).help(help)
}

/// That a cluster cannot be asked at all.
pub(crate) fn unusable(error: ClientError) -> Failure {
    let help = error.help();
    Failure::from(error).help(help)
}
