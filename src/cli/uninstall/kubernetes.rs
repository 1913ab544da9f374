//! `uninstall` on a cluster: the webhooks first, so that pods start again; the namespace last.
//!
//! Only what carries our label is deleted, so a namespace that was there before the mesh is not.
//! Rules that users wrote, and what others keep in the namespace, stay and are named.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::UninstallArgs;
use crate::cli::args::Context;
use crate::cli::cluster::failed;
use crate::cli::confirm;
use crate::cli::diagnostics::{listed, plural};
use crate::cli::exit::{Exit, Failure, Outcome};
use crate::cli::installation::{Installation, Target};
use crate::cli::on_cluster::{OnCluster, steps};
use crate::names::sidecar::{AUTHORITY_SECRET, ROOT_CONFIG_MAP};
use crate::platform::kubernetes::client::fault::RequestError;
use crate::platform::kubernetes::manifests::{Values, objects};
use crate::platform::kubernetes::objects::{self as api, Place};
use crate::platform::kubernetes::{rollout, survey};

#[cfg(test)]
mod tests;

/// Between two looks at what goes away.
const INTERVAL: Duration = Duration::from_millis(500);

/// What is there to be taken away.
struct Found {
    /// Ours, in the order of deletion, without definitions and namespace.
    objects: Vec<Place>,
    definitions: Vec<Place>,
    namespace: Option<Place>,
    /// The namespace was there before the mesh, so it stays.
    is_lodger: bool,
    /// Namespaces that have a copy of the mesh's roots.
    roots: Vec<String>,
    /// What users wrote.
    rules: Vec<String>,
}

impl Found {
    fn is_empty(&self) -> bool {
        self.objects.is_empty() && self.namespace.is_none() && self.roots.is_empty()
    }
}

pub(super) fn run(args: &UninstallArgs, mut target: Target, context: &Context) -> Outcome {
    let cluster = OnCluster::connect(&target, context.printer)?;
    // What was current is meant from here on; by its name it is recorded too.
    target.context = Some(cluster.connection.context.clone());
    let target = &target;
    let place = format!("namespace `{}`, {}", target.namespace, cluster.target());
    let found = look(&cluster, target)?;
    let definitions_go = args.purge || found.rules.is_empty();
    if found.is_empty() && (found.definitions.is_empty() || !definitions_go) {
        forget(target, context)?;
        context.printer.line(&format!("no mesh is installed in {place}"))?;
        return Ok(Exit::Done);
    }
    unused(&cluster, args)?;
    let what = match (args.purge, found.rules.len()) {
        (true, some @ 1..) => {
            format!("take the mesh and {} off {place}", plural(some, "rule of its user"))
        }
        _ => format!("take the mesh off {place}"),
    };
    confirm::confirm(args.confirm, context.printer, &what)?;
    context.printer.note(&format!("taking the mesh off {place}"));
    let deadline = Instant::now() + args.timeout.timeout;
    remove(&cluster, target, &found, definitions_go, deadline, context)?;
    let kept = namespace(&cluster, target, &found, deadline, context)?;
    forget(target, context)?;
    context.printer.line(&format!("mesh removed from {place}"))?;
    if !definitions_go {
        kept_rules(&found.rules, target, context);
    }
    let namespace = &target.namespace;
    if found.is_lodger {
        context
            .printer
            .note(&format!("namespace `{namespace}` kept, it was there before the mesh"));
    }
    if !kept.is_empty() {
        let names = listed(&kept);
        context.printer.note(&format!("namespace `{namespace}` kept, others use it: {names}"));
    }
    Ok(Exit::Done)
}

fn look(cluster: &OnCluster, target: &Target) -> Result<Found, Failure> {
    let to = &cluster.connection;
    let values = Values { namespace: target.namespace.clone(), ..Values::default() };
    let mut found = Found {
        objects: Vec::new(),
        definitions: Vec::new(),
        namespace: None,
        is_lodger: false,
        roots: cluster.wait_for(survey::roots(to))?.into_keys().collect(),
        rules: cluster.wait_for(survey::rules(to))?,
    };
    for place in objects(&values).iter().rev().filter_map(Place::of) {
        let Some(object) = cluster.wait_for(api::get(to, &place))? else { continue };
        if !steps::is_managed(&object) {
            found.is_lodger |= place.resource.kind == "Namespace";
            continue;
        }
        if let Some(other) = steps::elsewhere(&place, &object, target) {
            return Err(not_here(cluster, target, &other));
        }
        match place.resource.kind.as_str() {
            "Namespace" => found.namespace = Some(place),
            "CustomResourceDefinition" => found.definitions.push(place),
            "MutatingWebhookConfiguration" => found.objects.insert(0, place),
            _ => found.objects.push(place),
        }
    }
    Ok(found)
}

