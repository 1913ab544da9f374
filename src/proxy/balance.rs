//! The choice of an endpoint.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use crate::proxy::cluster::{Endpoint, Port};
use crate::resource::Algorithm;

#[cfg(test)]
mod tests;

/// Picks an endpoint of `port`, another than `avoid` where there is one. `random` is uniform.
/// `None` where there is no endpoint at all.
pub fn pick(
    algorithm: Algorithm,
    port: &Port,
    avoid: Option<u64>,
    random: u64,
) -> Option<&Arc<Endpoint>> {
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
    match avoid {
        Some(id) if found.id == id => endpoints.get((first + 1) % count),
        _ => Some(found),
    }
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
