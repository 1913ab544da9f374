//! Through the table of a service: the rule, the faults, the backends, and what becomes of each part.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;

use super::{Live, Model};
use crate::explain::answers::{Answers, rounded};
use crate::explain::explanation::{
    Asked, BackendView, Destination, Explanation, FaultView, RouteView, SettingView, Skipped,
};
use crate::explain::pools;
use crate::names::ServiceName;
use crate::proxy::balance::Affinity;
use crate::proxy::decide::{Decision, Refusal};
use crate::proxy::fault::{Entry, Injected};
use crate::proxy::head::Head;
use crate::proxy::outbound::route::to_backend;
use crate::proxy::redirect;
use crate::proxy::service::{Backend, Mismatch, PortTable, Rule, ServiceTable};
use crate::resource::words::{self, edits, is_of_calls};
use crate::resource::{
    ClusterPolicy, Key, PARTS_PER_MILLION, Resource, Retry, RouteMatch, ServicePort, Timeouts,
};
use crate::telemetry::reason::Reason;

/// What the ways through a table have in common.
type Scene<'a> = (&'a Model, &'a Live, u64);

/// What becomes of a request to `port` of a service.
pub(super) fn through(
    (model, live, now): Scene<'_>,
    (table, port): (&ServiceTable, u16),
    head: &impl Head,
    (asked, destination): (Asked, Destination),
) -> Explanation {
    let Some(found) = table.port(port) else {
        let why = format!("the service has no port {port}");
        let answers = Answers::refused(&asked, &Reason::NoRoute.into(), why);
        return answers.into_explanation(asked, destination);
    };
    if found.is_in_doubt(head) {
        let why = "rules look at paths, and servers may read this one in two ways".to_owned();
        let answers = Answers::refused(&asked, &Reason::BadRequest.into(), why);
        return answers.into_explanation(asked, destination);
    }
    let resource = resource(model, &table.name, port);
    let (view, rule) = route(found, resource, head);
    let Some(rule) = rule else {
        let why = "no rule of its routes fits the request".to_owned();
        let answers = Answers::refused(&asked, &Reason::NoRoute.into(), why);
        let explanation = answers.into_explanation(asked, destination);
        return Explanation { route: Some(view), ..explanation };
    };
    if let Some(to) = &rule.redirect {
        let refusal = redirect::refusal(table, rule, to, head, port);
        let answers =
            Answers::refused(&asked, &refusal, "the rule sends the client elsewhere".to_owned());
        let explanation = answers.into_explanation(asked, destination);
        return Explanation { route: Some(view), ..explanation };
    }
    let entries = found.faults.fitting(head, now);
    let mut answers = Answers::to(&asked);
    let backends = backends((model, live, now), (table, rule), head, (&entries, &mut answers));
    let faults = faults(&entries);
    let explanation = answers.into_explanation(asked, destination);
    Explanation {
        route: Some(view),
        faults,
        settings: of_calls(live, &table.name, rule),
        backends,
        ..explanation
    }
}

/// The port as the control plane described it, for what the table does not keep.
fn resource<'m>(model: &'m Model, name: &ServiceName, port: u16) -> Option<&'m ServicePort> {
    let own = Key::service_for(name, &model.proxy().namespace);
    let found = model.resource(&own).or_else(|| model.resource(&Key::service(name)));
    match found {
        Some(Resource::Service(service)) => service.ports.iter().find(|it| it.port == port),
        _ => None,
    }
}

/// The rule that the request falls under, with what was tried before.
fn route<'t>(
    table: &'t PortTable,
    resource: Option<&ServicePort>,
    head: &impl Head,
) -> (RouteView, Option<&'t Arc<Rule>>) {
    let written = |at: usize| resource.and_then(|port| port.matches.get(at)).map(conditions);
    let mut skipped = Vec::new();
    let mut hit = None;
    for (at, (rule, mismatch)) in table.trail(head).enumerate() {
        match mismatch {
            None => {
                hit = Some(at);
                break;
            }
            Some(mismatch) => skipped.push(Skipped {
                rule: rule.id.to_string(),
                matched: written(at).unwrap_or_default(),
                why: differs(mismatch, head),
            }),
        }
    }
    let rule = table.route(head);
    let view = RouteView {
        rule: rule.map(|rule| rule.id.to_string()),
        implicit: rule.is_some_and(|rule| rule.id.0.starts_with("default/")),
        matched: hit.and_then(written),
        position: hit.map_or(0, |at| at + 1),
        matches: table.trail(head).count(),
        skipped,
        changes: rule.map(|rule| changes(rule)).unwrap_or_default(),
    };
    (view, rule)
}

/// The conditions of a match.
pub(super) fn conditions(it: &RouteMatch) -> String {
    words::matched(it.method.as_deref(), &it.path, &it.headers, &it.query)
}

fn differs(mismatch: Mismatch<'_>, head: &impl Head) -> String {
    match mismatch {
        Mismatch::Path => "the path is another".to_owned(),
        Mismatch::Method => format!("the method is {}", head.method()),
        Mismatch::Header(name) => match head.header_joined(name) {
            None => format!("there is no header {name}"),
            Some(value) => format!("the header {name} is `{}`", String::from_utf8_lossy(&value)),
        },
        Mismatch::Query(name) => format!("the query parameter {name} is missing or another"),
    }
}

pub(super) fn changes(rule: &Rule) -> Vec<String> {
    let mut changes = Vec::new();
    changes.extend(rule.redirect.as_ref().map(|to| format!("redirect {}", words::redirect(to))));
    if !rule.rewrite.is_empty() {
        changes.push(format!("rewrite {}", words::rewrite(&rule.rewrite)));
    }
    changes.extend(edits(&rule.request_headers).into_iter().map(|it| format!("request: {it}")));
    changes.extend(edits(&rule.response_headers).into_iter().map(|it| format!("response: {it}")));
    changes
}

