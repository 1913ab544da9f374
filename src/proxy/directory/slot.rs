//! What the control plane has answered about one service, and what waits to be used.
//!
//! A service has one resource for all and may have another for our namespace. [`Slot::choice`] says
//! which of them counts; a chosen one is staged until all clusters that it points to are settled.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Instant;

use super::loader::Ticket;
use crate::names::{Namespace, ServiceName};
use crate::resource::Service;

/// One service that somebody called.
#[derive(Debug)]
pub(super) struct Slot {
    /// `namespace/service`.
    pub(super) general: Answer,
    /// `namespace/service@ours`, while `general` says that there is one.
    pub(super) own: Option<Answer>,
    /// What the cell was made of.
    pub(super) active: Option<Arc<Service>>,
    /// The clusters that the cell's table points to.
    pub(super) uses: BTreeSet<ServiceName>,
    /// What is to replace `active`.
    pub(super) staged: Option<Staged>,
    /// When somebody last asked for it.
    pub(super) asked: Instant,
}

/// The answer to one subscription.
#[derive(Debug)]
pub(super) enum Answer {
    Waiting,
    Absent,
    Have(Arc<Service>),
}

/// A resource that waits for its clusters.
#[derive(Debug)]
pub(super) struct Staged {
    pub(super) service: Arc<Service>,
    pub(super) needs: BTreeSet<ServiceName>,
    /// Answered together: what came before has been overtaken by what is staged.
    pub(super) tickets: Vec<Ticket>,
    /// When it is refused; `None` once it has been, though it is still used when it completes.
    pub(super) deadline: Option<Instant>,
}

/// Which resource counts.
pub(super) enum Choice {
    /// Not all answers are there.
    Wait,
    /// There is no such service.
    Nothing,
    /// This one.
    Use(Arc<Service>),
}

impl Slot {
    pub(super) fn new(asked: Instant) -> Self {
        Self {
            general: Answer::Waiting,
            own: None,
            active: None,
            uses: BTreeSet::new(),
            staged: None,
            asked,
        }
    }

    /// Whether callers in `namespace` have a resource of their own.
    pub(super) fn is_overridden(&self, namespace: &Namespace) -> bool {
        match &self.general {
            Answer::Have(service) => service.overridden_in.contains(namespace),
            Answer::Waiting | Answer::Absent => false,
        }
    }

    /// Which resource counts for callers in `namespace`.
    pub(super) fn choice(&self, namespace: &Namespace) -> Choice {
        let general = match &self.general {
            Answer::Waiting => return Choice::Wait,
            Answer::Absent => return Choice::Nothing,
            Answer::Have(service) => service,
        };
        if !self.is_overridden(namespace) {
            return Choice::Use(Arc::clone(general));
        }
        match &self.own {
            None | Some(Answer::Waiting) => Choice::Wait,
            Some(Answer::Absent) => Choice::Use(Arc::clone(general)),
            Some(Answer::Have(own)) => Choice::Use(Arc::clone(own)),
        }
    }

    /// Whether `service` is in use or on its way to be.
    pub(super) fn has(&self, service: &Arc<Service>) -> bool {
        let coming = self.staged.as_ref().map(|staged| &staged.service);
        match coming.or(self.active.as_ref()) {
            Some(latest) => Arc::ptr_eq(latest, service),
            None => false,
        }
    }
}

/// The services whose clusters `service` points to.
pub(super) fn needs(service: &Service) -> BTreeSet<ServiceName> {
    let rules = service.ports.iter().flat_map(|port| &port.rules);
    let backends = rules.flat_map(|rule| &rule.backends).filter(|backend| backend.resolved);
    backends.map(|backend| backend.service.clone()).collect()
}
