//! From the resource to the tables; everything that can be refused is refused here.

use std::borrow::Cow;
use std::sync::Arc;

use super::{
    Backend, ClusterCell, Faults, FieldMatch, FieldTest, Identity, Match, PathMatch, PathTest,
    PortTable, Regex, Rule, ServiceName, ValueMatch, ValueTest, resource,
};
use crate::resource::path;

/// The longest regular expression, characters.
const MAX_REGEX: usize = 1024;

/// The most memory that one compiled expression may take, bytes.
const MAX_REGEX_SIZE: usize = 1 << 20;

/// A part of a resource that this proxy cannot honour.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{field}`: {reason}")]
pub struct BuildError {
    /// The field's path inside the resource.
    pub field: String,
    /// What is wrong with it.
    pub reason: String,
}

pub(super) fn ports(
    service: &resource::Service,
    me: &Identity,
    clusters: &mut dyn FnMut(&ServiceName) -> Arc<ClusterCell>,
) -> Result<Vec<PortTable>, BuildError> {
    let mut ports = Vec::with_capacity(service.ports.len());
    for (index, port) in service.ports.iter().enumerate() {
        let field = format!("ports[{index}]");
        let mut rules = Vec::with_capacity(port.rules.len());
        for rule in &port.rules {
            rules.push(Arc::new(build_rule(rule, clusters)));
        }
        let mut matches = Vec::with_capacity(port.matches.len());
        for (index, found) in port.matches.iter().enumerate() {
            let field = format!("{field}.matches[{index}]");
            matches.push(build_match(found, rules.len(), &field)?);
        }
        let faults = Faults::build(&port.faults, me, &format!("{field}.faults"))?;
        let judges_paths = !matches.iter().all(Match::is_any_path);
        let (port, protocol) = (port.port, port.protocol);
        ports.push(PortTable { port, protocol, judges_paths, matches, rules, faults });
    }
    Ok(ports)
}

fn build_rule(
    rule: &resource::Rule,
    clusters: &mut dyn FnMut(&ServiceName) -> Arc<ClusterCell>,
) -> Rule {
    let backends: Vec<_> = rule
        .backends
        .iter()
        .map(|backend| Backend {
            service: backend.service.clone(),
            port: backend.port,
            cluster: backend.resolved.then(|| clusters(&backend.service)),
            request_headers: backend.request_headers.clone(),
            response_headers: backend.response_headers.clone(),
            rewrite: backend.rewrite.clone(),
            weight: u64::from(backend.weight),
        })
        .collect();
    Rule {
        id: rule.id.clone(),
        total_weight: backends.iter().map(|backend| backend.weight).sum(),
        backends,
        request_headers: rule.request_headers.clone(),
        response_headers: rule.response_headers.clone(),
        redirect: rule.redirect.clone(),
        rewrite: rule.rewrite.clone(),
        timeouts: rule.timeouts,
        retry: rule.retry.clone(),
    }
}

/// Compiles conditions that lead to one of `rules` rules; `field` is where they stand.
///
/// # Errors
/// [`BuildError`].
pub(in crate::proxy) fn build_match(
    found: &resource::RouteMatch,
    rules: usize,
    field: &str,
) -> Result<Match, BuildError> {
    let rule = found.rule as usize;
    if rule >= rules {
        return Err(BuildError { field: format!("{field}.rule"), reason: "no such rule".into() });
    }
    let path = match &found.path {
        PathMatch::Exact(path) => PathTest::Exact(canonical(path)),
        // A trailing slash means nothing in a prefix; `/` alone matches every path.
        PathMatch::Prefix(prefix) => {
            PathTest::Prefix(canonical(prefix).trim_end_matches('/').to_owned())
        }
        PathMatch::Regex(text) => PathTest::Regex(regex(text, || format!("{field}.path"))?),
    };
    Ok(Match {
        rule,
        path,
        method: found.method.clone(),
        headers: build_fields(&found.headers, || format!("{field}.headers"))?,
        query: build_fields(&found.query, || format!("{field}.query"))?,
    })
}

/// A path in the form in which requests are compared with it.
fn canonical(path: &str) -> String {
    path::normalize(path).map_or_else(|_| path.to_owned(), Cow::into_owned)
}

fn build_fields(
    fields: &[FieldMatch],
    path: impl Fn() -> String,
) -> Result<Vec<FieldTest>, BuildError> {
    fields
        .iter()
        .map(|FieldMatch { name, value }| {
            let value = match value {
                ValueMatch::Exact(text) => ValueTest::Exact(text.clone()),
                ValueMatch::Regex(text) => ValueTest::Regex(regex(text, &path)?),
            };
            Ok(FieldTest { name: name.clone(), value })
        })
        .collect()
}

/// Compiles an expression that must match as a whole; linear in the input by construction.
fn regex(text: &str, field: impl Fn() -> String) -> Result<Regex, BuildError> {
    if text.chars().count() > MAX_REGEX {
        let reason = format!("a regular expression of more than {MAX_REGEX} characters");
        return Err(BuildError { field: field(), reason });
    }
    regex::bytes::RegexBuilder::new(&format!("^(?:{text})$"))
        .size_limit(MAX_REGEX_SIZE)
        .build()
        .map_err(|error| BuildError { field: field(), reason: error.to_string() })
}
