//! What several callers say of one endpoint as one line of a table: `status` and `endpoints list`
//! word it alike.

use std::collections::BTreeMap;

use jiff::Timestamp;

use crate::cli::output::{Cell, until};
use crate::control::api::shapes::{EndpointState, PoolEntry};
use crate::names::DEFAULT_NAMESPACE;

/// Callers that have one endpoint in one state.
#[derive(Debug)]
pub(crate) struct Together<'e> {
    first: &'e PoolEntry,
    callers: Vec<&'e str>,
    since: Option<Timestamp>,
    until: Option<Timestamp>,
}

/// Entries about one endpoint in one state become one, in the order of endpoints.
pub(crate) fn together(entries: &[PoolEntry]) -> Vec<Together<'_>> {
    let mut groups: BTreeMap<(&str, EndpointState, bool), Together<'_>> = BTreeMap::new();
    for entry in entries {
        let key = (entry.endpoint.as_str(), entry.state, entry.spared);
        let group = groups.entry(key).or_insert_with(|| Together {
            first: entry,
            callers: Vec::new(),
            since: entry.since,
            until: entry.until,
        });
        // An endpoint with several addresses is one of its callers all the same.
        if group.callers.last() != Some(&entry.caller.as_str()) {
            group.callers.push(&entry.caller);
        }
        group.since = group.since.into_iter().chain(entry.since).min();
        // Nobody knows until when, if one of them does not.
        group.until = group.until.zip(entry.until).map(|(one, other)| one.max(other));
    }
    groups.into_values().collect()
}

impl Together<'_> {
    /// The endpoint's name.
    pub(crate) fn endpoint(&self) -> &str {
        &self.first.endpoint
    }

    /// Whether the callers only know it for too short a time to give it its full share.
    pub(crate) fn is_warming(&self) -> bool {
        self.first.state == EndpointState::Warming
    }

    /// In which state the callers have it.
    pub(crate) fn state(&self) -> Cell {
        let word = self.first.state.as_str();
        match (self.first.is_out(), self.first.spared) {
            (true, _) => Cell::bad(word),
            (false, true) => Cell::warn(format!("{word} (spared)")),
            (false, false) => Cell::warn(word),
        }
    }

    /// The first of them, and how many more.
    pub(crate) fn callers(&self) -> String {
        and_more(&self.callers)
    }

    /// Since when the first of them has it in that state.
    pub(crate) fn since(&self) -> Option<Timestamp> {
        self.since
    }

    /// How long until the last of them is to put it back.
    pub(crate) fn until(&self, now: Timestamp) -> String {
        match self.until {
            None => "-".to_owned(),
            Some(end) if end <= now => "now".to_owned(),
            Some(end) => format!("in {}", until(end, now)),
        }
    }

    /// Why the first of them did it.
    pub(crate) fn why(&self) -> &str {
        &self.first.why
    }
}

/// The first of these proxies, and how many more.
pub(crate) fn and_more(proxies: &[&str]) -> String {
    let first = short(proxies.first().copied().unwrap_or_default());
    match proxies.len() {
        0 | 1 => first,
        all => format!("{first} +{}", all - 1),
    }
}

/// `name` of `namespace/name`, where that is in the default one.
pub(crate) fn short(qualified: &str) -> String {
    match qualified.split_once('/') {
        Some((namespace, name)) => scoped(namespace, name),
        None => qualified.to_owned(),
    }
}

/// `name`, or `namespace/name` outside of the default one.
pub(crate) fn scoped(namespace: &str, name: &str) -> String {
    match namespace {
        DEFAULT_NAMESPACE | "" => name.to_owned(),
        _ => format!("{namespace}/{name}"),
    }
}
