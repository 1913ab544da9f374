//! What a proxy would be sent, for who explains what that proxy does; and what rules that are not
//! applied yet would change of it.

use std::sync::Arc;

use axum::Json;
use axum::extract::rejection::{JsonRejection, QueryRejection};
use axum::extract::{Query, State};
use axum::http::StatusCode;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;

use super::Refusal;
use super::apply::{documents, namespace, read, reference};
use super::shapes::{Effect, EffectRequest, EffectResult, ResourceAnswer, ResourceBody};
use crate::compile;
use crate::control::plane::Plane;
use crate::explain::effect::{Difference, effect};
use crate::mesh::{Change, ObjectRef, Snapshot};
use crate::resource::{Key, Kind, Resource};
use crate::rules::{Document, Options, UnknownKinds, aged};

#[cfg(test)]
mod tests;

/// Which resource.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Wanted {
    kind: String,
    name: String,
}

pub(super) async fn get(
    State(plane): State<Arc<Plane>>,
    wanted: Result<Query<Wanted>, QueryRejection>,
) -> Result<Json<ResourceAnswer>, Refusal> {
    let Query(Wanted { kind, name }) = wanted?;
    let known = Kind::ALL.into_iter().find(|known| format!("{known:?}") == kind);
    let Some(found) = known else {
        return Err(Refusal::wrong(format!(
            "there is no resource of the kind `{}`",
            kind.escape_debug()
        )));
    };
    let key = Key { kind: found, name: name.as_str().into() };
    let published = plane.board.lock().published(&key);
    let resource = published.map(|it| ResourceBody {
        version: it.encoded.version.to_string(),
        body: STANDARD.encode(&it.encoded.body),
        origins: it.origins.iter().map(|(object, _)| object.to_string()).collect(),
    });
    Ok(Json(ResourceAnswer { kind, name, resource }))
}

pub(super) async fn would_change(
    State(plane): State<Arc<Plane>>,
    request: Result<Json<EffectRequest>, JsonRejection>,
) -> Result<Json<EffectResult>, Refusal> {
    let Json(EffectRequest { sources, namespace: default, prune }) = request?;
    let options =
        Options { default_namespace: namespace(&default)?, unknown_kinds: UnknownKinds::Refuse };
    let documents = documents(sources)?;
    let gone = prune.iter().map(reference).collect::<Result<Vec<_>, Refusal>>()?;
    let now = plane.view.load().snapshot.clone();
    let worked_out =
        tokio::task::spawn_blocking(move || work_out(&documents, &options, gone, &now));
    let failed = |_| Refusal::new(StatusCode::INTERNAL_SERVER_ERROR, "the rules cannot be read");
    Ok(Json(EffectResult { effects: worked_out.await.map_err(failed)?? }))
}

/// What the documents would change, and that some objects are gone.
fn work_out(
    documents: &[Document],
    options: &Options,
    gone: Vec<ObjectRef>,
    now: &Snapshot,
) -> Result<Vec<Effect>, Refusal> {
    let (parsed, _) = read(documents, options, now)?;
    let objects = parsed.objects.into_iter();
    let changes = objects.map(|it| (it.reference, Some(aged(&it.object, now))));
    let changes = changes.chain(gone.into_iter().map(|gone| (gone, None)));
    let changes: Vec<_> = changes.map(|(it, then)| Change::Object(it, then)).collect();
    Ok(effects(now, &now.apply(&changes), &changes))
}

/// What proxies would do otherwise: only what the changes may concern is looked at.
fn effects(before: &Snapshot, after: &Snapshot, changes: &[Change]) -> Vec<Effect> {
    let mut keys = compile::affected(before, after, changes);
    // Where a namespace had no rules of its own, or will have none, those for all hold.
    let for_all = keys.iter().filter(|key| key.kind == Kind::Service).filter_map(|key| {
        let (name, _) = key.name.split_once('@')?;
        Some(Key { kind: Kind::Service, name: name.into() })
    });
    keys.extend(for_all.collect::<Vec<_>>());
    let resource = |snapshot: &Snapshot, key: &Key| -> Option<Resource> {
        compile::compile(snapshot, key).map(|it| it.resource)
    };
    let pairs = keys.iter().map(|key| (resource(before, key), resource(after, key)));
    effect(&pairs.collect::<Vec<_>>()).into_iter().map(shown).collect()
}

fn shown(difference: Difference) -> Effect {
    let Difference { service, port, consumer, requests, what, before, after } = difference;
    Effect {
        service: service.map(|it| it.to_string()).unwrap_or_default(),
        port,
        consumer: consumer.map(|it| it.to_string()),
        requests,
        what,
        before,
        after,
    }
}
