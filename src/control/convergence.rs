//! How long proxies take to use what has changed: from the change until each of its subscribers has
//! acknowledged it.
//!
//! Pure, with the time as argument. A proxy that is behind is measured from the first change that it
//! does not have yet; one that goes away, lets go or refuses is not measured: what it takes then says
//! nothing of the way between us. Bounded by what is subscribed.

use std::collections::{BTreeMap, HashMap};
use std::time::{Duration, Instant};

use crate::names::ProxyId;
use crate::resource::Key;
use crate::telemetry::histogram::{Histogram, micros};

#[cfg(test)]
mod tests;

/// See the head of this file.
#[derive(Debug, Default)]
pub struct Convergence {
    waiting: HashMap<ProxyId, BTreeMap<Key, Instant>>,
    took: Histogram,
    sum_us: u64,
}

impl Convergence {
    /// `key`, to which `proxy` subscribes, is another one since `since`.
    pub fn changed(&mut self, proxy: &ProxyId, key: &Key, since: Instant) {
        let keys = match self.waiting.get_mut(proxy) {
            Some(keys) => keys,
            None => self.waiting.entry(proxy.clone()).or_default(),
        };
        keys.entry(key.clone()).or_insert(since);
    }

    /// `proxy` uses the present version of `key`.
    pub fn acknowledged(&mut self, proxy: &ProxyId, key: &Key, now: Instant) {
        if let Some(since) = self.forget(proxy, key) {
            let took: Duration = now.saturating_duration_since(since);
            self.took.record(took);
            self.sum_us = self.sum_us.saturating_add(micros(took));
        }
    }

    /// `proxy` refused `key`, or no longer subscribes to it; since when it was behind.
    pub fn forget(&mut self, proxy: &ProxyId, key: &Key) -> Option<Instant> {
        let keys = self.waiting.get_mut(proxy)?;
        let since = keys.remove(key);
        if keys.is_empty() {
            self.waiting.remove(proxy);
        }
        since
    }

    /// `proxy` has no stream any more.
    pub fn left(&mut self, proxy: &ProxyId) {
        self.waiting.remove(proxy);
    }

    /// What it took, once for each proxy and resource; and all of it together, in microseconds.
    pub fn took(&self) -> (&Histogram, u64) {
        (&self.took, self.sum_us)
    }
}
