//! The pool of a backend: who takes part, what the algorithm makes of it, and whether there is
//! anybody at all.

use std::time::Duration;

use jiff::Timestamp;

use super::{Live, Model};
use crate::explain::answers::{Answers, rounded};
use crate::explain::explanation::{BackendView, EndpointView, OutView, SettingView};
use crate::explain::live::LiveEndpoint;
use crate::proxy::cluster::{Cluster, Endpoint, Port};
use crate::proxy::connect;
use crate::proxy::decide::{Decision, Endpoints};
use crate::proxy::ejection::Told;
use crate::proxy::service::Backend;
use crate::resource::words::{self, is_of_calls};
use crate::resource::{ClusterPolicy, Retry, Timeouts};
use crate::telemetry::reason::Reason;

/// Brings what is told of the endpoints before the machine that says who takes part.
pub(super) fn tell(backend: &Backend, live: &Live, (now_ms, now): (u64, u64)) {
    let Some(cell) = &backend.cluster else { return };
    let Some(pool) = live.pools.get(&backend.service) else { return };
    for endpoint in &pool.endpoints {
        let (Ok(workload), Ok(address)) = (endpoint.workload.parse(), endpoint.address.parse())
        else {
            continue;
        };
        if let Some(told) = told(endpoint, now) {
            cell.take_over((&workload, address), told, now_ms);
        }
    }
}

fn told(endpoint: &LiveEndpoint, now: u64) -> Option<Told> {
    if endpoint.spared {
        return None;
    }
    Some(match endpoint.state.as_str() {
        "Ejected" => Told::Ejected,
        "Unhealthy" => Told::Unhealthy,
        "ByHand" => Told::ByHand,
        "Probation" => Told::Probation,
        "Warming" => {
            let (since, until) = (endpoint.since?, endpoint.until?);
            let between = |from: Timestamp, to: Timestamp| {
                Duration::try_from(to.duration_since(from)).unwrap_or_default()
            };
            let now = Timestamp::from_second(i64::try_from(now).ok()?).ok()?;
            Told::Warming { past: between(since, now), left: between(now, until) }
        }
        _ => return None,
    })
}

/// What becomes of the requests that go to a backend.
pub(super) fn end(
    part: f64,
    decision: &Decision,
    (model, to): (&Model, &str),
    answers: &mut Answers,
) {
    let to = to.to_owned();
    if let Some((_, Some(reason))) = decision.course() {
        let refusal = decision.refuse(reason);
        let why = match reason {
            Reason::RequestTimeout => "the delay of the fault takes as long as the request may",
            _ => "the fault lets it fail",
        };
        return answers.refuse(part, &refusal, (Some(to), why.to_owned()));
    }
    if decision.pick(&[]).is_none() {
        let why = why_nobody(decision);
        return answers.refuse(part, &decision.refuse(Reason::NoEndpoints), (Some(to), why));
    }
    let rule = decision.rule.as_ref().map(|rule| rule.id.to_string());
    let outbound = model.directory.mesh().outbound;
    let Some((_, port)) = pool(decision) else { return answers.pass(part, to, rule) };
    let mut closed = 0.0;
    for (endpoint, share) in port.endpoints.iter().zip(port.parts()) {
        if endpoint.identity.is_none() && connect::may_be_plain(endpoint, outbound).is_err() {
            closed += share;
        }
    }
    let why = "the endpoint has no sidecar, and `outbound: RegistryOnly` forbids plaintext";
    let refusal = decision.refuse(Reason::NotRegistered);
    answers.refuse(part * closed, &refusal, (Some(to.clone()), why.to_owned()));
    answers.pass(part * (1.0 - closed), to, rule);
}

fn why_nobody(decision: &Decision) -> String {
    match pool(decision) {
        None => "the service has no such port".to_owned(),
        Some((_, port)) if port.endpoints.is_empty() => "it has no ready endpoint".to_owned(),
        Some((_, port)) => format!("all of its {} endpoints are out", port.endpoints.len()),
    }
}

fn pool(decision: &Decision) -> Option<(&Cluster, &Port)> {
    match &decision.pool {
        Endpoints::Mesh(cluster, port) => Some((cluster, cluster.port(*port)?)),
        _ => None,
    }
}

/// The endpoint that a consistent algorithm leads to; of a cookie that is yet to be made, none.
pub(super) fn leads_to(decision: &Decision) -> Option<String> {
    let bond = decision.affinity.as_ref()?;
    let endpoint = decision.pick(&[]).filter(|_| bond.cookie.is_none())?;
    Some(endpoint.workload.to_string())
}

/// The pool for people; what concerns the rule is left empty.
pub(super) fn view(backend: &Backend, live: &Live) -> BackendView {
    let cluster = backend.cluster.as_ref().and_then(|cell| cell.load());
    let port = cluster.as_ref().and_then(|cluster| cluster.port(backend.port));
    let pool = live.pools.get(&backend.service);
    let endpoints = port.filter(|_| live.running).map(|port| {
        let parts = port.endpoints.iter().zip(port.parts());
        let view = |(it, part): (&std::sync::Arc<Endpoint>, f64)| {
            let address = it.address.to_string();
            let told = pool.and_then(|pool| {
                let same = |told: &&LiveEndpoint| {
                    told.workload == it.workload.as_str() && told.address == address
                };
                pool.endpoints.iter().find(same)
            });
            endpoint(it, (address.clone(), part), told)
        };
        parts.map(view).collect()
    });
    BackendView {
        service: String::new(),
        port: 0,
        weight: 0,
        percent: 0.0,
        exists: false,
        changes: Vec::new(),
        settings: cluster.as_ref().map(|it| settings(live, backend, it)).unwrap_or_default(),
        endpoints: endpoints.unwrap_or_default(),
        panic: port.is_some_and(Port::panics),
        leads_to: None,
        breaker: pool.and_then(|pool| pool.breaker.clone()),
    }
}

fn endpoint(
    endpoint: &Endpoint,
    (address, part): (String, f64),
    told: Option<&LiveEndpoint>,
) -> EndpointView {
    EndpointView {
        name: endpoint.workload.to_string(),
        address,
        version: endpoint.version.clone(),
        zone: endpoint.zone.clone(),
        identity: endpoint.identity.as_ref().map(ToString::to_string),
        percent: rounded(part * 100.0),
        out: told.map(|told| OutView {
            state: told.state.clone(),
            why: told.why.clone(),
            since: told.since,
            until: told.until,
            spared: told.spared,
        }),
    }
}

fn settings(live: &Live, backend: &Backend, cluster: &Cluster) -> Vec<SettingView> {
    let of = |policy: &ClusterPolicy| {
        let all = words::settings(policy, &Timeouts::default(), &Retry::default());
        all.into_iter().filter(|(field, _)| !is_of_calls(field))
    };
    let source = live.policies.get(&backend.service).map(|policy| policy.name.clone());
    let pairs = of(&cluster.policy).zip(of(&ClusterPolicy::default()));
    pairs
        .map(|((field, value), (_, default))| {
            let source = source.clone().filter(|_| value != default);
            SettingView { field, value, source }
        })
        .collect()
}
