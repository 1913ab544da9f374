//! A rule or service with everything that applies to it, as sections of lines for people.
//!
//! Pure: the facts come from the snapshot and from `compile::describe`, which uses what compiling
//! uses; here they are only put into words.

use jiff::Timestamp;

use crate::compile::{self, PolicyView, RouteView, RoutesInForce};
use crate::control::api::shapes::Section;
use crate::control::conditions::Condition;
use crate::mesh::{MeshConfig, ObjectRef, RouteMatch, RouteRule, Snapshot};
use crate::names::ServiceName;
use crate::resource::words::{self, written};

mod fault;

pub use fault::policy as fault_policy;
mod pools;

pub use pools::pool;

type Line = (String, String);

/// The sections of a service, declared or registered.
pub fn service(snapshot: &Snapshot, name: &ServiceName, now: Timestamp) -> Option<Vec<Section>> {
    let view = compile::describe(snapshot, name, None)?;
    let mut sections = vec![section("Service", origin(&view))];
    let ports = view.ports.iter().map(|port| {
        let named = match port.port.name.as_str() {
            "" => String::new(),
            name => format!(" ({name})"),
        };
        (port.port.port.to_string(), format!("{}{named}", port.port.protocol))
    });
    sections.push(section("Ports", ports));
    for port in &view.ports {
        sections.push(section(&format!("Routes on port {}", port.port.port), routes(&port.routes)));
    }
    for consumer in &view.consumers {
        let Some(own) = compile::describe(snapshot, name, Some(consumer)) else { continue };
        for port in &own.ports {
            let heading = format!("Routes on port {} from namespace {consumer}", port.port.port);
            sections.push(section(&heading, routes(&port.routes)));
        }
    }
    sections.push(section("Policy", policy_lines(&view.policy)));
    let faults = fault::of_service(snapshot, name, now);
    if !faults.is_empty() {
        sections.push(section("Faults", faults));
    }
    let endpoints = view.endpoints.iter().map(|endpoint| {
        let addresses: Vec<_> = endpoint.addresses.iter().map(ToString::to_string).collect();
        let identity = match &endpoint.identity {
            Some(identity) => identity.to_string(),
            None => "no sidecar: plaintext".to_owned(),
        };
        let ports: Vec<_> = endpoint
            .ports
            .iter()
            .map(|it| format!("{}→{}", it.service_port, it.target_port))
            .collect();
        let text = format!("{} ports {} {identity}", addresses.join(", "), ports.join(", "));
        (endpoint.workload.to_string(), text)
    });
    let away = view.workloads - view.endpoints.len().min(view.workloads);
    let not_ready = (away > 0).then(|| (String::new(), format!("{away} not ready")));
    sections.push(section("Endpoints", endpoints.chain(not_ready)));
    Some(sections)
}

fn origin(view: &compile::ServiceView) -> Vec<Line> {
    let service = &view.service;
    let from = match service.declared {
        true => format!("declared, generation {}", service.generation),
        false => "registered by its workloads".to_owned(),
    };
    let mut lines = vec![("origin".to_owned(), from)];
    if let Some(selector) = &service.selector {
        let labels: Vec<_> = selector.iter().map(|(key, value)| format!("{key}={value}")).collect();
        lines.push(("selects".to_owned(), labels.join(", ")));
    }
    lines
}

fn routes(routes: &RoutesInForce) -> Vec<Line> {
    match routes {
        RoutesInForce::Implicit(rule) => {
            vec![("everything".to_owned(), format!("to the service itself ({rule})"))]
        }
        RoutesInForce::Opaque(rule, without_effect) => {
            let mut lines =
                vec![("everything".to_owned(), format!("opaque, to the service itself ({rule})"))];
            lines.extend(without_effect.iter().map(|route| {
                (String::new(), format!("{route} has no effect: the port does not speak HTTP"))
            }));
            lines
        }
        RoutesInForce::Routes(views) => views.iter().map(route_line).collect(),
    }
}

fn route_line(view: &RouteView) -> Line {
    (matched(&view.matched), format!("{} (generation {})", view.rule, view.generation))
}

/// `GET /path/* header x=1 query q~re`
fn matched(matched: &RouteMatch) -> String {
    let RouteMatch { path, method, headers, query } = matched;
    words::matched(method.as_deref(), path, headers, query)
}

fn policy_lines(policy: &PolicyView) -> Vec<Line> {
    let mut lines: Vec<Line> = policy
        .values
        .iter()
        .map(|value| {
            let source = match &value.source {
                Some(source) => format!(" ({source})"),
                None => " (default)".to_owned(),
            };
            (value.field.to_owned(), format!("{}{source}", value.value))
        })
        .collect();
    lines.extend(
        policy.waiting.iter().map(|waiting| {
            ("without effect".to_owned(), format!("{waiting}: an older policy holds"))
        }),
    );
    lines
}

