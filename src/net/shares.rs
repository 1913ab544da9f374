//! Places that are limited, and shared out by address, so that nobody takes those of all others.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;

use parking_lot::Mutex;

#[cfg(test)]
mod tests;

/// Hands out places: so many in all, so many to each address.
#[derive(Debug, Clone)]
pub struct Shares(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    all: usize,
    each: usize,
    taken: Mutex<Taken>,
}

#[derive(Debug, Default)]
struct Taken {
    all: usize,
    /// By address; only of those that have one.
    of: HashMap<IpAddr, usize>,
}

/// A place, given back when it is dropped.
#[derive(Debug)]
pub struct Share {
    shares: Shares,
    of: IpAddr,
}

impl Shares {
    /// `all` places, at most `each` of them to one address.
    pub fn new(all: usize, each: usize) -> Self {
        Self(Arc::new(Inner { all, each, taken: Mutex::default() }))
    }

    /// A place for `address`; `None` where it has its share, or all are taken.
    pub fn take(&self, address: IpAddr) -> Option<Share> {
        let address = address.to_canonical();
        let mut taken = self.0.taken.lock();
        let own = taken.of.get(&address).copied().unwrap_or_default();
        if taken.all >= self.0.all || own >= self.0.each {
            return None;
        }
        taken.all += 1;
        taken.of.insert(address, own + 1);
        Some(Share { shares: self.clone(), of: address })
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        let mut taken = self.shares.0.taken.lock();
        taken.all = taken.all.saturating_sub(1);
        let own = taken.of.get(&self.of).copied().unwrap_or_default();
        match own {
            0 | 1 => drop(taken.of.remove(&self.of)),
            own => drop(taken.of.insert(self.of, own - 1)),
        }
    }
}
