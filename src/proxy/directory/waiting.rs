//! Who waits for a name (or an address) that is not known yet, and which ones the control thread
//! has not seen.
//!
//! Bounds, given with each entry: how many wait for one name, and for how many names.

use std::collections::hash_map::Entry;
use std::collections::{BTreeSet, HashMap};
use std::hash::Hash;
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::sync::Notify;

/// The queue is full: the request is not to wait.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Full;

/// How much waiting there may be.
#[derive(Debug, Clone, Copy)]
pub(super) struct Bounds {
    /// Requests for one name.
    pub(super) waiters: usize,
    /// Names at a time.
    pub(super) names: usize,
}

/// All waiting requests, by name.
#[derive(Debug)]
pub(super) struct Waiting<K> {
    names: HashMap<K, Queue>,
    wanted: BTreeSet<K>,
}

#[derive(Debug)]
struct Queue {
    notify: Arc<Notify>,
    waiters: usize,
}

/// A request that waits; leaves the queue however it ends.
#[derive(Debug)]
pub(super) struct Waiter<'a, K: Clone + Eq + Hash + Ord> {
    /// Told when there is an answer.
    pub(super) notify: Arc<Notify>,
    queue: &'a Mutex<Waiting<K>>,
    name: K,
}

impl<'a, K: Clone + Eq + Hash + Ord> Waiter<'a, K> {
    /// Enters the queue of `name`, where there is room; `first` is called for the first one.
    pub(super) fn enter(
        queue: &'a Mutex<Waiting<K>>,
        name: &K,
        bounds: Bounds,
        first: impl FnOnce(),
    ) -> Result<Self, Full> {
        let (notify, is_first) = queue.lock().enter(name, bounds)?;
        if is_first {
            first();
        }
        Ok(Self { notify, queue, name: name.clone() })
    }
}

impl<K: Clone + Eq + Hash + Ord> Drop for Waiter<'_, K> {
    fn drop(&mut self) {
        self.queue.lock().leave(&self.name, &self.notify);
    }
}

impl<K> Default for Waiting<K> {
    fn default() -> Self {
        Self { names: HashMap::new(), wanted: BTreeSet::new() }
    }
}

impl<K: Clone + Eq + Hash + Ord> Waiting<K> {
    /// Adds a waiter; what to wait on, and whether the control thread is to be told.
    fn enter(&mut self, name: &K, bounds: Bounds) -> Result<(Arc<Notify>, bool), Full> {
        let crowded = self.names.len() >= bounds.names;
        match self.names.entry(name.clone()) {
            Entry::Occupied(mut queue) if queue.get().waiters < bounds.waiters => {
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
    fn leave(&mut self, name: &K, notify: &Arc<Notify>) {
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
    pub(super) fn release(&mut self, name: &K) {
        if let Some(queue) = self.names.remove(name) {
            queue.notify.notify_waiters();
        }
    }

    /// Asks for `name` without waiting for it.
    pub(super) fn want(&mut self, name: &K) {
        self.wanted.insert(name.clone());
    }

    /// The names that were asked for since the last call.
    pub(super) fn take_wanted(&mut self) -> Vec<K> {
        std::mem::take(&mut self.wanted).into_iter().collect()
    }

    /// The names that somebody waits for now, in no order.
    pub(super) fn names(&self) -> Vec<K> {
        self.names.keys().cloned().collect()
    }

    /// Whether nobody waits.
    #[cfg(test)]
    pub(super) fn is_empty(&self) -> bool {
        self.names.is_empty()
    }
}
