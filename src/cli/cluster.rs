//! Which cluster a command is about, and the connection to it.

use std::path::PathBuf;

use super::exit::Failure;
use super::output::Printer;
use crate::platform::kubernetes::client::fault::RequestError;
use crate::platform::kubernetes::client::{self, ClientError, Connection};

/// `--context` and `--kubeconfig`, as `kubectl` has them.
#[derive(Debug, Clone, Default, clap::Args)]
pub(crate) struct ClusterArgs {
    /// Context of the kubeconfig that names the cluster [default: the current one].
    #[arg(long, value_name = "NAME", help_heading = "Cluster options")]
    pub(crate) context: Option<String>,
    /// The kubeconfig [default: `KUBECONFIG`, else `~/.kube/config`].
    #[arg(
        long,
        value_name = "FILE",
        value_hint = clap::ValueHint::FilePath,
        help_heading = "Cluster options"
    )]
    pub(crate) kubeconfig: Option<PathBuf>,
}

impl ClusterArgs {
    /// Whether a cluster is asked for at all.
    pub(crate) fn is_given(&self) -> bool {
        self.context.is_some() || self.kubeconfig.is_some()
    }
}

/// A connection, and a runtime to use it, so that commands read top to bottom.
pub(crate) struct Cluster {
    pub(crate) connection: Connection,
    runtime: tokio::runtime::Runtime,
}

impl Cluster {
    /// Reads the kubeconfig; asks nothing of the cluster yet.
    pub(crate) fn connect(args: &ClusterArgs, printer: Printer) -> Result<Self, Failure> {
        super::client::install_provider();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let (file, context) = (args.kubeconfig.as_deref(), args.context.as_deref());
        let connection = runtime.block_on(client::connect(file, context)).map_err(unusable)?;
        if connection.insecure {
            printer.note(&format!(
                "warning: context `{}` does not check the certificate of `{}`",
                connection.context, connection.server
            ));
        }
        Ok(Self { connection, runtime })
    }

    /// Runs what is asked of the cluster to its end.
    pub(crate) fn wait_for<T>(
        &self,
        asked: impl Future<Output = Result<T, RequestError>>,
    ) -> Result<T, Failure> {
        self.runtime.block_on(asked).map_err(refused)
    }

    /// `context X (URL)`, for what must name its target.
    pub(crate) fn target(&self) -> String {
        format!("context `{}` ({})", self.connection.context, self.connection.server)
    }
}

/// A cluster that cannot even be asked.
pub(crate) fn unusable(error: ClientError) -> Failure {
    let help = error.help();
    Failure::from(error).help(help)
}

/// A request that failed.
pub(crate) fn refused(error: RequestError) -> Failure {
    let help = error.help().to_owned();
    Failure::from(error).help(help)
}
