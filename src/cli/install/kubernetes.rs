//! `install --platform kubernetes`: look first, then apply in order, then wait until it is ready.
//!
//! Nothing is changed before it is known that whoever installs may do all of it and that what is
//! there is ours and of this version.

use std::path::Path;
use std::time::Duration;

use kube::ResourceExt as _;
use kube::api::DynamicObject;
use serde_json::Value;

use super::InstallArgs;
use crate::cli::args::Context;
use crate::cli::exit::{Exit, Failure, Outcome};
use crate::cli::installation::{Installation, Target};
use crate::cli::on_cluster::OnCluster;
use crate::cli::on_cluster::steps::{self, Step};
use crate::cli::output::Printer;
use crate::cli::version::CLIENT;
use crate::names::skew;
use crate::platform::kubernetes::manifests::{VERSION_LABEL, Values, ValuesError, objects};
use crate::platform::kubernetes::rights;

#[cfg(test)]
mod tests;

/// The longest file of values.
const LONGEST_FILE: u64 = 1 << 20;

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
    steps::new_enough(&cluster)?;
    steps::may(&cluster, rights::needed(&values), "install")?;
    // What was current is recorded by its name, so that it stays the one that is meant.
    target.context = Some(cluster.connection.context.clone());
    let mut steps = steps::look(&cluster, manifests)?;
    admissible(&cluster, &steps, &values, &target)?;
    steps.retain(Step::is_applied);
    let place = format!("namespace `{}`, {}", values.namespace, cluster.target());
    context.printer.note(&format!("installing into {place}"));
    let changed = steps::apply(&cluster, &steps, context.printer)?;
    wait(&cluster, target, home, args.timeout.timeout, context.printer)?;
    context.printer.line(&match changed {
        0 => format!("control plane runs already, version {CLIENT}, in {place}, nothing changed"),
        _ => format!("control plane installed, version {CLIENT}, in {place}"),
    })?;
    Ok(Exit::Done)
}

/// Waits until what was applied is ready. It is recorded before: what does not get ready is what
/// `check` and `uninstall` are for.
fn wait(
    cluster: &OnCluster,
    target: Target,
    home: &Path,
    timeout: Duration,
    printer: Printer,
) -> Result<(), Failure> {
    let namespace = target.namespace.clone();
    Installation::Kubernetes(target).record(home)?;
    steps::ready(cluster, &namespace, timeout, printer)
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

/// What is there is ours, of this version, with this trust domain and in this namespace.
fn admissible(
    cluster: &OnCluster,
    steps: &[Step],
    values: &Values,
    target: &Target,
) -> Result<(), Failure> {
    for step in steps {
        let Some(before) = &step.before else { continue };
        let ours = step.is_ours()?;
        match before.labels().get(VERSION_LABEL) {
            Some(version) if ours && version != CLIENT => {
                return Err(Failure::new(format!(
                    "the mesh in {} has version {version}, this program is {CLIENT}",
                    cluster.target()
                ))
                .help(match skew::is_later(version, CLIENT) {
                    true => "use that version of meshctl, or a later one".to_owned(),
                    false => format!(
                        "see what changes with `{} --plan`, then upgrade",
                        target.command("upgrade")
                    ),
                }));
            }
            _ => {}
        }
        step.is_of(target)?;
        if step.place.resource.kind == "Deployment" {
            one_trust_domain(before, values)?;
        }
    }
    Ok(())
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
