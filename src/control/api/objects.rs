//! `get` and `describe`: what users wrote, with its status, and what applies to it.

use std::sync::Arc;

use axum::Json;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use jiff::Timestamp;
use serde::Deserialize;
use serde_json::{Value, json};

use super::shapes::{API_VERSION, Description, ObjectList};
use super::{Refusal, kind, where_seen};
use crate::control::conditions::Judge;
use crate::control::describe;
use crate::control::plane::Plane;
use crate::control::pools;
use crate::control::store::Stored;
use crate::mesh::{MeshConfig, ObjectKind, ObjectRef, service_name};
use crate::names::Namespace;
use crate::rules;

/// Which objects.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Selection {
    kind: Option<String>,
    namespace: Option<String>,
    name: Option<String>,
}

/// Which objects, and how.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Listing {
    kind: Option<String>,
    namespace: Option<String>,
    name: Option<String>,
    /// With their defaults, and the mesh-wide settings even where nobody has written any.
    #[serde(default)]
    resolved: bool,
}

pub(super) async fn list(
    State(plane): State<Arc<Plane>>,
    listing: Result<Query<Listing>, QueryRejection>,
) -> Result<Json<ObjectList>, Refusal> {
    let Query(listing) = listing?;
    let kind = listing.kind.as_deref().map(kind).transpose()?;
    let view = plane.view.load_full();
    let chosen = |reference: &ObjectRef| {
        kind.is_none_or(|kind| kind == reference.kind)
            && listing.name.as_deref().is_none_or(|name| name == reference.name.as_str())
            && listing.namespace.as_deref().is_none_or(|namespace| {
                // Cluster-scoped objects are of no namespace that one could choose by.
                reference.kind == ObjectKind::MeshConfig
                    || namespace == reference.namespace.as_str()
            })
    };
    let programmed = plane.board.lock().programmed();
    let judge = Judge::new(&view.snapshot, &view.unreadable, programmed, Timestamp::now());
    let objects = view.objects.values().filter(|object| chosen(&object.reference));
    let items: Vec<_> = objects.map(|object| (object, document(object, &judge))).collect();
    if !listing.resolved {
        return Ok(Json(listed(items.into_iter().map(|(_, document)| document).collect())));
    }
    let with_defaults = |(object, document): (&Arc<Stored>, Value)| {
        // One that this version cannot read has no defaults; its status says so.
        match rules::from_value(&object.document, object.generation, object.created_ms) {
            Ok(meant) => rules::resolved(&document, &meant),
            Err(_) => document,
        }
    };
    let mut items: Vec<Value> = items.into_iter().map(with_defaults).collect();
    let config = MeshConfig::reference();
    if !view.objects.contains_key(&config) && chosen(&config) {
        items.push(rules::default_config());
    }
    Ok(Json(listed(items)))
}

fn listed(items: Vec<Value>) -> ObjectList {
    ObjectList { api_version: API_VERSION.to_owned(), kind: "List".to_owned(), items }
}

/// The document as written, with what only the mesh knows.
fn document(object: &Stored, judge: &Judge<'_>) -> Value {
    let mut document = object.document.clone();
    let conditions = judge.conditions(&object.reference, object.generation);
    let created = i64::try_from(object.created_ms).ok();
    let created = created.and_then(|ms| Timestamp::from_millisecond(ms).ok());
    if let Some(fields) = document.as_object_mut() {
        let metadata = fields.entry("metadata").or_insert_with(|| json!({}));
        if let Some(metadata) = metadata.as_object_mut() {
            metadata.insert("generation".to_owned(), object.generation.into());
            let created = created.map(|time| time.to_string());
            metadata.insert("creationTimestamp".to_owned(), json!(created));
        }
        fields.insert("status".to_owned(), json!({ "conditions": conditions }));
    }
    document
}

pub(super) async fn describe(
    State(plane): State<Arc<Plane>>,
    selection: Result<Query<Selection>, QueryRejection>,
) -> Result<Json<Description>, Refusal> {
    let Query(selection) = selection?;
    let kind = kind(selection.kind.as_deref().unwrap_or("Service"))?;
    let wrong = |error: &dyn std::fmt::Display| Refusal::wrong(error.to_string());
    let name = match (&selection.name, kind) {
        (Some(name), _) => name.as_str(),
        (None, ObjectKind::MeshConfig) => "default",
        (None, _) => return Err(Refusal::wrong("which one? `name` is missing")),
    };
    let namespace = match (selection.namespace.as_deref(), kind) {
        (_, ObjectKind::MeshConfig) => MeshConfig::reference().namespace,
        (None | Some(""), _) => Namespace::default_namespace(),
        (Some(text), _) => text.parse().map_err(|error| wrong(&error))?,
    };
    let name = name.parse().map_err(|error| wrong(&error))?;
    let reference = ObjectRef { kind, namespace, name };
    let view = plane.view.load_full();
    let now = Timestamp::now();
    let programmed = plane.board.lock().programmed();
    let judge = Judge::new(&view.snapshot, &view.unreadable, programmed, now);
    let object = view.objects.get(&reference);
    let conditions = object.map(|it| judge.conditions(&reference, it.generation));
    let described = match kind {
        ObjectKind::Service => service_name(&reference.namespace, &reference.name)
            .and_then(|name| describe::service(&view.snapshot, &name, now)),
        ObjectKind::HttpRoute => describe::route(&view.snapshot, &reference),
        ObjectKind::TrafficPolicy => describe::policy(&view.snapshot, &reference),
        ObjectKind::FaultPolicy => describe::fault_policy(&view.snapshot, &reference, now),
        ObjectKind::MeshConfig => Some(describe::config(&view.snapshot.config)),
    };
    let mut sections = described.ok_or_else(|| undescribed(&reference))?;
    if let (ObjectKind::Service, Some(name)) =
        (kind, service_name(&reference.namespace, &reference.name))
    {
        let status = pools::by_service(&plane.board.lock().proxies).remove(&name.to_string());
        sections.extend(status.iter().flat_map(describe::pool));
    }
    sections.extend(conditions.map(|conditions| describe::status(&conditions)));
    Ok(Json(Description { title: reference.to_string(), sections }))
}

/// There is nothing of that name to describe. Services come by registering too, which no rule shows.
fn undescribed(reference: &ObjectRef) -> Refusal {
    let ObjectRef { kind, namespace, name } = reference;
    let refusal = Refusal::absent(format!(
        "there is no {} `{name}` in the namespace `{namespace}`",
        kind.as_str()
    ));
    match kind {
        ObjectKind::Service => refusal.help("see which there are with `meshctl status`"),
        kind => refusal.help(&where_seen(*kind)),
    }
}
