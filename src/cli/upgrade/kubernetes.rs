//! `upgrade` on a cluster: the manifests of this version over those of the one before, with the values
//! that the mesh was installed with.
//!
//! The API server is asked first, by a dry run, what each would change; that is the plan. Then they
//! are applied as `install` applies them, and waited for. Where the new control plane does not get
//! ready everything is put back (`way_back`), and only once it is ready goes what this version has no
//! longer. Sidecars stay as they are until whoever owns their pods restarts them.

use kube::ResourceExt as _;
use kube::api::DynamicObject;
use serde_json::json;

use super::{UpgradeArgs, not_from};
use crate::cli::args::Context;
use crate::cli::exit::{Exit, Failure, Outcome};
use crate::cli::installation::Target;
use crate::cli::on_cluster::OnCluster;
use crate::cli::on_cluster::steps::{self, Step};
use crate::cli::version::CLIENT;
use crate::names::sidecar::CONTROL_PLANE;
use crate::platform::kubernetes::manifests::{
    MANAGED_BY, VERSION_LABEL, Values, ValuesError, objects,
};
use crate::platform::kubernetes::objects::{self as api, Place};
use crate::platform::kubernetes::owned;
use crate::platform::kubernetes::preview::{self, Preview};
use crate::platform::kubernetes::{rights, survey};

mod plan;
mod sidecars;
#[cfg(test)]
mod tests;
mod way_back;

use plan::{Action, Plan, Planned};
use way_back::WayBack;

pub(super) fn run(args: &UpgradeArgs, mut target: Target, context: &Context) -> Outcome {
    let cluster = OnCluster::connect(&target, context.printer)?;
    // What was current is meant from here on, in what is said too.
    target.context = Some(cluster.connection.context.clone());
    let (from, before) = installed(&cluster, &target)?;
    not_from(&from)?;
    let values = Values { image: image(&before.image, &from, args)?, ..before.clone() };
    steps::new_enough(&cluster)?;
    let mut steps = steps::look(&cluster, objects(&values))?;
    admissible(&steps, &target)?;
    steps.retain(Step::is_applied);
    let gone = left(&cluster, &steps, &values)?;
    let needed = [rights::needed(&values), rights::to("delete", &gone)].concat();
    steps::may(&cluster, needed, "upgrade")?;
    let previews = ask(&cluster, &steps)?;
    let plan = Plan {
        target,
        place: format!("namespace `{}`, {}", values.namespace, cluster.target()),
        image: (before.image, values.image.clone()),
        objects: planned(&steps, &previews, &gone),
        sidecars: sidecars::others(&cluster.wait_for(survey::pods(&cluster.connection))?),
        from,
    };
    plan.check()?;
    if args.plan {
        context.printer.view(args.format.output, &plan.view())?;
        return Ok(Exit::Done);
    }
    if plan.is_due() {
        context.printer.note(&format!("upgrading the mesh in {}", plan.place));
        let way_back = WayBack::keep(&steps, &previews);
        let done = steps::apply(&cluster, &steps, context.printer).and_then(|_| {
            let timeout = args.timeout.timeout;
            steps::ready(&cluster, &values.namespace, timeout, context.printer)
        });
        done.map_err(|failure| way_back.take(&cluster, &plan, context.printer, failure))?;
        remove(&cluster, &gone, context)?;
    } else {
        steps::ready(&cluster, &values.namespace, args.timeout.timeout, context.printer)?;
    }
    end(&plan, context)
}

/// What is said in the end.
fn end(plan: &Plan, context: &Context) -> Outcome {
    let Plan { from, place, .. } = plan;
    context.printer.line(&match (plan.is_due(), from == CLIENT) {
        (false, _) => {
            format!("control plane runs version {CLIENT} already, in {place}, nothing changed")
        }
        (true, true) => format!("control plane of version {CLIENT} is as it should be, in {place}"),
        (true, false) => format!("control plane upgraded from {from} to {CLIENT}, in {place}"),
    })?;
    for line in plan.restarts() {
        context.printer.note(&line);
    }
    Ok(Exit::Done)
}

