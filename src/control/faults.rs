//! What fault policies do, in words, and which of them are active: for conditions, `describe` and
//! `status`, so that nobody forgets one.

use jiff::Timestamp;

use crate::control::api::shapes::FaultStatus;
use crate::mesh::{FaultPolicy, Snapshot};
use crate::resource::{FaultSource, words};

/// Where a fault policy stands at a moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// It puts faults in.
    Active,
    /// It only counts them.
    Shadow,
    /// It is over.
    Expired,
}

/// Where a policy stands.
pub fn standing(policy: &FaultPolicy, now: Timestamp) -> Standing {
    match policy.has_expired(seconds(now)) {
        true => Standing::Expired,
        false if policy.shadow => Standing::Shadow,
        false => Standing::Active,
    }
}

/// When it ends.
pub fn end(policy: &FaultPolicy) -> Option<Timestamp> {
    Timestamp::from_second(i64::try_from(policy.expires?).ok()?).ok()
}

/// Whether a policy ended after `before` and not after `now`.
pub fn ended_between(snapshot: &Snapshot, before: Timestamp, now: Timestamp) -> bool {
    let expired = |policy: &FaultPolicy, at| policy.has_expired(seconds(at));
    snapshot.faults.values().any(|policy| expired(policy, now) && !expired(policy, before))
}

/// Every policy that puts faults in at `now`, once for each service that it is about.
pub fn active(snapshot: &Snapshot, now: Timestamp) -> Vec<FaultStatus> {
    let policies =
        snapshot.faults.values().filter(|policy| standing(policy, now) == Standing::Active);
    let each = policies.flat_map(|policy| {
        let there = policy.targets.iter().filter(|it| snapshot.service(&it.service).is_some());
        there.map(|target| FaultStatus {
            policy: policy.name.to_string(),
            namespace: policy.namespace.to_string(),
            service: target.service.name.to_string(),
            what: what(policy),
            callers: callers(policy),
            expires: end(policy),
        })
    });
    each.collect()
}

/// `delay 2s (10%), abort with 503 (5%)`.
pub fn what(policy: &FaultPolicy) -> String {
    words::fault(policy.delay, policy.abort)
}

/// `ns/default/sa/reviews, ns/shop`, or `all`.
pub fn callers(policy: &FaultPolicy) -> String {
    let each = policy.from.iter().map(|source| match source {
        FaultSource::Identity(namespace, account) => format!("ns/{namespace}/sa/{account}"),
        FaultSource::Namespace(namespace) => format!("ns/{namespace}"),
    });
    match policy.from.is_empty() {
        true => "all".to_owned(),
        false => each.collect::<Vec<_>>().join(", "),
    }
}

fn seconds(now: Timestamp) -> u64 {
    u64::try_from(now.as_second()).unwrap_or(0)
}
