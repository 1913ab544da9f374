//! A service's calling side: per port the matches in order and the rules they lead to.
//!
//! A port that routes are attached to has those and nothing else: no match is 404. A port without
//! any has one implicit rule, to the service itself. Routes never chain: a backend, the parent
//! itself too, is its endpoints. A port declared `tcp` has no requests to look at, so it keeps the
//! implicit rule whatever is attached; `describe` says so.

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::compile::Compiled;
use crate::compile::fault::faults;
use crate::mesh::{self, HttpRoute, ObjectRef, RouteRule, Snapshot, TrafficPolicy, in_precedence};
use crate::names::{Namespace, Protocol, RuleId, ServiceName};
use crate::resource::{
    Backend, HeaderEdit, PathMatch, Resource, Retry, Rewrite, RouteMatch, Rule, Service,
    ServicePort, Timeouts,
};

pub(super) fn compile(
    snapshot: &Snapshot,
    name: &ServiceName,
    consumer: Option<&Namespace>,
) -> Option<Compiled> {
    let service = snapshot.service(name)?;
    let consumers = snapshot.consumers_of(name);
    if consumer.is_some_and(|consumer| !consumers.contains(consumer)) {
        return None;
    }
    let policy = snapshot.policy_of(name);
    let mut origins: BTreeSet<(ObjectRef, u64)> = BTreeSet::new();
    origins.extend(service.declared.then(|| (service.reference(), service.generation)));
    origins.extend(policy.iter().map(|policy| (policy.reference(), policy.generation)));
    let faulty = snapshot.faults_of(name);
    origins.extend(faulty.iter().map(|policy| (policy.reference(), policy.generation)));
    let policy = policy.as_deref();
    let mut ports = Vec::with_capacity(service.ports.len());
    for port in &service.ports {
        let routes = routes_in_force(snapshot, name, port, consumer);
        origins.extend(routes.iter().map(|route| (route.reference(), route.generation)));
        let compiled = compile_port(snapshot, name, port, &routes, policy);
        ports.push(ServicePort { faults: faults(port, &faulty), ..compiled });
    }
    let overridden_in = match consumer {
        Some(_) => Vec::new(),
        None => consumers.into_iter().collect(),
    };
    let service = Service { name: name.clone(), consumer: consumer.cloned(), overridden_in, ports };
    Some(Compiled::new(Resource::Service(service), origins))
}

/// The routes that decide on a port: those attached, unless it is opaque.
pub(super) fn routes_in_force(
    snapshot: &Snapshot,
    name: &ServiceName,
    port: &mesh::ServicePort,
    consumer: Option<&Namespace>,
) -> Vec<Arc<HttpRoute>> {
    match port.protocol {
        Protocol::Tcp => Vec::new(),
        _ => snapshot.routes_on(name, port, consumer),
    }
}

fn compile_port(
    snapshot: &Snapshot,
    name: &ServiceName,
    port: &mesh::ServicePort,
    routes: &[Arc<HttpRoute>],
    policy: Option<&TrafficPolicy>,
) -> ServicePort {
    let (matches, rules) = if routes.is_empty() {
        (vec![everything()], vec![implicit_rule(name, port.port, policy)])
    } else {
        let rules = routes.iter().flat_map(|route| &route.rules);
        (matches(routes), rules.map(|rule| compile_rule(snapshot, rule, policy)).collect())
    };
    let faults = Vec::new();
    ServicePort { port: port.port, protocol: port.protocol, matches, rules, faults }
}

fn matches(routes: &[Arc<HttpRoute>]) -> Vec<RouteMatch> {
    let candidates = in_precedence(routes).into_iter();
    candidates
        .map(|candidate| RouteMatch {
            rule: candidate.index,
            path: candidate.matched.path.clone(),
            method: candidate.matched.method.clone(),
            headers: candidate.matched.headers.clone(),
            query: candidate.matched.query.clone(),
        })
        .collect()
}

/// A route's rule; what it does not say the policy of the called service does.
fn compile_rule(snapshot: &Snapshot, rule: &RouteRule, policy: Option<&TrafficPolicy>) -> Rule {
    let (timeouts, retry) = limits(policy);
    Rule {
        id: rule.id.clone(),
        backends: rule.backends.iter().map(|backend| compile_backend(snapshot, backend)).collect(),
        request_headers: rule.request_headers.clone(),
        response_headers: rule.response_headers.clone(),
        redirect: rule.redirect.clone(),
        rewrite: rule.rewrite.clone(),
        timeouts: Timeouts {
            request: rule.request_timeout.unwrap_or(timeouts.request),
            backend_request: rule.backend_request_timeout.unwrap_or(timeouts.backend_request),
        },
        retry: match &rule.retry {
            Some(own) => own.over(policy.and_then(|policy| policy.retry.as_ref())),
            None => retry,
        },
    }
}

fn compile_backend(snapshot: &Snapshot, backend: &mesh::BackendRef) -> Backend {
    let service = snapshot.service(&backend.service);
    Backend {
        service: backend.service.clone(),
        port: backend.port,
        weight: backend.weight,
        resolved: service.is_some_and(|service| service.has_port(backend.port)),
        request_headers: backend.request_headers.clone(),
        response_headers: backend.response_headers.clone(),
        rewrite: backend.rewrite.clone(),
    }
}

fn everything() -> RouteMatch {
    RouteMatch {
        rule: 0,
        path: PathMatch::Prefix("/".to_owned()),
        method: None,
        headers: Vec::new(),
        query: Vec::new(),
    }
}

/// What holds where no rule was written: to the service's own endpoints.
fn implicit_rule(name: &ServiceName, port: u16, policy: Option<&TrafficPolicy>) -> Rule {
    let (timeouts, retry) = limits(policy);
    let itself = Backend {
        service: name.clone(),
        port,
        weight: 1,
        resolved: true,
        request_headers: HeaderEdit::default(),
        response_headers: HeaderEdit::default(),
        rewrite: Rewrite::default(),
    };
    Rule {
        id: implicit_id(name),
        backends: vec![itself],
        request_headers: HeaderEdit::default(),
        response_headers: HeaderEdit::default(),
        redirect: None,
        rewrite: Rewrite::default(),
        timeouts,
        retry,
    }
}

/// What holds of calls where no route says otherwise.
pub(super) fn limits(policy: Option<&TrafficPolicy>) -> (Timeouts, Retry) {
    let Some(policy) = policy else { return (Timeouts::default(), Retry::default()) };
    let timeouts =
        Timeouts { request: policy.request_timeout, backend_request: policy.try_timeout };
    (timeouts, policy.retry.clone().unwrap_or_default())
}

/// `default/namespace/service`, the id of the implicit rule.
pub(super) fn implicit_id(name: &ServiceName) -> RuleId {
    RuleId(format!("default/{name}").into())
}
