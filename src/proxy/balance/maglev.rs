//! Maglev's lookup table (Eisenbud et al., "Maglev: A Fast and Reliable Software Network Load
//! Balancer", 2016, §3.4): every endpoint fills the table in an order of its own, in turns; a key is
//! a place in the table. Shares are nearly exact; an endpoint that comes or goes moves its own keys
//! and a few others'.

use crate::proxy::balance::hash;

#[cfg(test)]
mod tests;

/// The table's length, a prime: the one of the paper and of Envoy.
const LENGTH: u32 = 65_537;

/// So many endpoints have at least ten places each; for more the table is the paper's large one.
const MANY: usize = 6_553;

/// The length for more than [`MANY`], a prime.
const LONG: u32 = 655_373;

/// So few free places are looked through for the next one; while there are more, a member goes on in
/// its order until it finds one. Half of all looks would be for the last hundred places.
const FEW: usize = 128;

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

/// When one member is due: in round `⌈times · heaviest / weight⌉`, kept up without a division.
struct Due {
    round: u64,
    /// By how much `round · weight` is more than `times · heaviest`.
    ahead: u64,
    every: u64,
    rest: u64,
    weight: u64,
}

/// A table of so many places, a prime, while it is filled. That the length is a constant is what makes
/// its remainders cheap.
struct Filling<const LENGTH: u32> {
    places: Box<[u32]>,
    taken: Box<[bool]>,
    free: usize,
    /// The free places, once they are [`FEW`].
    left: Vec<u32>,
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
    fn put(&mut self, round: u64, member: usize) {
        let ends = usize::try_from(round).ok().and_then(|round| self.ends.get_mut(round));
        let Some((first, last)) = ends else { return };
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

impl Due {
    /// The first time.
    fn new(heaviest: u64, weight: u64) -> Self {
        let weight = weight.max(1);
        let round = heaviest.div_ceil(weight);
        let (every, rest) = (heaviest / weight, heaviest % weight);
        Self { round, ahead: (weight - rest) % weight, every, rest, weight }
    }

    /// The next time. Without a branch: which way it would go is a matter of chance.
    fn go_on(&mut self) {
        let late = u64::from(self.ahead < self.rest);
        self.round += self.every + late;
        self.ahead = self.ahead + late * self.weight - self.rest;
    }
}

impl Maglev {
    /// The table of members with these keys and weights.
    pub(super) fn new(keys: &[u64], weights: &[u64]) -> Self {
        let places = match keys.len() {
            0 => Box::default(),
            count if count > MANY => Filling::<LONG>::of(keys, weights),
            _ => Filling::<LENGTH>::of(keys, weights),
        };
        Self { places }
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

impl<const LENGTH: u32> Filling<LENGTH> {
    /// The places of a whole table.
    fn of(keys: &[u64], weights: &[u64]) -> Box<[u32]> {
        let mut orders: Vec<Order> = keys.iter().map(|&key| Order::new(key, LENGTH)).collect();
        let mut filling = Self {
            places: vec![0; LENGTH as usize].into_boxed_slice(),
            taken: vec![false; LENGTH as usize].into_boxed_slice(),
            free: LENGTH as usize,
            left: Vec::new(),
        };
        filling.fill(&mut orders, weights);
        filling.places
    }

    /// In rounds, in each of which everybody who is due takes one place: the heaviest always, a
    /// member that weighs a third of that every third time.
    fn fill(&mut self, orders: &mut [Order], weights: &[u64]) {
        let heaviest = weights.iter().copied().max().unwrap_or(1).max(1);
        if weights.iter().all(|&weight| weight == heaviest) {
            return self.fill_in_turn(orders);
        }
        let mut due: Vec<Due> = weights.iter().map(|&weight| Due::new(heaviest, weight)).collect();
        let last = self.rounds(heaviest, weights);
        let mut rounds = Rounds::new(last, orders.len());
        for (member, due) in due.iter().enumerate() {
            rounds.put(due.round, member);
        }
        for round in 1..=last {
            let mut turn = rounds.first(round);
            while let Some(member) = turn {
                turn = rounds.after(member);
                let (Some(order), Some(due)) = (orders.get_mut(member), due.get_mut(member)) else {
                    continue;
                };
                self.take(member, order);
                if self.free == 0 {
                    return;
                }
                due.go_on();
                rounds.put(due.round, member);
            }
        }
    }

    /// How many rounds it takes at most: a member has had as many places as its weight in all of the
    /// rounds entitles it to, less one.
    fn rounds(&self, heaviest: u64, weights: &[u64]) -> usize {
        let places = (self.places.len() + weights.len()) as u64;
        let all: u64 = weights.iter().sum();
        let rounds = (places * heaviest).div_ceil(all.max(1));
        usize::try_from(rounds).map_or(self.places.len(), |rounds| rounds.min(self.places.len()))
    }

    /// Everybody is due in every round.
    fn fill_in_turn(&mut self, orders: &mut [Order]) {
        loop {
            for (member, order) in orders.iter_mut().enumerate() {
                self.take(member, order);
                if self.free == 0 {
                    return;
                }
            }
        }
    }

    /// Gives a member the first place in its order that nobody has; there must be one.
    #[inline(always)]
    fn take(&mut self, member: usize, order: &mut Order) {
        let at = match self.free {
            free if free > LENGTH as usize / 2 => self.next_by_two(order),
            free if free > FEW => self.next_by_four(order),
            _ => self.nearest(order),
        };
        if let Some(taken) = self.taken.get_mut(at as usize) {
            *taken = true;
        }
        if let Some(place) = self.places.get_mut(at as usize) {
            *place = member as u32;
        }
        self.free -= 1;
        order.at = Self::sum(at, order.skip);
    }

    /// The next free place, while most of them are. Two are looked at in one go: whether one is free
    /// is a matter of chance, and what a processor cannot foresee costs it more than a look.
    fn next_by_two(&self, order: &Order) -> u32 {
        let mut at = order.at;
        loop {
            let next = Self::sum(at, order.skip);
            let taken = self.is_taken(at);
            if !(taken & self.is_taken(next)) {
                return if taken { next } else { at };
            }
            at = Self::sum(next, order.skip);
        }
    }

    /// The next free place, where many are taken.
    fn next_by_four(&self, order: &Order) -> u32 {
        let two = Self::sum(order.skip, order.skip);
        let four = Self::sum(two, two);
        let (mut first, mut second) = (order.at, Self::sum(order.at, order.skip));
        loop {
            let (third, fourth) = (Self::sum(first, two), Self::sum(second, two));
            let (one, two_too) = (self.is_taken(first), self.is_taken(second));
            let three = self.is_taken(third);
            if !(one & two_too & three & self.is_taken(fourth)) {
                let early = if one { second } else { first };
                let late = if three { fourth } else { third };
                return if one & two_too { late } else { early };
            }
            (first, second) = (Self::sum(first, four), Self::sum(second, four));
        }
    }

    /// Of the few places that are left the one that comes first in an order: it is so many skips
    /// away as its distance divided by the skip says, in the field of the numbers below the length.
    #[cold]
    fn nearest(&mut self, order: &Order) -> u32 {
        if self.left.is_empty() {
            self.left = (0..LENGTH).filter(|&place| !self.is_taken(place)).collect();
        }
        let by_skip = inverse(order.skip, LENGTH);
        let skips = |place: u32| {
            let distance = Self::sum(place, LENGTH - order.at);
            u64::from(distance) * by_skip % u64::from(LENGTH)
        };
        let nearest = self.left.iter().enumerate().min_by_key(|(_, place)| skips(**place));
        let index = nearest.map_or(0, |(index, _)| index);
        self.left.swap_remove(index)
    }

    fn is_taken(&self, place: u32) -> bool {
        self.taken.get(place as usize).copied().unwrap_or(false)
    }

    /// The sum of two numbers of which the one is below the length and the other not above it.
    fn sum(one: u32, other: u32) -> u32 {
        let sum = one + other;
        // Below the length the difference wraps, and is the larger one.
        sum.min(sum.wrapping_sub(LENGTH))
    }
}

/// What times `number` is 1 among the numbers below `prime` (extended Euclid).
fn inverse(number: u32, prime: u32) -> u64 {
    let (mut old, mut new) = (i64::from(prime), i64::from(number));
    let (mut of_old, mut of_new) = (0, 1);
    while new != 0 {
        let quotient = old / new;
        (old, new) = (new, old - quotient * new);
        (of_old, of_new) = (of_new, of_old - quotient * of_new);
    }
    of_old.rem_euclid(i64::from(prime)) as u64
}
