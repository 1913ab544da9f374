//! The ports of a service before and after: where requests go, and what holds of them.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::sample::Sample;
use super::{Difference, NONE};
use crate::explain::route::{changes, conditions, own_changes};
use crate::names::Identity;
use crate::proxy::cluster::ClusterCell;
use crate::proxy::service::{BuildError, Rule, ServiceTable};
use crate::resource::words::{self, is_of_calls};
use crate::resource::{ClusterPolicy, PathMatch, RouteMatch, Service, ServicePort};

/// Requests that no match is about.
const EVERYTHING_ELSE: &str = "everything else";

/// One side of a comparison.
struct Side<'s> {
    port: &'s ServicePort,
    table: &'s ServiceTable,
}

pub(super) fn compare(before: &Service, after: &Service) -> Vec<Difference> {
    let name = &after.name;
    let (was, is) = match (table(before), table(after)) {
        (Ok(was), Ok(is)) => (was, is),
        // A proxy that refuses the new one goes on with the old one.
        (Ok(_), Err(error)) => {
            let refused = format!("refused by proxies, which keep what they have: {error}");
            return vec![Difference::of(Some(name), "routes", "used".to_owned(), refused)];
        }
        // Whatever else it says, nobody uses it before or after.
        (Err(was), Err(is)) => {
            let refused = |error: BuildError| format!("refused by proxies: {error}");
            let (was, is) = (refused(was), refused(is));
            let differs = (was != is).then(|| Difference::of(Some(name), "routes", was, is));
            return differs.into_iter().collect();
        }
        (Err(error), Ok(_)) => {
            let refused = format!("refused by proxies: {error}");
            return vec![Difference::of(Some(name), "routes", refused, "used".to_owned())];
        }
    };
    let mut found = Vec::new();
    for port in ports(before, after) {
        let side = |service: &'_ Service| service.ports.iter().position(|it| it.port == port);
        let was_port = side(before).and_then(|at| before.ports.get(at));
        let is_port = side(after).and_then(|at| after.ports.get(at));
        let of_port = match (was_port, is_port) {
            (Some(one), Some(other)) => {
                let sides = (Side { port: one, table: &was }, Side { port: other, table: &is });
                of_port(&sides.0, &sides.1)
            }
            (one, _) => {
                let word = |there: bool| if there { "there" } else { NONE }.to_owned();
                let (before, after) = (word(one.is_some()), word(one.is_none()));
                vec![Difference::of(Some(name), "port", before, after)]
            }
        };
        found.extend(of_port.into_iter().map(|it| Difference {
            service: Some(name.clone()),
            port: Some(port),
            ..it
        }));
    }
    found
}

fn table(service: &Service) -> Result<ServiceTable, BuildError> {
    // Only which faults are kept depends on the caller, and those are compared as they are.
    let me: Identity = "spiffe://cluster.local/ns/default/sa/default".parse().expect("an identity");
    ServiceTable::build(service, &me, &mut |name| Arc::new(ClusterCell::new(name.clone())))
}

fn ports(before: &Service, after: &Service) -> Vec<u16> {
    let mut ports: Vec<u16> =
        before.ports.iter().chain(&after.ports).map(|port| port.port).collect();
    ports.sort_unstable();
    ports.dedup();
    ports
}

fn of_port(was: &Side<'_>, is: &Side<'_>) -> Vec<Difference> {
    let mut found = Vec::new();
    let (before, after) = (was.port.protocol.to_string(), is.port.protocol.to_string());
    if before != after {
        found.push(Difference::of(None, "protocol", before, after));
    }
    let matches = was.port.matches.iter().chain(&is.port.matches);
    let known: BTreeMap<String, &RouteMatch> = matches.map(|it| (conditions(it), it)).collect();
    for (requests, wanted) in &known {
        let sample = Sample::of(wanted);
        let rules = [was, is].map(|side| side.rule(sample.as_ref(), requests));
        found.extend(of_requests(requests, rules));
    }
    if !known.values().any(|it| is_open(it)) {
        let other = Sample::other();
        let rules = [was, is].map(|side| side.rule(Some(&other), EVERYTHING_ELSE));
        found.extend(of_requests(EVERYTHING_ELSE, rules));
    }
    found.extend(faults(was.port, is.port));
    found
}