/// The sections of a route.
pub fn route(snapshot: &Snapshot, reference: &ObjectRef) -> Option<Vec<Section>> {
    let route = snapshot.routes.get(reference)?;
    let parents = route.parents.iter().map(|parent| {
        let port = match (parent.port, &parent.section) {
            (None, None) => "all ports".to_owned(),
            (Some(port), None) => format!("port {port}"),
            (None, Some(name)) => format!("port `{name}`"),
            (Some(port), Some(name)) => format!("port {port} if it is `{name}`"),
        };
        let side = match parent.service.namespace == route.namespace {
            true => "producer: for every caller",
            false => "consumer: for callers of its own namespace",
        };
        (parent.service.to_string(), format!("{port}, {side}"))
    });
    let mut sections = vec![section("Parents", parents)];
    for rule in &route.rules {
        let matches = rule.matches.iter().map(|it| ("match".to_owned(), matched(it)));
        let backends = rule.backends.iter().map(|backend| {
            let found = match snapshot.service(&backend.service) {
                Some(service) if service.has_port(backend.port) => "",
                Some(_) => " (no such port)",
                None => " (no such service)",
            };
            let text =
                format!("{}:{} weight {}{found}", backend.service, backend.port, backend.weight);
            ("backend".to_owned(), text)
        });
        let changes = targets(rule);
        let lines = matches.chain(changes).chain(backends).chain(limits(rule));
        sections.push(section(&format!("Rule {}", rule.id), lines));
    }
    Some(sections)
}

/// What the rule says of time and repetitions; of the rest the service's policy does.
fn limits(rule: &RouteRule) -> Vec<Line> {
    let limit = |limit: Option<std::time::Duration>| limit.map_or("none".to_owned(), written);
    let retry = rule.retry.as_ref();
    let codes = retry.and_then(|retry| retry.codes.as_ref()).map(|codes| {
        let codes: Vec<_> = codes.iter().map(ToString::to_string).collect();
        if codes.is_empty() { "none".to_owned() } else { codes.join(", ") }
    });
    let lines = [
        ("timeouts.request", rule.request_timeout.map(limit)),
        ("timeouts.backendRequest", rule.backend_request_timeout.map(limit)),
        ("retry.attempts", retry.and_then(|retry| retry.attempts).map(|it| it.to_string())),
        ("retry.codes", codes),
        ("retry.backoff", retry.and_then(|retry| retry.backoff).map(written)),
    ];
    lines.into_iter().filter_map(|(key, value)| Some((key.to_owned(), value?))).collect()
}

/// What becomes of the request's target.
fn targets(rule: &RouteRule) -> Vec<Line> {
    let mut lines = Vec::new();
    if let Some(redirect) = &rule.redirect {
        lines.push(("redirect".to_owned(), words::redirect(redirect)));
    }
    let own = rule.backends.iter().map(|it| (format!(" for {}", it.service), &it.rewrite));
    for (whom, rewrite) in std::iter::once((String::new(), &rule.rewrite)).chain(own) {
        if !rewrite.is_empty() {
            lines.push(("rewrite".to_owned(), words::rewrite(rewrite) + &whom));
        }
    }
    lines
}

/// The sections of a policy.
pub fn policy(snapshot: &Snapshot, reference: &ObjectRef) -> Option<Vec<Section>> {
    let policy = snapshot.policies.get(reference)?;
    let targets = policy.targets.iter().map(|target| {
        let text = match snapshot.policy_of(&target.service).map(|it| it.reference()) {
            Some(in_force) if in_force == *reference => "in force".to_owned(),
            Some(older) => format!("without effect: {older} is older"),
            None => "without effect".to_owned(),
        };
        (target.service.to_string(), text)
    });
    let mut sections = vec![section("Targets", targets)];
    let settings = compile::settings(Some(policy)).into_iter();
    sections.push(section("Settings", settings.map(|(key, value)| (key.to_owned(), value))));
    Some(sections)
}

/// The section of the mesh-wide settings.
pub fn config(config: &MeshConfig) -> Vec<Section> {
    let sampling = f64::from(config.sampling_ppm) / 10_000.0;
    let lines = [
        ("mtls", config.mtls.as_str().to_owned()),
        ("tracing.sampling", format!("{sampling}%")),
        ("certificates.lifetime", format!("{:?}", config.certificate_lifetime)),
        ("outbound", config.outbound.as_str().to_owned()),
    ];
    vec![section("Settings", lines.map(|(key, value)| (key.to_owned(), value)))]
}

/// The section of a rule's status.
pub fn status(conditions: &[Condition]) -> Section {
    let lines = conditions.iter().map(|it| {
        let reason = if it.reason == it.kind { String::new() } else { format!(" ({})", it.reason) };
        let message =
            if it.message.is_empty() { String::new() } else { format!(": {}", it.message) };
        (it.kind.to_owned(), format!("{}{reason}{message}", it.status))
    });
    section("Status", lines)
}

fn section(heading: &str, lines: impl IntoIterator<Item = Line>) -> Section {
    Section { heading: heading.to_owned(), lines: lines.into_iter().collect() }
}
