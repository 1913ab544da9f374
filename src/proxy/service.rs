//! Routing: a service's resource compiled to tables, and the rule that a request falls under.
//!
//! Built when configuration arrives; a request reads it and pins the one [`Rule`] that it falls
//! under, not the table. Shared by all workers.

use std::borrow::Cow;
use std::sync::Arc;

use regex::bytes::Regex;

use crate::names::{Identity, Protocol, RuleId, ServiceName};
use crate::proxy::cluster::{ClusterCell, next_id};
use crate::proxy::fault::Faults;
use crate::proxy::head::Head;
use crate::resource::path;
use crate::resource::{
    self, FieldMatch, HeaderEdit, PathMatch, Redirect, Retry, Rewrite, Timeouts, ValueMatch,
};

mod build;
#[cfg(test)]
mod tests;

pub use build::BuildError;
pub(super) use build::build_match;

/// One service as its callers see it.
#[derive(Debug)]
pub struct ServiceTable {
    /// The service.
    pub name: ServiceName,
    /// The service as a label of metrics.
    pub label: Arc<str>,
    /// Unique in this process; tells two generations of one service apart in caches.
    pub id: u64,
    ports: Vec<PortTable>,
}

/// One port of a service.
#[derive(Debug)]
pub struct PortTable {
    /// The service's port.
    pub port: u16,
    /// What is spoken on it.
    pub protocol: Protocol,
    /// Which rule a request falls under depends on its path.
    judges_paths: bool,
    matches: Vec<Match>,
    rules: Vec<Arc<Rule>>,
    /// What is put in at requests of our application.
    pub faults: Faults,
}

/// What happens to a request.
#[derive(Debug)]
pub struct Rule {
    /// Which rule this is.
    pub id: RuleId,
    /// Where it goes.
    pub backends: Vec<Backend>,
    /// Changes to the request's header.
    pub request_headers: HeaderEdit,
    /// Changes to the response's header.
    pub response_headers: HeaderEdit,
    /// The client is sent elsewhere.
    pub redirect: Option<Redirect>,
    /// Changes to the request's target.
    pub rewrite: Rewrite,
    /// Limits on time.
    pub timeouts: Timeouts,
    /// What is tried again.
    pub retry: Retry,
    total_weight: u64,
}

/// One destination of a rule.
#[derive(Debug)]
pub struct Backend {
    /// The service whose endpoints take the request.
    pub service: ServiceName,
    /// The port of that service.
    pub port: u16,
    /// The endpoints; `None` where the reference did not resolve.
    pub cluster: Option<Arc<ClusterCell>>,
    /// Changes to the request's header, after the rule's.
    pub request_headers: HeaderEdit,
    /// Changes to the response's header, before the rule's.
    pub response_headers: HeaderEdit,
    /// Changes to the request's target, each instead of the rule's.
    pub rewrite: Rewrite,
    weight: u64,
}

/// One conjunction of conditions, compiled.
#[derive(Debug)]
pub(super) struct Match {
    rule: usize,
    path: PathTest,
    method: Option<String>,
    headers: Vec<FieldTest>,
    query: Vec<FieldTest>,
}

#[derive(Debug)]
enum PathTest {
    Exact(String),
    Prefix(String),
    Regex(Regex),
}

#[derive(Debug)]
struct FieldTest {
    name: String,
    value: ValueTest,
}

#[derive(Debug)]
enum ValueTest {
    Exact(String),
    Regex(Regex),
}

impl ServiceTable {
    /// Compiles a resource for callers that are `me`. `clusters` gives the cell of a backend's service.
    ///
    /// # Errors
    /// [`BuildError`] names the field that this proxy cannot honour.
    pub fn build(
        service: &resource::Service,
        me: &Identity,
        clusters: &mut dyn FnMut(&ServiceName) -> Arc<ClusterCell>,
    ) -> Result<Self, BuildError> {
        let ports = build::ports(service, me, clusters)?;
        let label = service.name.to_string().into();
        Ok(Self { name: service.name.clone(), label, id: next_id(), ports })
    }

    /// The table of one port.
    pub fn port(&self, port: u16) -> Option<&PortTable> {
        self.ports.iter().find(|table| table.port == port)
    }
}

impl PortTable {
    /// Whether rules look at paths, and the request's can be read in two ways.
    pub fn is_in_doubt(&self, head: &impl Head) -> bool {
        self.judges_paths && path::is_ambiguous(head.path())
    }

    /// The rule that `head` falls under; `None` is 404 `no_route`.
    pub fn route(&self, head: &impl Head) -> Option<&Arc<Rule>> {
        let found = self.matches.iter().find(|candidate| candidate.matches(head))?;
        self.rules.get(found.rule)
    }

    /// The rule for bytes that are not read: the one that matches every request, if there is one.
    pub fn route_opaque(&self) -> Option<&Arc<Rule>> {
        let open = self.matches.iter().find(|candidate| candidate.is_open())?;
        self.rules.get(open.rule)
    }

