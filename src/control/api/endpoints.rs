//! The endpoints of services, and orders to callers to take one out or to put it back.
//!
//! An order goes to every proxy that calls the service and is connected, or to those of them that
//! are named. It holds in those proxies and ends with them: nothing is kept here, so who connects
//! later knows nothing of it.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::extract::rejection::{JsonRejection, QueryRejection};
use axum::extract::{Query, State};
use axum::http::StatusCode;
use futures_util::{StreamExt, stream};
use serde::Deserialize;

use super::Refusal;
use super::command::chosen;
use super::shapes::{
    API_VERSION, CallerResult, EndpointList, EndpointRequest, EndpointResult, EndpointStatus,
    PoolEntry,
};
use crate::compile;
use crate::control::agent;
use crate::control::plane::Plane;
use crate::control::pools;
use crate::control::proxies::Proxies;
use crate::mesh::Snapshot;
use crate::names::{ProxyId, ServiceName};
use crate::resource::{Endpoint, Key};
use crate::xds::agent::EndpointOrder;
use crate::xds::agent::command::Action;

/// How long a proxy may take to answer.
const ANSWER: Duration = Duration::from_secs(10);

/// Proxies that are told at once.
const AT_ONCE: usize = 64;

/// The longest that an endpoint is taken out for, seconds: a year.
const LONGEST: u64 = 365 * 24 * 3600;

/// Which service.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct OfService {
    namespace: Option<String>,
    service: Option<String>,
}

pub(super) async fn list(
    State(plane): State<Arc<Plane>>,
    query: Result<Query<OfService>, QueryRejection>,
) -> Result<Json<EndpointList>, Refusal> {
    let view = plane.view.load_full();
    let services = match query?.0 {
        OfService { namespace: None, service: None } => {
            view.snapshot.service_names().into_iter().collect()
        }
        OfService { namespace: Some(namespace), service: Some(service) } => {
            vec![known(&view.snapshot, &format!("{namespace}/{service}"))?]
        }
        _ => return Err(Refusal::wrong("`namespace` and `service` go together")),
    };
    let mut pools = pools::by_service(&plane.board.lock().proxies);
    let mut endpoints = Vec::new();
    for name in services {
        let entries = pools.remove(&name.to_string()).unwrap_or_default().entries;
        let all = compile::every_endpoint(&view.snapshot, &name);
        endpoints.extend(all.into_iter().map(|(it, ready)| shown(&name, it, ready, &entries)));
    }
    let (api_version, kind) = (API_VERSION.to_owned(), "EndpointList".to_owned());
    Ok(Json(EndpointList { api_version, kind, endpoints }))
}

fn shown(
    service: &ServiceName,
    endpoint: Endpoint,
    ready: bool,
    entries: &[PoolEntry],
) -> EndpointStatus {
    let at = |ip: &std::net::IpAddr| {
        let mut ports: Vec<u16> = endpoint.ports.iter().map(|it| it.target_port).collect();
        ports.dedup();
        let ip = *ip;
        ports.into_iter().map(move |port| std::net::SocketAddr::new(ip, port).to_string())
    };
    let name = endpoint.workload.to_string();
    EndpointStatus {
        addresses: endpoint.addresses.iter().flat_map(at).collect(),
        pool: entries.iter().filter(|entry| entry.endpoint == name).cloned().collect(),
        name,
        service: service.name.to_string(),
        namespace: service.namespace.to_string(),
        ready,
        weight: endpoint.weight,
        zone: endpoint.zone,
        version: endpoint.version,
        identity: endpoint.identity.map(|identity| identity.to_string()),
    }
}

pub(super) async fn eject(
    State(plane): State<Arc<Plane>>,
    request: Result<Json<EndpointRequest>, JsonRejection>,
) -> Result<Json<EndpointResult>, Refusal> {
    let Json(request) = request?;
    if request.seconds > LONGEST {
        return Err(Refusal::wrong("an endpoint is taken out for at most a year"));
    }
    order(&plane, request, ("eject", Action::Eject)).await
}

pub(super) async fn restore(
    State(plane): State<Arc<Plane>>,
    request: Result<Json<EndpointRequest>, JsonRejection>,
) -> Result<Json<EndpointResult>, Refusal> {
    order(&plane, EndpointRequest { seconds: 0, ..request?.0 }, ("restore", Action::Restore)).await
}

