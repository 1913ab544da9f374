//! Endpoints among which the algorithm alone decides, and the decision.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use fastrand::Rng;

use crate::proxy::balance::choice::FULL;
use crate::proxy::balance::maglev::Maglev;
use crate::proxy::balance::ring::{self, Ring, Stretch};
use crate::proxy::balance::shares::Shares;
use crate::proxy::balance::{Wish, hash};
use crate::proxy::clock;
use crate::proxy::cluster::Endpoint;
use crate::resource::Algorithm;

/// Draws until somebody is found who was not tried yet; then one looks at all.
const DRAWS: usize = 8;

/// Places of a table that are looked at until somebody is found who was not tried yet.
const PROBES: u64 = 32;

/// See the head of this file. Endpoints are meant by their index in the port's list.
#[derive(Debug)]
pub(super) struct Tier {
    members: Members,
    shares: Shares,
    table: Table,
}

#[derive(Debug)]
enum Members {
    /// The first so many: everybody.
    All(usize),
    Some(Box<[u32]>),
}

#[derive(Debug)]
enum Table {
    None,
    /// With how many points each endpoint of the port stands on it.
    Ring(Ring, Box<[u32]>),
    Maglev(Maglev),
}

/// What a tier was before: itself, the port's endpoints then, and for each endpoint now which one
/// of those it is.
pub(super) struct Before<'a> {
    pub(super) tier: &'a Tier,
    pub(super) endpoints: &'a [Arc<Endpoint>],
    pub(super) origin: &'a [Option<u32>],
}

/// A port's endpoints, and whose turn it is.
pub(super) struct Ground<'p> {
    pub(super) endpoints: &'p [Arc<Endpoint>],
    pub(super) turn: &'p AtomicU64,
}

impl Tier {
    /// The endpoints whose weight is above 0.
    pub(super) fn new(
        algorithm: Algorithm,
        endpoints: &[Arc<Endpoint>],
        weights: &[u64],
        before: Option<&Before<'_>>,
    ) -> Self {
        let everybody = weights.iter().all(|&weight| weight > 0);
        let (members, shares) = match everybody {
            true => (Members::All(weights.len()), Shares::new(weights)),
            false => {
                let inside = || weights.iter().enumerate().filter(|(_, weight)| **weight > 0);
                let members = inside().map(|(index, _)| index as u32).collect();
                let own: Vec<u64> = inside().map(|(_, weight)| *weight).collect();
                (Members::Some(members), Shares::new(&own))
            }
        };
        let table = match algorithm {
            Algorithm::RingHash => ring(endpoints, weights, before),
            Algorithm::Maglev => {
                let own = || endpoints.iter().zip(weights).filter(|(_, weight)| **weight > 0);
                let keys: Vec<u64> = own().map(|(endpoint, _)| endpoint.key).collect();
                let weights: Vec<u64> = own().map(|(_, weight)| *weight).collect();
                Table::Maglev(Maglev::new(&keys, &weights))
            }
            _ => Table::None,
        };
        Self { members, shares, table }
    }

    /// How many there are.
    pub(super) fn len(&self) -> usize {
        match &self.members {
            Members::All(count) => *count,
            Members::Some(members) => members.len(),
        }
    }

    /// Who takes part, as indices into the port's endpoints, and the part of the choices that each
    /// gets by weight.
    pub(super) fn parts(&self) -> impl Iterator<Item = (usize, f64)> {
        let total = self.shares.total().max(1) as f64;
        (0..self.len()).map(move |member| {
            let units = self.shares.units(member);
            let index = match &self.members {
                Members::All(_) => member,
                Members::Some(members) => members.get(member).map_or(member, |it| *it as usize),
            };
            (index, (units.end - units.start) as f64 / total)
        })
    }

