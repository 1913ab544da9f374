//! `apply` and `delete`: all of a request or nothing.

use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::extract::State;
use axum::extract::rejection::JsonRejection;
use axum::http::StatusCode;
use jiff::Timestamp;

use super::shapes::{AppliedObject, ApplyRequest, ApplyResult, DeleteRequest, ObjectId, Source};
use super::{Refusal, kind};
use crate::control::plane::Plane;
use crate::control::store::{Applied, Batch, Write};
use crate::mesh::{MeshConfig, ObjectKind, ObjectRef, Snapshot};
use crate::names::{APPLY_SET_LABEL, Namespace, check_label};
use crate::rules::{
    Diagnostic, Document, MAX_FILE_BYTES, MAX_FILES, MAX_TOTAL_BYTES, Options, Parsed, Severity,
    UnknownKinds, cross_check, parse, quoted,
};

#[cfg(test)]
mod tests;

/// Characters of an actor's name that are kept.
const ACTOR: usize = 200;

/// The longest name of a file, in bytes: it is part of every problem that is found in it.
const NAME_BYTES: usize = 4 << 10;

/// How long a commit may take to be seen by everyone; it holds in any case.
const PUBLISHED: Duration = Duration::from_secs(5);

pub(super) async fn apply(
    State(plane): State<Arc<Plane>>,
    request: Result<Json<ApplyRequest>, JsonRejection>,
) -> Result<Json<ApplyResult>, Refusal> {
    let Json(request) = request?;
    let options = Options {
        default_namespace: namespace(&request.namespace)?,
        unknown_kinds: UnknownKinds::Refuse,
    };
    let documents = documents(request.sources)?;
    let snapshot = plane.view.load().snapshot.clone();
    // Thousands of documents take a while, in which others want to be served.
    let read = tokio::task::spawn_blocking(move || read(&documents, &options, &snapshot));
    let failed = |_| Refusal::new(StatusCode::INTERNAL_SERVER_ERROR, "the rules cannot be read");
    let (mut parsed, warnings) = read.await.map_err(failed)??;
    if !request.apply_set.is_empty() {
        check_label("name of a set", &request.apply_set)
            .map_err(|error| Refusal::wrong(error.to_string()))?;
        parsed.objects.iter_mut().for_each(|it| it.label(APPLY_SET_LABEL, &request.apply_set));
    }
    let gone = request.prune.iter().map(reference).collect::<Result<Vec<_>, Refusal>>()?;
    let kept = |gone: &ObjectRef| parsed.objects.iter().any(|it| it.reference == *gone);
    if let Some(both) = gone.iter().find(|gone| kept(gone)) {
        return Err(Refusal::wrong(format!("{both} is to be applied and pruned at once")));
    }
    let prune = |reference| Write::Delete { reference, ignore_missing: true };
    let writes = parsed.objects.into_iter().map(|it| Write::Put(it.reference, it.source));
    let writes = writes.chain(gone.into_iter().map(prune));
    let batch = Batch {
        actor: actor(&request.actor),
        at_ms: now_ms(),
        note: String::new(),
        expected: None,
        writes: writes.collect(),
        dry_run: request.dry_run,
    };
    commit(&plane, batch, warnings).await
}

pub(super) async fn delete(
    State(plane): State<Arc<Plane>>,
    request: Result<Json<DeleteRequest>, JsonRejection>,
) -> Result<Json<ApplyResult>, Refusal> {
    let Json(request) = request?;
    let ignore_missing = request.ignore_not_found;
    let write = |id: &ObjectId| Ok(Write::Delete { reference: reference(id)?, ignore_missing });
    let batch = Batch {
        writes: request.objects.iter().map(write).collect::<Result<_, Refusal>>()?,
        actor: actor(&request.actor),
        at_ms: now_ms(),
        note: String::new(),
        expected: None,
        dry_run: request.dry_run,
    };
    commit(&plane, batch, Vec::new()).await
}

