//! The circuit breaker of one service as this proxy calls it, shared by all workers: how much is
//! going on at once, how much may, and what was refused; and the budget of repetitions.
//!
//! A count is taken only where there is a limit: a service without a breaker costs one branch. Limits
//! are exact over all workers: what would go over one is refused, what fits never is. What began
//! before there was a limit is not counted by it. Survives changes of configuration with its
//! cluster's cell. In shadow mode everything is counted and nothing refused.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU32, Ordering};
use std::time::{Duration, Instant};

use crate::proxy::adaptive::Adaptive;
use crate::proxy::bell::Bell;
use crate::proxy::budget::Budget;
use crate::proxy::clock::{self, Wall};
use crate::resource::{CircuitBreaker, RetryBudget};
use crate::telemetry::reason::Reason;
use crate::xds::agent::Breaker;
use line::{Entered, Line};
use refusals::{Refusals, Refused};

mod line;
mod refusals;
#[cfg(test)]
mod tests;

pub use line::{Grant, Place};

/// Requests are limited, by number or by measuring.
const REQUESTS: u8 = 1;
/// Repetitions are limited.
const RETRIES: u8 = 2;
/// Connections are limited.
const CONNECTIONS: u8 = 4;
/// Latency is measured.
const ADAPTIVE: u8 = 8;

/// The most that wait for a connection where `maxPendingRequests` does not say: no queue is without
/// end.
const MAX_PENDING: u32 = 1_024;

/// See the head of this file.
#[derive(Debug, Default)]
pub struct Circuit {
    /// Which limits there are, as bits; 0: nothing is counted.
    limited: AtomicU8,
    shadow: AtomicBool,
    max_requests: AtomicU32,
    max_retries: AtomicU32,
    per_connection: AtomicU32,
    requests: AtomicU32,
    retries: AtomicU32,
    line: Line,
    refusals: Refusals,
    adaptive: Adaptive,
    budget: Budget,
    bell: Arc<Bell>,
}

/// Something that counts for as long as it lives.
#[derive(Debug)]
pub struct Permit {
    circuit: Arc<Circuit>,
    kind: Kind,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Request,
    Retry,
    Connection,
    /// Counts no more.
    Spent,
}

/// As many repetitions as may be are under way: the result before stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TooManyRetries;

/// Whether a request that fails for `reason` was refused by a circuit.
pub fn is_refusal(reason: Reason) -> bool {
    use Reason::{AdaptiveConcurrency, MaxConnections, MaxPendingRequests, MaxRequests};
    matches!(reason, AdaptiveConcurrency | MaxConnections | MaxPendingRequests | MaxRequests)
}

impl Circuit {
    /// Nothing is limited yet; `bell` is rung when somebody waits.
    pub fn new(bell: Arc<Bell>) -> Self {
        Self { bell, ..Self::default() }
    }

    /// Other limits; what goes on already is let end.
    pub fn limit(self: &Arc<Self>, limits: &CircuitBreaker, shadow: bool) {
        let number = |limit: Option<u32>| limit.unwrap_or(u32::MAX);
        let bit = |is: bool, bit: u8| if is { bit } else { 0 };
        self.shadow.store(shadow, Ordering::Relaxed);
        self.max_requests.store(number(limits.max_requests), Ordering::Relaxed);
        self.max_retries.store(number(limits.max_retries), Ordering::Relaxed);
        let per_connection = limits.max_requests_per_connection.unwrap_or(0);
        self.per_connection.store(per_connection, Ordering::Relaxed);
        self.adaptive.limit(limits.adaptive);
        let pending = limits.max_pending_requests.unwrap_or(MAX_PENDING);
        self.line.limit(self, number(limits.max_connections), pending, shadow);
        let limited = bit(limits.max_requests.is_some() || limits.adaptive.is_some(), REQUESTS)
            | bit(limits.max_retries.is_some(), RETRIES)
            | bit(limits.max_connections.is_some(), CONNECTIONS)
            | bit(limits.adaptive.is_some(), ADAPTIVE);
        self.limited.store(limited, Ordering::Relaxed);
    }

