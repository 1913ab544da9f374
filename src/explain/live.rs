//! What is known beside resources: how the caller's proxy has its pools right now, and which policy
//! says what of a service.

use std::collections::BTreeMap;

use jiff::Timestamp;

use crate::explain::explanation::BreakerView;
use crate::names::ServiceName;
use crate::resource::words::Setting;

/// See the head of this file.
#[derive(Debug, Clone, Default)]
pub struct Live {
    /// Whether endpoints are those of a mesh that runs; where not, one is assumed for each service.
    pub running: bool,
    /// The pools of which there is something to say.
    pub pools: BTreeMap<ServiceName, LivePool>,
    /// The policy in force of each service that has one.
    pub policies: BTreeMap<ServiceName, Policy>,
    /// What was assumed for want of a mesh, and what else there is to say, for people.
    pub notes: Vec<String>,
}

/// The policy in force of a service.
#[derive(Debug, Clone)]
pub struct Policy {
    /// `TrafficPolicy/default/reviews`.
    pub name: String,
    /// Every setting that comes of it.
    pub settings: Vec<Setting>,
}

/// A pool as the caller's proxy has it.
#[derive(Debug, Clone, Default)]
pub struct LivePool {
    /// The breaker, where it has refused something.
    pub breaker: Option<BreakerView>,
    /// The endpoints that do not have their full share.
    pub endpoints: Vec<LiveEndpoint>,
}

/// An endpoint that does not have its full share.
#[derive(Debug, Clone)]
pub struct LiveEndpoint {
    /// The workload's name.
    pub workload: String,
    /// `ip:port`.
    pub address: String,
    /// `Ejected`, `Unhealthy`, `ByHand`, `Probation` or `Warming`.
    pub state: String,
    /// Why, for people.
    pub why: String,
    /// Since when.
    pub since: Option<Timestamp>,
    /// Until when.
    pub until: Option<Timestamp>,
    /// It would be out, and is not.
    pub spared: bool,
}