/// The files of a request, within the same bounds as those that are read from a disk.
pub(super) fn documents(sources: Vec<Source>) -> Result<Vec<Document>, Refusal> {
    if sources.len() > MAX_FILES {
        let text = format!("{} files, and one request may bring {MAX_FILES}", sources.len());
        return Err(Refusal::wrong(text));
    }
    let mut total = 0;
    let each = sources.into_iter().map(|Source { name, text }| {
        if name.len() > NAME_BYTES {
            let text = format!("the name {} has more than {NAME_BYTES} bytes", quoted(&name));
            return Err(Refusal::wrong(text));
        }
        if text.len() as u64 > MAX_FILE_BYTES {
            let text = format!("{} is larger than {MAX_FILE_BYTES} bytes", quoted(&name));
            return Err(Refusal::wrong(text));
        }
        total += text.len() as u64;
        if total > MAX_TOTAL_BYTES {
            let limit = MAX_TOTAL_BYTES >> 20;
            return Err(Refusal::wrong(format!("the rules have more than {limit} MiB in all")));
        }
        Ok(Document { source: name, text })
    });
    each.collect()
}

/// Parses and validates; errors refuse everything.
pub(super) fn read(
    documents: &[Document],
    options: &Options,
    snapshot: &Snapshot,
) -> Result<(Parsed, Vec<Diagnostic>), Refusal> {
    let parsed = parse(documents, options);
    let mut found = parsed.diagnostics.clone();
    if !parsed.has_errors() {
        found.extend(cross_check(&parsed.objects, Some(snapshot), Timestamp::now()));
    }
    match found.iter().filter(|it| it.severity == Severity::Error).count() {
        0 => Ok((parsed, found)),
        errors => {
            let text = format!("the rules have {errors} errors; nothing was applied");
            Err(Refusal::new(StatusCode::UNPROCESSABLE_ENTITY, text).diagnostics(found))
        }
    }
}

pub(super) async fn commit(
    plane: &Plane,
    batch: Batch,
    warnings: Vec<Diagnostic>,
) -> Result<Json<ApplyResult>, Refusal> {
    let (dry_run, actor) = (batch.dry_run, batch.actor.clone());
    let Applied { revision, outcomes } = plane.store.apply(batch).await?;
    if !dry_run {
        tracing::info!(target: "audit", revision, %actor, objects = outcomes.len(), "rules changed");
        // So that `get` right after this shows it; late or not, it is committed.
        let mut published = plane.revision.clone();
        let seen = published.wait_for(|published| *published >= revision);
        let _ = tokio::time::timeout(PUBLISHED, seen).await;
    }
    let objects = outcomes.into_iter().map(|outcome| AppliedObject {
        kind: outcome.reference.kind.as_str().to_owned(),
        namespace: outcome.reference.namespace.to_string(),
        name: outcome.reference.name.to_string(),
        action: outcome.action,
        generation: outcome.generation,
    });
    Ok(Json(ApplyResult { revision, objects: objects.collect(), warnings }))
}

/// The object that is meant.
pub(super) fn reference(id: &ObjectId) -> Result<ObjectRef, Refusal> {
    let kind = kind(&id.kind)?;
    // Cluster-scoped: whatever namespace was said, it lies in the root namespace.
    if kind == ObjectKind::MeshConfig {
        let name = id.name.parse().map_err(|error| Refusal::wrong(format!("{error}")))?;
        return Ok(ObjectRef { name, ..MeshConfig::reference() });
    }
    Ok(ObjectRef {
        kind,
        namespace: namespace(&id.namespace)?,
        name: id.name.parse().map_err(|error| Refusal::wrong(format!("{error}")))?,
    })
}

pub(super) fn namespace(text: &str) -> Result<Namespace, Refusal> {
    match text {
        "" => Ok(Namespace::default_namespace()),
        text => text.parse().map_err(|error| Refusal::wrong(format!("{error}"))),
    }
}

/// Who it was, for the history: what the caller calls itself, and its user. That is the one of this
/// process, because nobody else gets through the socket at which rules are changed.
pub(super) fn actor(name: &str) -> String {
    let name: String = name.chars().take(ACTOR).flat_map(char::escape_debug).collect();
    let user = format!("uid {}", rustix::process::getuid().as_raw());
    match name.is_empty() {
        true => user,
        false => format!("{name} ({user})"),
    }
}

pub(super) fn now_ms() -> u64 {
    u64::try_from(Timestamp::now().as_millisecond()).unwrap_or(0)
}
