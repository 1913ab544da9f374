//! What the callers of a service have refused and whom they have out, as sections of lines.
//!
//! Limits of a breaker and ejections hold for each calling proxy by itself, so each has its line.

use jiff::Timestamp;

use super::{Line, section};
use crate::control::api::shapes::{CallerStatus, PoolEntry, Section};
use crate::control::pools::PoolStatus;

/// The sections of a service whose callers have something to say.
pub fn pool(status: &PoolStatus) -> Vec<Section> {
    let callers = status.breaker.callers.iter().map(caller);
    let mut sections = vec![section("Callers (limits hold for each of them by itself)", callers)];
    if !status.entries.is_empty() {
        sections.push(section("Not in their full share", status.entries.iter().map(entry)));
    }
    sections
}

fn caller(caller: &CallerStatus) -> Line {
    let mut words = Vec::new();
    let open = caller.breaker.to_lowercase();
    let shadow = if caller.shadow { " (shadow: only counted)" } else { "" };
    words.push(format!("breaker {open}{shadow}"));
    let refused = caller.refused.iter().map(|(reason, count)| format!("{count} {reason}"));
    let refused: Vec<_> = refused.collect();
    if !refused.is_empty() {
        let last = caller.last_refused.map_or_else(String::new, |it| format!(", last {}", at(it)));
        words.push(format!("refused {}{last}", refused.join(" and ")));
    }
    words.extend(caller.concurrency.map(|limit| format!("adapted to {limit} in flight")));
    if caller.ejections > 0 {
        words.push(format!("ejections so far: {}", caller.ejections));
    }
    if caller.retries_over_budget > 0 {
        words.push(format!("retries over budget: {}", caller.retries_over_budget));
    }
    if caller.panic {
        words.push("too few endpoints are left, so all are used".to_owned());
    }
    (caller.proxy.clone(), words.join("; "))
}

fn entry(entry: &PoolEntry) -> Line {
    let state = entry.state.as_str();
    let spared = if entry.spared { " (spared: only counted)" } else { "" };
    let since = entry.since.map_or_else(String::new, |since| format!(" since {}", at(since)));
    let until = entry.until.map_or_else(String::new, |until| format!(" until {}", at(until)));
    let why = if entry.why.is_empty() { String::new() } else { format!(": {}", entry.why) };
    (entry.endpoint.clone(), format!("{state}{spared} at {}{since}{until}{why}", entry.caller))
}

/// To the second.
fn at(time: Timestamp) -> String {
    Timestamp::from_second(time.as_second()).unwrap_or(time).to_string()
}