async fn order(
    plane: &Plane,
    request: EndpointRequest,
    (what, action): (&str, fn(EndpointOrder) -> Action),
) -> Result<Json<EndpointResult>, Refusal> {
    let EndpointRequest { service, endpoint, from, seconds } = request;
    let view = plane.view.load_full();
    let service = known(&view.snapshot, &service)?;
    let all = compile::every_endpoint(&view.snapshot, &service);
    if !all.iter().any(|(it, _)| it.workload.as_str() == endpoint) {
        return Err(absent(&service, &endpoint, &all));
    }
    let callers = callers(&plane.board.lock().proxies, &service, &from)?;
    if callers.is_empty() {
        let refusal = nobody(&service, &from);
        return Err(match elsewhere(plane, &view.snapshot, &service, &endpoint) {
            Some(other) => refusal.help(&format!(
                "the endpoint is called through `{other}`, name it as `{other}/{endpoint}`"
            )),
            None => refusal.help("a proxy calls a service once its application did"),
        });
    }
    let order = EndpointOrder { service: service.to_string(), workload: endpoint, seconds };
    let (proxies, endpoint) = (callers.len(), &order.workload);
    tracing::info!(target: "audit", what, %service, endpoint, seconds, proxies, "endpoint ordered by the admin API");
    let action = action(order);
    let told = callers.into_iter().map(|id| tell(plane, id, action.clone()));
    let mut callers: Vec<_> = stream::iter(told).buffer_unordered(AT_ONCE).collect().await;
    callers.sort_by(|a: &CallerResult, b| a.proxy.cmp(&b.proxy));
    Ok(Json(EndpointResult { callers }))
}

async fn tell(plane: &Plane, id: ProxyId, action: Action) -> CallerResult {
    let answer = agent::ask(plane, &id, action, ANSWER).await;
    let error = answer.err().map(|error| error.to_string()).unwrap_or_default();
    CallerResult { proxy: id.to_string(), error }
}

/// A service that there is.
fn known(snapshot: &Snapshot, name: &str) -> Result<ServiceName, Refusal> {
    let name: ServiceName = name.parse().map_err(|error| Refusal::wrong(format!("{error}")))?;
    match snapshot.service(&name) {
        Some(_) => Ok(name),
        None => Err(Refusal::absent(format!("there is no service `{name}`"))
            .help("see which there are with `meshctl status`")),
    }
}

fn absent(service: &ServiceName, endpoint: &str, all: &[(Endpoint, bool)]) -> Refusal {
    let shown: String = endpoint.chars().take(80).flat_map(char::escape_debug).collect();
    let refusal = Refusal::absent(format!("`{service}` has no endpoint `{shown}`"));
    let names: Vec<_> = all.iter().take(5).map(|(it, _)| format!("`{}`", it.workload)).collect();
    match names.is_empty() {
        true => refusal.help("it has none: its workloads only call, or none of them runs"),
        false => refusal.help(&format!(
            "it has {}{}",
            names.join(", "),
            if all.len() > names.len() { " and others" } else { "" }
        )),
    }
}

/// The connected proxies that call a service: all, or those of them that are named.
fn callers(
    proxies: &Proxies,
    service: &ServiceName,
    from: &[String],
) -> Result<Vec<ProxyId>, Refusal> {
    let named = chosen(proxies, from)?;
    let connected = |id: &ProxyId| proxies.get(id).is_some_and(|proxy| proxy.agent.is_some());
    let calling: BTreeSet<_> = proxies.subscribers(&Key::cluster(service)).collect();
    Ok(named.into_iter().filter(|id| connected(id) && calling.contains(id)).collect())
}

fn nobody(service: &ServiceName, from: &[String]) -> Refusal {
    let who = match from {
        [] => "no connected proxy calls".to_owned(),
        [one] => format!("`{one}` does not call"),
        _ => "none of the named callers calls".to_owned(),
    };
    Refusal::new(StatusCode::CONFLICT, format!("{who} the endpoints of `{service}`"))
}

/// Another service with that endpoint, which somebody calls: as `reviews-v1` where a route leads
/// from `reviews` to it.
fn elsewhere(
    plane: &Plane,
    snapshot: &Snapshot,
    service: &ServiceName,
    endpoint: &str,
) -> Option<ServiceName> {
    let others = snapshot.service_names().into_iter();
    let mut others = others.filter(|it| it != service && it.namespace == service.namespace);
    let has = |other: &ServiceName| {
        let all = compile::every_endpoint(snapshot, other);
        all.iter().any(|(it, _)| it.workload.as_str() == endpoint)
    };
    let is_called = |other: &ServiceName| {
        let board = plane.board.lock();
        board.proxies.subscribers(&Key::cluster(other)).next().is_some()
    };
    others.find(|other| is_called(other) && has(other))
}