    /// Every match in the order in which they are tried: the rule that it leads to, and the first
    /// condition that `head` does not fulfil, or `None` where it falls under it.
    pub fn trail<'t, H: Head>(
        &'t self,
        head: &'t H,
    ) -> impl Iterator<Item = (&'t Arc<Rule>, Option<Mismatch<'t>>)> {
        let rule = |found: &'t Match| Some((self.rules.get(found.rule)?, found.mismatch(head)));
        self.matches.iter().filter_map(rule)
    }
}

/// A condition of a match that a request does not fulfil.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mismatch<'m> {
    /// On the path.
    Path,
    /// On the method.
    Method,
    /// On the header field of that name.
    Header(&'m str),
    /// On the query parameter of that name.
    Query(&'m str),
}

impl Rule {
    /// Chooses a backend by weight; `random` is uniform. `None` where no weight is above zero.
    pub fn choose(&self, random: u64) -> Option<&Backend> {
        match self.backends.as_slice() {
            [only] if only.weight > 0 => Some(only),
            _ if self.total_weight == 0 => None,
            backends => {
                let mut left = random % self.total_weight;
                backends.iter().find(|backend| match left.checked_sub(backend.weight) {
                    None => true,
                    Some(rest) => {
                        left = rest;
                        false
                    }
                })
            }
        }
    }
}

impl Backend {
    /// Its share of all weights of the rule.
    pub fn weight(&self) -> u64 {
        self.weight
    }
}

impl Match {
    /// Whether `head` fulfils all of them.
    pub(super) fn matches(&self, head: &impl Head) -> bool {
        self.mismatch(head).is_none()
    }

    /// The first that `head` does not fulfil.
    fn mismatch(&self, head: &impl Head) -> Option<Mismatch<'_>> {
        if !self.path.matches(head.path()) {
            return Some(Mismatch::Path);
        }
        if self.method.as_ref().is_some_and(|method| method != head.method()) {
            return Some(Mismatch::Method);
        }
        let differs = |test: &&FieldTest| {
            !head.header_joined(&test.name).is_some_and(|value| test.value.matches(&value))
        };
        if let Some(test) = self.headers.iter().find(differs) {
            return Some(Mismatch::Header(&test.name));
        }
        if self.query.is_empty() {
            return None;
        }
        let query = head.query().unwrap_or_default();
        let differs = |test: &&FieldTest| {
            !query_value(query, &test.name)
                .is_some_and(|value| test.value.matches(value.as_bytes()))
        };
        self.query.iter().find(differs).map(|test| Mismatch::Query(&test.name))
    }

    fn is_any_path(&self) -> bool {
        matches!(&self.path, PathTest::Prefix(prefix) if prefix.is_empty())
    }

    fn is_open(&self) -> bool {
        self.is_any_path()
            && self.method.is_none()
            && self.headers.is_empty()
            && self.query.is_empty()
    }
}

impl PathTest {
    fn matches(&self, path: &str) -> bool {
        match self {
            Self::Exact(exact) => path == exact,
            // By element: `/a` matches `/a` and `/a/b`, not `/ab` (Gateway API, PathPrefix).
            // Nothing is left of `/`, which also takes `OPTIONS *`.
            Self::Prefix(prefix) => path
                .strip_prefix(prefix.as_str())
                .is_some_and(|rest| prefix.is_empty() || rest.is_empty() || rest.starts_with('/')),
            Self::Regex(regex) => regex.is_match(path.as_bytes()),
        }
    }
}

impl ValueTest {
    fn matches(&self, value: &[u8]) -> bool {
        match self {
            Self::Exact(exact) => value == exact.as_bytes(),
            Self::Regex(regex) => regex.is_match(value),
        }
    }
}

/// The first value of a query parameter, decoded (WHATWG URL, application/x-www-form-urlencoded).
fn query_value<'a>(query: &'a str, name: &str) -> Option<Cow<'a, str>> {
    query.split('&').find_map(|pair| {
        let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
        (decode_form(key) == name).then(|| decode_form(value))
    })
}

fn decode_form(text: &str) -> Cow<'_, str> {
    if !text.bytes().any(|b| b == b'%' || b == b'+') {
        return Cow::Borrowed(text);
    }
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&byte, after)) = rest.split_first() {
        rest = after;
        // Checked, because a number may also be written with a sign.
        let digits = after.get(..2).filter(|pair| pair.iter().all(u8::is_ascii_hexdigit));
        let text = digits.and_then(|pair| std::str::from_utf8(pair).ok());
        let decoded = text.and_then(|pair| u8::from_str_radix(pair, 16).ok());
        match (byte, decoded) {
            (b'%', Some(decoded)) => {
                out.push(decoded);
                rest = after.get(2..).unwrap_or_default();
            }
            (b'+', _) => out.push(b' '),
            _ => out.push(byte),
        }
    }
    Cow::Owned(String::from_utf8_lossy(&out).into_owned())
}
