//! What is read and changes nothing: version, status, certificates, traces, metrics.

use std::sync::Arc;

use axum::Json;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Path, Query, State};
use axum::response::Response;
use jiff::Timestamp;
use serde::Deserialize;

use super::Refusal;
use super::shapes::{
    API_VERSION, CertificateList, ControlPlaneStatus, MeshStatus, Trace, TraceList, Version,
};
use crate::control::intake::traces::{Filter, parse_id};
use crate::control::plane::Plane;
use crate::control::{exposition, faults, pools, status};
use crate::telemetry::prometheus;

/// Traces listed where nobody says how many.
const TRACES: usize = 50;

pub(super) async fn version() -> Json<Version> {
    Json(Version {
        product: "meshctl".to_owned(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        pid: std::process::id(),
    })
}

pub(super) async fn status(State(plane): State<Arc<Plane>>) -> Json<MeshStatus> {
    let view = plane.view.load_full();
    let (proxies, pools) = {
        let board = plane.board.lock();
        let proxies = status::proxies(&board.proxies, &plane.trust_domain);
        (proxies, pools::by_service(&board.proxies))
    };
    // Copied, so that proxies can go on telling.
    let recent = plane.intake.lock().edges.recent(plane.second());
    let services = status::services(&view.snapshot, pools, &recent);
    let edges = status::edges(&recent);
    Json(MeshStatus {
        api_version: API_VERSION.to_owned(),
        kind: "MeshStatus".to_owned(),
        control_plane: ControlPlaneStatus {
            ready: true,
            version: env!("CARGO_PKG_VERSION").to_owned(),
            address: plane.address.clone(),
            root_expires: status::timestamp(plane.authority.not_after()),
            revision: view.revision,
            since: plane.since,
        },
        proxies,
        services,
        edges,
        faults: faults::active(&view.snapshot, Timestamp::now()),
    })
}

pub(super) async fn certificates(State(plane): State<Arc<Plane>>) -> Json<CertificateList> {
    let certificates = status::certificates(&plane.board.lock().proxies, &plane.trust_domain);
    Json(CertificateList {
        api_version: API_VERSION.to_owned(),
        kind: "CertificateList".to_owned(),
        certificates,
    })
}

/// Which traces.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct TraceQuery {
    service: Option<String>,
    status: Option<u32>,
    min_ms: Option<f64>,
    limit: Option<usize>,
}

pub(super) async fn traces(
    State(plane): State<Arc<Plane>>,
    query: Result<Query<TraceQuery>, QueryRejection>,
) -> Result<Json<TraceList>, Refusal> {
    let Query(query) = query?;
    let filter = Filter {
        service: query.service.filter(|service| !service.is_empty()),
        status: query.status,
        min_ms: query.min_ms,
        limit: query.limit.unwrap_or(TRACES),
    };
    let traces = plane.intake.lock().traces.list(&filter);
    let kind = "TraceList".to_owned();
    Ok(Json(TraceList { api_version: API_VERSION.to_owned(), kind, traces }))
}

pub(super) async fn trace(
    State(plane): State<Arc<Plane>>,
    Path(id): Path<String>,
) -> Result<Json<Trace>, Refusal> {
    let wrong = || {
        let shown: String = id.chars().take(80).flat_map(char::escape_debug).collect();
        Refusal::wrong(format!("`{shown}` is not a trace id (32 hexadecimal digits)"))
    };
    let trace = plane.intake.lock().traces.get(&parse_id(&id).ok_or_else(wrong)?);
    let gone = || Refusal::absent(format!("no trace `{id}` is remembered"));
    trace.map(Json).ok_or_else(gone)
}

pub(super) async fn metrics(State(plane): State<Arc<Plane>>) -> Response {
    exposed(&plane).await
}

/// The metrics, for whoever asks.
pub(super) async fn exposed(plane: &Arc<Plane>) -> Response {
    let of = Arc::clone(plane);
    plane.scrape.answer(move || exposition(&of)).await
}

/// All metrics as text. It is put together from copies: while the board is held no proxy registers,
/// and nothing is published.
fn exposition(plane: &Plane) -> String {
    let counts = exposition::counts(&plane.intake.lock().edges);
    let (callers, counting, (took, took_us)) = {
        let board = plane.board.lock();
        let (took, took_us) = board.convergence.took();
        let (callers, counting) =
            (exposition::callers(&board.proxies), exposition::counting(&board.proxies));
        (callers, counting, (took.clone(), took_us))
    };
    let pools = callers.iter().flat_map(exposition::pools).collect::<Vec<_>>();
    prometheus::render(&prometheus::Families {
        edges: &counts,
        pools: &pools,
        faults: &[],
        propagation: Some((&took, took_us)),
        refused: &plane.refusals.totals(),
        processes: &exposition::processes(plane, &counting),
    })
}
