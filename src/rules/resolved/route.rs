//! The `spec` of an `HTTPRoute`, every reference with its kind and namespace, every match with its type.

use serde_json::{Map, Value as Json, json};

use super::put;
use crate::mesh::{BackendRef, HttpRoute, Parent, RouteMatch, RouteRetry, RouteRule};
use crate::names::ServiceName;
use crate::resource::{
    Field, FieldMatch, HeaderEdit, PathEdit, PathMatch, Redirect, Rewrite, ValueMatch,
};
use crate::rules::values::show;

pub(super) fn spec(route: &HttpRoute) -> Map<String, Json> {
    let rules = route.rules.iter().enumerate();
    let mut spec = Map::new();
    put(&mut spec, "parentRefs", route.parents.iter().map(parent).collect::<Vec<_>>());
    put(&mut spec, "rules", rules.map(|(index, it)| rule(index, it)).collect::<Vec<_>>());
    spec
}

fn parent(parent: &Parent) -> Json {
    let mut fields = reference(&parent.service);
    if let Some(port) = parent.port {
        put(&mut fields, "port", port);
    }
    if let Some(section) = &parent.section {
        put(&mut fields, "sectionName", section.as_str());
    }
    Json::Object(fields)
}

fn reference(service: &ServiceName) -> Map<String, Json> {
    let mut fields = Map::new();
    put(&mut fields, "group", "");
    put(&mut fields, "kind", "Service");
    put(&mut fields, "namespace", service.namespace.as_str());
    put(&mut fields, "name", service.name.as_str());
    fields
}

fn rule(index: usize, rule: &RouteRule) -> Json {
    let mut fields = Map::new();
    // The last part of the id is the rule's name, or its index where it has none.
    let id = rule.id.to_string();
    let name = id.rsplit('/').next().filter(|name| *name != index.to_string());
    if let Some(name) = name {
        put(&mut fields, "name", name);
    }
    put(&mut fields, "matches", rule.matches.iter().map(conditions).collect::<Vec<_>>());
    let mut filters = filters(&rule.request_headers, &rule.response_headers, &rule.rewrite);
    filters.extend(rule.redirect.as_ref().map(redirect));
    if !filters.is_empty() {
        put(&mut fields, "filters", filters);
    }
    put(&mut fields, "backendRefs", rule.backends.iter().map(backend).collect::<Vec<_>>());
    let mut timeouts = Map::new();
    // Left out the service's policy holds; zero is no limit.
    if let Some(request) = rule.request_timeout {
        put(&mut timeouts, "request", show(request.unwrap_or_default()));
    }
    if let Some(one) = rule.backend_request_timeout {
        put(&mut timeouts, "backendRequest", show(one.unwrap_or_default()));
    }
    if !timeouts.is_empty() {
        put(&mut fields, "timeouts", timeouts);
    }
    if let Some(retry) = &rule.retry {
        put(&mut fields, "retry", self::retry(retry));
    }
    Json::Object(fields)
}

/// Left out the service's policy holds.
fn retry(retry: &RouteRetry) -> Map<String, Json> {
    let mut fields = Map::new();
    if let Some(codes) = &retry.codes {
        put(&mut fields, "codes", codes.clone());
    }
    if let Some(attempts) = retry.attempts {
        put(&mut fields, "attempts", attempts);
    }
    if let Some(backoff) = retry.backoff {
        put(&mut fields, "backoff", show(backoff));
    }
    fields
}

fn backend(backend: &BackendRef) -> Json {
    let mut fields = reference(&backend.service);
    put(&mut fields, "port", backend.port);
    put(&mut fields, "weight", backend.weight);
    let filters = filters(&backend.request_headers, &backend.response_headers, &backend.rewrite);
    if !filters.is_empty() {
        put(&mut fields, "filters", filters);
    }
    Json::Object(fields)
}

pub(super) fn conditions(one: &RouteMatch) -> Json {
    let (kind, value) = match &one.path {
        PathMatch::Exact(value) => ("Exact", value),
        PathMatch::Prefix(value) => ("PathPrefix", value),
        PathMatch::Regex(value) => ("RegularExpression", value),
    };
    let mut fields = Map::new();
    put(&mut fields, "path", json!({"type": kind, "value": value}));
    if let Some(method) = &one.method {
        put(&mut fields, "method", method.as_str());
    }
    for (key, conditions) in [("headers", &one.headers), ("queryParams", &one.query)] {
        if !conditions.is_empty() {
            put(&mut fields, key, conditions.iter().map(condition).collect::<Vec<_>>());
        }
    }
    Json::Object(fields)
}

fn condition(condition: &FieldMatch) -> Json {
    let (kind, value) = match &condition.value {
        ValueMatch::Exact(value) => ("Exact", value),
        ValueMatch::Regex(value) => ("RegularExpression", value),
    };
    json!({"type": kind, "name": condition.name, "value": value})
}

fn filters(request: &HeaderEdit, response: &HeaderEdit, rewrite: &Rewrite) -> Vec<Json> {
    let filter = |edit: &HeaderEdit, kind, key: &str| {
        let mut fields = Map::new();
        put(&mut fields, "type", kind);
        put(&mut fields, key, changes(edit));
        (!edit.is_empty()).then_some(Json::Object(fields))
    };
    let request = filter(request, "RequestHeaderModifier", "requestHeaderModifier");
    let response = filter(response, "ResponseHeaderModifier", "responseHeaderModifier");
    let rewrite = (!rewrite.is_empty()).then(|| {
        let mut fields = Map::new();
        target(&mut fields, rewrite.hostname.as_deref(), rewrite.path.as_ref());
        json!({"type": "URLRewrite", "urlRewrite": fields})
    });
    request.into_iter().chain(response).chain(rewrite).collect()
}

fn redirect(redirect: &Redirect) -> Json {
    let mut fields = Map::new();
    if let Some(scheme) = redirect.scheme {
        put(&mut fields, "scheme", scheme.as_str());
    }
    target(&mut fields, redirect.hostname.as_deref(), redirect.path.as_ref());
    if let Some(port) = redirect.port {
        put(&mut fields, "port", port);
    }
    put(&mut fields, "statusCode", redirect.status);
    json!({"type": "RequestRedirect", "requestRedirect": fields})
}

/// What redirects and rewriting have in common.
fn target(fields: &mut Map<String, Json>, hostname: Option<&str>, path: Option<&PathEdit>) {
    if let Some(hostname) = hostname {
        put(fields, "hostname", hostname);
    }
    let path = path.map(|path| match path {
        PathEdit::Full(full) => json!({"type": "ReplaceFullPath", "replaceFullPath": full}),
        PathEdit::Prefix { replacement, .. } => {
            json!({"type": "ReplacePrefixMatch", "replacePrefixMatch": replacement})
        }
    });
    if let Some(path) = path {
        put(fields, "path", path);
    }
}

fn changes(edit: &HeaderEdit) -> Map<String, Json> {
    let field = |field: &Field| json!({"name": field.name, "value": field.value});
    let mut fields = Map::new();
    for (key, list) in [("set", &edit.set), ("add", &edit.add)] {
        if !list.is_empty() {
            put(&mut fields, key, list.iter().map(field).collect::<Vec<_>>());
        }
    }
    if !edit.remove.is_empty() {
        put(&mut fields, "remove", edit.remove.clone());
    }
    fields
}
