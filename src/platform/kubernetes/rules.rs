//! Rules as objects of a cluster, written with the user's own rights: server-side apply (KEP-555)
//! under our field manager, dry runs, deletion.
//!
//! What another manager owns is not taken from it: that is a conflict, for the user to settle. What
//! the API server writes into a document (`status`, `resourceVersion` and the like) is left out of
//! it first, so that what `get` prints can be applied again.

use kube::api::{ApiResource, DeleteParams, DynamicObject, ListParams, Patch, PatchParams};
use kube::{Api, ResourceExt as _};
use serde_json::{Map, Value};

use super::client::Connection;
use super::client::fault::{RequestError, status};
use super::objects::within;
use crate::mesh::{ObjectKind, ObjectRef};
use crate::names::Namespace;
use crate::names::sidecar::CONTROL_PLANE;

#[cfg(test)]
mod tests;

/// What is said of metadata by whoever writes a rule; the rest is the API server's.
const WRITTEN: [&str; 6] =
    ["name", "namespace", "labels", "annotations", "finalizers", "ownerReferences"];

/// Whether something is done, or only said what would be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Run {
    /// It is done.
    Real,
    /// The API server judges it and does nothing.
    Dry,
}

/// What was done to a rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// It is new.
    Created,
    /// It changed.
    Configured,
    /// It was like this already.
    Unchanged,
    /// It is gone.
    Deleted,
}

/// A rule that was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Written {
    /// What was done.
    pub action: Action,
    /// `metadata.generation`; `None` for kinds that the API server does not count.
    pub generation: Option<u64>,
    /// The `resourceVersion` that a watcher will have seen when it knows of this: that of the rule,
    /// or, of one that is gone, one before its end.
    pub version: Option<u64>,
}

/// Applies a rule.
///
/// # Errors
/// [`RequestError`].
pub async fn apply(
    to: &Connection,
    rule: &ObjectRef,
    document: &Value,
    run: Run,
) -> Result<Written, RequestError> {
    let (before, after) = patch(to, rule, document, run).await?;
    let action = match before {
        None => Action::Created,
        Some(before) if same(&before, &after, run) => Action::Unchanged,
        Some(_) => Action::Configured,
    };
    Ok(Written {
        action,
        generation: generation(&after),
        version: version(&after.metadata.resource_version),
    })
}

/// A rule as it is, where it is there, and as it would be; without what the API server writes.
///
/// # Errors
/// [`RequestError`].
pub async fn compare(
    to: &Connection,
    rule: &ObjectRef,
    document: &Value,
) -> Result<(Option<Value>, Value), RequestError> {
    let (before, after) = patch(to, rule, document, Run::Dry).await?;
    let shown = |object: &DynamicObject| wanted(&serde_json::to_value(object).unwrap_or_default());
    Ok((before.as_ref().map(shown), shown(&after)))
}

/// A rule as it is, where it is there; without what the API server writes.
///
/// # Errors
/// [`RequestError`].
pub async fn read(to: &Connection, rule: &ObjectRef) -> Result<Option<Value>, RequestError> {
    let api = api(to, rule);
    let found = within(to, format!("read the {rule}"), api.get_opt(rule.name.as_str())).await?;
    Ok(found.map(|it| wanted(&serde_json::to_value(&it).unwrap_or_default())))
}

/// The rule before and after it is applied.
async fn patch(
    to: &Connection,
    rule: &ObjectRef,
    document: &Value,
    run: Run,
) -> Result<(Option<DynamicObject>, DynamicObject), RequestError> {
    let api = api(to, rule);
    let name = rule.name.as_str();
    let before = within(to, format!("read the {rule}"), api.get_opt(name)).await?;
    let params = PatchParams { dry_run: run == Run::Dry, ..PatchParams::apply(CONTROL_PLANE) };
    let document = wanted(document);
    let patch = Patch::Apply(&document);
    let after = within(to, format!("apply the {rule}"), api.patch(name, &params, &patch)).await?;
    Ok((before, after))
}

/// Deletes a rule; `None` where it is not there.
///
/// # Errors
/// [`RequestError`].
pub async fn delete(
    to: &Connection,
    rule: &ObjectRef,
    run: Run,
) -> Result<Option<Written>, RequestError> {
    let api = api(to, rule);
    let name = rule.name.as_str();
    let here = ListParams::default().fields(&format!("metadata.name={name}")).limit(1);
    let found = within(to, format!("read the {rule}"), api.list(&here)).await?;
    // That of the list is the cluster's at this moment.
    let version = version(&found.metadata.resource_version);
    let Some(before) = found.items.into_iter().next() else { return Ok(None) };
    let params = DeleteParams { dry_run: run == Run::Dry, ..DeleteParams::default() };
    let deleted = async {
        match api.delete(name, &params).await {
            Ok(_) => Ok(true),
            Err(error) if status(&error) == Some(404) => Ok(false),
            Err(error) => Err(error),
        }
    };
    let deleted = within(to, format!("delete the {rule}"), deleted).await?;
    let written = Written { action: Action::Deleted, generation: generation(&before), version };
    Ok(deleted.then_some(written))
}

