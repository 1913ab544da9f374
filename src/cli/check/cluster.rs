//! The checks of a mesh on a cluster: before it is installed, of what was installed, of the pods.
//!
//! What cannot be read because a right is missing is a finding of its own, never the end.

use super::{CheckArgs, Finding, Group, data_plane};
use crate::cli::args::Context;
use crate::cli::client::Client;
use crate::cli::exit::Failure;
use crate::cli::installation::Target;
use crate::cli::on_cluster::OnCluster;
use crate::control::api::shapes::MeshStatus;
use crate::platform::kubernetes::client::fault::RequestError;

mod before;
mod installed;
mod namespaces;
#[cfg(test)]
mod tests;
mod workloads;

/// All groups that were asked for.
pub(super) fn groups(
    args: &CheckArgs,
    mut target: Target,
    context: &Context,
) -> Result<Vec<Group>, Failure> {
    let cluster = OnCluster::connect(&target, context.printer)?;
    // What was current is meant in remedies too, whenever they are typed.
    target.context = Some(cluster.connection.context.clone());
    let target = &target;
    let (mut checks, answers) = before::cluster(&cluster);
    if !answers {
        return Ok(vec![Group { group: "cluster", checks }]);
    }
    let is_installed = installed::is_there(&cluster, target);
    if args.pre {
        checks.extend(before::rights(&cluster, target));
        checks.extend(before::leftovers(
            &cluster,
            target,
            is_installed.as_ref().is_ok_and(|it| *it),
        ));
    }
    let mut groups = vec![Group { group: "cluster", checks }];
    let mut asked = None;
    if !args.pre {
        let mut checks = installed::checks(&cluster, target);
        if is_installed.is_ok_and(|it| it) {
            let (finding, answer) = ask(target)?;
            checks.push(finding);
            asked = answer;
        }
        groups.push(Group { group: "control plane", checks });
    }
    groups.push(Group { group: "namespaces", checks: namespaces::checks(&cluster) });
    if args.proxy {
        let mut checks = workloads::checks(&cluster);
        if let Some((client, status)) = asked {
            checks.extend(data_plane::on_cluster(&client, &status)?);
        }
        groups.push(Group { group: "data plane", checks });
    }
    Ok(groups)
}

/// Asks the control plane itself, through the API server, as `status` does.
fn ask(target: &Target) -> Result<(Finding, Option<(Client, MeshStatus)>), Failure> {
    let name = "it answers through the API server";
    let client = Client::on_cluster(target)?;
    Ok(match client.ask::<MeshStatus>("/v1/status", &[]) {
        Ok(status) => (Finding::passed(name), Some((client, status))),
        Err(fault) => {
            let failure = client.failure(fault);
            (Finding::warning(name, failure.what(), failure.remedy()), None)
        }
    })
}

/// That something could not be looked at.
fn unknown(name: &str, error: &RequestError) -> Finding {
    Finding::warning(name, error.to_string(), error.help())
}
