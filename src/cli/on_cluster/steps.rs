//! The objects that an installation is made of, on a cluster: looked at, found to be ours, applied in
//! order, waited for. What `install` and `upgrade` have in common.

use std::time::{Duration, Instant};

use kube::ResourceExt as _;
use kube::api::DynamicObject;
use serde_json::Value;

use super::OnCluster;
use crate::cli::cluster::failed;
use crate::cli::diagnostics::plural;
use crate::cli::exit::Failure;
use crate::cli::installation::Target;
use crate::cli::output::Printer;
use crate::names::Namespace;
use crate::names::sidecar::CONTROL_PLANE;
use crate::platform::kubernetes::client::fault::RequestError;
use crate::platform::kubernetes::manifests::MANAGED_BY;
use crate::platform::kubernetes::objects::{self as api, Change, Place};
use crate::platform::kubernetes::rights::{self, Right};
use crate::platform::kubernetes::rollout::{self, Rollout};
use crate::platform::kubernetes::trial::{self, Trial};
use crate::platform::kubernetes::versions;

#[cfg(test)]
mod tests;

/// Between two looks at what comes up.
const INTERVAL: Duration = Duration::from_millis(500);

/// What is to be applied, and what is there.
pub(crate) struct Step {
    pub(crate) place: Place,
    pub(crate) object: Value,
    pub(crate) before: Option<DynamicObject>,
}

impl Step {
    /// Whether `install` has made what is there. A namespace may well have been made for us; anything
    /// else of our name is somebody's.
    ///
    /// # Errors
    /// It is somebody's, or about to go.
    pub(crate) fn is_ours(&self) -> Result<bool, Failure> {
        let Some(before) = &self.before else { return Ok(false) };
        if before.metadata.deletion_timestamp.is_some() {
            return Err(Failure::new(format!("the {} is being deleted", self.place))
                .help("wait until it is gone, then try again"));
        }
        let ours = is_managed(before);
        if !ours && self.place.resource.kind != "Namespace" {
            return Err(Failure::new(format!("the {} is there already and not ours", self.place))
                .help("another product, or a copy made by hand; delete or rename it first"));
        }
        Ok(ours)
    }

    /// Whether it is applied at all. A namespace that somebody has made stays as it is, so that
    /// `uninstall` does not take it, with all that is in it, for one of ours.
    pub(crate) fn is_applied(&self) -> bool {
        self.place.resource.kind != "Namespace" || self.before.as_ref().is_none_or(is_managed)
    }

    /// A cluster has one mesh, whose webhooks lead to it.
    pub(crate) fn is_of(&self, target: &Target) -> Result<(), Failure> {
        let Some(before) = &self.before else { return Ok(()) };
        match elsewhere(&self.place, before, target) {
            Some(other) => Err(Failure::new(format!(
                "the cluster has a mesh in the namespace `{}` already",
                other.namespace
            ))
            .help(format!(
                "use `--namespace {}`, or take that one off first: `{}`",
                other.namespace,
                other.command("uninstall")
            ))),
            None => Ok(()),
        }
    }
}

/// Whether it carries the label of what `install` makes.
pub(crate) fn is_managed(found: &DynamicObject) -> bool {
    found.labels().get(MANAGED_BY).is_some_and(|it| it == CONTROL_PLANE)
}

/// The mesh that something of the whole cluster leads to, where that is in another namespace.
pub(crate) fn elsewhere(place: &Place, found: &DynamicObject, target: &Target) -> Option<Target> {
    let namespace = match place.resource.kind.as_str() {
        "MutatingWebhookConfiguration" => {
            &found.data["webhooks"][0]["clientConfig"]["service"]["namespace"]
        }
        "ClusterRoleBinding" => &found.data["subjects"][0]["namespace"],
        _ => return None,
    };
    let namespace: Namespace = namespace.as_str()?.parse().ok()?;
    (namespace != target.namespace).then(|| Target { namespace, ..target.clone() })
}

/// Refuses a cluster that is too old.
pub(crate) fn new_enough(cluster: &OnCluster) -> Result<(), Failure> {
    if let Err(version) = cluster.wait_for(versions::kubernetes(&cluster.connection))? {
        let (major, minor) = versions::OLDEST;
        return Err(Failure::new(format!("{} runs Kubernetes {version}", cluster.target()))
            .help(format!("upgrade the cluster: {major}.{minor} or newer is needed")));
    }
    Ok(())
}

