//! Weights as a line of units: every member owns as many as it weighs, one behind the other.
//!
//! A unit leads to its owner in O(1) where all weigh the same, else by a guide table (Chen and
//! Asau, "On Generating Random Variates from an Empirical Distribution", 1974) and a search among
//! the few that share a field of it. Unlike Walker's alias table a member's units lie together, so
//! that one member can be left out of a draw exactly, and the same line serves drawing and turns.
//!
//! Turns walk the line in steps of about its golden section, a step that has no divisor in common
//! with its length: over one length every unit comes exactly once, so shares are exact and equal
//! members come strictly in turn; and within it a member's turns are spread nearly evenly (the
//! three-distance theorem), without a schedule that would be as long as the sum of all weights. One
//! atomic counter is all the state, so that workers share it without a lock.

use std::ops::Range;

#[cfg(test)]
mod tests;

/// See the head of this file.
#[derive(Debug)]
pub(super) struct Shares {
    total: u64,
    step: u64,
    line: Line,
}

#[derive(Debug)]
enum Line {
    /// One unit each.
    Even,
    Weighted {
        /// Where each member's units end.
        ends: Box<[u64]>,
        /// For each of as many equal parts of the line as there are members: who owns its first
        /// unit.
        guide: Box<[u32]>,
    },
}

impl Shares {
    /// The shares of members that weigh so much each, all above 0.
    pub(super) fn new(weights: &[u64]) -> Self {
        let first = weights.first().copied().unwrap_or(1);
        if weights.iter().all(|&weight| weight == first) {
            return Self::even(weights.len());
        }
        let divisor = weights.iter().copied().fold(0, gcd).max(1);
        let mut total = 0;
        let ends = weights.iter().map(|weight| {
            total += weight / divisor;
            total
        });
        let ends: Box<[u64]> = ends.collect();
        let guide = guide(&ends, total);
        Self { total, step: step(total), line: Line::Weighted { ends, guide } }
    }

    /// The shares of `count` members that weigh the same.
    pub(super) fn even(count: usize) -> Self {
        let total = count as u64;
        Self { total, step: step(total), line: Line::Even }
    }

    /// All units.
    pub(super) fn total(&self) -> u64 {
        self.total
    }

    /// The unit whose turn is the `turn`th; there must be one.
    pub(super) fn at_turn(&self, turn: u64) -> u64 {
        scale(turn % self.total, self.step, self.total).1
    }

    /// Who owns `unit`.
    pub(super) fn owner(&self, unit: u64) -> usize {
        match &self.line {
            Line::Even => unit as usize,
            Line::Weighted { ends, guide } => {
                let field = scale(unit, guide.len() as u64, self.total).0 as usize;
                let from = guide.get(field).map_or(0, |&from| from as usize);
                let to = guide.get(field + 1).map_or(ends.len(), |&to| to as usize + 1);
                let among = ends.get(from..to).unwrap_or_default();
                from + among.partition_point(|&end| end <= unit)
            }
        }
    }

    /// The units that `member` owns.
    pub(super) fn units(&self, member: usize) -> Range<u64> {
        match &self.line {
            Line::Even => member as u64..member as u64 + 1,
            Line::Weighted { ends, .. } => {
                let end = |at: usize| ends.get(at).copied().unwrap_or_default();
                member.checked_sub(1).map_or(0, end)..end(member)
            }
        }
    }

    /// What `member` weighs against the average of all: 1 where all weigh the same.
    pub(super) fn relative(&self, member: usize) -> f64 {
        match &self.line {
            Line::Even => 1.0,
            Line::Weighted { ends, .. } => {
                let units = self.units(member);
                (units.end - units.start) as f64 * ends.len() as f64 / self.total as f64
            }
        }
    }
}

/// For each of as many equal parts of the line as there are members, the owner of its first unit.
fn guide(ends: &[u64], total: u64) -> Box<[u32]> {
    let count = ends.len() as u64;
    let mut owner = 0;
    let fields = (0..count).map(|field| {
        // The first unit of which `scale` says that it lies in this part.
        let (begin, rest) = scale(field, total, count);
        let begin = begin + u64::from(rest > 0);
        while ends.get(owner as usize).is_some_and(|&end| end <= begin) {
            owner += 1;
        }
        owner
    });
    fields.collect()
}

/// `value * factor` by `divisor`: the quotient and the rest.
fn scale(value: u64, factor: u64, divisor: u64) -> (u64, u64) {
    if value <= u64::from(u32::MAX) && factor <= u64::from(u32::MAX) {
        return (value * factor / divisor, value * factor % divisor);
    }
    let product = u128::from(value) * u128::from(factor);
    ((product / u128::from(divisor)) as u64, (product % u128::from(divisor)) as u64)
}

/// How far from the golden section one looks, at most.
const FAR: u64 = 32;

/// Of the numbers beside `total`'s golden section that have no divisor in common with it the one
/// that comes closest to what makes the golden section even: small quotients all the way down.
fn step(total: u64) -> u64 {
    const GOLDEN: f64 = 0.618_033_988_749_894_9;
    let middle = (total as f64 * GOLDEN) as u64;
    let far = FAR.min(total / 4 + 1);
    let beside = middle.saturating_sub(far).max(1)..=middle + far;
    let inside = beside.filter(|step| *step < total.max(2) && gcd(*step, total) == 1);
    inside.min_by_key(|step| largest_quotient(total, *step)).unwrap_or(1)
}

/// The largest quotient in Euclid's algorithm.
fn largest_quotient(a: u64, b: u64) -> u64 {
    let (mut a, mut b) = (a, b);
    let mut largest = 0;
    while b != 0 {
        largest = largest.max(a / b);
        (a, b) = (b, a % b);
    }
    largest
}

fn gcd(a: u64, b: u64) -> u64 {
    let (mut a, mut b) = (a, b);
    while b != 0 {
        (a, b) = (b, a % b);
    }
    a
}
