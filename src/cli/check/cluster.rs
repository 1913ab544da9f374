//! The checks of a mesh on a cluster: before it is installed, of what was installed, of the pods.
//!
//! What cannot be read because a right is missing is a finding of its own, never the end.

use super::{CheckArgs, Finding, Group};
use crate::cli::args::Context;
use crate::cli::exit::Failure;
use crate::cli::installation::Target;
use crate::cli::on_cluster::OnCluster;
use crate::platform::kubernetes::client::fault::RequestError;

mod before;
mod installed;
mod namespaces;
#[cfg(test)]
mod tests;
mod workloads;

/// How many names a finding shows.
const SHOWN: usize = 8;

/// All groups that were asked for.
pub(super) fn groups(
    args: &CheckArgs,
    target: &Target,
    context: &Context,
) -> Result<Vec<Group>, Failure> {
    let cluster = OnCluster::connect(target, context.printer)?;
    let (mut checks, answers) = before::cluster(&cluster);
    if !answers {
        return Ok(vec![Group { group: "cluster", checks }]);
    }
    let is_installed = installed::is_there(&cluster, target);
    if args.pre {
        checks.extend(before::rights(&cluster, target));
        checks.extend(before::leftovers(&cluster, is_installed.as_ref().is_ok_and(|it| *it)));
    }
    let mut groups = vec![Group { group: "cluster", checks }];
    if !args.pre {
        let checks = installed::checks(&cluster, target);
        groups.push(Group { group: "control plane", checks });
    }
    groups.push(Group { group: "namespaces", checks: namespaces::checks(&cluster) });
    if args.proxy {
        groups.push(Group { group: "data plane", checks: workloads::checks(&cluster) });
    }
    Ok(groups)
}

/// That something could not be looked at.
fn unknown(name: &str, error: &RequestError) -> Finding {
    Finding::warning(name, error.to_string(), error.help())
}

/// The first names of a list, and how many more there are.
fn listed(names: &[String]) -> String {
    let shown = names.iter().take(SHOWN).cloned().collect::<Vec<_>>().join(", ");
    match names.len().saturating_sub(SHOWN) {
        0 => shown,
        more => format!("{shown} and {more} more"),
    }
}
