//! `HTTPRoute` with a Service as parent (GAMMA): parents, rules, backends, timeouts.
//!
//! The bounds on lists are those of the Gateway API. What a route says and this version does not
//! do is refused; only `hostnames` are ignored, with a warning, because the specification demands
//! it of mesh routes.

use std::collections::HashMap;
use std::time::Duration;

use crate::mesh::{BackendRef, HttpRoute, Parent, RouteMatch, RouteRetry, RouteRule};
use crate::names::{Namespace, ObjectName, RuleId, ServiceLabel, ServiceName};
use crate::resource::PathMatch;
use crate::rules::at::{At, Fields, Shape};
use crate::rules::codes;
use crate::rules::document::Meta;
use crate::rules::policy::retry as policy;
use crate::rules::problems::Problems;
use crate::rules::values;

mod filters;
pub(super) mod matches;
mod url;

use filters::{Filters, Place};
use url::Front;

const MAX_PARENTS: usize = 32;
const MAX_RULES: usize = 16;
const MAX_MATCHES: usize = 64;
const MAX_BACKENDS: usize = 16;
const MAX_WEIGHT: u64 = 1_000_000;

const SPEC: Shape =
    Shape { known: &["parentRefs", "hostnames", "rules"], later: &["useDefaultGateways"] };
const PARENT: Shape =
    Shape { known: &["group", "kind", "namespace", "name", "port", "sectionName"], later: &[] };
const RULE: Shape = Shape {
    known: &["name", "matches", "filters", "backendRefs", "timeouts", "retry"],
    later: &["sessionPersistence"],
};
const BACKEND: Shape = Shape {
    known: &["group", "kind", "namespace", "name", "port", "weight", "filters"],
    later: &[],
};
const RETRY: Shape = Shape { known: &["codes", "attempts", "backoff"], later: &[] };
const TIMEOUTS: Shape = Shape { known: &["request", "backendRequest"], later: &[] };

/// Reads the `spec` of a route.
pub(super) fn read<'a>(
    spec: &'a At<'a>,
    meta: &Meta,
    problems: &mut Problems<'_>,
) -> Option<HttpRoute> {
    let fields = spec.fields(problems, &SPEC)?;
    let parents = fields.need(problems, "parentRefs").map(|at| parents(&at, meta, problems));
    if let Some(at) = fields.get("hostnames") {
        let message = "`hostnames` are ignored on a route whose parent is a service";
        at.warning(problems, codes::IGNORED_HOSTNAMES, message.to_owned());
        for host in at.items(problems, 0, MAX_RULES) {
            host.bounded_text(problems, 1, 253);
        }
    }
    let rules = fields.need(problems, "rules").map(|at| rules(&at, meta, problems));
    Some(HttpRoute {
        namespace: meta.namespace.clone(),
        name: meta.name.clone(),
        generation: meta.generation,
        created_ms: meta.created_ms,
        parents: parents?,
        rules: rules?,
    })
}

fn parents<'a>(at: &'a At<'a>, meta: &Meta, problems: &mut Problems<'_>) -> Vec<Parent> {
    let mut parents: Vec<Parent> = Vec::new();
    for item in at.items(problems, 1, MAX_PARENTS) {
        let Some(parent) = parent(&item, meta, problems) else { continue };
        if parents.contains(&parent) {
            let message = format!("parent `{}` stands twice", parent.service);
            item.error(problems, codes::DUPLICATE_ITEM, message);
        }
        parents.push(parent);
    }
    parents
}

fn parent<'a>(at: &'a At<'a>, meta: &Meta, problems: &mut Problems<'_>) -> Option<Parent> {
    let fields = at.fields(problems, &PARENT)?;
    // The standard's default is a Gateway, so a parent that is a service must say so.
    let kind = match fields.get("kind") {
        Some(at) => service_kind(&at, problems),
        None => {
            let message = "missing field `kind`: without it a parent is a Gateway".to_owned();
            at.error_with(problems, codes::MISSING_FIELD, message, "add `kind: Service` here");
            None
        }
    };
    let group = match (kind, fields.get("group")) {
        (Some(()), Some(at)) => at.word(problems, GROUPS, &["gateway.networking.k8s.io"]),
        _ => kind,
    };
    let service = service(&fields, meta, problems);
    let port = match fields.get("port") {
        Some(at) => Some(values::port(&at, problems)?),
        None => None,
    };
    let section = match fields.get("sectionName") {
        Some(at) => Some(values::name::<ObjectName>(&at, problems)?.to_string()),
        None => None,
    };
    group?;
    Some(Parent { service: service?, port, section })
}

