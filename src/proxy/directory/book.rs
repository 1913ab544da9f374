//! Answers about addresses, as any thread reads them: what was found under a key, or that the
//! control plane says that there is nothing.
//!
//! Filled by [`Asked`](super::loader), read without a lock; who finds nothing waits in the queue.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::Arc;
use std::sync::atomic::AtomicU32;

use arc_swap::ArcSwap;
use parking_lot::Mutex;

use super::touch;
use super::waiting::Waiting;

/// An answer about one key.
#[derive(Debug, Clone)]
pub(super) struct Known<V> {
    /// `None`: there is nothing.
    pub(super) found: Option<V>,
    /// The second in which it was last used.
    pub(super) used: Arc<AtomicU32>,
}

/// All answers, and who waits for one.
#[derive(Debug)]
pub(super) struct Book<K, V> {
    pub(super) known: ArcSwap<HashMap<K, Known<V>>>,
    pub(super) waiting: Mutex<Waiting<K>>,
}

impl<K, V> Default for Book<K, V> {
    fn default() -> Self {
        Self { known: ArcSwap::default(), waiting: Mutex::default() }
    }
}

impl<K: Eq + Hash, V: Clone> Book<K, V> {
    /// What is known of `key`, marked as used in the second `now`: `None` where nobody asked yet or
    /// there is no answer, `Some(None)` where there is nothing.
    pub(super) fn look(&self, key: &K, now: u32) -> Option<Option<V>> {
        let all = self.known.load();
        let known = all.get(key)?;
        touch(&known.used, now);
        Some(known.found.clone())
    }
}
