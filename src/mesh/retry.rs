//! What is tried again: what a policy or route that asks for repetitions means, and how the two come
//! together.
//!
//! A route's `retry` (GEP-1731) wins field by field over that of the called service's policy. Where
//! that policy has none, the rest is what `retry: {}` means, with connections that break counted as
//! failures, as the Gateway API asks.

use std::time::Duration;

use crate::resource::{
    DEFAULT_MAX_BODY, PARTS_PER_MILLION, Retry, RetryBackoff, RetryBudget, RetryOn,
};

/// `retry` of a route's rule; `None` was not said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RouteRetry {
    /// Answers with these statuses are tried again, and no others; ascending.
    pub codes: Option<Vec<u16>>,
    /// Tries after the first.
    pub attempts: Option<u32>,
    /// No repetition comes sooner; also the base of the waits.
    pub backoff: Option<Duration>,
}

/// What `retry: {}` of a policy means.
pub fn asked_retry() -> Retry {
    Retry {
        attempts: 2,
        on: RetryOn {
            connect_failure: true,
            refused_stream: true,
            gateway_error: true,
            ..RetryOn::default()
        },
        status_codes: Vec::new(),
        grpc_codes: Vec::new(),
        any_method: false,
        backoff: RetryBackoff { base: Duration::from_millis(25), max: Duration::from_millis(250) },
        backoff_floor: Duration::ZERO,
        budget: Some(RetryBudget { ppm: PARTS_PER_MILLION / 5, min_per_second: 3 }),
        max_body: DEFAULT_MAX_BODY,
        hedge_after: None,
    }
}

/// The longest wait where only the base was said: ten times that, or `usual` where it is more.
pub fn longest_backoff(base: Duration, usual: Duration) -> Duration {
    base.saturating_mul(10).max(usual)
}

impl RouteRetry {
    /// What holds for the rule, where `policy` is what the called service's policy says.
    pub fn over(&self, policy: Option<&Retry>) -> Retry {
        let mut retry = policy.cloned().unwrap_or_else(|| {
            let usual = asked_retry();
            Retry { on: RetryOn { reset: true, ..usual.on }, ..usual }
        });
        if let Some(codes) = &self.codes {
            retry.on = RetryOn { gateway_error: false, server_error: false, ..retry.on };
            retry.status_codes.clone_from(codes);
        }
        if let Some(attempts) = self.attempts {
            retry.attempts = attempts;
        }
        if let Some(base) = self.backoff {
            let max = match base.is_zero() {
                true => Duration::ZERO,
                false => longest_backoff(base, retry.backoff.max),
            };
            retry.backoff = RetryBackoff { base, max };
            retry.backoff_floor = base;
        }
        retry
    }
}
