//! `install --platform kubernetes`: look first, then apply in order, then wait until it is ready.
//!
//! Nothing is changed before it is known that whoever installs may do all of it and that what is
//! there is ours and of this version.

use std::path::Path;
use std::time::{Duration, Instant};

use kube::ResourceExt as _;
use kube::api::DynamicObject;
use serde_json::Value;

use super::InstallArgs;
use crate::cli::args::Context;
use crate::cli::diagnostics::plural;
use crate::cli::exit::{Exit, Failure, Outcome};
use crate::cli::installation::{Installation, Target};
use crate::cli::on_cluster::OnCluster;
use crate::cli::version::CLIENT;
use crate::names::sidecar::CONTROL_PLANE;
use crate::platform::kubernetes::manifests::{
    MANAGED_BY, VERSION_LABEL, Values, ValuesError, objects,
};
use crate::platform::kubernetes::objects::{self as api, Change, Place};
use crate::platform::kubernetes::rollout::{self, Rollout};
use crate::platform::kubernetes::trial::{self, Trial};
use crate::platform::kubernetes::{rights, versions};

/// Between two looks at what comes up.
const INTERVAL: Duration = Duration::from_millis(500);
/// The longest file of values.
const LONGEST_FILE: u64 = 1 << 20;

/// What is to be applied, and what is there.
struct Step {
    place: Place,
    object: Value,
    before: Option<DynamicObject>,
}

pub(super) fn run(args: &InstallArgs, context: &Context) -> Outcome {
    let values = values(args)?;
    let manifests = objects(&values);
    if args.dry_run {
        context.printer.data(&yaml(&manifests)?)?;
        return Ok(Exit::Done);
    }
    let mut target = target(&values, context)?;
    let cluster = OnCluster::connect(&target, context.printer)?;
    let home = context.home()?;
    new_enough(&cluster)?;
    may(&cluster, &values)?;
    let steps = look(&cluster, manifests)?;
    admissible(&cluster, &steps, &values)?;
    let place = format!("namespace `{}`, {}", values.namespace, cluster.target());
    context.printer.note(&format!("installing into {place}"));
    let changed = apply(&cluster, &steps, context)?;
    ready(&cluster, &values, args.timeout.timeout, context)?;
    // What was current is recorded by its name, so that it stays the one that is meant.
    target.context = Some(cluster.connection.context);
    Installation::Kubernetes(target).record(home)?;
    context.printer.line(&match changed {
        0 => format!("control plane runs already, version {CLIENT}, in {place}, nothing changed"),
        _ => format!("control plane installed, version {CLIENT}, in {place}"),
    })?;
    Ok(Exit::Done)
}

/// The cluster that is named, else the current one; never what was recorded.
fn target(values: &Values, context: &Context) -> Result<Target, Failure> {
    let named = &context.cluster;
    let kubeconfig = named.kubeconfig.as_ref().map(std::path::absolute).transpose()?;
    let namespace = values.namespace.clone();
    Ok(Target { kubeconfig, context: named.context.clone(), namespace })
}

/// Defaults, the file, `--set`, and the flags, which win.
fn values(args: &InstallArgs) -> Result<Values, Failure> {
    let given = &args.kubernetes;
    let file = given.values.as_deref().map(text).transpose()?;
    let wrong = |error: ValuesError| {
        let help = error.help();
        Failure::misuse(error).help(help)
    };
    let mut values = Values::read(file.as_deref(), &given.set).map_err(wrong)?;
    if let Some(namespace) = &given.namespace {
        values.namespace = namespace.clone();
    }
    if let Some(image) = &given.image {
        values.image.clone_from(image);
    }
    if let Some(replicas) = given.replicas {
        values.replicas = replicas;
    }
    if let Some(domain) = &args.trust_domain {
        values.trust_domain = domain.clone();
    }
    values.check().map_err(wrong)?;
    Ok(values)
}

fn text(path: &Path) -> Result<String, Failure> {
    let failed = |error: std::io::Error| {
        Failure::misuse(error)
            .context(format!("cannot read the values `{}`", path.display()))
            .help("name a file in YAML, or give single values with `--set KEY=VALUE`")
    };
    let meta = std::fs::metadata(path).map_err(failed)?;
    if !meta.is_file() || meta.len() > LONGEST_FILE {
        return Err(Failure::usage(format!(
            "`{}` is no file of values: it must be a file of at most 1 MiB",
            path.display()
        )));
    }
    std::fs::read_to_string(path).map_err(failed)
}

/// The manifests as `kubectl apply` and GitOps take them.
fn yaml(manifests: &[Value]) -> Result<String, Failure> {
    let mut text = String::new();
    for object in manifests {
        text += "---\n";
        text += &crate::cli::output::yaml(object)?;
    }
    Ok(text)
}

fn new_enough(cluster: &OnCluster) -> Result<(), Failure> {
    if let Err(version) = cluster.wait_for(versions::kubernetes(&cluster.connection))? {
        let (major, minor) = versions::OLDEST;
        return Err(Failure::new(format!("{} runs Kubernetes {version}", cluster.target()))
            .help(format!("upgrade the cluster: {major}.{minor} or newer is needed")));
    }
    Ok(())
}

