//! The decision about a call to a service of the mesh: its table, the rule, the backend. Pure but for
//! chance and, where faults are put in, the clock.

use std::sync::Arc;

use crate::names::ProxyId;
use crate::proxy::balance::{Affinity, Bond};
use crate::proxy::decide::{Decision, Endpoints, Refusal};
use crate::proxy::head::Head;
use crate::proxy::redirect;
use crate::proxy::service::{Backend, Rule, ServiceTable};
use crate::resource::{LoadBalancer, OutboundMode};
use crate::telemetry::faults::FaultCounts;
use crate::telemetry::reason::Reason;

/// Decides about a request to `port` of a service by the application beside `source`.
///
/// # Errors
/// [`Refusal`], with the rule where one decided.
pub fn decide(
    table: &ServiceTable,
    port: u16,
    head: &impl Head,
    (source, counts): (&ProxyId, &FaultCounts),
) -> Result<Decision, Refusal> {
    let found = table.port(port).ok_or(Reason::NoRoute)?;
    if found.is_in_doubt(head) {
        return Err(Reason::BadRequest.into());
    }
    let rule = found.route(head).ok_or(Reason::NoRoute)?;
    if let Some(to) = &rule.redirect {
        return Err(redirect::refusal(table, rule, to, head, port));
    }
    let backend = choose(rule)?;
    let mut decision =
        to_backend(table, rule, backend, |balancer| Affinity::of(balancer, head, source))?;
    if !found.faults.is_empty() {
        decision.fault = found.faults.meet(head, counts);
    }
    Ok(decision)
}

/// Decides about a connection of which nothing is read.
///
/// # Errors
/// As [`decide`].
pub fn decide_opaque(
    table: &ServiceTable,
    port: u16,
    source: &ProxyId,
) -> Result<Decision, Refusal> {
    let found = table.port(port).ok_or(Reason::NoRoute)?;
    let rule = found.route_opaque().ok_or(Reason::NoRoute)?;
    let backend = choose(rule)?;
    to_backend(table, rule, backend, |balancer| Affinity::unread(balancer, source))
}

fn choose(rule: &Rule) -> Result<&Backend, Refusal> {
    rule.choose(fastrand::u64(..)).ok_or_else(|| refuse(rule, Reason::NoBackend))
}

/// What becomes of a request of which chance has chosen `backend`, one of the rule's.
///
/// # Errors
/// [`Refusal`] where the backend is not there, or nothing is known of it.
pub fn to_backend(
    table: &ServiceTable,
    rule: &Arc<Rule>,
    backend: &Backend,
    affinity: impl FnOnce(&LoadBalancer) -> Bond,
) -> Result<Decision, Refusal> {
    let cell = backend.cluster.as_ref().ok_or_else(|| refuse(rule, Reason::MissingBackend))?;
    let cluster = cell.load().ok_or_else(|| refuse(rule, Reason::NoEndpoints))?;
    let index = rule.backends.iter().position(|candidate| std::ptr::eq(candidate, backend));
    Ok(Decision {
        destination: Arc::clone(&table.label),
        destination_id: table.id,
        service: table.name.clone(),
        backend: index.unwrap_or_default(),
        affinity: affinity(&cluster.policy.load_balancer),
        pool: Endpoints::Mesh(cluster, backend.port),
        fault: None,
        rule: Some(Arc::clone(rule)),
    })
}

/// Whether what is no service of the mesh may be called.
///
/// # Errors
/// The reason for which a call to it fails.
pub fn may_leave(outbound: OutboundMode) -> Result<(), Reason> {
    match outbound {
        OutboundMode::AllowAny => Ok(()),
        OutboundMode::RegistryOnly => Err(Reason::NotRegistered),
    }
}

fn refuse(rule: &Rule, reason: Reason) -> Refusal {
    Refusal { rule: Some(rule.id.clone()), ..reason.into() }
}
