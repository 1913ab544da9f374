//! Maglev's lookup table (Eisenbud et al., "Maglev: A Fast and Reliable Software Network Load
//! Balancer", 2016, §3.4): every endpoint fills the table in an order of its own, in turns; a key is
//! a place in the table. Shares are nearly exact; an endpoint that comes or goes moves its own keys
//! and a few others'.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use crate::proxy::balance::hash;

/// The table's length, a prime: the one of the paper and of Envoy.
const LENGTH: u32 = 65_537;

/// So many endpoints have at least ten places each; for more the table is the paper's large one.
const MANY: usize = 6_553;

/// The length for more than [`MANY`], a prime.
const LONG: u32 = 655_373;

/// See the head of this file.
#[derive(Debug)]
pub(super) struct Maglev {
    /// The member that each place belongs to.
    places: Box<[u32]>,
}

/// One member's order of all places, as far as it has got.
struct Order {
    at: u32,
    skip: u32,
}

/// A table while it is filled.
struct Filling {
    places: Box<[u32]>,
    taken: Vec<u64>,
    free: usize,
}

impl Maglev {
    /// The table of members with these keys and weights.
    pub(super) fn new(keys: &[u64], weights: &[u64]) -> Self {
        let length = if keys.len() > MANY { LONG } else { LENGTH };
        let mut orders: Vec<Order> = keys.iter().map(|&key| Order::new(key, length)).collect();
        let mut filling = Filling::new(length);
        let even = weights.windows(2).all(|pair| matches!(pair, [one, other] if one == other));
        if keys.is_empty() {
            return Self { places: Box::default() };
        }
        match even {
            true => filling.in_rounds(&mut orders),
            false => filling.by_weight(&mut orders, weights),
        }
        Self { places: filling.places }
    }

    /// The member at the place of `hash`.
    pub(super) fn member(&self, hash: u64) -> Option<usize> {
        let place = (u128::from(hash::mix(hash)) * self.places.len() as u128) >> 64;
        self.places.get(place as usize).map(|&member| member as usize)
    }
}

impl Order {
    fn new(key: u64, length: u32) -> Self {
        let (offset, skip) = (hash::nth(key, 1), hash::nth(key, 2));
        let length = u64::from(length);
        Self { at: (offset % length) as u32, skip: (skip % (length - 1) + 1) as u32 }
    }
}

impl Filling {
    fn new(length: u32) -> Self {
        let places = vec![0; length as usize].into_boxed_slice();
        let taken = vec![0; length as usize / 64 + 1];
        Self { places, taken, free: length as usize }
    }

    /// All weigh the same: one place each, round after round.
    fn in_rounds(&mut self, orders: &mut [Order]) {
        loop {
            for (member, order) in orders.iter_mut().enumerate() {
                self.take(member, order);
                if self.free == 0 {
                    return;
                }
            }
        }
    }

    /// The next place is always for whom it is due first: the `n`th of a member of weight `w` at
    /// `n / w`.
    fn by_weight(&mut self, orders: &mut [Order], weights: &[u64]) {
        // The bits of positive floating point numbers are ordered as they are.
        let due = |times: u64, weight: u64| (times as f64 / weight.max(1) as f64).to_bits();
        let first = weights
            .iter()
            .enumerate()
            .map(|(member, &weight)| Reverse((due(1, weight), member, 1u64)));
        let mut queue: BinaryHeap<_> = first.collect();
        while let (true, Some(Reverse((_, member, times)))) = (self.free > 0, queue.pop()) {
            let (Some(order), Some(&weight)) = (orders.get_mut(member), weights.get(member)) else {
                continue;
            };
            self.take(member, order);
            queue.push(Reverse((due(times + 1, weight), member, times + 1)));
        }
    }

    /// Gives a member the first place in its order that nobody has; there must be one.
    fn take(&mut self, member: usize, order: &mut Order) {
        let length = self.places.len() as u32;
        loop {
            let at = order.at;
            order.at += order.skip;
            if order.at >= length {
                order.at -= length;
            }
            let Some(word) = self.taken.get_mut(at as usize / 64) else { continue };
            let bit = 1 << (at % 64);
            if *word & bit == 0 {
                *word |= bit;
                self.free -= 1;
                if let Some(place) = self.places.get_mut(at as usize) {
                    *place = member as u32;
                }
                return;
            }
        }
    }
}
