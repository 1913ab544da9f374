//! What a breaker has refused, by reason, and when it last did: who has refused something within
//! [`OPEN`] is open.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::telemetry::reason::Reason;

/// How long a breaker shows as open after it last refused, milliseconds.
const OPEN: u64 = 10_000;

/// What can be refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Refused {
    Requests,
    Pending,
    Connections,
    Adaptive,
    Retries,
}

impl Refused {
    const ALL: [Self; 5] =
        [Self::Requests, Self::Pending, Self::Connections, Self::Adaptive, Self::Retries];

    /// What a request is refused for.
    pub(super) fn of(reason: Reason) -> Self {
        match reason {
            Reason::MaxPendingRequests => Self::Pending,
            Reason::MaxConnections => Self::Connections,
            Reason::AdaptiveConcurrency => Self::Adaptive,
            _ => Self::Requests,
        }
    }

    /// The word for people: the reason of the answer, where there is one.
    fn as_str(self) -> &'static str {
        match self {
            Self::Requests => Reason::MaxRequests.as_str(),
            Self::Pending => Reason::MaxPendingRequests.as_str(),
            Self::Connections => Reason::MaxConnections.as_str(),
            Self::Adaptive => Reason::AdaptiveConcurrency.as_str(),
            Self::Retries => "max_retries",
        }
    }
}

/// See the head of this file.
#[derive(Debug, Default)]
pub(super) struct Refusals {
    counts: [AtomicU64; Refused::ALL.len()],
    /// On the proxy's clock, plus one; 0: never.
    last: AtomicU64,
}

impl Refusals {
    /// One more.
    pub(super) fn note(&self, what: Refused, now_ms: u64) {
        if let Some(count) = self.counts.get(what as usize) {
            count.fetch_add(1, Ordering::Relaxed);
        }
        self.last.store(now_ms + 1, Ordering::Relaxed);
    }

    /// When something was last refused, on the proxy's clock.
    pub(super) fn last_ms(&self) -> Option<u64> {
        self.last.load(Ordering::Relaxed).checked_sub(1)
    }

    /// Whether that is so lately that the breaker is open.
    pub(super) fn is_open(&self, now_ms: u64) -> bool {
        self.last_ms().is_some_and(|last| now_ms.saturating_sub(last) < OPEN)
    }

    /// How many, by word; none that are 0.
    pub(super) fn by_word(&self) -> HashMap<String, u64> {
        let counts = Refused::ALL.iter().zip(&self.counts);
        let counts = counts.map(|(what, count)| (*what, count.load(Ordering::Relaxed)));
        let some = counts.filter(|(_, count)| *count > 0);
        some.map(|(what, count)| (what.as_str().to_owned(), count)).collect()
    }
}