/// Times and repetitions, each with who says so: the rule's route, or the policy of the service.
fn of_calls(live: &Live, service: &ServiceName, rule: &Rule) -> Vec<SettingView> {
    let of = |timeouts: &Timeouts, retry: &Retry| {
        let all = words::settings(&ClusterPolicy::default(), timeouts, retry);
        all.into_iter().filter(|(field, _)| is_of_calls(field))
    };
    let policy = live.policies.get(service);
    let defaults = of(&Timeouts::default(), &Retry::default());
    let pairs = of(&rule.timeouts, &rule.retry).zip(defaults);
    pairs
        .map(|((field, value), (_, default))| {
            let by_policy = policy.and_then(|it| it.settings.iter().find(|it| it.0 == field));
            let source = match by_policy {
                Some((_, said)) if *said == value => policy.map(|policy| policy.name.clone()),
                _ => Some(object(&rule.id.0)),
            };
            let is_default = value == default && by_policy.is_none_or(|(_, said)| *said == default);
            SettingView { field, value, source: source.filter(|_| !is_default) }
        })
        .collect()
}

/// The object that a rule stands in, `HTTPRoute/default/reviews`.
fn object(id: &str) -> String {
    id.split('/').take(3).collect::<Vec<_>>().join("/")
}

fn faults(entries: &[&Entry]) -> Vec<FaultView> {
    let effective = entries.iter().position(|entry| !entry.shadow);
    let view = |(at, entry): (usize, &&Entry)| FaultView {
        rule: entry.id.to_string(),
        what: words::fault(entry.delay, entry.abort),
        expires: entry.expires.and_then(|it| Timestamp::from_second(i64::try_from(it).ok()?).ok()),
        effective: effective == Some(at),
    };
    entries.iter().enumerate().map(view).collect()
}

/// Every backend, and what becomes of the requests that go there.
fn backends(
    (model, live, now): Scene<'_>,
    (table, rule): (&ServiceTable, &Arc<Rule>),
    head: &impl Head,
    (faults, answers): (&[&Entry], &mut Answers),
) -> Vec<BackendView> {
    let total: u64 = rule.backends.iter().map(Backend::weight).sum();
    if rule.choose(0).is_none() {
        let why = match rule.backends.is_empty() {
            true => "the rule has no backend",
            false => "the weight of every backend is 0",
        };
        let refusal = Refusal { rule: Some(rule.id.clone()), ..Reason::NoBackend.into() };
        answers.refuse(1.0, &refusal, (None, why.to_owned()));
    }
    let fault = faults.iter().find(|entry| !entry.shadow).copied();
    let mut views = Vec::with_capacity(rule.backends.len());
    for backend in &rule.backends {
        let part = if total == 0 { 0.0 } else { backend.weight() as f64 / total as f64 };
        let to = format!("{}:{}", backend.service, backend.port);
        pools::tell(backend, live, (model.now_ms(), now));
        let source = model.proxy();
        let decided = to_backend(table, rule, backend, |it| Affinity::of(it, head, &source));
        let leads_to = decided.as_ref().ok().and_then(pools::leads_to);
        match decided {
            Err(refusal) => {
                let why = format!(
                    "there is no service `{}` with a port {}",
                    backend.service, backend.port
                );
                answers.refuse(part, &refusal, (Some(to), why));
            }
            Ok(decision) => {
                for (share, decision) in with_fault(decision, fault) {
                    pools::end(part * share, &decision, (model, &to), answers);
                }
            }
        }
        views.push(BackendView {
            service: backend.service.to_string(),
            port: backend.port,
            weight: backend.weight(),
            percent: rounded(part * 100.0),
            exists: backend.cluster.is_some(),
            changes: own_changes(backend),
            leads_to: leads_to.filter(|_| live.running),
            ..pools::view(backend, live)
        });
    }
    views
}

pub(super) fn own_changes(backend: &Backend) -> Vec<String> {
    let mut changes = Vec::new();
    if !backend.rewrite.is_empty() {
        changes.push(format!("rewrite {}", words::rewrite(&backend.rewrite)));
    }
    changes.extend(edits(&backend.request_headers).into_iter().map(|it| format!("request: {it}")));
    changes
        .extend(edits(&backend.response_headers).into_iter().map(|it| format!("response: {it}")));
    changes
}

/// The decision with and without what a fault draws, each with its part.
fn with_fault(decision: Decision, fault: Option<&Entry>) -> Vec<(f64, Decision)> {
    let Some(fault) = fault else { return vec![(1.0, decision)] };
    let share = |ppm: u32| f64::from(ppm) / f64::from(PARTS_PER_MILLION);
    let delays = fault.delay.map_or(vec![(1.0, None)], |it| {
        vec![(share(it.ppm), Some(it.duration)), (1.0 - share(it.ppm), None::<Duration>)]
    });
    let aborts = fault.abort.map_or(vec![(1.0, None)], |it| {
        vec![(share(it.ppm), Some(it.how)), (1.0 - share(it.ppm), None)]
    });
    let mut all = Vec::new();
    for (delayed, delay) in delays {
        for (aborted, abort) in &aborts {
            let injected = Injected { id: fault.id.clone(), delay, abort: *abort };
            let drawn = delay.is_some() || abort.is_some();
            let fault = drawn.then(|| Box::new(injected));
            all.push((delayed * aborted, Decision { fault, ..decision.clone() }));
        }
    }
    all
}