/// The rules of one kind in a namespace.
///
/// # Errors
/// [`RequestError`].
pub async fn list(
    to: &Connection,
    kind: ObjectKind,
    namespace: &str,
) -> Result<Vec<String>, RequestError> {
    let api = api_of(to, kind, namespace);
    let attempt = format!("list the {} objects in the namespace `{namespace}`", kind.as_str());
    let found = within(to, attempt, api.list(&ListParams::default())).await?;
    Ok(found.items.iter().map(kube::ResourceExt::name_any).collect())
}

/// The rules of every kind and namespace with that label.
///
/// # Errors
/// [`RequestError`].
pub async fn labelled(
    to: &Connection,
    label: &str,
    value: &str,
) -> Result<Vec<ObjectRef>, RequestError> {
    let chosen = ListParams::default().labels(&format!("{label}={value}"));
    let mut all = Vec::new();
    for kind in ObjectKind::ALL {
        let api: Api<DynamicObject> = Api::all_with(to.client.clone(), &resource(kind));
        let attempt = format!("list the {} objects of all namespaces", kind.as_str());
        let found = within(to, attempt, api.list(&chosen)).await?;
        all.extend(found.items.iter().filter_map(|item| {
            let namespace = match kind {
                ObjectKind::MeshConfig => Namespace::root(),
                _ => item.namespace()?.parse().ok()?,
            };
            Some(ObjectRef { kind, namespace, name: item.name_any().parse().ok()? })
        }));
    }
    Ok(all)
}

fn api(to: &Connection, rule: &ObjectRef) -> Api<DynamicObject> {
    api_of(to, rule.kind, rule.namespace.as_str())
}

fn api_of(to: &Connection, kind: ObjectKind, namespace: &str) -> Api<DynamicObject> {
    let resource = resource(kind);
    match kind {
        ObjectKind::MeshConfig => Api::all_with(to.client.clone(), &resource),
        _ => Api::namespaced_with(to.client.clone(), namespace, &resource),
    }
}

/// How the API names a kind.
fn resource(kind: ObjectKind) -> ApiResource {
    let api_version = kind.api_version();
    let (group, version) = api_version.split_once('/').unwrap_or(("", api_version));
    let plural = match kind {
        ObjectKind::MeshConfig => "meshconfigs",
        ObjectKind::Service => "services",
        ObjectKind::HttpRoute => "httproutes",
        ObjectKind::TrafficPolicy => "trafficpolicies",
        ObjectKind::FaultPolicy => "faultpolicies",
    };
    ApiResource {
        group: group.to_owned(),
        version: version.to_owned(),
        api_version: api_version.to_owned(),
        kind: kind.as_str().to_owned(),
        plural: plural.to_owned(),
    }
}

/// The document without what the API server writes.
fn wanted(document: &Value) -> Value {
    let mut wanted = document.clone();
    if let Some(fields) = wanted.as_object_mut() {
        fields.remove("status");
        if let Some(metadata) = fields.get_mut("metadata").and_then(Value::as_object_mut) {
            metadata.retain(|field, _| WRITTEN.contains(&field.as_str()));
        }
    }
    wanted
}

/// Whether nothing changed, or would.
fn same(before: &DynamicObject, after: &DynamicObject, run: Run) -> bool {
    match run {
        Run::Real => before.resource_version() == after.resource_version(),
        // A dry run makes no new version.
        Run::Dry => said(before) == said(after),
    }
}

/// What users say in an object.
fn said(object: &DynamicObject) -> (Value, Value, Map<String, Value>) {
    let labels = serde_json::to_value(object.labels()).unwrap_or_default();
    let annotations = serde_json::to_value(object.annotations()).unwrap_or_default();
    let mut data = object.data.as_object().cloned().unwrap_or_default();
    data.remove("status");
    (labels, annotations, data)
}

fn generation(object: &DynamicObject) -> Option<u64> {
    object.metadata.generation.and_then(|generation| u64::try_from(generation).ok())
}

/// Resource versions can be compared as numbers (KEP-5504).
fn version(text: &Option<String>) -> Option<u64> {
    text.as_deref().and_then(|version| version.parse().ok())
}
