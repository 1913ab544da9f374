//! Faults that are put in on purpose, for testing.

use std::time::Duration;

use crate::names::{Namespace, RuleId, ServiceAccount};
use crate::resource::RouteMatch;

/// One policy of faults, at one port of a service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// `FaultPolicy/namespace/name`.
    pub id: RuleId,
    /// Whose calls; empty for everybody's.
    pub from: Vec<FaultSource>,
    /// Which calls; empty for all. [`RouteMatch::rule`] is 0.
    pub matches: Vec<RouteMatch>,
    /// They wait.
    pub delay: Option<FaultDelay>,
    /// They fail.
    pub abort: Option<FaultAbort>,
    /// Not from then on; seconds since the Unix epoch.
    pub expires: Option<u64>,
    /// It is counted what would have happened, and nothing happens.
    pub shadow: bool,
}

/// A caller, of the mesh's own trust domain.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum FaultSource {
    /// One identity.
    Identity(Namespace, ServiceAccount),
    /// All of a namespace.
    Namespace(Namespace),
}

/// The longest delay.
pub const MAX_FAULT_DELAY: Duration = Duration::from_secs(3_600);

/// A delay.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FaultDelay {
    /// How long; at most [`MAX_FAULT_DELAY`].
    pub duration: Duration,
    /// Of so many calls, parts per million.
    pub ppm: u32,
}

/// A failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FaultAbort {
    /// How.
    pub how: AbortHow,
    /// Of so many calls, parts per million.
    pub ppm: u32,
}

/// How a call fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AbortHow {
    /// With this HTTP status, 400 to 599.
    Status(u16),
    /// With this gRPC code, 1 to 16.
    Grpc(u32),
    /// The connection (of HTTP/2 the stream) is reset.
    Reset,
}
