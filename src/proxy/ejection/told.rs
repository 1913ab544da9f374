//! What a proxy tells of its pool, taken over by who wants to know what that proxy would do.

use std::time::Duration;

use super::{ByHand, Ejected, Ejections, Endpoint, Rules};

/// In which state an endpoint is told to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Told {
    /// Out for what it answered.
    Ejected,
    /// Out because it fails its health checks.
    Unhealthy,
    /// Out because a person said so.
    ByHand,
    /// Back, with a trickle of its share.
    Probation,
    /// With a growing part of its share.
    Warming {
        /// Since it began.
        past: Duration,
        /// Until it has all of it.
        left: Duration,
    },
}

impl Ejections {
    /// Takes over what is told of `endpoint`.
    pub(in crate::proxy) fn take_over(
        &mut self,
        endpoint: &Endpoint,
        told: Told,
        rules: Rules<'_>,
        now: u64,
    ) {
        let record = self.records.entry(endpoint.id).or_default();
        match told {
            Told::Ejected => {
                record.ejected = Some(Ejected { since: now, until: u64::MAX, why: String::new() });
            }
            Told::Unhealthy => record.unhealthy = Some((now, String::new())),
            Told::Probation => record.probation = Some(now),
            Told::ByHand => {
                let word = ByHand { since: now, until: None };
                self.by_hand.insert(endpoint.workload.clone(), word);
            }
            Told::Warming { past, left } => {
                let began = now.saturating_sub(super::millis(past));
                endpoint.vitals.warm_up(began, past + left);
            }
        }
        self.settle(endpoint, rules);
    }
}
