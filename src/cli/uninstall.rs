//! `uninstall`: takes away what `install` has made, where it has made it.

use clap::Args;

use super::args::Context;
use super::confirm::ConfirmArgs;
use super::exit::{Failure, Outcome};
use super::install::Platform;
use super::installation::Installation;
use super::wait::TimeoutArgs;

mod kubernetes;
pub(crate) mod local;

/// Stop the control plane of this machine, or take the mesh off a cluster.
///
/// On this machine its data stays unless `--purge`. On a cluster everything that `install` made goes,
/// the certificate authority too; only rules that users wrote stay unless `--purge`. It refuses while
/// pods with a sidecar are left.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  meshctl uninstall                  stop it; `meshctl install` starts it again as it was
  meshctl uninstall --purge --yes    delete rules, certificates and logs too
  meshctl uninstall --context prod   take the mesh off that cluster")]
pub(crate) struct UninstallArgs {
    /// Where the mesh is [default: where `install` has put it].
    #[arg(long)]
    platform: Option<Platform>,
    /// Also delete all data: rules; on this machine root certificate, proxies' directories and logs
    /// too.
    #[arg(long)]
    purge: bool,
    /// Also while pods with a sidecar are left, which then cannot renew their certificates.
    #[arg(long)]
    force: bool,
    #[command(flatten)]
    confirm: ConfirmArgs,
    #[command(flatten)]
    timeout: TimeoutArgs,
}

pub(crate) fn run(args: &UninstallArgs, context: &Context) -> Outcome {
    match context.installation()?.on(args.platform) {
        Installation::Local if args.force => {
            Err(Failure::usage("`--force` is for a mesh on a cluster")
                .help("name the cluster with `--context`, or leave `--force` out"))
        }
        Installation::Local => local::run(args, context),
        Installation::Kubernetes(target) => kubernetes::run(args, &target, context),
    }
}
