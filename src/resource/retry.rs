//! What of a request is tried again, and how often.

use std::time::Duration;

/// The repetitions of a rule. The default is what holds without any policy: once, to another
/// endpoint, where the request cannot have reached the application.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Retry {
    /// Tries after the first.
    pub attempts: u32,
    /// What is tried again.
    pub on: RetryOn,
    /// Answers with these statuses are tried again; ascending.
    pub status_codes: Vec<u16>,
    /// Answers with these gRPC codes are tried again; ascending.
    pub grpc_codes: Vec<u32>,
    /// Also methods that are not idempotent, although the request may have been carried out.
    pub any_method: bool,
    /// The wait before a repetition: drawn evenly from zero to `base × 2^n`, at most `max`
    /// (full jitter). Both zero: none.
    pub backoff: RetryBackoff,
    /// No repetition comes sooner than this, which is added to the draw (`HTTPRoute.retry.backoff`,
    /// GEP-1731); zero where no route asks for it.
    pub backoff_floor: Duration,
    /// How many repetitions there may be; `None`: unlimited. What cannot have reached the
    /// application is repeated once without asking it.
    pub budget: Option<RetryBudget>,
    /// The largest body that is kept for repetition, bytes.
    pub max_body: u32,
    /// A second try while the first is still out, after this time; only for idempotent methods.
    pub hedge_after: Option<Duration>,
}

/// Conditions, beside statuses and codes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct RetryOn {
    /// No connection could be made.
    pub connect_failure: bool,
    /// The endpoint refused the stream unseen (REFUSED_STREAM, GOAWAY).
    pub refused_stream: bool,
    /// 502, 503, 504; also where the proxy would have to answer so itself, for want of an answer.
    pub gateway_error: bool,
    /// 500 to 599; also for want of an answer.
    pub server_error: bool,
    /// The connection ended before an answer, or the try took too long.
    pub reset: bool,
}

/// See [`Retry::backoff`].
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct RetryBackoff {
    /// The first ceiling.
    pub base: Duration,
    /// The highest ceiling.
    pub max: Duration,
}

/// Repetitions as a share of requests, per calling proxy and service (Finagle, gRPC A6).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RetryBudget {
    /// Of the requests of the last ten seconds that wanted no repetition, parts per million.
    pub ppm: u32,
    /// But so many per second in any case.
    pub min_per_second: u32,
}

/// The largest body that is kept where nothing else is said, 64 KiB.
pub const DEFAULT_MAX_BODY: u32 = 64 * 1024;

impl Retry {
    /// The default.
    pub const DEFAULT: Self = Self {
        attempts: 1,
        on: RetryOn {
            connect_failure: true,
            refused_stream: true,
            gateway_error: false,
            server_error: false,
            reset: false,
        },
        status_codes: Vec::new(),
        grpc_codes: Vec::new(),
        any_method: false,
        backoff: RetryBackoff { base: Duration::ZERO, max: Duration::ZERO },
        backoff_floor: Duration::ZERO,
        budget: None,
        max_body: DEFAULT_MAX_BODY,
        hedge_after: None,
    };
}

impl Default for Retry {
    fn default() -> Self {
        Self::DEFAULT
    }
}
