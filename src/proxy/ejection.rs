//! Who takes part in a pool and who does not: ejection for what endpoints answer (Envoy's documented
//! outlier detection), the way back over probation, health checks, and the word of a person.
//!
//! A machine without I/O and without a clock: it is told what happened and what time it is, writes
//! the standing into each endpoint's [`Vitals`](super::vitals::Vitals), and answers with what has
//! changed. `ward` drives it, one for each service, under a lock that only a change takes.
//!
//! An endpoint is well until it is ejected: for errors in a row at once, for its share of failures
//! at the end of an interval (`shares`). Ejections last base × times in a row, up to the longest;
//! the multiplier shrinks by one with each interval in which the endpoint stays. When the time is
//! over it is on probation: with a tenth of its share, until five successes (or one, and an
//! interval) bring it back, or one error ejects it again. Of one port's endpoints never more are
//! ejected than the policy says, except that one always may; whoever is too much is spared.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use super::clock::millis;
use super::cluster::Endpoint;
use super::flight::Verdict;
use super::vitals::{Crossing, Phase};
use crate::names::ObjectName;
use crate::resource::{HealthCheck, OutlierDetection, PARTS_PER_MILLION};

mod hands;
mod intervals;
mod shares;
#[cfg(test)]
mod tests;
mod told;
mod words;

pub use told::Told;

/// The policy, as far as it concerns who takes part.
#[derive(Debug, Clone, Copy)]
pub struct Rules<'a> {
    /// What is an outlier; `None`: nobody.
    pub outliers: Option<&'a OutlierDetection>,
    /// Whether endpoints are asked how they are.
    pub health: Option<&'a HealthCheck>,
    /// How long who comes back warms up.
    pub slow_start: Option<Duration>,
    /// Everything is counted, but all stay in, except for a person's word.
    pub shadow: bool,
}

/// What has happened to an endpoint.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// The workload.
    pub workload: ObjectName,
    /// `ip:port`.
    pub address: std::net::SocketAddr,
    /// What.
    pub what: What,
}

/// See [`Change`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum What {
    /// It is ejected.
    Ejected {
        /// Why, for people.
        why: String,
        /// For how long, milliseconds.
        for_ms: u64,
    },
    /// It would be ejected, but as many as may be are already.
    Spared {
        /// Why, for people.
        why: String,
    },
    /// Its ejection has ended.
    OnProbation,
    /// It has its full share again, or will when it is warm.
    Back,
    /// It fails its health checks.
    Unhealthy {
        /// Why, for people.
        why: String,
    },
    /// It passes its health checks again.
    Healthy,
    /// A person took it out.
    TakenOut,
    /// The time is over for which a person took it out.
    GivenBack,
    /// A person put it back.
    Restored,
}

/// What is known of one endpoint beyond its vitals.
#[derive(Debug, Default)]
struct Record {
    /// By what it answered.
    ejected: Option<Ejected>,
    /// Since when it is on probation.
    probation: Option<u64>,
    /// Since when it fails its health checks, and why.
    unhealthy: Option<(u64, String)>,
    /// Health checks in a row that came to the opposite of what holds.
    contrary: u32,
    /// When and why it was last spared.
    spared: Option<(u64, String)>,
    /// The multiplier of the next ejection, less one.
    times: u32,
    /// When it last came back, or the multiplier last shrank.
    steady_since: u64,
    /// Ejections since it is known.
    ejections: u32,
}

#[derive(Debug)]
struct Ejected {
    since: u64,
    until: u64,
    why: String,
}

/// A person's word on a workload.
#[derive(Debug)]
struct ByHand {
    since: u64,
    /// `None`: until further notice.
    until: Option<u64>,
}

/// See the head of this file.
#[derive(Debug, Default)]
pub struct Ejections {
    /// By [`Endpoint::id`]; those of whom there is something to say.
    records: HashMap<u64, Record>,
    by_hand: BTreeMap<ObjectName, ByHand>,
    /// When the current interval ends.
    interval_ends: Option<u64>,
    /// Ejections of all endpoints, those that are gone included.
    total: u64,
}

impl Ejections {
    /// A worker has found that `endpoint`, one of `group` (the endpoints of one port), has crossed a
    /// threshold; `last` is what it answered.
    pub(super) fn crossed(
        &mut self,
        group: &[Arc<Endpoint>],
        endpoint: &Endpoint,
        (crossing, last): (Crossing, Verdict),
        rules: Rules<'_>,
        now: u64,
    ) -> Option<Change> {
        let phase = endpoint.vitals.phase();
        let why = match crossing {
            Crossing::Errors(count, kind) if phase == Phase::Well => {
                format!("{count} {kind} in a row, the last was {last}")
            }
            Crossing::Relapse if phase == Phase::Probation => {
                format!("an error on probation: {last}")
            }
            Crossing::Recovered if phase == Phase::Probation => {
                return Some(self.recover(endpoint, rules, now));
            }
            // Somebody else was faster.
            _ => return None,
        };
        Some(self.eject(group, endpoint, why, rules, now))
    }

