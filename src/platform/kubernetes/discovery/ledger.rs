//! What is known of one kind of objects, and what a list or an event makes different. Pure.
//!
//! An object goes when it is told to be deleted, or when a complete list lacks it. A list that lacks
//! more than half of what was known is not believed at once (a server that has just come back, or
//! was restored, may answer before it knows everything); what it lacks goes when the next list lacks
//! it too.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

#[cfg(test)]
mod tests;

/// One difference: what it is now, or `None` where it is gone.
pub(super) type Difference<I, T> = (I, Option<Arc<T>>);

/// See the head of this file.
#[derive(Debug)]
pub(super) struct Ledger<I, T> {
    known: BTreeMap<I, Arc<T>>,
    /// While a list runs: what it has not named yet.
    unseen: BTreeSet<I>,
    /// What the last list lacked and was not believed.
    doubted: BTreeSet<I>,
}

impl<I, T> Default for Ledger<I, T> {
    fn default() -> Self {
        Self { known: BTreeMap::new(), unseen: BTreeSet::new(), doubted: BTreeSet::new() }
    }
}

/// What came of a complete list.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Listed<I, T> {
    /// It is believed; these are gone.
    Believed(Vec<Difference<I, T>>),
    /// It lacks so many that it is not: another one is needed.
    Doubted {
        /// What it lacks.
        missing: usize,
        /// Of how many.
        known: usize,
    },
}

impl<I: Ord + Clone, T: PartialEq> Ledger<I, T> {
    /// How many there are.
    pub(super) fn count(&self) -> usize {
        self.known.len()
    }

    /// A list begins, or begins again.
    pub(super) fn begin(&mut self) {
        self.unseen = self.known.keys().cloned().collect();
    }

    /// A list or an event names an object; without a body it is none of the mesh's.
    pub(super) fn put(&mut self, id: I, item: Option<T>) -> Option<Difference<I, T>> {
        let Some(item) = item else { return self.delete(id) };
        self.unseen.remove(&id);
        self.doubted.remove(&id);
        if self.known.get(&id).is_some_and(|known| **known == item) {
            return None;
        }
        let item = Arc::new(item);
        self.known.insert(id.clone(), Arc::clone(&item));
        Some((id, Some(item)))
    }

    /// An object was deleted.
    pub(super) fn delete(&mut self, id: I) -> Option<Difference<I, T>> {
        self.unseen.remove(&id);
        self.doubted.remove(&id);
        self.known.remove(&id).map(|_| (id, None))
    }

    /// The list is complete.
    pub(super) fn done(&mut self) -> Listed<I, T> {
        let missing = std::mem::take(&mut self.unseen);
        let doubted = std::mem::take(&mut self.doubted);
        let few = missing.len() * 2 <= self.known.len();
        if !few && !missing.is_subset(&doubted) {
            let listed = Listed::Doubted { missing: missing.len(), known: self.known.len() };
            self.doubted = missing;
            return listed;
        }
        Listed::Believed(missing.into_iter().filter_map(|id| self.delete(id)).collect())
    }
}
