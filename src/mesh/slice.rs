//! Slices of a service's endpoints, as Kubernetes tells them (`discovery.k8s.io/v1 EndpointSlice`).
//!
//! Several slices make up one service: one per address family at least, and one per hundred
//! endpoints or so. While endpoints move from one to another they may stand in both.

use std::net::IpAddr;
use std::sync::Arc;

use crate::names::{ProxyId, ServiceName, SliceName};

/// One slice, as far as a mesh reads it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Slice {
    /// Which.
    pub name: SliceName,
    /// The service that its endpoints are of, in the slice's own namespace.
    pub service: ServiceName,
    /// Its ports.
    pub ports: Vec<SlicePort>,
    /// Its endpoints, in the order told.
    pub endpoints: Vec<SliceEndpoint>,
}

/// A port of all endpoints of a slice.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SlicePort {
    /// The name of the service's port that it answers for; empty where that has none.
    pub name: String,
    /// The port to dial.
    pub port: u16,
}

/// One endpoint.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SliceEndpoint {
    /// Where it is.
    pub addresses: Vec<IpAddr>,
    /// Whether it takes requests.
    pub readiness: Readiness,
    /// The pod behind it, in the slice's own namespace. `None`: whoever has that address.
    pub pod: Option<ProxyId>,
    /// The zone that it runs in, where that is told.
    pub zone: Option<Arc<str>>,
}

/// Whether an endpoint takes requests.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Readiness {
    /// No.
    NotReady,
    /// It is about to end and still serves: taken where the service has nobody else (KEP-1669).
    Draining,
    /// Yes.
    Ready,
}
