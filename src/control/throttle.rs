//! How often an address may show a token that is refused, be it to join or to call the admin API:
//! nobody is to guess one, and on a cluster each costs the API server a question.
//!
//! A count per address and [`WINDOW`]; what was right is not counted. Bounded in memory: when too
//! many addresses are remembered all are forgotten, the API server is asked a few at a time anyway.

use std::collections::HashMap;
use std::net::IpAddr;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use tonic::Status;

use crate::telemetry::limits::Limit;

#[cfg(test)]
mod tests;

/// The span that is counted over.
pub(super) const WINDOW: Duration = Duration::from_secs(30);

/// Refusals in one span.
pub(super) const MOST: u32 = Limit::Joins.most() as u32;

/// Addresses remembered.
const ADDRESSES: usize = 4_096;

/// Counts refusals.
#[derive(Debug, Default)]
pub(super) struct Throttle {
    refused: Mutex<HashMap<IpAddr, (Instant, u32)>>,
}

impl Throttle {
    /// Whether `from` has to wait.
    pub(super) fn is_shut(&self, from: Option<IpAddr>, now: Instant) -> bool {
        let refused = self.refused.lock();
        let counted = from.and_then(|from| refused.get(&from));
        counted.is_some_and(|(since, count)| {
            *count >= MOST && now.saturating_duration_since(*since) < WINDOW
        })
    }

    /// Lets `from` show a token.
    ///
    /// # Errors
    /// RESOURCE_EXHAUSTED where it has to wait.
    pub(super) fn admit(&self, from: Option<IpAddr>, now: Instant) -> Result<(), Status> {
        match self.is_shut(from, now) {
            true => Err(Status::resource_exhausted("too many refused tokens from this address")),
            false => Ok(()),
        }
    }

    /// One more was refused.
    pub(super) fn refused(&self, from: Option<IpAddr>, now: Instant) {
        let Some(from) = from else { return };
        let mut refused = self.refused.lock();
        if refused.len() >= ADDRESSES && !refused.contains_key(&from) {
            refused.clear();
        }
        let (since, count) = refused.entry(from).or_insert((now, 0));
        if now.saturating_duration_since(*since) >= WINDOW {
            (*since, *count) = (now, 0);
        }
        *count += 1;
    }
}
