//! Routes of a service (GAMMA, GEP-1294): `HTTPRoute` with a Service as parent, resolved.

use std::time::Duration;

use crate::mesh::{ObjectKind, ObjectRef, RouteRetry, ServicePort};
use crate::names::{Namespace, ObjectName, RuleId, ServiceName};
use crate::resource::{FieldMatch, HeaderEdit, PathMatch, Redirect, Rewrite};

/// One route. A producer route stands in the namespace of its parent and holds for every caller;
/// a consumer route stands elsewhere, holds for callers of its own namespace, and replaces there
/// what the producer wrote.
#[derive(Debug, Clone, PartialEq)]
pub struct HttpRoute {
    /// Its namespace.
    pub namespace: Namespace,
    /// Its name.
    pub name: ObjectName,
    /// Goes up with each change of the spec; 1 when new.
    pub generation: u64,
    /// When it was first applied, milliseconds since the Unix epoch: the older route wins a tie.
    pub created_ms: u64,
    /// The services that it is about.
    pub parents: Vec<Parent>,
    /// In the order written.
    pub rules: Vec<RouteRule>,
}

impl HttpRoute {
    /// What it is called.
    pub fn reference(&self) -> ObjectRef {
        ObjectRef {
            kind: ObjectKind::HttpRoute,
            namespace: self.namespace.clone(),
            name: self.name.clone(),
        }
    }

    /// Whether it is about `port` of `service`.
    pub fn is_attached_to(&self, service: &ServiceName, port: &ServicePort) -> bool {
        self.parents.iter().any(|parent| parent.service == *service && parent.selects(port))
    }
}

/// A service that a route is attached to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Parent {
    /// The service.
    pub service: ServiceName,
    /// One port of it, or all.
    pub port: Option<u16>,
    /// The port of that name (`sectionName`), or all. With `port` both must hold.
    pub section: Option<String>,
}

impl Parent {
    /// Whether it is about that port of its service.
    pub fn selects(&self, port: &ServicePort) -> bool {
        self.port.is_none_or(|number| number == port.port)
            && self.section.as_ref().is_none_or(|name| *name == port.name)
    }

    /// Whether it is about all ports of its service, whichever there are.
    pub fn is_whole(&self) -> bool {
        self.port.is_none() && self.section.is_none()
    }
}

/// One rule of a route.
#[derive(Debug, Clone, PartialEq)]
pub struct RouteRule {
    /// `HTTPRoute/namespace/name/RULE`, where RULE is the rule's name or its index.
    pub id: RuleId,
    /// Alternatives; never empty (none written means every path).
    pub matches: Vec<RouteMatch>,
    /// Changes to the request's header.
    pub request_headers: HeaderEdit,
    /// Changes to the response's header.
    pub response_headers: HeaderEdit,
    /// The client is sent elsewhere; no backend then.
    pub redirect: Option<Redirect>,
    /// Changes to the request's target.
    pub rewrite: Rewrite,
    /// Where it goes.
    pub backends: Vec<BackendRef>,
    /// `timeouts.request`: `None` was not said (the service's policy holds), `Some(None)` is "0s",
    /// no limit.
    pub request_timeout: Option<Option<Duration>>,
    /// `timeouts.backendRequest`, likewise.
    pub backend_request_timeout: Option<Option<Duration>>,
    /// `retry`; `None` was not said (the service's policy holds).
    pub retry: Option<RouteRetry>,
}

/// One conjunction of conditions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RouteMatch {
    /// On the path.
    pub path: PathMatch,
    /// On the method.
    pub method: Option<String>,
    /// On header fields, names lower case.
    pub headers: Vec<FieldMatch>,
    /// On query parameters.
    pub query: Vec<FieldMatch>,
}

/// One destination.
#[derive(Debug, Clone, PartialEq)]
pub struct BackendRef {
    /// The service.
    pub service: ServiceName,
    /// Its port.
    pub port: u16,
    /// Its share; 1 where not said.
    pub weight: u32,
    /// Changes to the request's header for this backend only.
    pub request_headers: HeaderEdit,
    /// Changes to the response's header for this backend only.
    pub response_headers: HeaderEdit,
    /// Changes to the request's target for this backend only, which replace the rule's.
    pub rewrite: Rewrite,
}