    fn is_limited(&self, what: u8) -> bool {
        self.limited.load(Ordering::Relaxed) & what != 0
    }

    /// One request more (`maxRequests`, adaptive concurrency), with all its tries; of opaque traffic
    /// one connection. `Ok(None)` where nothing limits them.
    ///
    /// # Errors
    /// The reason of the 503.
    pub fn request(self: &Arc<Self>) -> Result<Option<Permit>, Reason> {
        if !self.is_limited(REQUESTS) {
            return Ok(None);
        }
        let max = self.max_requests.load(Ordering::Relaxed);
        let found = self.adaptive.current();
        let (limit, reason) = match found < max {
            true => (found, Reason::AdaptiveConcurrency),
            false => (max, Reason::MaxRequests),
        };
        match self.take(&self.requests, limit, Refused::of(reason)) {
            true => Ok(Some(self.permit(Kind::Request))),
            false => Err(reason),
        }
    }

    /// One repetition more (`maxRetries`), for as long as that try lasts; `Ok(None)` where nothing
    /// limits them.
    ///
    /// # Errors
    /// Too many are under way.
    pub fn retry(self: &Arc<Self>) -> Result<Option<Permit>, TooManyRetries> {
        if !self.is_limited(RETRIES) {
            return Ok(None);
        }
        match self.take(&self.retries, self.max_retries.load(Ordering::Relaxed), Refused::Retries) {
            true => Ok(Some(self.permit(Kind::Retry))),
            false => Err(TooManyRetries),
        }
    }

    /// Counts one more, if it fits or nothing is to be refused.
    fn take(&self, count: &AtomicU32, limit: u32, what: Refused) -> bool {
        let more = |now: u32| (now < limit).then_some(now + 1);
        if count.fetch_update(Ordering::Relaxed, Ordering::Relaxed, more).is_ok() {
            return true;
        }
        self.refused(what);
        let shadow = self.shadow.load(Ordering::Relaxed);
        if shadow {
            count.fetch_add(1, Ordering::Relaxed);
        }
        shadow
    }

    /// One connection more (`maxConnections`), for as long as it is open; to be kept with it. Where
    /// there are as many as may be, waits in line as a pending request (`maxPendingRequests`) until
    /// one ends; the caller bounds the time, and says [`Circuit::gave_up`] at its end. `Ok(None)`
    /// where nothing limits them.
    ///
    /// # Errors
    /// The reason of the 503: too many wait already.
    pub async fn connection(self: &Arc<Self>) -> Result<Option<Permit>, Reason> {
        match self.connection_or_pooled(None, false).await? {
            Grant::Open(permit) => Ok(Some(permit)),
            Grant::Unlimited | Grant::Pooled => Ok(None),
        }
    }

    /// As [`Circuit::connection`], for who could as well use a connection that becomes idle at
    /// `place`: [`Grant::Pooled`] says that one lies there (see [`Permit::keep_idle`]). Who finds it
    /// taken by another asks `again`, and is first in line then.
    ///
    /// # Errors
    /// As [`Circuit::connection`].
    pub async fn connection_or_pooled(
        self: &Arc<Self>,
        place: Option<Place>,
        again: bool,
    ) -> Result<Grant, Reason> {
        if !self.is_limited(CONNECTIONS) {
            return Ok(Grant::Unlimited);
        }
        let shadow = self.shadow.load(Ordering::Relaxed);
        let turn = match self.line.enter(self, place, again, shadow) {
            Entered::Open(permit) => return Ok(Grant::Open(permit)),
            Entered::Over(permit) => {
                self.refused(Refused::of(Reason::MaxConnections));
                return Ok(Grant::Open(permit));
            }
            Entered::Full => {
                self.refused(Refused::of(Reason::MaxPendingRequests));
                return Err(Reason::MaxPendingRequests);
            }
            Entered::Waits(turn) => turn,
        };
        self.bell.ring_shortage();
        turn.comes().await.ok_or(Reason::MaxConnections)
    }

