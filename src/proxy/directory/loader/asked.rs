//! What was asked for by address: answered, bounded, let go when idle. The half of a
//! [`Book`] that the control thread owns.

use std::collections::{BTreeSet, HashMap};
use std::hash::Hash;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Instant;

use super::idle::{IDLE, IDLE_NOTHING};
use crate::proxy::directory::book::{Book, Known};

/// All keys that are subscribed to.
#[derive(Debug)]
pub(super) struct Asked<K, V> {
    /// With the time of the first wish, which counts until there is an answer.
    asked: HashMap<K, Instant>,
    known: HashMap<K, Known<V>>,
    /// Those whose answer changed since it was last published.
    changed: BTreeSet<K>,
}

/// What a wish calls for.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Wish<K> {
    /// It is asked for already, or there is no room.
    Nothing,
    /// Ask for it; the other has made room and is to be let go.
    Ask(Option<K>),
}

impl<K, V> Default for Asked<K, V> {
    fn default() -> Self {
        Self { asked: HashMap::new(), known: HashMap::new(), changed: BTreeSet::new() }
    }
}

impl<K: Copy + Eq + Hash + Ord, V: Clone> Asked<K, V> {
    /// Somebody wants `key`; at most `most` are kept.
    pub(super) fn want(&mut self, key: K, now: Instant, most: usize) -> Wish<K> {
        if let Some(asked) = self.asked.get_mut(&key) {
            *asked = now;
            return Wish::Nothing;
        }
        let mut room = None;
        if self.asked.len() >= most {
            room = self.oldest();
            match room {
                Some(oldest) => self.let_go(oldest),
                None => return Wish::Nothing,
            }
        }
        self.asked.insert(key, now);
        Wish::Ask(room)
    }

    /// Whether somebody asked and it was not let go since.
    pub(super) fn is_asked(&self, key: K) -> bool {
        self.asked.contains_key(&key)
    }

    /// What was found under `key` so far.
    pub(super) fn found(&self, key: K) -> Option<&V> {
        self.known.get(&key)?.found.as_ref()
    }

    /// When `key` was last used; `second` where there was no answer yet.
    pub(super) fn used(&self, key: K, second: u32) -> Arc<AtomicU32> {
        match self.known.get(&key) {
            Some(known) => Arc::clone(&known.used),
            None => Arc::new(AtomicU32::new(second)),
        }
    }

    /// An answer; `None`: there is nothing.
    pub(super) fn put(&mut self, key: K, found: Option<V>, second: u32) {
        let used = self.used(key, second);
        self.known.insert(key, Known { found, used });
        self.changed.insert(key);
    }

    /// Makes what changed visible and wakes who waits for it.
    pub(super) fn publish(&mut self, book: &Book<K, V>) {
        if self.changed.is_empty() {
            return;
        }
        // The old map is freed here, on the control thread.
        drop(book.known.swap(Arc::new(self.known.clone())));
        let mut waiting = book.waiting.lock();
        for key in std::mem::take(&mut self.changed) {
            if self.known.contains_key(&key) {
                waiting.release(&key);
            }
        }
    }

    /// The keys under which there is nothing, in order.
    pub(super) fn nothing(&self) -> Vec<K> {
        let nothing = self.known.iter().filter(|(_, known)| known.found.is_none());
        let mut keys: Vec<_> = nothing.map(|(key, _)| *key).collect();
        keys.sort_unstable();
        keys
    }

    /// The keys that nobody used for long, in order.
    pub(super) fn idle(&self, second: u32, now: Instant) -> Vec<K> {
        let idle = |(key, asked): (&K, &Instant)| {
            let idle = match self.known.get(key) {
                Some(Known { found, used }) => {
                    let since = u64::from(second.saturating_sub(used.load(Ordering::Relaxed)));
                    let limit = if found.is_some() { IDLE } else { IDLE_NOTHING };
                    since >= limit.as_secs()
                }
                None => now.saturating_duration_since(*asked) >= IDLE_NOTHING,
            };
            idle.then_some(*key)
        };
        let mut keys: Vec<_> = self.asked.iter().filter_map(idle).collect();
        keys.sort_unstable();
        keys
    }

    /// Forgets `key`; whoever subscribed to it lets it go.
    pub(super) fn let_go(&mut self, key: K) {
        self.asked.remove(&key);
        if self.known.remove(&key).is_some() {
            self.changed.insert(key);
        }
    }

    /// The key that was not used the longest; those without anything under them go first. What is
    /// still waited for makes no room.
    fn oldest(&self) -> Option<K> {
        let used = |(key, known): (&K, &Known<V>)| {
            (known.found.is_some(), known.used.load(Ordering::Relaxed), *key)
        };
        self.known.iter().map(used).min().map(|(.., key)| key)
    }
}
