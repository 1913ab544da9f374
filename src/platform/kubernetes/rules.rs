//! Rules as objects of a cluster, written with the user's own rights: server-side apply (KEP-555)
//! under our field manager, dry runs, deletion.
//!
//! What another manager owns is not taken from it: that is a conflict, for the user to settle. What
//! the API server writes into a document (`status`, `resourceVersion` and the like) is left out of
//! it first, so that what `get` prints can be applied again.

use kube::api::{DeleteParams, DynamicObject, ListParams, Patch, PatchParams, Preconditions};
use kube::{Api, ResourceExt as _};
use serde_json::{Map, Value};

use super::client::Connection;
use super::client::fault::{RequestError, status};
use super::discovery::resource;
use super::objects::within;
use crate::mesh::{ObjectKind, ObjectRef};
use crate::names::Namespace;
use crate::names::sidecar::CONTROL_PLANE;

#[cfg(test)]
mod tests;

/// What is said of metadata by whoever writes a rule; the rest is the API server's.
const WRITTEN: [&str; 6] =
    ["name", "namespace", "labels", "annotations", "finalizers", "ownerReferences"];

/// How often a rule that changes under one's hands is looked at again.
const TRIES: u32 = 5;

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
        Some(before) if same(&before, &after) => Action::Unchanged,
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
    let mut after = shown(&after);
    if before.is_none() {
        forget_addresses(&mut after, document);
    }
    Ok((before.as_ref().map(shown), after))
}

/// Takes out the addresses that the API server chose in a dry run: a new Service gets others.
fn forget_addresses(after: &mut Value, document: &Value) {
    if let Some(spec) = after.get_mut("spec").and_then(Value::as_object_mut) {
        spec.retain(|field, _| {
            !matches!(field.as_str(), "clusterIP" | "clusterIPs")
                || document["spec"].get("clusterIP").is_some()
        });
    }
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

/// Deletes a rule; `None` where it is not there. With a label only one that has it at that very
/// moment: whoever takes a rule out of a set meanwhile keeps it.
///
/// # Errors
/// [`RequestError`].
pub async fn delete(
    to: &Connection,
    rule: &ObjectRef,
    label: Option<(&str, &str)>,
    run: Run,
) -> Result<Option<Written>, RequestError> {
    let api = api(to, rule);
    let name = rule.name.as_str();
    let mut here = ListParams::default().fields(&format!("metadata.name={name}")).limit(1);
    if let Some((label, value)) = label {
        here = here.labels(&format!("{label}={value}"));
    }
    let mut tries = 1;
    loop {
        let found = within(to, format!("read the {rule}"), api.list(&here)).await?;
        // That of the list is the cluster's at this moment.
        let version = version(&found.metadata.resource_version);
        let Some(before) = found.items.into_iter().next() else { return Ok(None) };
        let as_seen = |resource_version| Preconditions { resource_version, uid: None };
        let params = DeleteParams {
            dry_run: run == Run::Dry,
            preconditions: label.map(|_| as_seen(before.metadata.resource_version.clone())),
            ..DeleteParams::default()
        };
        let deleted = async {
            match api.delete(name, &params).await {
                Ok(_) => Ok(Some(true)),
                Err(error) if status(&error) == Some(404) => Ok(Some(false)),
                // Its status alone may have changed: it is looked at again.
                Err(error) if status(&error) == Some(409) && tries < TRIES => Ok(None),
                Err(error) => Err(error),
            }
        };
        let Some(deleted) = within(to, format!("delete the {rule}"), deleted).await? else {
            tries += 1;
            continue;
        };
        let written = Written { action: Action::Deleted, generation: generation(&before), version };
        return Ok(deleted.then_some(written));
    }
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

/// The rules of every kind and namespace with that label which are to stay; none of a kind that the
/// cluster does not know.
///
/// # Errors
/// [`RequestError`].
pub async fn labelled(
    to: &Connection,
    (label, value): (&str, &str),
) -> Result<Vec<ObjectRef>, RequestError> {
    let chosen = ListParams::default().labels(&format!("{label}={value}"));
    let mut all = Vec::new();
    for kind in ObjectKind::ALL {
        let api: Api<DynamicObject> = Api::all_with(to.client.clone(), &resource(kind));
        let attempt = format!("list the {} objects of all namespaces", kind.as_str());
        let found = match within(to, attempt, api.list(&chosen)).await {
            Err(error) if error.status() == Some(404) => continue,
            found => found?,
        };
        let staying = found.items.iter().filter(|it| it.metadata.deletion_timestamp.is_none());
        all.extend(staying.filter_map(|item| {
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

/// Whether nothing changed, or would. Its version does not tell: a dry run makes no new one, and a status
/// that is written between the two looks does.
fn same(before: &DynamicObject, after: &DynamicObject) -> bool {
    said(before) == said(after)
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