/// The core group, in the two ways that the standard writes it.
const GROUPS: &[(&str, ())] = &[("", ()), ("core", ())];

fn service_kind(at: &At<'_>, problems: &mut Problems<'_>) -> Option<()> {
    at.word(problems, &[("Service", ())], &["Gateway", "ServiceImport", "ListenerSet"])
}

/// The service that `namespace` and `name` mean.
fn service(fields: &Fields<'_>, meta: &Meta, problems: &mut Problems<'_>) -> Option<ServiceName> {
    let namespace = match fields.get("namespace") {
        Some(at) => values::name::<Namespace>(&at, problems),
        None => Some(meta.namespace.clone()),
    };
    let name = fields.need(problems, "name");
    let name = name.and_then(|at| values::name::<ServiceLabel>(&at, problems));
    Some(ServiceName::new(namespace?, name?))
}

fn rules<'a>(at: &'a At<'a>, meta: &Meta, problems: &mut Problems<'_>) -> Vec<RouteRule> {
    // The last part of each id, and whether it is a name.
    let mut words = HashMap::new();
    let mut rules = Vec::new();
    for (index, item) in at.items(problems, 1, MAX_RULES).iter().enumerate() {
        let Some(fields) = item.fields(problems, &RULE) else { continue };
        let name = fields.get("name");
        let name_at = name;
        let name: Option<ObjectName> = name.and_then(|at| values::name(&at, problems));
        let is_name = name.is_some();
        let word = name.map_or_else(|| index.to_string(), |name| name.to_string());
        let what = match words.insert(word.clone(), is_name) {
            None => None,
            Some(true) if is_name => Some(format!("rule name `{word}` stands twice")),
            Some(_) => Some(format!(
                "`{word}` is the name of one rule and the index of another, which has none: both would have the same id"
            )),
        };
        if let Some(message) = what {
            name_at.unwrap_or(*item).error(problems, codes::DUPLICATE_ITEM, message);
        }
        let id = format!("HTTPRoute/{}/{}/{word}", meta.namespace, meta.name);
        rules.push(rule(item, &fields, RuleId(id.into()), meta, problems));
    }
    rules
}

fn rule(
    at: &At<'_>,
    fields: &Fields<'_>,
    id: RuleId,
    meta: &Meta,
    problems: &mut Problems<'_>,
) -> RouteRule {
    let mut alternatives = Vec::new();
    let before = problems.errors();
    if let Some(at) = fields.get("matches") {
        for item in at.items(problems, 0, MAX_MATCHES) {
            alternatives.extend(matches::read(&item, problems));
        }
    }
    if alternatives.is_empty() {
        alternatives.push(everything());
    }
    let front = match problems.errors() == before {
        true => Front::of(&alternatives),
        false => Front::Unreadable,
    };
    let before = problems.errors();
    let filters = match fields.get("filters") {
        Some(at) => filters::read(&at, Place::Rule, &front, problems),
        None => Filters::default(),
    };
    let backends = backends(fields, &front, meta, problems);
    if filters.redirect.is_some() {
        if let Some(at) = fields.get("backendRefs").filter(|_| !backends.is_empty()) {
            let message = "who is redirected goes to no backend".to_owned();
            let help = "take `backendRefs` away, or the `RequestRedirect`";
            at.error_with(problems, codes::CONTRADICTION, message, help);
        }
    } else if problems.errors() == before && backends.iter().all(|backend| backend.weight == 0) {
        let why = if backends.is_empty() { "no backend" } else { "all weights 0" };
        let message = format!("the rule leads nowhere ({why}): requests get 500");
        fields.get("backendRefs").unwrap_or(*at).warning(problems, codes::NO_WEIGHT, message);
    }
    let timeouts = fields.get("timeouts").map(|at| timeouts(&at, problems)).unwrap_or_default();
    RouteRule {
        id,
        matches: alternatives,
        request_headers: filters.request,
        response_headers: filters.response,
        redirect: filters.redirect,
        rewrite: filters.rewrite,
        backends,
        request_timeout: timeouts.request,
        backend_request_timeout: timeouts.backend,
        retry: fields.get("retry").and_then(|at| retry(&at, problems)),
    }
}