impl Side<'_> {
    /// The rule of such requests: that of the sample, else that of the match written the same.
    fn rule(&self, sample: Option<&Sample>, requests: &str) -> Option<Arc<Rule>> {
        let table = self.table.port(self.port.port)?;
        if let Some(sample) = sample {
            return table.route(sample).cloned();
        }
        let at = self.port.matches.iter().position(|it| conditions(it) == requests)?;
        table.trail(&Sample::other()).nth(at).map(|(rule, _)| Arc::clone(rule))
    }
}

fn is_open(it: &RouteMatch) -> bool {
    let everywhere =
        matches!(&it.path, PathMatch::Prefix(prefix) if prefix.trim_end_matches('/').is_empty());
    everywhere && it.method.is_none() && it.headers.is_empty() && it.query.is_empty()
}

fn of_requests(requests: &str, [was, is]: [Option<Arc<Rule>>; 2]) -> Vec<Difference> {
    let (was, is) = (was.as_deref(), is.as_deref());
    let mut all = vec![("destination".to_owned(), destination(was), destination(is))];
    if let (Some(was), Some(is)) = (was, is) {
        let settings = |rule: &Rule| {
            let all = words::settings(&ClusterPolicy::default(), &rule.timeouts, &rule.retry);
            all.into_iter().filter(|(field, _)| is_of_calls(field))
        };
        let pairs = settings(was).zip(settings(is));
        all.extend(pairs.map(|((field, was), (_, is))| (field.to_owned(), was, is)));
        all.push(("changes".to_owned(), edits(was), edits(is)));
    }
    let differing = all.into_iter().filter(|(_, before, after)| before != after);
    differing
        .map(|(what, before, after)| Difference {
            requests: requests.to_owned(),
            ..Difference::of(None, &what, before, after)
        })
        .collect()
}

/// `default/reviews-v1:80 90%, default/reviews-v2:80 10%`
fn destination(rule: Option<&Rule>) -> String {
    let Some(rule) = rule else { return "404 no_route".to_owned() };
    if let Some(to) = &rule.redirect {
        return format!("redirect {}", words::redirect(to));
    }
    let total: u64 = rule.backends.iter().map(|it| it.weight()).sum();
    if total == 0 {
        return "500 no_backend".to_owned();
    }
    let each = rule.backends.iter().filter(|it| it.weight() > 0).map(|backend| {
        let part = match backend.weight() == total {
            true => String::new(),
            false => format!(" {}%", percent(backend.weight(), total)),
        };
        let missing = if backend.cluster.is_none() { " (500 missing_backend)" } else { "" };
        format!("{}:{}{part}{missing}", backend.service, backend.port)
    });
    each.collect::<Vec<_>>().join(", ")
}

fn percent(weight: u64, total: u64) -> f64 {
    (weight as f64 * 1_000.0 / total as f64).round() / 10.0
}

/// What is changed of requests and answers, for all backends and for single ones.
fn edits(rule: &Rule) -> String {
    let own = rule.backends.iter().flat_map(|backend| {
        let to = &backend.service;
        own_changes(backend).into_iter().map(move |change| format!("{change} for {to}"))
    });
    let all: Vec<_> = changes(rule).into_iter().chain(own).collect();
    if all.is_empty() { NONE.to_owned() } else { all.join(", ") }
}

fn faults(was: &ServicePort, is: &ServicePort) -> Vec<Difference> {
    let words = |port: &ServicePort| -> BTreeMap<String, String> {
        let word = |fault: &crate::resource::Fault| {
            let mode = if fault.shadow { " (mode Shadow)" } else { "" };
            let which: Vec<_> = fault.matches.iter().map(conditions).collect();
            let which = if which.is_empty() {
                String::new()
            } else {
                format!(" to {}", which.join(" or "))
            };
            let from = if fault.from.is_empty() { "" } else { " of some callers" };
            let until = fault.expires.map_or(String::new(), |end| format!(" until {end}"));
            let what = words::fault(fault.delay, fault.abort);
            (fault.id.to_string(), format!("{what}{which}{from}{until}{mode}"))
        };
        port.faults.iter().map(word).collect()
    };
    let (was, is) = (words(was), words(is));
    let mut ids: Vec<_> = was.keys().chain(is.keys()).collect();
    ids.sort_unstable();
    ids.dedup();
    let one = |side: &BTreeMap<String, String>, id: &String| {
        side.get(id).cloned().unwrap_or_else(|| NONE.to_owned())
    };
    let pairs = ids.into_iter().map(|id| (id, one(&was, id), one(&is, id)));
    let differing = pairs.filter(|(_, before, after)| before != after);
    differing.map(|(id, before, after)| Difference::of(None, id, before, after)).collect()
}
