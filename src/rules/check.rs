//! What only shows when objects are seen together: missing backends and ports, headless parents,
//! two policies for one service.
//!
//! Offline a service that no document declares is no problem, because a workload that registers
//! makes its service; only the caller who knows the mesh can say what is missing.

use std::collections::{BTreeMap, BTreeSet};

use crate::mesh::{HttpRoute, Object, Service};
use crate::names::ServiceName;
use crate::rules::codes::{self, Code};
use crate::rules::problems::MAX_PROBLEMS;
use crate::rules::{Diagnostic, Parsed, ParsedObject, Severity, service};

/// Compares objects with one another; gives warnings. `exists` says whether the mesh has a service
/// that no object declares; without it such services are taken to exist.
pub fn cross_check(
    objects: &[ParsedObject],
    exists: Option<&dyn Fn(&ServiceName) -> bool>,
) -> Vec<Diagnostic> {
    let mut declared: BTreeMap<&ServiceName, &Service> = BTreeMap::new();
    for object in objects {
        if let Object::Service(service) = &object.object {
            declared.insert(&service.name, service);
        }
    }
    let mut found = Vec::new();
    let mut policies: BTreeMap<&ServiceName, &ParsedObject> = BTreeMap::new();
    for object in objects {
        // One object has a bounded number of references, so this bounds the whole.
        if found.len() >= MAX_PROBLEMS {
            break;
        }
        match &object.object {
            Object::HttpRoute(route) => {
                references(object, route, &declared, exists, &mut found);
            }
            Object::TrafficPolicy(policy) => {
                for (index, target) in policy.targets.iter().enumerate() {
                    if let Some(first) = policies.get(&target.service) {
                        let message = format!(
                            "service `{}` has a policy already: `{}` at {}:{}",
                            target.service, first.reference, first.file, first.line
                        );
                        let field = format!("spec.targetRefs[{index}]");
                        found.push(warning(object, codes::SAME_TARGET, field, message));
                    } else {
                        policies.insert(&target.service, object);
                    }
                }
            }
            // Several about one service are tried in turn.
            Object::Service(_) | Object::FaultPolicy(_) | Object::MeshConfig(_) => {}
        }
    }
    found
}

/// What a route refers to and is not there.
fn references(
    object: &ParsedObject,
    route: &HttpRoute,
    declared: &BTreeMap<&ServiceName, &Service>,
    exists: Option<&dyn Fn(&ServiceName) -> bool>,
    found: &mut Vec<Diagnostic>,
) {
    let has_port = |service: &Service, port| service.ports.iter().any(|p| p.port == port);
    for (index, parent) in route.parents.iter().enumerate() {
        let Some(service) = declared.get(&parent.service) else { continue };
        if parent.is_whole() || service.ports.iter().any(|port| parent.selects(port)) {
            continue;
        }
        let (field, what) = match (parent.port, &parent.section) {
            (Some(port), None) => ("port", format!("{port}")),
            (Some(port), Some(name)) => ("port", format!("{port} of the name `{name}`")),
            (None, name) => {
                ("sectionName", format!("of the name `{}`", name.as_deref().unwrap_or_default()))
            }
        };
        let message = format!("parent `{}` has no port {what}", parent.service);
        let field = format!("spec.parentRefs[{index}].{field}");
        found.push(warning(object, codes::MISSING_PORT, field, message));
    }
    for (rule_index, rule) in route.rules.iter().enumerate() {
        for (index, backend) in rule.backends.iter().enumerate() {
            let name = &backend.service;
            let fault = match declared.get(name) {
                Some(service) if has_port(service, backend.port) => continue,
                Some(_) => format!("service `{name}` has no port {}", backend.port),
                None if exists.is_none_or(|exists| exists(name)) => continue,
                None => format!("there is no service `{name}`"),
            };
            let message = format!("{fault}: its share of requests gets 500");
            let field = format!("spec.rules[{rule_index}].backendRefs[{index}]");
            found.push(warning(object, codes::MISSING_BACKEND, field, message));
        }
    }
}

/// Refuses routes whose parent is a headless service of the same input, as GAMMA says.
pub(super) fn headless_parents(parsed: &mut Parsed) {
    let headless: BTreeSet<&ServiceName> = parsed
        .objects
        .iter()
        .filter(|object| service::is_headless(&object.source))
        .filter_map(|object| match &object.object {
            Object::Service(service) => Some(&service.name),
            _ => None,
        })
        .collect();
    if headless.is_empty() {
        return;
    }
    let mut found = Vec::new();
    for object in &parsed.objects {
        let Object::HttpRoute(route) = &object.object else { continue };
        for (index, parent) in route.parents.iter().enumerate() {
            if found.len() < MAX_PROBLEMS && headless.contains(&parent.service) {
                let message = format!("parent `{}` is headless", parent.service);
                let field = format!("spec.parentRefs[{index}]");
                let mut diagnostic = warning(object, codes::HEADLESS_PARENT, field, message);
                diagnostic.severity = Severity::Error;
                found.push(diagnostic);
            }
        }
    }
    parsed.diagnostics.extend(found);
}

/// A warning at a field of an object's document.
fn warning(object: &ParsedObject, code: &Code, field: String, message: String) -> Diagnostic {
    let at = object.positions.get(&field);
    Diagnostic {
        severity: Severity::Warning,
        code: code.code.to_owned(),
        message,
        file: object.file.clone(),
        line: at.line,
        column: at.column,
        field,
        help: code.help.to_owned(),
    }
}
