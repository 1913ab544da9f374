//! `upgrade`: this program's version in the place of an earlier one, where that was installed.
//!
//! The arguments of both platforms stand here, and which versions lie too far apart on either; the
//! work is in `local` and `kubernetes`. The plan is worked out first and is all that `--plan` shows.

use clap::Args;

use super::args::Context;
use super::exit::{Failure, Outcome};
use super::install::Platform;
use super::installation::Installation;
use super::output::FormatArgs;
use super::version::CLIENT;
use super::wait::TimeoutArgs;
use crate::names::{Namespace, skew};

mod kubernetes;
pub(crate) mod local;

/// Upgrade the control plane to the version of this program.
///
/// On this machine the rules are copied, the control plane is stopped and started again by this
/// program, and waited for. On a cluster the manifests of this version are applied with the values
/// that the mesh was installed with, and the new control plane is waited for. Where it does not get
/// ready, the version before is put back. Proxies serve on meanwhile, and work with a control plane
/// of the next minor version; start them again when it suits.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  meshctl upgrade --plan     which versions, what changes, what is started again
  meshctl upgrade
  meshctl upgrade --context prod --plan
  meshctl upgrade --context prod --image registry.example/meshctl:1.2.3")]
pub(crate) struct UpgradeArgs {
    /// Where the mesh is [default: where `install` has put it].
    #[arg(long)]
    platform: Option<Platform>,
    /// Only say what would be done.
    #[arg(long)]
    plan: bool,
    #[command(flatten)]
    timeout: TimeoutArgs,
    #[command(flatten)]
    format: FormatArgs,
    #[command(flatten)]
    kubernetes: KubernetesArgs,
}

#[derive(Debug, Args)]
#[command(next_help_heading = "On a cluster")]
struct KubernetesArgs {
    /// Namespace of the control plane [default: as recorded, else meshctl-system].
    #[arg(short, long)]
    namespace: Option<Namespace>,
    /// Image of the control plane and of the sidecars [default: the one before, with this version
    /// for its tag].
    #[arg(long, value_name = "IMAGE")]
    image: Option<String>,
}

pub(crate) fn run(args: &UpgradeArgs, context: &Context) -> Outcome {
    let KubernetesArgs { namespace, image } = &args.kubernetes;
    let foreign = |flag: &str| {
        let text = format!("`{flag}` is for a mesh on a cluster");
        let help = format!("name the cluster with `--context`, or leave `{flag}` out");
        Err(Failure::usage(text).help(help))
    };
    match context.installation()?.on(args.platform) {
        Installation::Local if namespace.is_some() => foreign("--namespace"),
        Installation::Local if image.is_some() => foreign("--image"),
        Installation::Local => local::run(args, context),
        Installation::Kubernetes(mut target) => {
            target.namespace = namespace.clone().unwrap_or(target.namespace);
            kubernetes::run(args, target, context)
        }
    }
}

/// Refuses to go back, and to go over a minor version.
fn not_from(running: &str) -> Result<(), Failure> {
    if skew::is_later(running, CLIENT) {
        return Err(Failure::new(format!(
            "the control plane runs version {running}, which is later than {CLIENT}"
        ))
        .help("there is no way back; use that version of meshctl, or a later one"));
    }
    if skew::check(CLIENT, running).is_err() {
        return Err(Failure::new(format!(
            "from version {running} to {CLIENT} is more than one minor version"
        ))
        .help("upgrade to the versions between first, one after the other"));
    }
    Ok(())
}
