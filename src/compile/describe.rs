//! All that applies to one service, for people: the same functions that `compile` uses, no text.
//!
//! Every value says where it comes from: the object that set it, or nothing for a default.

use std::sync::Arc;

use crate::compile::cluster;
use crate::compile::service::{implicit_id, routes_in_force};
use crate::compile::settings::settings;
use crate::mesh::{ObjectRef, RouteMatch, Service, ServicePort, Snapshot, in_precedence};
use crate::names::{Namespace, RuleId, ServiceName};
use crate::resource::Endpoint;

/// A service with everything that applies to it.
#[derive(Debug, Clone, PartialEq)]
pub struct ServiceView {
    /// The service as it holds.
    pub service: Arc<Service>,
    /// The namespaces with rules of their own for it.
    pub consumers: Vec<Namespace>,
    /// Its ports, ascending.
    pub ports: Vec<PortView>,
    /// How callers treat it.
    pub policy: PolicyView,
    /// Who takes requests now.
    pub endpoints: Vec<Endpoint>,
    /// How many endpoints it has, ready or not.
    pub workloads: usize,
}

/// One port and what decides on it.
#[derive(Debug, Clone, PartialEq)]
pub struct PortView {
    /// The port.
    pub port: ServicePort,
    /// What decides.
    pub routes: RoutesInForce,
}

/// What decides on a port.
#[derive(Debug, Clone, PartialEq)]
pub enum RoutesInForce {
    /// No route is attached: everything goes to the service itself, by this rule.
    Implicit(RuleId),
    /// The port is opaque, so these routes attached to it have no effect.
    Opaque(RuleId, Vec<ObjectRef>),
    /// The matches in the order in which they are tried; none matching is 404.
    Routes(Vec<RouteView>),
}

/// One match with the rule it leads to.
#[derive(Debug, Clone, PartialEq)]
pub struct RouteView {
    /// The rule.
    pub rule: RuleId,
    /// The route that it stands in.
    pub origin: ObjectRef,
    /// That route's generation.
    pub generation: u64,
    /// The conditions.
    pub matched: RouteMatch,
}

/// How callers treat a service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PolicyView {
    /// The policy in force.
    pub in_force: Option<ObjectRef>,
    /// Younger policies about the same service, without effect until that one goes.
    pub waiting: Vec<ObjectRef>,
    /// Every setting.
    pub values: Vec<PolicyValue>,
}

/// One setting.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PolicyValue {
    /// The field, as users write it: `timeouts.connect`.
    pub field: &'static str,
    /// The value, as users write it; `none` for no limit.
    pub value: String,
    /// The policy that makes it differ from the default; `None` where the default holds.
    pub source: Option<ObjectRef>,
}

/// Everything that applies to a service, as callers of `consumer` see it; `None` where there is no
/// such service.
pub fn describe(
    snapshot: &Snapshot,
    name: &ServiceName,
    consumer: Option<&Namespace>,
) -> Option<ServiceView> {
    let service = snapshot.service(name)?;
    let port_view = |port: &ServicePort| PortView {
        port: port.clone(),
        routes: routes_view(snapshot, name, port, consumer),
    };
    Some(ServiceView {
        consumers: snapshot.consumers_of(name).into_iter().collect(),
        ports: service.ports.iter().map(port_view).collect(),
        policy: policy_view(snapshot, name),
        endpoints: cluster::endpoints(snapshot, name),
        workloads: snapshot.endpoint_counts(name).total,
        service,
    })
}

fn routes_view(
    snapshot: &Snapshot,
    name: &ServiceName,
    port: &ServicePort,
    consumer: Option<&Namespace>,
) -> RoutesInForce {
    let attached = snapshot.routes_on(name, port, consumer);
    let routes = routes_in_force(snapshot, name, port, consumer);
    if attached.is_empty() {
        return RoutesInForce::Implicit(implicit_id(name));
    }
    if routes.is_empty() {
        let without_effect = attached.iter().map(|route| route.reference()).collect();
        return RoutesInForce::Opaque(implicit_id(name), without_effect);
    }
    let views = in_precedence(&routes).into_iter().map(|candidate| RouteView {
        rule: candidate.rule.id.clone(),
        origin: candidate.route.reference(),
        generation: candidate.route.generation,
        matched: candidate.matched.clone(),
    });
    RoutesInForce::Routes(views.collect())
}

fn policy_view(snapshot: &Snapshot, name: &ServiceName) -> PolicyView {
    let policies = snapshot.policies_of(name);
    let mut references = policies.iter().map(|policy| policy.reference());
    let in_force = references.next();
    let waiting = references.collect();
    let values = settings(policies.first().map(Arc::as_ref))
        .into_iter()
        .zip(settings(None))
        .map(|((field, value), (_, default))| PolicyValue {
            field,
            source: in_force.clone().filter(|_| value != default),
            value,
        })
        .collect();
    PolicyView { in_force, waiting, values }
}
