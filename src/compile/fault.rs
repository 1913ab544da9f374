//! The faults that are put in at one port of a service: the same for every caller, because a proxy
//! knows itself who its own application is. An opaque port has no requests that could fit.

use std::sync::Arc;

use crate::mesh::{self, FaultPolicy};
use crate::names::Protocol;
use crate::resource::{Fault, RouteMatch};

/// The faults of a port, in the order of `policies`.
pub(super) fn faults(port: &mesh::ServicePort, policies: &[Arc<FaultPolicy>]) -> Vec<Fault> {
    match port.protocol {
        Protocol::Tcp => Vec::new(),
        _ => policies.iter().map(|policy| fault(policy)).collect(),
    }
}

fn fault(policy: &FaultPolicy) -> Fault {
    let matches = policy.matches.iter().map(|matched| RouteMatch {
        rule: 0,
        path: matched.path.clone(),
        method: matched.method.clone(),
        headers: matched.headers.clone(),
        query: matched.query.clone(),
    });
    Fault {
        id: policy.id(),
        from: policy.from.clone(),
        matches: matches.collect(),
        delay: policy.delay,
        abort: policy.abort,
        expires: policy.expires,
        shadow: policy.shadow,
    }
}
