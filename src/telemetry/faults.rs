//! How many faults were put in, by policy: touched only where one is, so behind a lock.

use std::collections::BTreeMap;

use parking_lot::Mutex;

use super::limits::Limit;
use crate::names::RuleId;

/// Counters at most; what comes after them is not told apart.
const MAX_COUNTERS: usize = Limit::Faults.most();

/// What was put in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum FaultKind {
    /// The request waited.
    Delay,
    /// It failed.
    Abort,
}

/// Whether it was.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum FaultMode {
    /// It was.
    Enforce,
    /// It would have been.
    Shadow,
}

/// A counter's labels.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct FaultKey {
    /// `FaultPolicy/namespace/name`; empty for those that no counter is left for.
    pub policy: RuleId,
    /// What.
    pub kind: FaultKind,
    /// Whether.
    pub mode: FaultMode,
}

/// The counters of a proxy; they only grow.
#[derive(Debug, Default)]
pub struct FaultCounts(Mutex<BTreeMap<FaultKey, u64>>);

impl FaultCounts {
    /// Counts one.
    pub fn count(&self, policy: &RuleId, kind: FaultKind, mode: FaultMode) {
        let mut counts = self.0.lock();
        let mut key = FaultKey { policy: policy.clone(), kind, mode };
        if counts.len() >= MAX_COUNTERS && !counts.contains_key(&key) {
            key.policy = RuleId("".into());
        }
        *counts.entry(key).or_default() += 1;
    }

    /// All counters, in order of their labels.
    pub fn totals(&self) -> Vec<(FaultKey, u64)> {
        self.0.lock().iter().map(|(key, count)| (key.clone(), *count)).collect()
    }
}
