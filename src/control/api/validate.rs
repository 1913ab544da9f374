//! `validate --against`: rules are held against the mesh as if they were applied, and nothing changes.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::extract::rejection::JsonRejection;
use axum::http::StatusCode;
use jiff::Timestamp;

use super::Refusal;
use super::apply::{documents, namespace};
use super::shapes::{ValidateRequest, ValidateResult};
use crate::control::plane::Plane;
use crate::rules::{Options, UnknownKinds, cross_check, parse};

pub(super) async fn validate(
    State(plane): State<Arc<Plane>>,
    request: Result<Json<ValidateRequest>, JsonRejection>,
) -> Result<Json<ValidateResult>, Refusal> {
    let Json(request) = request?;
    let options = Options {
        default_namespace: namespace(&request.namespace)?,
        unknown_kinds: UnknownKinds::Skip,
    };
    let documents = documents(request.sources)?;
    let snapshot = plane.view.load().snapshot.clone();
    // Thousands of documents take a while, in which others want to be served.
    let check = tokio::task::spawn_blocking(move || {
        let parsed = parse(&documents, &options);
        cross_check(&parsed.objects, Some(&snapshot), Timestamp::now())
    });
    let failed = |_| Refusal::new(StatusCode::INTERNAL_SERVER_ERROR, "the rules cannot be read");
    let diagnostics = check.await.map_err(failed)?;
    Ok(Json(ValidateResult { diagnostics }))
}
