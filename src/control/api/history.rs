//! Revisions of the rules: the last ones, one with what it changed, and back to one.
//!
//! Going back is a change like any other: worked out from what is kept, checked by this version's
//! own rules, applied whole, and a revision of its own.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::Json;
use axum::extract::rejection::{JsonRejection, QueryRejection};
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use jiff::Timestamp;
use serde::Deserialize;
use serde_json::Value;

use super::Refusal;
use super::apply::{actor, commit, now_ms};
use super::shapes::{
    API_VERSION, ApplyResult, RevisedObject, Revision, RevisionList, RevisionState, RollbackRequest,
};
use crate::control::plane::{Plane, View};
use crate::control::store::history::{Changed, Changes, Entry, Past};
use crate::control::store::{Batch, StoreError, Stored, Write};
use crate::mesh::{Object, ObjectRef};
use crate::rules;

/// Revisions listed where nobody says how many.
const LISTED: u64 = 20;

/// How many.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Listing {
    limit: Option<u64>,
}

pub(super) async fn list(
    State(plane): State<Arc<Plane>>,
    listing: Result<Query<Listing>, QueryRejection>,
) -> Result<Json<RevisionList>, Refusal> {
    let entries = plane.store.history(listing?.0.limit.unwrap_or(LISTED)).await?;
    let (api_version, kind) = (API_VERSION.to_owned(), "RevisionList".to_owned());
    let revisions = entries.into_iter().map(|entry| revision(entry, None)).collect();
    Ok(Json(RevisionList { api_version, kind, revisions }))
}

pub(super) async fn show(
    State(plane): State<Arc<Plane>>,
    Path(number): Path<String>,
) -> Result<Json<Revision>, Refusal> {
    let number = parse(&number)?;
    if number == 0 {
        return Err(Refusal::wrong("revision 0 is before the first change, and changed nothing"));
    }
    let Past { entry, objects, now } = plane.store.past(number).await?;
    let missing = || Refusal::from(StoreError::NoRevision { revision: number, last: now });
    Ok(Json(revision(entry.ok_or_else(missing)?, Some(&objects))))
}

pub(super) async fn rollback(
    State(plane): State<Arc<Plane>>,
    request: Result<Json<RollbackRequest>, JsonRejection>,
) -> Result<Json<ApplyResult>, Refusal> {
    let Json(request) = request?;
    let Past { now, objects, .. } = plane.store.past(request.revision).await?;
    if let Some(expected) = request.expected.filter(|expected| *expected != now) {
        return Err(StoreError::Moved { expected, found: now }.into());
    }
    let mut published = plane.revision.clone();
    // What is worked with must be what the numbers say.
    let seen = published.wait_for(|published| *published >= now);
    let late = |_| Refusal::new(StatusCode::SERVICE_UNAVAILABLE, "the last change is not seen yet");
    drop(seen.await.map_err(late)?);
    let batch = Batch {
        actor: actor(&request.actor),
        at_ms: now_ms(),
        note: format!("rollback to {}", request.revision),
        expected: Some(now),
        writes: back(&plane.view.load(), objects)?,
        dry_run: request.dry_run,
    };
    commit(&plane, batch, Vec::new()).await
}

/// What makes the objects of `view` the `past`; each document must be one that this version understands
/// and that leaves the workloads that are there their names.
fn back(view: &View, past: BTreeMap<ObjectRef, (Value, u64)>) -> Result<Vec<Write>, Refusal> {
    let present = &view.objects;
    let gone = present.keys().filter(|reference| !past.contains_key(reference));
    let delete = |reference: &ObjectRef| Write::Delete {
        reference: reference.clone(),
        ignore_missing: true,
    };
    let mut writes: Vec<Write> = gone.map(delete).collect();
    for (reference, (document, created_ms)) in past {
        let is_now = |it: &Arc<Stored>| it.document == document && it.created_ms == created_ms;
        if present.get(&reference).is_some_and(is_now) {
            continue;
        }
        let refused = |text| Refusal::new(StatusCode::UNPROCESSABLE_ENTITY, text);
        let object = rules::from_value(&document, 1, created_ms).map_err(|found| {
            refused(format!("this version cannot read {reference} as it was then"))
                .help("apply a version of it that is valid instead")
                .diagnostics(found)
        })?;
        if let Object::Service(service) = &object
            && let Err(conflict) = view.snapshot.check_declaration(service)
        {
            return Err(refused(format!("{reference} cannot come back: {conflict}")));
        }
        writes.push(Write::Back { reference, document, created_ms });
    }
    Ok(writes)
}

fn parse(number: &str) -> Result<u64, Refusal> {
    number.parse().map_err(|_| {
        let shown: String = number.chars().take(80).flat_map(char::escape_debug).collect();
        Refusal::wrong(format!("`{shown}` is not the number of a revision"))
    })
}

/// An entry as it is told; with what there was after it, also its documents.
fn revision(entry: Entry, after: Option<&BTreeMap<ObjectRef, (Value, u64)>>) -> Revision {
    let Entry { revision, actor, at_ms, note, changes } = entry;
    let (state, changes) = match changes {
        Changes::Kept(changes) => (RevisionState::Kept, changes),
        Changes::Forgotten => (RevisionState::Forgotten, Vec::new()),
        Changes::Damaged => (RevisionState::Damaged, Vec::new()),
    };
    let object = |Changed { reference, action, before }: Changed| {
        let then = after.and_then(|after| after.get(&reference));
        RevisedObject {
            kind: reference.kind.as_str().to_owned(),
            namespace: reference.namespace.to_string(),
            name: reference.name.to_string(),
            action,
            before: before.filter(|_| after.is_some()).map(|(it, _)| it).unwrap_or_default(),
            after: then.map(|(it, _)| it.clone()).unwrap_or_default(),
        }
    };
    Revision {
        revision,
        at: moment(at_ms),
        by: actor,
        note,
        state,
        objects: changes.into_iter().map(object).collect(),
    }
}

fn moment(ms: u64) -> Timestamp {
    let ms = i64::try_from(ms).ok();
    ms.and_then(|ms| Timestamp::from_millisecond(ms).ok()).unwrap_or(Timestamp::UNIX_EPOCH)
}