    /// Chooses one that was not tried yet; `None` where there is none.
    pub(super) fn pick<'p>(
        &'p self,
        algorithm: Algorithm,
        ground: &Ground<'p>,
        wish: &Wish<'_>,
        rng: &mut Rng,
    ) -> Option<&'p Arc<Endpoint>> {
        if self.len() <= wish.avoid.len() && !self.has_other(ground, wish) {
            return None;
        }
        let member = match (&self.table, algorithm) {
            (Table::Ring(ring, _), _) => {
                let hash = wish.hash.unwrap_or_else(|| rng.u64(..));
                return ring.find(hash, |endpoint| !wish.avoid.contains(&endpoint.id));
            }
            (Table::Maglev(maglev), _) => {
                let hash = wish.hash.unwrap_or_else(|| rng.u64(..));
                let mut probes = (0..PROBES).map(|probe| hash::nth(hash, probe));
                let free = |member: &usize| self.is_free(*member, ground, wish);
                probes.find_map(|place| maglev.member(place).filter(free))
            }
            (Table::None, Algorithm::RoundRobin) => self.some(ground, wish, || {
                self.shares.at_turn(ground.turn.fetch_add(1, Ordering::Relaxed))
            }),
            (Table::None, Algorithm::LeastRequest) => {
                let waiting = |member| self.waiting(member, ground);
                self.better_of_two(ground, wish, rng, waiting)
            }
            (Table::None, Algorithm::Ewma) => {
                let now = clock::now_ms();
                let cost = |member| {
                    let waiting = self.waiting(member, ground);
                    let endpoint = self.endpoint(member, ground);
                    endpoint.map_or(f64::MAX, |endpoint| endpoint.latency.cost(waiting, now))
                };
                self.better_of_two(ground, wish, rng, cost)
            }
            _ => self.some(ground, wish, || rng.u64(0..self.shares.total())),
        };
        let member = member.or_else(|| self.first_free(ground, wish, rng))?;
        self.endpoint(member, ground)
    }

    /// The owner of the first unit that `next` gives and that belongs to somebody who was not tried.
    fn some(
        &self,
        ground: &Ground<'_>,
        wish: &Wish<'_>,
        mut next: impl FnMut() -> u64,
    ) -> Option<usize> {
        let mut draws = (0..DRAWS).map(|_| self.shares.owner(next()));
        draws.find(|&member| self.is_free(member, ground, wish))
    }

    /// Draws two different ones by weight and takes the one that costs less, the first where they
    /// cost the same: so an idle service is called by weight exactly.
    fn better_of_two(
        &self,
        ground: &Ground<'_>,
        wish: &Wish<'_>,
        rng: &mut Rng,
        cost: impl Fn(usize) -> f64,
    ) -> Option<usize> {
        let total = self.shares.total();
        let one = self.some(ground, wish, || rng.u64(0..total))?;
        let own = self.shares.units(one);
        let others = total - (own.end - own.start);
        if others == 0 {
            return Some(one);
        }
        // The line without the units of the first.
        let unit = rng.u64(0..others);
        let unit = if unit < own.start { unit } else { unit + (own.end - own.start) };
        let other = self.shares.owner(unit);
        match self.is_free(other, ground, wish) && cost(other) < cost(one) {
            true => Some(other),
            false => Some(one),
        }
    }

    /// Requests in flight, as those of an endpoint with average weight.
    fn waiting(&self, member: usize, ground: &Ground<'_>) -> f64 {
        let flying = |endpoint: &Arc<Endpoint>| endpoint.in_flight.load(Ordering::Relaxed);
        f64::from(self.endpoint(member, ground).map_or(u32::MAX, flying))
            / self.shares.relative(member)
    }

    fn endpoint<'p>(&self, member: usize, ground: &Ground<'p>) -> Option<&'p Arc<Endpoint>> {
        let index = match &self.members {
            Members::All(_) => member,
            Members::Some(members) => *members.get(member)? as usize,
        };
        ground.endpoints.get(index)
    }

    fn is_free(&self, member: usize, ground: &Ground<'_>, wish: &Wish<'_>) -> bool {
        let tried = |endpoint: &Arc<Endpoint>| wish.avoid.contains(&endpoint.id);
        wish.avoid.is_empty() || self.endpoint(member, ground).is_some_and(|e| !tried(e))
    }

    fn has_other(&self, ground: &Ground<'_>, wish: &Wish<'_>) -> bool {
        (0..self.len()).any(|member| self.is_free(member, ground, wish))
    }

    /// Looks at all, from anywhere on.
    fn first_free(&self, ground: &Ground<'_>, wish: &Wish<'_>, rng: &mut Rng) -> Option<usize> {
        let from = rng.usize(0..self.len().max(1));
        let mut members = (from..self.len()).chain(0..from);
        members.find(|&member| self.is_free(member, ground, wish))
    }
}

/// The ring of `endpoints`, made from the one before where little is different.
fn ring(endpoints: &[Arc<Endpoint>], weights: &[u64], before: Option<&Before<'_>>) -> Table {
    let weight: u64 = endpoints.iter().map(|endpoint| endpoint.weight()).sum();
    let points = ring::scale(endpoints.len(), weight);
    let counts: Box<[u32]> = weights.iter().map(|&weight| points(weight, FULL.into())).collect();
    let known = before.and_then(|before| changed(endpoints, &counts, before));
    let ring = known.unwrap_or_else(|| {
        let all = endpoints.iter().zip(&counts);
        let all: Vec<Stretch<'_>> = all.map(|(endpoint, count)| (endpoint, 0..*count)).collect();
        Ring::new(&all)
    });
    Table::Ring(ring, counts)
}

fn changed(endpoints: &[Arc<Endpoint>], counts: &[u32], before: &Before<'_>) -> Option<Ring> {
    let Table::Ring(ring, were) = &before.tier.table else { return None };
    let (mut gone, mut come) = (Vec::new(), Vec::new());
    let mut stayed = vec![false; were.len()];
    for ((endpoint, &count), origin) in endpoints.iter().zip(counts).zip(before.origin) {
        let was = origin.map_or(0, |old| {
            if let Some(stayed) = stayed.get_mut(old as usize) {
                *stayed = true;
            }
            were.get(old as usize).copied().unwrap_or_default()
        });
        if count < was {
            gone.push((endpoint, count..was));
        } else if count > was {
            come.push((endpoint, was..count));
        }
    }
    for ((endpoint, &was), _) in
        before.endpoints.iter().zip(were).zip(&stayed).filter(|(_, stayed)| !**stayed)
    {
        gone.push((endpoint, 0..was));
    }
    ring.changed(&gone, &come)
}
