//! Faults that are put in on purpose: `FaultPolicy`, resolved.

use crate::mesh::{ObjectKind, ObjectRef, PolicyTarget, RouteMatch};
use crate::names::{Namespace, ObjectName, RuleId};
use crate::resource::{FaultAbort, FaultDelay, FaultSource};

/// One fault policy.
#[derive(Debug, Clone, PartialEq)]
pub struct FaultPolicy {
    /// Its namespace.
    pub namespace: Namespace,
    /// Its name.
    pub name: ObjectName,
    /// Goes up with each change, as Kubernetes counts it; 1 when new.
    pub generation: u64,
    /// When it was first applied, milliseconds since the Unix epoch: of several policies that fit a
    /// request the oldest is taken.
    pub created_ms: u64,
    /// What it is about.
    pub targets: Vec<PolicyTarget>,
    /// Whose calls, ascending; empty for everybody's.
    pub from: Vec<FaultSource>,
    /// Which calls; empty for all.
    pub matches: Vec<RouteMatch>,
    /// They wait.
    pub delay: Option<FaultDelay>,
    /// They fail.
    pub abort: Option<FaultAbort>,
    /// Not from then on; seconds since the Unix epoch.
    pub expires: Option<u64>,
    /// Counted only.
    pub shadow: bool,
}

impl FaultPolicy {
    /// What it is called.
    pub fn reference(&self) -> ObjectRef {
        ObjectRef {
            kind: ObjectKind::FaultPolicy,
            namespace: self.namespace.clone(),
            name: self.name.clone(),
        }
    }

    /// The name by which proxies tell it: `FaultPolicy/namespace/name`.
    pub fn id(&self) -> RuleId {
        RuleId(self.reference().to_string().into())
    }

    /// Whether it is over at `now`, in seconds since the Unix epoch.
    pub fn has_expired(&self, now: u64) -> bool {
        self.expires.is_some_and(|expires| expires <= now)
    }
}
