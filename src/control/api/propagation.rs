//! How far a change has come: by its revision, or by the object of a cluster that was written.
//!
//! On a cluster who writes an object learns only its `resourceVersion`. The control plane has seen
//! it when its view has that version or a later one (they are compared as numbers, KEP-5504); what
//! it made of it is among all that it compiled after a revision that was asked for before.

use std::sync::Arc;

use axum::Json;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use serde::Deserialize;

use super::Refusal;
use super::apply::reference;
use super::shapes::{ObjectId, Propagation};
use crate::control::plane::Plane;

/// Which revision; without one, the last.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct OfRevision {
    revision: Option<u64>,
}

pub(super) async fn of_revision(
    State(plane): State<Arc<Plane>>,
    query: Result<Query<OfRevision>, QueryRejection>,
) -> Result<Json<Propagation>, Refusal> {
    let revision = query?.0.revision.unwrap_or_else(|| plane.view.load().revision);
    let mut board = plane.board.lock();
    let board = &mut *board;
    let (ledger, proxies) = (&mut board.ledger, &board.proxies);
    let connected = |id: &_| proxies.get(id).is_some_and(|proxy| proxy.discovery.is_some());
    Ok(Json(ledger.propagation(revision, connected)))
}

/// Which object, as it was written or since it is gone.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct OfObject {
    kind: String,
    namespace: String,
    name: String,
    /// The revision of the control plane before it was written.
    after: u64,
    /// The version that writing it made.
    resource_version: Option<u64>,
    /// The cluster's version just before it was deleted.
    gone_after: Option<u64>,
}

pub(super) async fn of_object(
    State(plane): State<Arc<Plane>>,
    query: Result<Query<OfObject>, QueryRejection>,
) -> Result<Json<Propagation>, Refusal> {
    let OfObject { kind, namespace, name, after, resource_version, gone_after } = query?.0;
    let reference = reference(&ObjectId { kind, namespace, name })?;
    let view = plane.view.load_full();
    let here = view.objects.get(&reference).map(|object| version(&object.document));
    let seen = match (resource_version, gone_after) {
        (Some(wanted), None) => here.is_some_and(|it| it >= wanted),
        // Made again meanwhile, it was gone all the same.
        (None, Some(gone)) => here.is_none_or(|it| it > gone),
        _ => return Err(Refusal::wrong("either `resourceVersion` or `goneAfter` is needed")),
    };
    let mut board = plane.board.lock();
    let board = &mut *board;
    let (ledger, proxies) = (&board.ledger, &board.proxies);
    let connected = |id: &_| proxies.get(id).is_some_and(|proxy| proxy.discovery.is_some());
    Ok(Json(Propagation { compiled: seen, ..ledger.since(after, connected) }))
}

fn version(document: &serde_json::Value) -> u64 {
    let version = document.pointer("/metadata/resourceVersion").and_then(|it| it.as_str());
    version.and_then(|version| version.parse().ok()).unwrap_or(0)
}
