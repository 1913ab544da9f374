//! `upgrade`: this program's version in the place of an earlier one, where that was installed.
//!
//! The arguments of both platforms stand here, and which versions lie too far apart on either; the
//! work is in `local`. The plan is worked out first and is all that `--plan` shows.

use clap::Args;

use super::args::Context;
use super::exit::{Failure, Outcome};
use super::installation::Installation;
use super::output::FormatArgs;
use super::version::CLIENT;
use super::wait::TimeoutArgs;
use crate::names::skew;

pub(crate) mod local;

/// Upgrade the control plane of this machine to the version of this program.
///
/// The rules are copied, the control plane is stopped and started again by this program, and waited
/// for; where it does not get ready, the version before is started again. Proxies serve on
/// meanwhile, and work with a control plane of the next minor version; start them again by this
/// program when it suits.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  meshctl upgrade --plan     which versions, what happens to the store, what is started again
  meshctl upgrade")]
pub(crate) struct UpgradeArgs {
    /// Only say what would be done.
    #[arg(long)]
    plan: bool,
    #[command(flatten)]
    timeout: TimeoutArgs,
    #[command(flatten)]
    format: FormatArgs,
}

pub(crate) fn run(args: &UpgradeArgs, context: &Context) -> Outcome {
    match context.installation()? {
        Installation::Local => local::run(args, context),
        Installation::Kubernetes(_) => Err(Failure::later("`meshctl upgrade` of a mesh on a cluster")
            .help("until then `meshctl uninstall`, then `meshctl install`: rules stay, the authority is another one, and sidecars have to be started anew")),
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
