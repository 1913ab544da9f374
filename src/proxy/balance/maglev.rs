//! Maglev's lookup table (Eisenbud et al., "Maglev: A Fast and Reliable Software Network Load
//! Balancer", 2016, §3.4): every endpoint fills the table in an order of its own, in turns; a key is
//! a place in the table. Shares are nearly exact; an endpoint that comes or goes moves its own keys
//! and a few others'.

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

/// Who is due in which round: a list for each, in the order in which they were put there. Everybody
/// is in one list at most.
struct Rounds {
    ends: Vec<(u32, u32)>,
    next: Vec<u32>,
}

/// The end of a list.
const NOBODY: u32 = u32::MAX;

impl Rounds {
    /// Rounds up to `last`.
    fn new(last: usize, members: usize) -> Self {
        Self { ends: vec![(NOBODY, NOBODY); last + 1], next: vec![NOBODY; members] }
    }

    /// What is due later than the last round never is.
    fn put(&mut self, round: usize, member: usize) {
        let Some((first, last)) = self.ends.get_mut(round) else { return };
        match self.next.get_mut(*last as usize) {
            Some(before) => *before = member as u32,
            None => *first = member as u32,
        }
        *last = member as u32;
        if let Some(next) = self.next.get_mut(member) {
            *next = NOBODY;
        }
    }

    fn first(&self, round: usize) -> Option<usize> {
        self.ends.get(round).map(|(first, _)| *first).and_then(somebody)
    }

    fn after(&self, member: usize) -> Option<usize> {
        self.next.get(member).copied().and_then(somebody)
    }
}

fn somebody(member: u32) -> Option<usize> {
    (member != NOBODY).then_some(member as usize)
}

impl Maglev {
    /// The table of members with these keys and weights.
    pub(super) fn new(keys: &[u64], weights: &[u64]) -> Self {
        let length = if keys.len() > MANY { LONG } else { LENGTH };
        let mut orders: Vec<Order> = keys.iter().map(|&key| Order::new(key, length)).collect();
        let mut filling = Filling::new(length);
        if keys.is_empty() {
            return Self { places: Box::default() };
        }
        filling.fill(&mut orders, weights);
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

    /// In rounds, in each of which everybody who is due takes one place: the heaviest always, a
    /// member that weighs a third of that every third time.
    fn fill(&mut self, orders: &mut [Order], weights: &[u64]) {
        let heaviest = weights.iter().copied().max().unwrap_or(1).max(1);
        let due = |times: u64, weight: u64| (times * heaviest).div_ceil(weight.max(1)) as usize;
        let mut rounds = Rounds::new(self.places.len(), orders.len());
        for (member, &weight) in weights.iter().enumerate() {
            rounds.put(due(1, weight), member);
        }
        let mut times = vec![1u64; orders.len()];
        for round in 1..=self.places.len() {
            let mut turn = rounds.first(round);
            while let Some(member) = turn {
                turn = rounds.after(member);
                let (Some(order), Some(times)) = (orders.get_mut(member), times.get_mut(member))
                else {
                    continue;
                };
                self.take(member, order);
                if self.free == 0 {
                    return;
                }
                *times += 1;
                rounds.put(due(*times, weights.get(member).copied().unwrap_or(1)), member);
            }
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