/// What of it is there already.
pub(crate) fn look(cluster: &OnCluster, manifests: Vec<Value>) -> Result<Vec<Step>, Failure> {
    let mut steps = Vec::new();
    for object in manifests {
        let Some(place) = Place::of(&object) else {
            return Err(Failure::new(format!("there is no way to apply a {}", object["kind"])));
        };
        let before = cluster.wait_for(api::get(&cluster.connection, &place))?;
        steps.push(Step { place, object, before });
    }
    Ok(steps)
}

/// Whoever is to do it (`verb`) has all these rights.
pub(crate) fn may(cluster: &OnCluster, needed: Vec<Right>, verb: &str) -> Result<(), Failure> {
    let missing = cluster.wait_for(rights::missing(&cluster.connection, needed))?;
    if missing.is_empty() {
        return Ok(());
    }
    let told = rights::told(&missing);
    let detail = told.iter().map(|right| format!("  not allowed: {right}\n")).collect();
    let count = plural(missing.len(), "right");
    Err(Failure::new(format!("{count} to {verb} are missing in {}", cluster.target()))
        .with_detail(detail)
        .help("an administrator of the cluster (`cluster-admin`) has them; nothing was changed"))
}

/// Applies in order; how many objects changed.
pub(crate) fn apply(
    cluster: &OnCluster,
    steps: &[Step],
    printer: Printer,
) -> Result<usize, Failure> {
    let mut changed = 0;
    for (at, step) in steps.iter().enumerate() {
        let Step { place, object, before } = step;
        let asked = api::apply(&cluster.connection, place, object, before.as_ref());
        let change = cluster.wait_for(asked).map_err(|failure| {
            let left: String =
                steps[at..].iter().map(|it| format!("  not applied: {}\n", it.place)).collect();
            failure.with_detail(left)
        })?;
        let what = match change {
            Change::Unchanged => continue,
            Change::Created => "created",
            Change::Changed => "changed",
        };
        changed += 1;
        printer.note(&format!("{what} {place}"));
    }
    Ok(changed)
}

/// Waits until the control plane answers and the API server knows and reaches its webhooks.
pub(crate) fn ready(
    cluster: &OnCluster,
    namespace: &Namespace,
    timeout: Duration,
    printer: Printer,
) -> Result<(), Failure> {
    let deadline = Instant::now() + timeout;
    let progress = printer.progress("waiting for the control plane");
    let mut said = String::new();
    loop {
        let waiting = match look_again(cluster, namespace) {
            Ok(Rollout::Ready) => return Ok(()),
            Ok(Rollout::Absent) => "waiting for the Deployment".to_owned(),
            Ok(Rollout::Waiting(what)) => what,
            Ok(Rollout::Stuck { why, help, log }) => {
                return Err(Failure::new(why)
                    .context("the control plane does not come up")
                    .with_detail(log)
                    .help(help));
            }
            // An API server that is away for a moment says nothing about the control plane.
            Err(error) if error.is_passing() => error.to_string(),
            Err(error) => return Err(failed(error)),
        };
        if Instant::now() >= deadline {
            return Err(Failure::new(waiting)
                .context(format!("the control plane is not ready after {timeout:?}"))
                .help("it goes on trying: see `meshctl check`, or wait longer with `--timeout`"));
        }
        if waiting != said {
            progress.update(waiting.clone());
            said = waiting;
        }
        std::thread::sleep(INTERVAL);
    }
}

/// How far it has come; ready only with webhooks that are known and reached.
fn look_again(cluster: &OnCluster, namespace: &Namespace) -> Result<Rollout, RequestError> {
    let state = cluster.attempt(rollout::look(&cluster.connection, namespace))?;
    match state == Rollout::Ready && !(is_trusted(cluster)? && is_reached(cluster)?) {
        true => Ok(Rollout::Waiting("waiting for its webhooks".to_owned())),
        false => Ok(state),
    }
}

/// Whether the control plane has told the API server by what to trust its webhooks.
fn is_trusted(cluster: &OnCluster) -> Result<bool, RequestError> {
    let bundles = cluster.attempt(rollout::bundles(&cluster.connection))?;
    Ok(bundles.iter().all(|bundle| !bundle.is_empty()))
}

/// Whether the API server reaches the webhooks; whoever may not try it out is not kept waiting.
fn is_reached(cluster: &OnCluster) -> Result<bool, RequestError> {
    match cluster.attempt(trial::inject(&cluster.connection)) {
        Err(error) if error.is_passing() => Err(error),
        tried => Ok(!matches!(tried, Ok(Trial::Unreachable(_)))),
    }
}