/// The version that is installed, and its values.
fn installed(cluster: &OnCluster, target: &Target) -> Result<(String, Values), Failure> {
    let found = deployment(cluster, target)?;
    let version = found.labels().get(VERSION_LABEL).filter(|_| steps::is_managed(&found));
    let Some(version) = version else {
        let namespace = &target.namespace;
        return Err(Failure::new(format!(
            "the Deployment `{CONTROL_PLANE}` in the namespace `{namespace}` is not ours"
        ))
        .help("another product, or a copy made by hand; name the mesh's own with `--namespace`"));
    };
    let text = serde_json::to_value(&found)?;
    let values = Values::installed(&text).and_then(|values| values.check().map(|()| values));
    let values = values.map_err(|error: ValuesError| {
        let help = error.help();
        Failure::from(error).context("the mesh cannot be upgraded as it is").help(help)
    })?;
    Ok((version.clone(), values))
}

fn deployment(cluster: &OnCluster, target: &Target) -> Result<DynamicObject, Failure> {
    let metadata = json!({ "name": CONTROL_PLANE, "namespace": target.namespace });
    let object = json!({ "apiVersion": "apps/v1", "kind": "Deployment", "metadata": metadata });
    let found = match Place::of(&object) {
        Some(place) => cluster.wait_for(api::get(&cluster.connection, &place))?,
        None => None,
    };
    found.ok_or_else(|| {
        let place = format!("namespace `{}`, {}", target.namespace, cluster.target());
        Failure::new(format!("no mesh is installed in {place}")).help(format!(
            "make one with `{}`, or name its namespace with `--namespace`",
            target.command("install")
        ))
    })
}

/// The image of this version: as it is said, or where the one before lies, under this version's tag.
fn image(before: &str, from: &str, args: &UpgradeArgs) -> Result<String, Failure> {
    if let Some(image) = &args.kubernetes.image {
        return Ok(image.clone());
    }
    if from == CLIENT {
        return Ok(before.to_owned());
    }
    match before.rsplit_once(':') {
        Some((name, tag)) if tag == from => Ok(format!("{name}:{CLIENT}")),
        _ => Err(Failure::new(format!(
            "the image `{before}` does not say that it is of version {from}, so that of {CLIENT} is not known"
        ))
        .help(format!("name the image of version {CLIENT} with `--image`"))),
    }
}

/// What is there is ours, and was put there as it is put there now.
fn admissible(steps: &[Step], target: &Target) -> Result<(), Failure> {
    for step in steps {
        let ours = step.is_ours()?;
        step.is_of(target)?;
        if let Some(before) = &step.before
            && ours
            && !owned::is_ours(before)
        {
            return Err(Failure::new(format!(
                "the {} was not put there by `meshctl install`",
                step.place
            ))
            .help("what has put it there would go on doing so: give it what `meshctl install --platform kubernetes --dry-run` prints"));
        }
    }
    Ok(())
}

/// What would come of each.
fn ask(cluster: &OnCluster, steps: &[Step]) -> Result<Vec<Preview>, Failure> {
    let to = &cluster.connection;
    let each = steps.iter().map(|Step { place, object, before }| {
        cluster.wait_for(preview::ask(to, place, object, before.as_ref()))
    });
    each.collect()
}

/// What is to be done, in order.
fn planned(steps: &[Step], previews: &[Preview], gone: &[Place]) -> Vec<Planned> {
    let each = steps.iter().zip(previews).filter_map(|(step, preview)| {
        let action = match &step.before {
            None => Action::Create,
            Some(_) if preview.fields.is_empty() => return None,
            Some(_) => Action::Change,
        };
        Some(Planned { action, place: step.place.clone(), fields: preview.fields.clone() })
    });
    let removed = |place: &Place| Planned {
        action: Action::Remove,
        place: place.clone(),
        fields: Vec::new(),
    };
    each.chain(gone.iter().map(removed)).collect()
}

/// What another version has made and this one does not know; what came last first.
fn left(cluster: &OnCluster, steps: &[Step], values: &Values) -> Result<Vec<Place>, Failure> {
    let labels = format!("{MANAGED_BY}={CONTROL_PLANE},{VERSION_LABEL}");
    let asked = api::installed(&cluster.connection, values.namespace.as_str(), &labels);
    let mut all = cluster.wait_for(asked)?;
    all.retain(|place| steps.iter().all(|step| step.place != *place));
    all.reverse();
    Ok(all)
}

fn remove(cluster: &OnCluster, gone: &[Place], context: &Context) -> Result<(), Failure> {
    for place in gone {
        if cluster.wait_for(api::delete(&cluster.connection, place))? {
            context.printer.note(&format!("deleted {place}"));
        }
    }
    Ok(())
}