/// What belongs to the whole cluster leads to a mesh in another namespace, which would be torn in
/// two.
fn not_here(cluster: &OnCluster, target: &Target, other: &Target) -> Failure {
    Failure::new(format!(
        "the mesh in {} is in the namespace `{}`, not in `{}`",
        cluster.target(),
        other.namespace,
        target.namespace
    ))
    .help(format!("nothing was changed; take it off with `{}`", other.command("uninstall")))
}

/// No pod has a sidecar any more, or whoever uninstalls says that it does not matter.
fn unused(cluster: &OnCluster, args: &UninstallArgs) -> Result<(), Failure> {
    if args.force {
        return Ok(());
    }
    let pods = cluster.wait_for(survey::pods(&cluster.connection))?;
    let injected = pods.iter().filter(|it| it.alive && it.injected.is_some());
    let names: Vec<String> = injected.map(survey::PodSeen::id).collect();
    if names.is_empty() {
        return Ok(());
    }
    let have = if names.len() == 1 { "has" } else { "have" };
    Err(Failure::new(format!(
        "{} still {have} a sidecar: {}",
        plural(names.len(), "pod"),
        listed(&names)
    ))
    .help("take the label `meshctl.dev/inject` off and restart them, or pass `--force`"))
}

fn remove(
    cluster: &OnCluster,
    target: &Target,
    found: &Found,
    definitions_go: bool,
    deadline: Instant,
    context: &Context,
) -> Result<(), Failure> {
    let to = &cluster.connection;
    let delete = |place: &Place| -> Result<(), Failure> {
        if cluster.wait_for(api::delete(to, place))? {
            context.printer.note(&format!("deleted {place}"));
        }
        Ok(())
    };
    found.objects.iter().try_for_each(delete)?;
    // While one runs it makes again what is deleted next.
    until(deadline, "the control plane has not ended", target, || {
        Ok(cluster.attempt(rollout::pods(to, &target.namespace))?.is_empty())
    })?;
    for name in &found.roots {
        delete(&inside("ConfigMap", ROOT_CONFIG_MAP, name)?)?;
    }
    delete(&inside("Secret", AUTHORITY_SECRET, target.namespace.as_str())?)?;
    if definitions_go {
        found.definitions.iter().try_for_each(delete)?;
    }
    Ok(())
}

/// An object in a namespace that the control plane has made.
fn inside(kind: &str, name: &str, namespace: &str) -> Result<Place, Failure> {
    let metadata = json!({ "name": name, "namespace": namespace });
    let object: Value = json!({ "apiVersion": "v1", "kind": kind, "metadata": metadata });
    Place::of(&object).ok_or_else(|| Failure::new(format!("there is no way to delete a {kind}")))
}

/// Deletes the namespace and waits until it is gone; where others use it, what of them is in it.
fn namespace(
    cluster: &OnCluster,
    target: &Target,
    found: &Found,
    deadline: Instant,
    context: &Context,
) -> Result<Vec<String>, Failure> {
    let Some(place) = &found.namespace else { return Ok(Vec::new()) };
    let to = &cluster.connection;
    let others = cluster.wait_for(survey::foreign(to, target.namespace.as_str()))?;
    if !others.is_empty() {
        return Ok(others);
    }
    let progress = context.printer.progress("waiting until the namespace is gone");
    cluster.wait_for(api::delete(to, place))?;
    until(deadline, "the namespace is not gone yet", target, || {
        Ok(cluster.attempt(api::get(to, place))?.is_none())
    })?;
    drop(progress);
    context.printer.note(&format!("deleted {place}"));
    Ok(Vec::new())
}

/// Looks again and again until it holds; an API server that is away for a moment says nothing.
fn until(
    deadline: Instant,
    otherwise: &str,
    target: &Target,
    holds: impl Fn() -> Result<bool, RequestError>,
) -> Result<(), Failure> {
    loop {
        let late = match holds() {
            Ok(true) => return Ok(()),
            Ok(false) => Failure::new(otherwise),
            Err(error) if error.is_passing() => Failure::from(error).context(otherwise),
            Err(error) => return Err(failed(error)),
        };
        if Instant::now() >= deadline {
            let again = target.command("uninstall");
            return Err(late.help(format!("run `{again}` again, or wait longer with `--timeout`")));
        }
        std::thread::sleep(INTERVAL);
    }
}

fn kept_rules(rules: &[String], target: &Target, context: &Context) {
    let count = plural(rules.len(), "rule");
    context.printer.note(&format!("{count} kept, with their definitions: {}", listed(rules)));
    // Nothing is recorded any more, so without flags it would be the mesh of this machine.
    context.printer.note(&format!("`{} --purge` deletes them too", target.command("uninstall")));
}

/// The record goes where it is about this cluster.
fn forget(target: &Target, context: &Context) -> Result<(), Failure> {
    let Ok(home) = context.home() else { return Ok(()) };
    match Installation::read(home)? {
        Some(Installation::Kubernetes(recorded)) if recorded == *target => {
            Installation::forget(home)
        }
        _ => Ok(()),
    }
}
