//! The choice of an endpoint.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use crate::proxy::cluster::{Endpoint, Port};
use crate::resource::Algorithm;

#[cfg(test)]
mod tests;

/// What is asked of a choice.
#[derive(Debug, Clone, Copy, Default)]
pub struct Wish<'a> {
    /// Endpoints that were tried already, by [`Endpoint::id`]: others are chosen where there are
    /// any.
    pub avoid: &'a [u64],
    /// What leads to the endpoint under a consistent algorithm; `None` is at random.
    pub hash: Option<u64>,
}

/// Picks an endpoint of `port`, another than those of `wish.avoid` where there is one. `random` is
/// uniform. `None` where there is no endpoint at all.
pub fn pick<'p>(
    algorithm: Algorithm,
    port: &'p Port,
    wish: &Wish<'_>,
    random: u64,
) -> Option<&'p Arc<Endpoint>> {
    let endpoints = &port.endpoints;
    let count = endpoints.len();
    if count < 2 {
        return endpoints.first();
    }
    let first = match algorithm {
        Algorithm::RoundRobin => port.next.fetch_add(1, Ordering::Relaxed) % count,
        Algorithm::Random | Algorithm::RingHash | Algorithm::Maglev => index(random, count),
        Algorithm::LeastRequest | Algorithm::Ewma => less_busy(endpoints, random),
    };
    let found = endpoints.get(first)?;
    if !wish.avoid.contains(&found.id) {
        return Some(found);
    }
    let mut after = endpoints.iter().cycle().skip(first + 1).take(count);
    after.find(|other| !wish.avoid.contains(&other.id)).or(Some(found))
}

/// The less busy of two different random ones (Mitzenmacher, "The Power of Two Choices", 2001).
fn less_busy(endpoints: &[Arc<Endpoint>], random: u64) -> usize {
    let one = index(random, endpoints.len());
    let step = 1 + index(random >> 32, endpoints.len() - 1);
    let other = (one + step) % endpoints.len();
    let load = |at: usize| {
        endpoints.get(at).map_or(u32::MAX, |endpoint| endpoint.in_flight.load(Ordering::Relaxed))
    };
    if load(other) < load(one) { other } else { one }
}

/// Maps the low 32 bits of `random` to `0..count` (Lemire, "Fast Random Integer Generation", 2019).
fn index(random: u64, count: usize) -> usize {
    (((random & 0xffff_ffff) * count as u64) >> 32) as usize
}
