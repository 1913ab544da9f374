//! Consistent hashing on a ring (Karger et al., "Consistent Hashing and Random Trees", 1997): each
//! endpoint stands at many points, a key belongs to the next point clockwise.
//!
//! Where an endpoint stands depends on nothing but itself and its weight, so that one that comes or
//! goes moves no key between the others. The ring is cut into arcs that states share: an update
//! copies only the arcs in which points came or went.

use std::ops::Range;
use std::sync::Arc;

use crate::proxy::balance::hash;
use crate::proxy::cluster::Endpoint;

#[cfg(test)]
mod tests;

/// Points of an endpoint of weight 1. Its share differs from what it should be by about 1/√128 = 9 %
/// (standard deviation).
pub(super) const POINTS: u32 = 128;

/// Points of a ring, where its endpoints' weights are more than 1.
const MOST: usize = 1 << 17;

/// Points of one arc, about.
const ARC: usize = 128;

#[derive(Debug, Clone)]
struct Point {
    at: u64,
    endpoint: Arc<Endpoint>,
}

/// Some of the points of an endpoint, by their numbers.
pub(super) type Stretch<'a> = (&'a Arc<Endpoint>, Range<u32>);

/// See the head of this file.
#[derive(Debug)]
pub(super) struct Ring {
    /// As many as a power of two, each sorted.
    arcs: Vec<Arc<[Point]>>,
    points: usize,
}

impl Ring {
    /// A ring of these points.
    pub(super) fn new(stretches: &[Stretch<'_>]) -> Self {
        let points = stretches.iter().map(|(_, numbers)| numbers.len()).sum();
        let count = arcs_for(points);
        let mut arcs = vec![Vec::with_capacity(ARC * 2); count];
        for (endpoint, numbers) in stretches {
            for at in numbers.clone().map(|number| hash::nth(endpoint.key, number.into())) {
                if let Some(arc) = arcs.get_mut(arc_of(at, count)) {
                    arc.push(Point { at, endpoint: Arc::clone(endpoint) });
                }
            }
        }
        Self { arcs: arcs.into_iter().map(sorted).collect(), points }
    }

    /// This ring without the points of `gone` and with those of `come`; `None` where it should be
    /// made anew, because too much changes or the arcs would be too long.
    pub(super) fn changed(&self, gone: &[Stretch<'_>], come: &[Stretch<'_>]) -> Option<Self> {
        let count = |stretches: &[Stretch<'_>]| -> usize {
            stretches.iter().map(|(_, numbers)| numbers.len()).sum()
        };
        let points = (self.points + count(come)).checked_sub(count(gone))?;
        let much = count(gone) + count(come) > self.points / 4;
        if much || arcs_for(points) > self.arcs.len() * 2 || arcs_for(points) < self.arcs.len() / 4
        {
            return None;
        }
        let mut changes = Vec::with_capacity(count(gone) + count(come));
        for (stretches, stays) in [(gone, false), (come, true)] {
            for (endpoint, numbers) in stretches {
                let at = |number: u32| hash::nth(endpoint.key, number.into());
                changes.extend(numbers.clone().map(|number| (at(number), stays, *endpoint)));
            }
        }
        changes.sort_unstable_by_key(|(at, ..)| *at);
        let mut arcs = self.arcs.clone();
        let arc = |at: u64| arc_of(at, self.arcs.len());
        for group in changes.chunk_by(|(one, ..), (other, ..)| arc(*one) == arc(*other)) {
            let Some((at, ..)) = group.first() else { continue };
            let Some(arc) = arcs.get_mut(arc(*at)) else { continue };
            *arc = edited(arc, group);
        }
        Some(Self { arcs, points })
    }

    /// The endpoint that `hash` belongs to, of those that are `free` the next one.
    pub(super) fn find(
        &self,
        hash: u64,
        free: impl Fn(&Endpoint) -> bool,
    ) -> Option<&Arc<Endpoint>> {
        let first = arc_of(hash, self.arcs.len());
        let (before, from) = self.arcs.split_at_checked(first)?;
        let (own, after) = from.split_first()?;
        let (passed, ahead) = own.split_at(own.partition_point(|point| point.at < hash));
        let further = after.iter().chain(before).flat_map(|arc| arc.iter());
        let mut clockwise = ahead.iter().chain(further).chain(passed);
        clockwise.find(|point| free(&point.endpoint)).map(|point| &point.endpoint)
    }
}

/// How many points go with a weight (in parts of `whole`) on a ring of `count` endpoints that weigh
/// `weight` together: [`POINTS`] for 1, halved as often as it takes to keep within bounds. Nothing
/// but a sum of weights that doubles moves those that did not change.
pub(super) fn scale(count: usize, weight: u64) -> impl Fn(u64, u64) -> u32 {
    let most = MOST.max(count.next_power_of_two() * POINTS as usize) as u128;
    let all = u128::from(weight) * u128::from(POINTS);
    let halved = (0..u64::BITS).find(|halved| all >> halved <= most).unwrap_or(u64::BITS);
    move |weight, whole| match weight {
        0 => 0,
        _ => {
            let points = u128::from(weight) * u128::from(POINTS) / u128::from(whole);
            ((points >> halved) as u32).max(1)
        }
    }
}

fn arcs_for(points: usize) -> usize {
    (points / ARC).next_power_of_two()
}

/// Which of `count` arcs, a power of two, a point lies on.
fn arc_of(at: u64, count: usize) -> usize {
    ((u128::from(at) * count as u128) >> 64) as usize
}

/// One arc without what goes and with what comes.
fn edited(arc: &[Point], changes: &[(u64, bool, &Arc<Endpoint>)]) -> Arc<[Point]> {
    let goes = |point: &Point| {
        let here = changes.iter().filter(|(at, ..)| *at == point.at);
        here.into_iter().any(|(_, stays, endpoint)| !stays && endpoint.id == point.endpoint.id)
    };
    let stay = arc.iter().filter(|point| !goes(point)).cloned();
    let come = changes.iter().filter(|(_, stays, _)| *stays);
    let come = come.map(|(at, _, endpoint)| Point { at: *at, endpoint: Arc::clone(endpoint) });
    sorted(stay.chain(come).collect())
}

/// In order; two endpoints at one point stand there in the same order in every proxy.
fn sorted(mut points: Vec<Point>) -> Arc<[Point]> {
    points.sort_unstable_by_key(|point| (point.at, point.endpoint.key));
    points.into()
}