    /// Counts that a wait for a connection took too long, and says the reason of the 503.
    pub fn gave_up(&self) -> Reason {
        self.refused(Refused::of(Reason::MaxConnections));
        Reason::MaxConnections
    }

    /// Whether as many connections are open as may be.
    pub fn has_no_room(&self) -> bool {
        self.is_limited(CONNECTIONS) && !self.shadow.load(Ordering::Relaxed) && self.line.is_full()
    }

    /// Whether somebody waits for a connection: an idle one is better closed than kept.
    pub fn is_waited_for(&self) -> bool {
        self.line.is_waited_for()
    }

    /// How many requests a connection carries before it is closed (`maxRequestsPerConnection`).
    pub fn max_requests_per_connection(&self) -> Option<u32> {
        Some(self.per_connection.load(Ordering::Relaxed)).filter(|limit| *limit > 0)
    }

    /// One request more in the budget of repetitions; to be said of each whose rule has a budget.
    pub fn counted(&self) {
        self.budget.counted(clock::now_ms());
    }

    /// A request counted before wants to be sent again; to be said once of each.
    pub fn wanted(&self) {
        self.budget.wanted(clock::now_ms());
    }

    /// Whether `budget` has room for one repetition more, which is counted then; counts what it
    /// refuses too.
    pub fn may_repeat(&self, budget: &RetryBudget) -> bool {
        self.budget.may_repeat(budget, clock::now_ms())
    }

    /// A try was answered (or timed out) after `took`; for adaptive concurrency.
    pub fn sample(&self, took: Duration, now: Instant) {
        if self.is_limited(ADAPTIVE) {
            let in_flight = self.requests.load(Ordering::Relaxed);
            self.adaptive.sample(took, in_flight, clock::ms(now));
        }
    }

    /// What there is to say of it; `None` where it never refused anything and measures nothing.
    pub fn report(&self, wall: Wall) -> Option<Breaker> {
        let measured = self.is_limited(ADAPTIVE).then(|| self.adaptive.current());
        let last_ms = self.refusals.last_ms();
        (last_ms.is_some() || measured.is_some()).then(|| Breaker {
            open: self.refusals.is_open(wall.now_ms()),
            refused: self.refusals.by_word(),
            last_ms: last_ms.map_or(0, |last| wall.at(last)),
            shadow: self.shadow.load(Ordering::Relaxed),
            concurrency: measured.unwrap_or(0),
        })
    }

    /// How many repetitions the budget did not allow.
    pub fn over_budget(&self) -> u64 {
        self.budget.refused()
    }

    fn refused(&self, what: Refused) {
        self.refusals.note(what, clock::now_ms());
    }

    fn permit(self: &Arc<Self>, kind: Kind) -> Permit {
        Permit { circuit: Arc::clone(self), kind }
    }
}

impl Permit {
    /// Whether somebody waits for what this permit holds: an idle connection is closed then.
    pub fn is_waited_for(&self) -> bool {
        self.circuit.is_waited_for()
    }

    /// The connection at `place` that holds this permit has become idle: whether it goes into the
    /// pool there. `false`: somebody elsewhere has waited long enough; close it. Where somebody
    /// waits at the same place they are woken and look into the pool, so that it must lie there
    /// before anything else runs on this worker.
    pub fn keep_idle(&self, place: Place) -> bool {
        self.circuit.line.keep_idle(place)
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        let circuit = &self.circuit;
        match self.kind {
            Kind::Request => drop(circuit.requests.fetch_sub(1, Ordering::Relaxed)),
            Kind::Retry => drop(circuit.retries.fetch_sub(1, Ordering::Relaxed)),
            Kind::Connection => circuit.line.ended(circuit),
            Kind::Spent => {}
        }
    }
}
