//! How a service is called: per port, the matches in order of precedence and the rules they lead to.
//!
//! `compile` has already merged every route of the service and sorted the matches as the Gateway
//! API demands, so the proxy takes the first that matches. No match is an answer too: 404.

use std::time::Duration;

use crate::names::{Namespace, Protocol, RuleId, ServiceName};
use crate::resource::{Fault, Redirect, Retry, Rewrite};

/// The calling side of a service.
#[derive(Debug, Clone, PartialEq)]
pub struct Service {
    /// The service.
    pub name: ServiceName,
    /// `Some` where these are the rules of one consuming namespace only.
    pub consumer: Option<Namespace>,
    /// The namespaces that have a resource of their own for this service; sorted. A proxy in one
    /// of them uses `namespace/service@consumer` instead of this. Empty when `consumer` is set.
    pub overridden_in: Vec<Namespace>,
    /// The ports, ascending.
    pub ports: Vec<ServicePort>,
}

/// One port of the service.
#[derive(Debug, Clone, PartialEq)]
pub struct ServicePort {
    /// The service's port.
    pub port: u16,
    /// What is spoken on it.
    pub protocol: Protocol,
    /// In order of precedence; the first that matches decides. None matching: 404 `no_route`.
    pub matches: Vec<RouteMatch>,
    /// What the matches point to.
    pub rules: Vec<Rule>,
    /// Faults that are put in, in the order in which the first that fits is taken.
    pub faults: Vec<Fault>,
}

/// One conjunction of conditions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RouteMatch {
    /// Index into [`ServicePort::rules`].
    pub rule: u32,
    /// On the normalized path without the query.
    pub path: PathMatch,
    /// The method, case-sensitive; `None` for any.
    pub method: Option<String>,
    /// All must match. Names are lower case.
    pub headers: Vec<FieldMatch>,
    /// All must match, on the decoded query. Names are case-sensitive.
    pub query: Vec<FieldMatch>,
}

/// A condition on the path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PathMatch {
    /// Equal.
    Exact(String),
    /// Equal, or followed by `/`: by element, not by character. `/` matches everything.
    Prefix(String),
    /// Matches as a whole (anchored), by a linear-time engine.
    Regex(String),
}

/// A condition on one header field or query parameter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FieldMatch {
    /// The field's name.
    pub name: String,
    /// What its value must be. Several header fields of one name count as one, joined by commas.
    pub value: ValueMatch,
}

/// A condition on a value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ValueMatch {
    /// Equal.
    Exact(String),
    /// Matches as a whole (anchored).
    Regex(String),
}

/// What happens to a request that matched.
#[derive(Debug, Clone, PartialEq)]
pub struct Rule {
    /// Which rule this is.
    pub id: RuleId,
    /// Where it goes, by weight. Empty, or all weights zero: 500 `no_backend`.
    pub backends: Vec<Backend>,
    /// Changes to the request's header.
    pub request_headers: HeaderEdit,
    /// Changes to the response's header.
    pub response_headers: HeaderEdit,
    /// The client is sent elsewhere; there are no backends then.
    pub redirect: Option<Redirect>,
    /// Changes to the request's target.
    pub rewrite: Rewrite,
    /// Limits on time.
    pub timeouts: Timeouts,
    /// What is tried again.
    pub retry: Retry,
}

/// One destination of a rule.
#[derive(Debug, Clone, PartialEq)]
pub struct Backend {
    /// The service whose endpoints take the request. Its own routes are not asked again.
    pub service: ServiceName,
    /// The port of that service.
    pub port: u16,
    /// Its share of all weights of the rule.
    pub weight: u32,
    /// Whether the reference resolved. Where not, its share is answered with 500 `missing_backend`,
    /// and no cluster of that name is asked for.
    pub resolved: bool,
    /// Changes to the request's header for this backend only, after the rule's.
    pub request_headers: HeaderEdit,
    /// Changes to the response's header for this backend only, before the rule's.
    pub response_headers: HeaderEdit,
    /// Changes to the request's target for this backend only; each replaces the rule's.
    pub rewrite: Rewrite,
}

/// Changes to a header, applied in the order set, add, remove. Names are lower case.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct HeaderEdit {
    /// Replaces every field of that name.
    pub set: Vec<Field>,
    /// Adds a field.
    pub add: Vec<Field>,
    /// Removes every field of that name.
    pub remove: Vec<String>,
}

impl HeaderEdit {
    /// Whether nothing changes.
    pub fn is_empty(&self) -> bool {
        self.set.is_empty() && self.add.is_empty() && self.remove.is_empty()
    }
}

/// A header field.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Field {
    /// Lower case.
    pub name: String,
    /// As sent.
    pub value: String,
}

/// Limits on the time of a request; `None` is no limit.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Timeouts {
    /// From the request's head to the end of the response, with all retries.
    pub request: Option<Duration>,
    /// Of one try, from its start to the end of the response.
    pub backend_request: Option<Duration>,
}
