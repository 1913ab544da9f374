//! Whom one port's requests may go to right now: made when endpoints or their standing change, read
//! by every request.
//!
//! The caller's own zone comes first and spills over as its capacity declines, by Envoy's rule for
//! priority levels: a zone takes what its well endpoints are worth, times 1.4, of the traffic.
//! Where too few endpoints are left at all, the judgement is not trusted any more: all of them are
//! used (panic), but for those that somebody took out by hand, and zones do not count.

use std::sync::Arc;

use fastrand::Rng;

use crate::proxy::balance::tier::{Before, Ground, Tier};
use crate::proxy::balance::{Turns, Wish, hash};
use crate::proxy::cluster::Endpoint;
use crate::proxy::vitals::Standing;
use crate::resource::{Algorithm, ClusterPolicy, Locality, PARTS_PER_MILLION};

#[cfg(test)]
mod tests;

/// A full share; smaller ones are parts of it.
pub(super) const FULL: u16 = 1_000;

/// A zone keeps all of its traffic while so much of its capacity is left: 1/1.4 (Envoy's
/// overprovisioning factor).
const OVERPROVISIONED: f64 = 1.4;

/// All traffic, where a part of it is meant.
const ALL: u64 = 1 << 32;

/// What is chosen by.
#[derive(Debug, Clone, Copy)]
pub(in crate::proxy) struct Terms<'a> {
    /// The cluster's policy.
    pub(in crate::proxy) policy: &'a ClusterPolicy,
    /// The caller's zone; empty where it is not known.
    pub(in crate::proxy) zone: &'a str,
    /// The proxy's clock.
    pub(in crate::proxy) now_ms: u64,
}

/// See the head of this file.
#[derive(Debug)]
pub(in crate::proxy) struct Choice {
    algorithm: Algorithm,
    /// The preferred ones, or all.
    near: Tier,
    /// The others.
    far: Tier,
    /// How much of the traffic is for the near ones, of [`ALL`].
    near_part: u64,
    /// The share of each endpoint, of [`FULL`]; 0 for those that take no part.
    shares: Vec<u16>,
    panics: bool,
}

/// What a choice is made from instead of from nothing: the one before, the endpoints then, and for
/// each endpoint now which one of those it is.
pub(in crate::proxy) type Past<'a> = (&'a Choice, &'a [Arc<Endpoint>], &'a [Option<u32>]);

impl Choice {
    /// A choice among `endpoints`.
    pub(in crate::proxy) fn new(
        terms: &Terms<'_>,
        endpoints: &[Arc<Endpoint>],
        past: Option<Past<'_>>,
    ) -> Self {
        Self::build(terms, endpoints, Judged::now(terms, endpoints), past)
    }

    /// A choice among the same endpoints as they stand now; `None` where it would be the same.
    pub(in crate::proxy) fn again(
        &self,
        terms: &Terms<'_>,
        endpoints: &[Arc<Endpoint>],
    ) -> Option<Self> {
        let judged = Judged::now(terms, endpoints);
        let same = (&judged.shares, judged.panics) == (&self.shares, self.panics);
        let origin = || -> Vec<Option<u32>> { (0..endpoints.len() as u32).map(Some).collect() };
        (!same).then(|| Self::build(terms, endpoints, judged, Some((self, endpoints, &origin()))))
    }

    fn build(
        terms: &Terms<'_>,
        endpoints: &[Arc<Endpoint>],
        judged: Judged,
        past: Option<Past<'_>>,
    ) -> Self {
        let Judged { shares, panics } = judged;
        let zoned = terms.policy.load_balancer.locality == Locality::Prefer
            && !terms.zone.is_empty()
            && !panics;
        let is_near = |endpoint: &Endpoint| !zoned || endpoint.zone == terms.zone;
        let worth = |endpoint: &Endpoint, share: u16| endpoint.weight() * u64::from(share);
        let weights = |near: bool| -> Vec<u64> {
            let each = endpoints.iter().zip(&shares);
            each.map(|(endpoint, &share)| match is_near(endpoint) == near {
                true => worth(endpoint, share),
                false => 0,
            })
            .collect()
        };
        let algorithm = terms.policy.load_balancer.algorithm;
        let tier = |near: bool, weights: &[u64]| {
            let before = past.map(|(choice, endpoints, origin)| {
                let tier = if near { &choice.near } else { &choice.far };
                Before { tier, endpoints, origin }
            });
            Tier::new(algorithm, endpoints, weights, before.as_ref())
        };
        let full = |near: bool| -> u64 {
            let own = endpoints.iter().filter(|endpoint| is_near(endpoint) == near);
            own.map(|endpoint| worth(endpoint, FULL)).sum()
        };
        let near_weights = weights(true);
        let near = tier(true, &near_weights);
        let (far, near_part) = match zoned {
            false => (Tier::new(Algorithm::Random, &[], &[], None), ALL),
            true => {
                let far_weights = weights(false);
                let health = |weights: &[u64], full: u64| match full {
                    0 => 0.0,
                    full => weights.iter().sum::<u64>() as f64 / full as f64,
                };
                let near_health = health(&near_weights, full(true));
                let far_health = health(&far_weights, full(false));
                (tier(false, &far_weights), part(near_health, far_health))
            }
        };
        Self { algorithm, near, far, near_part, shares, panics }
    }

