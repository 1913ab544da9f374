//! `uninstall`: takes away what `install` has made, where it has made it.

use clap::Args;

use super::args::Context;
use super::confirm::ConfirmArgs;
use super::exit::{Failure, Outcome};
use super::install::Platform;
use super::installation::Installation;
use super::wait::TimeoutArgs;
use crate::names::Namespace;

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
    /// Namespace of the control plane on a cluster [default: as recorded, else meshctl-system].
    #[arg(short, long)]
    namespace: Option<Namespace>,
    #[command(flatten)]
    confirm: ConfirmArgs,
    #[command(flatten)]
    timeout: TimeoutArgs,
}

pub(crate) fn run(args: &UninstallArgs, context: &Context) -> Outcome {
    let foreign = |flag: &str| {
        let text = format!("`{flag}` is for a mesh on a cluster");
        let help = format!("name the cluster with `--context`, or leave `{flag}` out");
        Err(Failure::usage(text).help(help))
    };
    match context.installation()?.on(args.platform) {
        Installation::Local if args.force => foreign("--force"),
        Installation::Local if args.namespace.is_some() => foreign("--namespace"),
        Installation::Local => local::run(args, context),
        Installation::Kubernetes(mut target) => {
            target.namespace = args.namespace.clone().unwrap_or(target.namespace);
            kubernetes::run(args, target, context)
        }
    }
}
