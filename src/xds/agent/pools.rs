//! What a proxy says of the pools of the services that it calls, and what is ordered about them.

use std::collections::HashMap;

/// The pools of the services that the proxy calls, of which there is something to say: those with a
/// breaker that refused, or an endpoint that is not in its full share. Each message replaces the one
/// before.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Pools {
    /// By service.
    #[prost(message, repeated, tag = "1")]
    pub pools: Vec<Pool>,
}

/// The pool of one service.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Pool {
    /// `namespace/service`.
    #[prost(string, tag = "1")]
    pub service: String,
    /// The breaker; none where it never refused anything.
    #[prost(message, optional, tag = "2")]
    pub breaker: Option<Breaker>,
    /// Endpoints that are out, on probation or warming up, by workload and address.
    #[prost(message, repeated, tag = "3")]
    pub endpoints: Vec<PoolEndpoint>,
    /// All are used, because too few were left (panic threshold).
    #[prost(bool, tag = "4")]
    pub panic: bool,
    /// How many endpoints there are.
    #[prost(uint32, tag = "5")]
    pub total: u32,
    /// Repetitions that the budget did not allow, since the proxy began.
    #[prost(uint64, tag = "6")]
    pub over_budget: u64,
    /// How often an endpoint was taken out for what it answered, since the proxy began.
    #[prost(uint64, tag = "7")]
    pub ejections: u64,
}

/// What a breaker does.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Breaker {
    /// It has refused something in the last ten seconds.
    #[prost(bool, tag = "1")]
    pub open: bool,
    /// Refused since the proxy began, by reason.
    #[prost(map = "string, uint64", tag = "2")]
    pub refused: HashMap<String, u64>,
    /// Milliseconds since the Unix epoch of the last refusal.
    #[prost(uint64, tag = "3")]
    pub last_ms: u64,
    /// Counted only (`mode: Shadow`).
    #[prost(bool, tag = "4")]
    pub shadow: bool,
    /// The limit that adaptive concurrency has found; 0 without it.
    #[prost(uint32, tag = "5")]
    pub concurrency: u32,
}

/// An endpoint of a pool.
#[derive(Clone, PartialEq, prost::Message)]
pub struct PoolEndpoint {
    /// The workload's name.
    #[prost(string, tag = "1")]
    pub workload: String,
    /// `ip:port`.
    #[prost(string, tag = "2")]
    pub address: String,
    /// `ejected`, `unhealthy`, `by-hand`, `probation` or `warming`.
    #[prost(string, tag = "3")]
    pub state: String,
    /// Why, for people: `5 errors in a row, the last was 503`.
    #[prost(string, tag = "4")]
    pub why: String,
    /// Milliseconds since the Unix epoch.
    #[prost(uint64, tag = "5")]
    pub since_ms: u64,
    /// The same; 0 where nobody knows.
    #[prost(uint64, tag = "6")]
    pub until_ms: u64,
    /// How often it was ejected since the proxy knows it.
    #[prost(uint32, tag = "7")]
    pub ejections: u32,
    /// Would be out, but only counts (`mode: Shadow`, or `maxEjectionPercent` held it back).
    #[prost(bool, tag = "8")]
    pub spared: bool,
}

/// An endpoint that a person decides about.
#[derive(Clone, PartialEq, prost::Message)]
pub struct EndpointOrder {
    /// `namespace/service`.
    #[prost(string, tag = "1")]
    pub service: String,
    /// The workload's name.
    #[prost(string, tag = "2")]
    pub workload: String,
    /// For how long, seconds; 0 for until further notice.
    #[prost(uint64, tag = "3")]
    pub seconds: u64,
}

/// The words of [`PoolEndpoint::state`].
pub mod state {
    /// Taken out for what it answered.
    pub const EJECTED: &str = "ejected";
    /// It fails its health checks.
    pub const UNHEALTHY: &str = "unhealthy";
    /// A person took it out.
    pub const BY_HAND: &str = "by-hand";
    /// Back, with a trickle of its share.
    pub const PROBATION: &str = "probation";
    /// New, with a growing part of its share.
    pub const WARMING: &str = "warming";
}

impl Pool {
    /// Whether the breaker refuses, and not only counts.
    pub fn is_open(&self) -> bool {
        self.breaker.as_ref().is_some_and(|breaker| breaker.open && !breaker.shadow)
    }

    /// What the breaker has refused, by reason, in the order of reasons.
    pub fn refused(&self) -> impl Iterator<Item = (&str, u64)> {
        let refused = self.breaker.iter().flat_map(|breaker| &breaker.refused);
        let mut refused: Vec<_> = refused.map(|(why, count)| (why.as_str(), *count)).collect();
        refused.sort_unstable();
        refused.into_iter()
    }

    /// The endpoints that get nothing.
    pub fn out(&self) -> impl Iterator<Item = &PoolEndpoint> {
        self.endpoints.iter().filter(|endpoint| endpoint.is_out())
    }
}

impl PoolEndpoint {
    /// Whether it gets nothing.
    pub fn is_out(&self) -> bool {
        let out = [state::EJECTED, state::UNHEALTHY, state::BY_HAND].contains(&self.state.as_str());
        out && !self.spared
    }
}
