//! What the status of a route says about each of its parents (Gateway API `RouteParentStatus`).
//!
//! The references are taken from the document, so that they stand in the status as in the spec, also
//! where the route cannot be read.

use serde_json::Value;

use super::{Condition, Judge, Verdict, condition};
use crate::mesh::{HttpRoute, ObjectRef, Parent};
use crate::names::ServiceName;

/// One parent that is the mesh's, and what holds of the route there.
#[derive(Debug, Clone, PartialEq)]
pub struct ParentStatus {
    /// The `parentRef` of the spec.
    pub parent: Value,
    /// `Accepted`, `ResolvedRefs` and `Programmed`.
    pub conditions: Vec<Condition>,
}

impl Judge<'_> {
    /// What is to be said of the route in `document`; nothing of parents that are no services.
    pub fn parents(
        &self,
        rule: &ObjectRef,
        document: &Value,
        generation: u64,
    ) -> Vec<ParentStatus> {
        let spec = &document["spec"];
        let parents = spec["parentRefs"].as_array().map(Vec::as_slice).unwrap_or_default();
        let parents = parents.iter().filter(|parent| is_service(parent, ""));
        let resolved = match self.snapshot.routes.get(rule) {
            Some(route) => self.resolved(route),
            None => unread(spec),
        };
        let progress = self.progress(rule, generation);
        let status = |parent: &Value| ParentStatus {
            parent: parent.clone(),
            conditions: vec![
                condition("Accepted", self.accepted_by(rule, parent), generation),
                condition("ResolvedRefs", resolved.clone(), generation),
                condition("Programmed", progress.clone(), generation),
            ],
        };
        parents.map(status).collect()
    }

    fn accepted_by(&self, rule: &ObjectRef, reference: &Value) -> Verdict {
        if let Some(why) = self.unreadable.get(rule) {
            return ("False", "UnsupportedValue", why.clone());
        }
        let fault = match parent(rule, reference) {
            Some(parent) => self.parent_fault(&parent),
            None => Some("the name of no service".to_owned()),
        };
        let route: Option<&HttpRoute> = self.snapshot.routes.get(rule).map(|route| &**route);
        match (fault, route) {
            (Some(fault), _) => ("False", "NoMatchingParent", fault),
            (None, Some(_)) => ("True", "Accepted", String::new()),
            (None, None) => ("Unknown", "Pending", "it has not been read yet".to_owned()),
        }
    }
}

/// What can be said of the references of a route that cannot be read.
fn unread(spec: &Value) -> Verdict {
    let rules = spec["rules"].as_array().into_iter().flatten();
    let backends = rules.flat_map(|rule| rule["backendRefs"].as_array().into_iter().flatten());
    let foreign: Vec<_> = backends
        .filter(|backend| !is_service(backend, "Service"))
        .map(|backend| format!("`{}`", backend["kind"].as_str().unwrap_or_default()))
        .collect();
    match foreign.is_empty() {
        true => ("Unknown", "Pending", "the route cannot be read".to_owned()),
        false => {
            let message = format!("a backend is a Service, not {}", foreign.join(", "));
            ("False", "InvalidKind", message)
        }
    }
}

/// Whether a reference names a Service of the core group; `default` is the kind of one without.
fn is_service(reference: &Value, default: &str) -> bool {
    let kind = reference["kind"].as_str().unwrap_or(default);
    kind == "Service" && matches!(reference["group"].as_str(), None | Some("" | "core"))
}

fn parent(rule: &ObjectRef, reference: &Value) -> Option<Parent> {
    let namespace = match reference["namespace"].as_str() {
        Some(namespace) => namespace.parse().ok()?,
        None => rule.namespace.clone(),
    };
    let service = ServiceName::new(namespace, reference["name"].as_str()?.parse().ok()?);
    let port = reference["port"].as_u64().and_then(|port| u16::try_from(port).ok());
    let section = reference["sectionName"].as_str().map(str::to_owned);
    Some(Parent { service, port, section })
}
