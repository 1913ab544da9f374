//! The choice of an endpoint.
//!
//! What can be prepared is: a [`Port`] holds a structure for its endpoints as they are, exchanged
//! as a whole when one comes, goes or changes its standing. A choice reads it without a lock and
//! without memory of its own, in a time that hardly depends on how many endpoints there are.

use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use crate::proxy::cluster::{Endpoint, Port};

mod affinity;
mod choice;
mod hash;
mod latency;
mod maglev;
mod ring;
mod shares;
#[cfg(test)]
mod tests;
mod tier;

pub use affinity::{Affinity, Bond};
pub(in crate::proxy) use choice::{Choice, Terms};
pub use hash::of as hash_of;
pub use latency::{Latency, Worth};

/// What is asked of a choice.
#[derive(Debug, Clone, Copy, Default)]
pub struct Wish<'a> {
    /// Endpoints that were tried already, by [`Endpoint::id`]: others are chosen where there are
    /// any.
    pub avoid: &'a [u64],
    /// What leads to the endpoint under a consistent algorithm; `None` is at random.
    pub hash: Option<u64>,
}

/// Whose turn it is; outlives the structures that are exchanged.
#[derive(Debug, Default)]
pub(in crate::proxy) struct Turns {
    near: AtomicU64,
    far: AtomicU64,
}

/// Picks an endpoint of `port`, another than those of `wish.avoid` where another takes part.
/// `random` is uniform. `None` where no endpoint takes part.
pub fn pick(port: &Port, wish: &Wish<'_>, random: u64) -> Option<Arc<Endpoint>> {
    port.choice.load().pick(&port.endpoints, &port.turns, wish, random).cloned()
}
