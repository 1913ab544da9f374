//! Who waits for a name that is not known yet, and which names the control thread has not seen.
//!
//! Bounds: [`Limits::waiters`] per name, [`Limits::names`] names at a time.

use std::collections::hash_map::Entry;
use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use tokio::sync::Notify;

use super::Limits;
use crate::names::ServiceName;

/// The queue is full: the request is not to wait.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Full;

/// All waiting requests, by name.
#[derive(Debug, Default)]
pub(super) struct Waiting {
    names: HashMap<ServiceName, Queue>,
    wanted: BTreeSet<ServiceName>,
}

#[derive(Debug)]
struct Queue {
    notify: Arc<Notify>,
    waiters: usize,
}

impl Waiting {
    /// Adds a waiter; what to wait on, and whether the control thread is to be told.
    pub(super) fn enter(
        &mut self,
        name: &ServiceName,
        limits: Limits,
    ) -> Result<(Arc<Notify>, bool), Full> {
        let crowded = self.names.len() >= limits.names;
        match self.names.entry(name.clone()) {
            Entry::Occupied(mut queue) if queue.get().waiters < limits.waiters => {
                queue.get_mut().waiters += 1;
                Ok((Arc::clone(&queue.get().notify), false))
            }
            Entry::Vacant(slot) if !crowded => {
                let queue = slot.insert(Queue { notify: Arc::default(), waiters: 1 });
                self.wanted.insert(name.clone());
                Ok((Arc::clone(&queue.notify), true))
            }
            _ => Err(Full),
        }
    }

    /// Takes a waiter away; one that [`Waiting::release`] has already taken changes nothing.
    pub(super) fn leave(&mut self, name: &ServiceName, notify: &Arc<Notify>) {
        if let Entry::Occupied(mut queue) = self.names.entry(name.clone())
            && Arc::ptr_eq(&queue.get().notify, notify)
        {
            queue.get_mut().waiters -= 1;
            if queue.get().waiters == 0 {
                queue.remove();
            }
        }
    }

    /// Wakes all that wait for `name`.
    pub(super) fn release(&mut self, name: &ServiceName) {
        if let Some(queue) = self.names.remove(name) {
            queue.notify.notify_waiters();
        }
    }

    /// Asks for `name` without waiting for it.
    pub(super) fn want(&mut self, name: &ServiceName) {
        self.wanted.insert(name.clone());
    }

    /// The names that were asked for since the last call.
    pub(super) fn take_wanted(&mut self) -> Vec<ServiceName> {
        std::mem::take(&mut self.wanted).into_iter().collect()
    }

    /// Whether nobody waits.
    #[cfg(test)]
    pub(super) fn is_empty(&self) -> bool {
        self.names.is_empty()
    }
}