/// What a rule without matches matches.
fn everything() -> RouteMatch {
    let path = PathMatch::Prefix("/".to_owned());
    RouteMatch { path, method: None, headers: Vec::new(), query: Vec::new() }
}

fn backends(
    fields: &Fields<'_>,
    front: &Front,
    meta: &Meta,
    problems: &mut Problems<'_>,
) -> Vec<BackendRef> {
    let Some(at) = fields.get("backendRefs") else { return Vec::new() };
    let items = at.items(problems, 0, MAX_BACKENDS);
    items.iter().filter_map(|item| backend(item, front, meta, problems)).collect()
}

fn backend<'a>(
    at: &'a At<'a>,
    front: &Front,
    meta: &Meta,
    problems: &mut Problems<'_>,
) -> Option<BackendRef> {
    let fields = at.fields(problems, &BACKEND)?;
    let kind = fields.get("kind").map_or(Some(()), |at| service_kind(&at, problems));
    let group = fields.get("group").map_or(Some(()), |at| at.word(problems, GROUPS, &[]));
    let service = service(&fields, meta, problems);
    let port = fields.need(problems, "port").and_then(|at| values::port(&at, problems));
    let weight = match fields.get("weight") {
        Some(at) => values::whole(&at, problems, codes::BAD_NUMBER, 0, MAX_WEIGHT),
        None => Some(1),
    };
    let filters = match fields.get("filters") {
        Some(at) => filters::read(&at, Place::Backend, front, problems),
        None => Filters::default(),
    };
    kind.and(group)?;
    Some(BackendRef {
        service: service?,
        port: port?,
        weight: u32::try_from(weight?).ok()?,
        request_headers: filters.request,
        response_headers: filters.response,
        rewrite: filters.rewrite,
    })
}

#[derive(Default)]
struct Timeouts {
    request: Option<Option<Duration>>,
    backend: Option<Option<Duration>>,
}

fn timeouts<'a>(at: &'a At<'a>, problems: &mut Problems<'_>) -> Timeouts {
    let Some(fields) = at.fields(problems, &TIMEOUTS) else { return Timeouts::default() };
    let request = fields.get("request").and_then(|at| values::duration(&at, problems));
    let backend_at = fields.get("backendRequest");
    let backend = backend_at.and_then(|at| values::duration(&at, problems));
    // Zero is "no limit" in the Gateway API.
    let some = |limit: Duration| (!limit.is_zero()).then_some(limit);
    if let (Some(request), Some(one), Some(at)) = (request.and_then(some), backend, backend_at)
        && one > request
    {
        let message = format!(
            "`backendRequest` ({}) is longer than `request` ({})",
            values::show(one),
            values::show(request)
        );
        at.error(problems, codes::CONTRADICTION, message);
    }
    Timeouts { request: request.map(some), backend: backend.map(some) }
}

/// `retry` (GEP-1731). Zero attempts are none, zero wait is none.
fn retry<'a>(at: &'a At<'a>, problems: &mut Problems<'_>) -> Option<RouteRetry> {
    let fields = at.fields(problems, &RETRY)?;
    let attempts = fields.get("attempts").and_then(|at| {
        values::whole(&at, problems, codes::BAD_NUMBER, 0, policy::MAX_ATTEMPTS.into())
    });
    Some(RouteRetry {
        codes: fields.get("codes").map(|at| policy::status_codes(&at, true, problems)),
        attempts: attempts.and_then(|attempts| u32::try_from(attempts).ok()),
        backoff: fields.get("backoff").and_then(|at| values::duration(&at, problems)),
    })
}
