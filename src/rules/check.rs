//! What only shows when rules are seen together, and with a mesh: what is missing, what never
//! matches, times that do not fit, two policies for one service, faults that are over.
//!
//! The input is looked at as if it were applied, to an empty mesh or to the one that runs. All of it
//! is warnings, but for a name that workloads have already. Offline a service that no document declares is no problem, because a workload that
//! registers makes its service; only with a mesh can be said what is missing.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use jiff::Timestamp;

use crate::mesh::{Change, FaultPolicy, HttpRoute, Object, ObjectRef, Snapshot, TrafficPolicy};
use crate::names::ServiceName;
use crate::rules::codes::{self, Code};
use crate::rules::problems::MAX_PROBLEMS;
use crate::rules::{Diagnostic, Parsed, ParsedObject, Severity};

mod references;
mod shadowed;
#[cfg(test)]
mod tests;
mod times;

/// Looks at objects together, and at `mesh` with them applied; gives warnings, by object and place,
/// after the one kind of error that there is.
/// Without a mesh services that no object declares are taken to exist.
pub fn cross_check(
    objects: &[ParsedObject],
    mesh: Option<&Snapshot>,
    now: Timestamp,
) -> Vec<Diagnostic> {
    let mut check = Check {
        written: objects.iter().map(|object| (&object.reference, object)).collect(),
        after: applied(objects, mesh),
        is_known: mesh.is_some(),
        // What was before 1970 is over like everything that is.
        now: u64::try_from(now.as_second()).unwrap_or(0),
        found: Vec::new(),
    };
    // First, so that no number of warnings hides an error.
    objects.iter().for_each(|object| check.taken(object));
    let shadowed = shadowed::find(&check);
    for object in objects {
        // One object has a bounded number of references, so this bounds the whole.
        if check.found.len() >= MAX_PROBLEMS {
            break;
        }
        let before = check.found.len();
        match &object.object {
            Object::HttpRoute(route) => {
                check.references(object, route);
                check.found.extend(shadowed.of(object));
                check.times(object, route);
            }
            Object::TrafficPolicy(policy) => check.policy(object, policy),
            Object::FaultPolicy(policy) => check.fault(object, policy),
            Object::Service(_) | Object::MeshConfig(_) => {}
        }
        let of_object = check.found.get_mut(before..).unwrap_or_default();
        of_object.sort_by_key(|it| (it.line, it.column));
    }
    check.found
}

/// The mesh after the input, which is the youngest of all where it is new.
fn applied(objects: &[ParsedObject], mesh: Option<&Snapshot>) -> Snapshot {
    let Some(mesh) = mesh else {
        let trust_domain = "cluster.local".parse().expect("a DNS name is a trust domain");
        let empty = Snapshot::new(trust_domain, Arc::default());
        let change =
            |it: &ParsedObject| Change::Object(it.reference.clone(), Some(it.object.clone()));
        return empty.apply(&objects.iter().map(change).collect::<Vec<_>>());
    };
    let changes: Vec<Change> = objects
        .iter()
        .map(|it| Change::Object(it.reference.clone(), Some(aged(&it.object, mesh))))
        .collect();
    mesh.apply(&changes)
}

/// The object with the age that it has once it is applied to `mesh`: age decides between rules, and
/// what is new there is younger than all.
pub fn aged(object: &Object, mesh: &Snapshot) -> Object {
    match object {
        Object::HttpRoute(new) => {
            let old = mesh.routes.get(&new.reference());
            let created_ms = old.map_or(u64::MAX, |old| old.created_ms);
            Object::HttpRoute(Arc::new(HttpRoute { created_ms, ..HttpRoute::clone(new) }))
        }
        Object::TrafficPolicy(new) => {
            let old = mesh.policies.get(&new.reference());
            let created_ms = old.map_or(u64::MAX, |old| old.created_ms);
            Object::TrafficPolicy(Arc::new(TrafficPolicy {
                created_ms,
                ..TrafficPolicy::clone(new)
            }))
        }
        Object::FaultPolicy(new) => {
            let old = mesh.faults.get(&new.reference());
            let created_ms = old.map_or(u64::MAX, |old| old.created_ms);
            Object::FaultPolicy(Arc::new(FaultPolicy { created_ms, ..FaultPolicy::clone(new) }))
        }
        Object::Service(_) | Object::MeshConfig(_) => object.clone(),
    }
}

/// What is looked at, and what was found.
struct Check<'c> {
    /// The objects of the input.
    written: HashMap<&'c ObjectRef, &'c ParsedObject>,
    /// The mesh with them applied.
    after: Snapshot,
    /// Whether there is a mesh, so that what is not in it is missing.
    is_known: bool,
    /// Seconds since the Unix epoch.
    now: u64,
    found: Vec<Diagnostic>,
}

impl Check<'_> {
    fn warn(&mut self, object: &ParsedObject, code: &Code, field: String, message: String) {
        self.found.push(warning(object, code, field, message));
    }

    /// An object for messages: with its place where it is of the input.
    fn named(&self, reference: &ObjectRef) -> String {
        match self.written.get(reference) {
            Some(object) => format!("`{reference}` at {}:{}", object.file, object.line),
            None => format!("`{reference}` of the mesh"),
        }
    }
}

/// Refuses routes whose parent is a headless service of the same input, as GAMMA says.
pub(super) fn headless_parents(parsed: &mut Parsed) {
    let headless: BTreeSet<&ServiceName> = parsed
        .objects
        .iter()
        .filter_map(|object| match &object.object {
            Object::Service(service) if service.headless => Some(&service.name),
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
        file: object.file.to_string(),
        line: at.line,
        column: at.column,
        field,
        help: code.help.to_owned(),
        missing: String::new(),
    }
}