    /// Takes an outlier out, or spares it.
    fn eject(
        &mut self,
        group: &[Arc<Endpoint>],
        endpoint: &Endpoint,
        why: String,
        rules: Rules<'_>,
        now: u64,
    ) -> Change {
        let limit = rules.outliers.map_or(0, |outliers| most(outliers, group.len()));
        let others = group.iter().filter(|other| other.id != endpoint.id && self.is_ejected(other));
        let spared = others.count() >= limit;
        let record = self.records.entry(endpoint.id).or_default();
        endpoint.vitals.forget();
        let what = match rules.outliers {
            Some(outliers) if !spared => {
                let base = millis(outliers.base_ejection).max(1);
                let longest = millis(outliers.max_ejection).max(base);
                record.times = record.times.saturating_add(1).min(rounds(longest, base));
                let for_ms = base.saturating_mul(record.times.into()).min(longest);
                record.ejections += 1;
                (record.probation, record.spared) = (None, None);
                let ejected = Ejected { since: now, until: now + for_ms, why: why.clone() };
                record.ejected = Some(ejected);
                self.total += 1;
                What::Ejected { why, for_ms }
            }
            _ => {
                record.probation = None;
                record.spared = Some((now, why.clone()));
                What::Spared { why }
            }
        };
        self.settle(endpoint, rules);
        Change::new(endpoint, what)
    }

    /// Ends a probation well.
    fn recover(&mut self, endpoint: &Endpoint, rules: Rules<'_>, now: u64) -> Change {
        let record = self.records.entry(endpoint.id).or_default();
        (record.probation, record.steady_since) = (None, now);
        endpoint.vitals.forget();
        self.settle(endpoint, rules);
        self.warm(endpoint, rules, now);
        Change::new(endpoint, What::Back)
    }

    /// A health check of `endpoint` came to an end.
    pub(super) fn checked(
        &mut self,
        endpoint: &Endpoint,
        outcome: Result<(), String>,
        rules: Rules<'_>,
        now: u64,
    ) -> Option<Change> {
        let check = rules.health?;
        if outcome.is_ok() && !self.records.contains_key(&endpoint.id) {
            return None;
        }
        let record = self.records.entry(endpoint.id).or_default();
        let (contrary, limit) = match record.unhealthy {
            Some(_) => (outcome.is_ok(), check.healthy_after),
            None => (outcome.is_err(), check.unhealthy_after),
        };
        record.contrary = if contrary { record.contrary + 1 } else { 0 };
        if !contrary || record.contrary < limit {
            return None;
        }
        record.contrary = 0;
        let what = match outcome {
            Err(why) => {
                let why = format!("{limit} health checks in a row failed: {why}");
                record.unhealthy = Some((now, why.clone()));
                What::Unhealthy { why }
            }
            Ok(()) => {
                record.unhealthy = None;
                What::Healthy
            }
        };
        self.settle(endpoint, rules);
        if what == What::Healthy {
            self.warm(endpoint, rules, now);
        }
        Some(Change::new(endpoint, what))
    }

    /// Forgets endpoints that are gone, and takes those in that are new or judged by other rules.
    pub(super) fn adopt(&mut self, groups: &[&[Arc<Endpoint>]], rules: Rules<'_>) {
        let all = groups.iter().copied().flatten();
        let known = all.filter(|one| self.is_known(one)).map(|one| (one.id, one));
        let known: HashMap<u64, &Arc<Endpoint>> = known.collect();
        self.records.retain(|id, _| known.contains_key(id));
        for endpoint in known.into_values() {
            self.settle(endpoint, rules);
        }
    }

    /// Whether there is nothing to say of anybody.
    pub(super) fn is_empty(&self) -> bool {
        self.records.is_empty() && self.by_hand.is_empty()
    }

    fn is_known(&self, endpoint: &Endpoint) -> bool {
        self.records.contains_key(&endpoint.id) || self.by_hand.contains_key(&endpoint.workload)
    }

    /// Writes down whether it takes part; the one place where that is decided.
    fn settle(&self, endpoint: &Endpoint, rules: Rules<'_>) {
        let by_hand = self.by_hand.contains_key(&endpoint.workload);
        let Some(record) = self.records.get(&endpoint.id) else {
            endpoint.vitals.decide(Phase::Well, by_hand, by_hand, false);
            return;
        };
        let phase = match (&record.ejected, record.probation) {
            (Some(_), _) => Phase::Ejected,
            (None, Some(_)) => Phase::Probation,
            (None, None) => Phase::Well,
        };
        let kept_out = phase == Phase::Ejected || record.unhealthy.is_some();
        let out = by_hand || kept_out && !rules.shadow;
        let little = phase == Phase::Probation && !rules.shadow;
        endpoint.vitals.decide(phase, out, by_hand, little);
    }

    fn warm(&self, endpoint: &Endpoint, rules: Rules<'_>, now: u64) {
        if let (Some(over), false) = (rules.slow_start, rules.shadow) {
            endpoint.vitals.warm_up(now, over);
        }
    }

    fn is_ejected(&self, endpoint: &Endpoint) -> bool {
        self.records.get(&endpoint.id).is_some_and(|record| record.ejected.is_some())
    }
}

impl Change {
    fn new(endpoint: &Endpoint, what: What) -> Self {
        Self { workload: endpoint.workload.clone(), address: endpoint.address, what }
    }
}

/// How many of so many endpoints may be ejected at once.
fn most(outliers: &OutlierDetection, endpoints: usize) -> usize {
    let share = endpoints as u64 * u64::from(outliers.max_ejection_ppm);
    usize::try_from(share / u64::from(PARTS_PER_MILLION)).unwrap_or(usize::MAX).max(1)
}

/// How often in a row an ejection grows by `base` until it is the longest.
fn rounds(longest: u64, base: u64) -> u32 {
    u32::try_from(longest.div_ceil(base)).unwrap_or(u32::MAX)
}
