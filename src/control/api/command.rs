//! Commands to proxies, over their agent streams, and to the control plane itself.

use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::extract::rejection::JsonRejection;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use futures_util::{StreamExt, stream};
use serde_json::{Value, json};

use super::Refusal;
use super::shapes::{ProxyCommand, RotateRequest, RotateResult, Rotated};
use crate::control::agent::{self, AskError};
use crate::control::plane::Plane;
use crate::control::proxies::Proxies;
use crate::names::ProxyId;
use crate::xds::agent::command::Action;

/// How long a proxy may take to answer.
const ANSWER: Duration = Duration::from_secs(10);

/// How long it may take to get a new certificate.
const ROTATION: Duration = Duration::from_secs(30);

/// Proxies that rotate at once.
const ROTATIONS: usize = 64;

pub(super) async fn command(
    State(plane): State<Arc<Plane>>,
    Path((namespace, name)): Path<(String, String)>,
    command: Result<Json<ProxyCommand>, JsonRejection>,
) -> Result<Json<Value>, Refusal> {
    let action = match command?.0 {
        ProxyCommand::Log(directives) => Action::Log(directives),
        ProxyCommand::Config => Action::Config(true),
        ProxyCommand::Stats => Action::Stats(true),
    };
    let id: Result<ProxyId, _> = format!("{namespace}/{name}").parse();
    let id = id.map_err(|error| Refusal::wrong(error.to_string()))?;
    let answer = agent::ask(&plane, &id, action, ANSWER).await.map_err(|error| {
        let (status, help) = match error {
            AskError::Unknown => {
                (StatusCode::NOT_FOUND, "see which there are with `meshctl status`")
            }
            AskError::Away => (
                StatusCode::SERVICE_UNAVAILABLE,
                "start it again with `meshctl proxy run`, or look into its log",
            ),
            AskError::Late(_) => (StatusCode::GATEWAY_TIMEOUT, "try again, or look into its log"),
            AskError::Failed(_) => (StatusCode::BAD_REQUEST, ""),
        };
        Refusal::new(status, format!("proxy `{id}`: {error}")).help(help)
    })?;
    // Commands that ask for nothing are answered with nothing.
    if answer.is_empty() {
        return Ok(Json(json!({})));
    }
    let garbled =
        |_| Refusal::new(StatusCode::BAD_GATEWAY, format!("proxy `{id}` did not answer in JSON"));
    serde_json::from_str(&answer).map(Json).map_err(garbled)
}

pub(super) async fn rotate(
    State(plane): State<Arc<Plane>>,
    request: Result<Json<RotateRequest>, JsonRejection>,
) -> Result<Json<RotateResult>, Refusal> {
    let Json(request) = request?;
    let chosen = chosen(&plane.board.lock().proxies, &request.workloads)?;
    let rotations = stream::iter(chosen.into_iter().map(|id| rotate_one(&plane, id)));
    let mut workloads: Vec<_> = rotations.buffer_unordered(ROTATIONS).collect().await;
    workloads.sort_by(|a: &Rotated, b| a.workload.cmp(&b.workload));
    Ok(Json(RotateResult { workloads }))
}

async fn rotate_one(plane: &Plane, id: ProxyId) -> Rotated {
    let answer = agent::ask(plane, &id, Action::Rotate(true), ROTATION).await;
    let told = || {
        let board = plane.board.lock();
        let told = board.proxies.get(&id).and_then(|proxy| proxy.told.as_ref());
        told.map(|told| told.certificate_serial.clone()).unwrap_or_default()
    };
    let (serial, error) = match answer {
        Ok(body) => (serial(&body).unwrap_or_else(told), String::new()),
        Err(error) => (told(), error.to_string()),
    };
    Rotated { workload: id.to_string(), serial, error }
}

/// The serial number in a proxy's answer, where it says it.
fn serial(body: &str) -> Option<String> {
    let answer: Value = serde_json::from_str(body).ok()?;
    Some(answer.get("serial")?.as_str()?.to_owned())
}

/// The proxies that `names` mean: `namespace/proxy` or `namespace/service`; none: all connected.
pub(super) fn chosen(proxies: &Proxies, names: &[String]) -> Result<Vec<ProxyId>, Refusal> {
    if names.is_empty() {
        let connected = proxies.iter().filter(|(_, proxy)| proxy.agent.is_some());
        return Ok(connected.map(|(id, _)| id.clone()).collect());
    }
    let mut chosen = std::collections::BTreeSet::new();
    for name in names {
        let before = chosen.len();
        let meant = proxies.iter().filter(|(id, proxy)| {
            id.to_string() == *name || proxy.registration.service_name().to_string() == *name
        });
        let meant: Vec<_> = meant.map(|(id, _)| id.clone()).collect();
        let found = !meant.is_empty();
        chosen.extend(meant);
        if !found && chosen.len() == before {
            let shown: String = name.chars().take(80).flat_map(char::escape_debug).collect();
            return Err(Refusal::absent(format!("no proxy or service `{shown}` is registered"))
                .help("see which there are with `meshctl status`; names are NAMESPACE/PROXY or NAMESPACE/SERVICE"));
        }
    }
    Ok(chosen.into_iter().collect())
}

pub(super) async fn stop(State(plane): State<Arc<Plane>>) -> Json<Value> {
    tracing::info!(target: "audit", "told to stop by the admin API");
    plane.stop.cancel();
    Json(json!({}))
}