    /// Chooses an endpoint of those it was made from; `random` is uniform.
    pub(in crate::proxy) fn pick<'p>(
        &'p self,
        endpoints: &'p [Arc<Endpoint>],
        turns: &'p Turns,
        wish: &Wish<'_>,
        random: u64,
    ) -> Option<&'p Arc<Endpoint>> {
        let mut rng = Rng::with_seed(random);
        let near = (&self.near, Ground { endpoints, turn: &turns.near });
        let far = (&self.far, Ground { endpoints, turn: &turns.far });
        let order = match self.near_part {
            ALL => [near, far],
            // One key stays in one zone as long as the parts stay the same.
            part => match wish.hash.map_or_else(|| rng.u64(..), hash::mix) >> 32 < part {
                true => [near, far],
                false => [far, near],
            },
        };
        let among = |wish: &Wish<'_>, rng: &mut Rng| {
            let mut tiers = order.iter().filter(|(tier, _)| tier.len() > 0);
            tiers.find_map(|(tier, ground)| tier.pick(self.algorithm, ground, wish, rng))
        };
        // Where all were tried, the choice is as if none had been.
        among(wish, &mut rng).or_else(|| match wish.avoid.is_empty() {
            true => None,
            false => among(&Wish { avoid: &[], ..*wish }, &mut rng),
        })
    }

    /// The part of the choices that each of so many endpoints gets by weight, while none of them has
    /// anything in flight.
    pub(in crate::proxy) fn parts(&self, endpoints: usize) -> Vec<f64> {
        let mut parts = vec![0.0; endpoints];
        let near = self.near_part as f64 / ALL as f64;
        // What one side cannot take the other does.
        let near = match (self.near.len(), self.far.len()) {
            (_, 0) => 1.0,
            (0, _) => 0.0,
            _ => near,
        };
        for (tier, of_all) in [(&self.near, near), (&self.far, 1.0 - near)] {
            for (index, part) in tier.parts() {
                if let Some(own) = parts.get_mut(index) {
                    *own = part * of_all;
                }
            }
        }
        parts
    }

    /// Whether so few endpoints are left that all are used.
    pub(in crate::proxy) fn panics(&self) -> bool {
        self.panics
    }
}

/// How the endpoints of a port stand.
struct Judged {
    shares: Vec<u16>,
    panics: bool,
}

impl Judged {
    fn now(terms: &Terms<'_>, endpoints: &[Arc<Endpoint>]) -> Self {
        let standing = |endpoint: &Endpoint| endpoint.vitals.standing(terms.now_ms);
        Self::by(terms, endpoints, standing, |endpoint| endpoint.vitals.is_out_by_hand())
    }

    fn by(
        terms: &Terms<'_>,
        endpoints: &[Arc<Endpoint>],
        standing: impl Fn(&Endpoint) -> Standing,
        is_out_by_hand: impl Fn(&Endpoint) -> bool,
    ) -> Self {
        let share = |endpoint: &Arc<Endpoint>| match standing(endpoint) {
            Standing::Out => 0,
            // Never nothing: who takes part is called.
            Standing::In(share) => ((share * f32::from(FULL)).round() as u16).clamp(1, FULL),
        };
        let shares: Vec<u16> = endpoints.iter().map(share).collect();
        let well = shares.iter().filter(|share| **share > 0).count() as u64;
        if well == endpoints.len() as u64 {
            return Self { shares, panics: false };
        }
        // Who was taken out by hand is no part of the pool at all.
        let own = endpoints.iter().filter(|endpoint| !is_out_by_hand(endpoint)).count() as u64;
        if well * u64::from(PARTS_PER_MILLION) >= own * u64::from(terms.policy.panic_ppm) {
            return Self { shares, panics: false };
        }
        let all = endpoints.iter().map(|endpoint| if is_out_by_hand(endpoint) { 0 } else { FULL });
        Self { shares: all.collect(), panics: true }
    }
}

/// The near ones' part of the traffic, of [`ALL`], by how much of the capacity of each side is
/// well.
fn part(near: f64, far: f64) -> u64 {
    let [near, far] = [near, far].map(|health| (health * OVERPROVISIONED).min(1.0));
    let part = match near + far {
        0.0 => 1.0,
        // Together too weak: by strength.
        sum if sum < 1.0 => near / sum,
        _ => near,
    };
    (part * ALL as f64) as u64
}
