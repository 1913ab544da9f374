//! How an endpoint is chosen.

use std::time::Duration;

/// How calls are spread over the endpoints of a service.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct LoadBalancer {
    /// The algorithm.
    pub algorithm: Algorithm,
    /// What the consistent algorithms hash; `None` is the calling workload. Ignored by the others.
    pub hash_on: Option<HashOn>,
    /// How long an endpoint that came (or came back) takes to its full share; `None`: at once.
    pub slow_start: Option<Duration>,
    /// Whether endpoints of the caller's own zone are preferred.
    pub locality: Locality,
}

/// The algorithm that chooses an endpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Algorithm {
    /// The better of two random ones by requests in flight (power of two choices, Mitzenmacher 2001).
    #[default]
    LeastRequest,
    /// Each in turn.
    RoundRobin,
    /// Uniformly at random.
    Random,
    /// The better of two random ones by peak-sensitive moving average of latency times requests in
    /// flight (Finagle's Peak EWMA).
    Ewma,
    /// A ring of hashes (Karger et al. 1997).
    RingHash,
    /// Maglev's lookup table (Eisenbud et al. 2016).
    Maglev,
}

impl Algorithm {
    /// Every algorithm.
    pub const ALL: [Self; 6] = [
        Self::LeastRequest,
        Self::RoundRobin,
        Self::Random,
        Self::Ewma,
        Self::RingHash,
        Self::Maglev,
    ];

    /// Whether it is a consistent one, which hashes something of each request.
    pub fn hashes(self) -> bool {
        matches!(self, Self::RingHash | Self::Maglev)
    }

    /// The word that users write.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::LeastRequest => "least-request",
            Self::RoundRobin => "round-robin",
            Self::Random => "random",
            Self::Ewma => "ewma",
            Self::RingHash => "ring-hash",
            Self::Maglev => "maglev",
        }
    }
}

/// What of a request is hashed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HashOn {
    /// A header field; the name is lower case. Without it the choice is random.
    Header(String),
    /// A cookie, made where the request has none.
    Cookie(HashCookie),
    /// The calling workload.
    SourceIp,
}

/// The cookie that keeps a client at its endpoint (RFC 6265).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HashCookie {
    /// Its name, a token.
    pub name: String,
    /// Its path; empty for none.
    pub path: String,
    /// Its life; `None` ends with the client's session.
    pub ttl: Option<Duration>,
}

/// Whether zones matter.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Locality {
    /// All endpoints alike.
    #[default]
    Off,
    /// Those of the caller's zone first; as their health declines more and more goes to others.
    Prefer,
}