/// What of it is there already.
fn look(cluster: &OnCluster, manifests: Vec<Value>) -> Result<Vec<Step>, Failure> {
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

/// What is there is ours, of this version, with this trust domain and in this namespace.
fn admissible(cluster: &OnCluster, steps: &[Step], values: &Values) -> Result<(), Failure> {
    for step in steps {
        let Some(before) = &step.before else { continue };
        if before.metadata.deletion_timestamp.is_some() {
            return Err(Failure::new(format!("the {} is being deleted", step.place))
                .help("wait until it is gone, then install"));
        }
        let ours = before.labels().get(MANAGED_BY).is_some_and(|it| it == CONTROL_PLANE);
        // A namespace may well have been made for us; anything else of our name is somebody's.
        if !ours && step.place.resource.kind != "Namespace" {
            return Err(Failure::new(format!("the {} is there already and not ours", step.place))
                .help("another product, or a copy made by hand; delete or rename it first"));
        }
        match before.labels().get(VERSION_LABEL) {
            Some(version) if ours && version != CLIENT => {
                return Err(Failure::new(format!(
                    "the mesh in {} has version {version}, this program is {CLIENT}",
                    cluster.target()
                ))
                .help("`meshctl upgrade` comes with a later version; until then `meshctl uninstall`, then `meshctl install`"));
            }
            _ => {}
        }
        match step.place.resource.kind.as_str() {
            "MutatingWebhookConfiguration" => one_namespace(before, values)?,
            "Deployment" => one_trust_domain(before, values)?,
            _ => {}
        }
    }
    Ok(())
}

/// A cluster has one mesh.
fn one_namespace(webhooks: &DynamicObject, values: &Values) -> Result<(), Failure> {
    let at = &webhooks.data["webhooks"][0]["clientConfig"]["service"]["namespace"];
    match at.as_str() {
        Some(other) if other != values.namespace.as_str() => {
            Err(Failure::new(format!("the cluster has a mesh in the namespace `{other}` already"))
                .help(format!("use `--namespace {other}`, or `meshctl uninstall` it first")))
        }
        _ => Ok(()),
    }
}

fn one_trust_domain(deployment: &DynamicObject, values: &Values) -> Result<(), Failure> {
    let container = &deployment.data["spec"]["template"]["spec"]["containers"][0];
    let words = container["args"].as_array().into_iter().flatten().filter_map(Value::as_str);
    let domain = words.skip_while(|word| *word != "--trust-domain").nth(1);
    match domain {
        Some(other) if other != values.trust_domain.as_str() => {
            Err(Failure::new(format!("the mesh has the trust domain `{other}`"))
                .help("it is fixed by the first install; all certificates would become worthless"))
        }
        _ => Ok(()),
    }
}

/// Whoever installs may do all of it.
fn may(cluster: &OnCluster, values: &Values) -> Result<(), Failure> {
    let missing = cluster.wait_for(rights::missing(&cluster.connection, rights::needed(values)))?;
    if missing.is_empty() {
        return Ok(());
    }
    let told = rights::told(&missing);
    let detail = told.iter().map(|right| format!("  not allowed: {right}\n")).collect();
    let count = plural(missing.len(), "right");
    Err(Failure::new(format!("{count} to install are missing in {}", cluster.target()))
        .with_detail(detail)
        .help("an administrator of the cluster (`cluster-admin`) has them; nothing was changed"))
}

/// Applies in order; how many objects changed.
fn apply(cluster: &OnCluster, steps: &[Step], context: &Context) -> Result<usize, Failure> {
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
        context.printer.note(&format!("{what} {place}"));
    }
    Ok(changed)
}

/// Whether the API server reaches the webhooks; whoever may not try it out is not kept waiting.
fn is_reached(cluster: &OnCluster) -> bool {
    let tried = cluster.wait_for(trial::inject(&cluster.connection));
    !matches!(tried, Ok(Trial::Unreachable(_)))
}

/// Waits until the control plane answers and the API server knows and reaches its webhooks.
fn ready(
    cluster: &OnCluster,
    values: &Values,
    timeout: Duration,
    context: &Context,
) -> Result<(), Failure> {
    let deadline = Instant::now() + timeout;
    let progress = context.printer.progress("waiting for the control plane");
    let mut said = String::new();
    loop {
        let state = cluster.wait_for(rollout::look(&cluster.connection, &values.namespace))?;
        let waiting = match state {
            Rollout::Ready if is_trusted(cluster)? && is_reached(cluster) => return Ok(()),
            Rollout::Ready => "waiting for its webhooks".to_owned(),
            Rollout::Absent => "waiting for the Deployment".to_owned(),
            Rollout::Waiting(what) => what,
            Rollout::Stuck { why, help, log } => {
                return Err(Failure::new(why)
                    .context("the control plane does not come up")
                    .with_detail(log)
                    .help(help));
            }
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

/// Whether the control plane has told the API server by what to trust its webhooks.
fn is_trusted(cluster: &OnCluster) -> Result<bool, Failure> {
    let bundles = cluster.wait_for(rollout::bundles(&cluster.connection))?;
    Ok(bundles.iter().all(|bundle| !bundle.is_empty()))
}
