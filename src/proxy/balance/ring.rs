//! Consistent hashing on a ring (Karger et al., "Consistent Hashing and Random Trees", 1997): each
//! endpoint stands at many points, a key belongs to the next point clockwise.
//!
//! Where an endpoint stands depends on nothing but itself and its weight, so that one that comes or
//! goes moves no key between the others. The ring is cut into arcs that states share: an update
//! copies only the arcs in which points came or went. To share is to count, and thousands of counts
//! lie far apart, so a state has arcs by the handful, and its points name their endpoints by number.

use std::cmp::Ordering;
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

/// Arcs that are shared as one. An update of one endpoint is about [`POINTS`] arcs, each somewhere
/// else: with 8 of thousands it copies as many handfuls as there are arcs in them.
const HANDFUL: usize = 8;

#[derive(Debug, Clone, Copy)]
struct Point {
    at: u64,
    /// Whose it is: an index into the ring's members.
    member: u32,
}

type Arcs = [Arc<[Point]>];

/// Some of the points of an endpoint, by their numbers.
pub(super) type Stretch<'a> = (&'a Arc<Endpoint>, Range<u32>);

/// See the head of this file.
#[derive(Debug)]
pub(super) struct Ring {
    /// Its arcs, each sorted.
    handfuls: Vec<Arc<Arcs>>,
    /// How many arcs there are, a power of two.
    arcs: usize,
    members: Members,
    points: usize,
}

/// Who stands on a ring. Each keeps its number for as long as it has points there; then the next who
/// comes gets it.
#[derive(Debug, Clone, Default)]
struct Members(Vec<Option<Arc<Endpoint>>>);

impl Ring {
    /// A ring of these points.
    pub(super) fn new(stretches: &[Stretch<'_>]) -> Self {
        let points = stretches.iter().map(|(_, numbers)| numbers.len()).sum();
        let arcs = arcs_for(points);
        let mut cut = vec![Vec::with_capacity(ARC * 2); arcs];
        let mut members = Members::default();
        for (endpoint, numbers) in stretches.iter().filter(|(_, numbers)| !numbers.is_empty()) {
            let member = members.0.len() as u32;
            members.0.push(Some(Arc::clone(endpoint)));
            for at in numbers.clone().map(|number| hash::nth(endpoint.key, number.into())) {
                if let Some(arc) = cut.get_mut(arc_of(at, arcs)) {
                    arc.push(Point { at, member });
                }
            }
        }
        let cut: Vec<_> = cut.into_iter().map(|points| members.sorted(points)).collect();
        Self { handfuls: cut.chunks(HANDFUL).map(Arc::from).collect(), arcs, members, points }
    }

    /// This ring without the points of `gone` and with those of `come`; `None` where it should be
    /// made anew, because too much changes or the arcs would be too long. Whose first point goes has
    /// none left.
    pub(super) fn changed(&self, gone: &[Stretch<'_>], come: &[Stretch<'_>]) -> Option<Self> {
        let count = |stretches: &[Stretch<'_>]| -> usize {
            stretches.iter().map(|(_, numbers)| numbers.len()).sum()
        };
        let points = (self.points + count(come)).checked_sub(count(gone))?;
        let much = count(gone) + count(come) > self.points / 4;
        let arcs = self.arcs;
        if much || arcs_for(points) > arcs * 2 || arcs_for(points) < arcs / 4 {
            return None;
        }
        let mut members = self.members.clone();
        let mut changes = Vec::with_capacity(count(gone) + count(come));
        for (endpoint, numbers) in gone.iter().filter(|(_, numbers)| !numbers.is_empty()) {
            let member = self.member(endpoint)?;
            if numbers.start == 0 {
                members.0.get_mut(member as usize)?.take();
            }
            changes.extend(points_of(endpoint, numbers, member).map(|point| (point, false)));
        }
        let mut places = members.free();
        for (endpoint, numbers) in come.iter().filter(|(_, numbers)| !numbers.is_empty()) {
            let member = match numbers.start {
                0 => members.seat(places.pop(), endpoint),
                _ => self.member(endpoint)?,
            };
            changes.extend(points_of(endpoint, numbers, member).map(|point| (point, true)));
        }
        changes.sort_unstable_by_key(|(point, _)| point.at);
        let mut handfuls = self.handfuls.clone();
        let arc = |point: &Point| arc_of(point.at, arcs);
        for group in changes.chunk_by(|(one, _), (other, _)| arc(one) == arc(other)) {
            let Some((first, _)) = group.first() else { continue };
            let (handful, place) = (arc(first) / HANDFUL, arc(first) % HANDFUL);
            let here = handfuls.get_mut(handful).map(Arc::make_mut);
            let Some(arc) = here.and_then(|arcs| arcs.get_mut(place)) else { continue };
            *arc = members.edited(arc, group);
        }
        Some(Self { handfuls, arcs, members, points })
    }

    /// The endpoint that `hash` belongs to, of those that are `free` the next one.
    pub(super) fn find(
        &self,
        hash: u64,
        free: impl Fn(&Endpoint) -> bool,
    ) -> Option<&Arc<Endpoint>> {
        let first = arc_of(hash, self.arcs);
        let own = self.arc(first)?;
        let (passed, ahead) = own.split_at(own.partition_point(|point| point.at < hash));
        let further = (first + 1..self.arcs).chain(0..first);
        let further = further.filter_map(|arc| self.arc(arc)).flatten();
        let clockwise = ahead.iter().chain(further).chain(passed);
        let mut members = clockwise.filter_map(|point| self.members.get(point.member));
        members.find(|endpoint| free(endpoint))
    }

    fn arc(&self, index: usize) -> Option<&[Point]> {
        self.handfuls.get(index / HANDFUL)?.get(index % HANDFUL).map(|arc| &**arc)
    }

    /// The number of an endpoint that stands on it: that of its first point.
    fn member(&self, endpoint: &Endpoint) -> Option<u32> {
        let at = hash::nth(endpoint.key, 0);
        let arc = self.arc(arc_of(at, self.arcs))?;
        let from = arc.get(arc.partition_point(|point| point.at < at)..)?;
        let here = from.iter().take_while(|point| point.at == at);
        let is_it = |member: &u32| self.members.get(*member).is_some_and(|it| it.id == endpoint.id);
        here.map(|point| point.member).find(is_it)
    }
}

impl Members {
    fn get(&self, member: u32) -> Option<&Arc<Endpoint>> {
        self.0.get(member as usize)?.as_ref()
    }

    /// The numbers that nobody has.
    fn free(&self) -> Vec<u32> {
        let all = self.0.iter().enumerate();
        all.filter(|(_, member)| member.is_none()).map(|(number, _)| number as u32).collect()
    }

    /// Gives `endpoint` that number, or one more.
    fn seat(&mut self, number: Option<u32>, endpoint: &Arc<Endpoint>) -> u32 {
        let endpoint = Some(Arc::clone(endpoint));
        match number.and_then(|number| Some((number, self.0.get_mut(number as usize)?))) {
            Some((number, place)) => {
                *place = endpoint;
                number
            }
            None => {
                self.0.push(endpoint);
                self.0.len() as u32 - 1
            }
        }
    }

    /// Two endpoints at one point stand there in the same order in every proxy.
    fn order(&self, one: &Point, other: &Point) -> Ordering {
        let key = |point: &Point| self.get(point.member).map(|endpoint| endpoint.key);
        one.at.cmp(&other.at).then_with(|| key(one).cmp(&key(other)))
    }

    fn sorted(&self, mut points: Vec<Point>) -> Arc<[Point]> {
        points.sort_unstable_by(|one, other| self.order(one, other));
        points.into()
    }

    /// One arc without what goes and with what comes.
    fn edited(&self, arc: &[Point], changes: &[(Point, bool)]) -> Arc<[Point]> {
        let goes = |point: &&Point| {
            let same = |other: &Point| (other.at, other.member) == (point.at, point.member);
            changes.iter().any(|(other, comes)| !comes && same(other))
        };
        let mut points = Vec::with_capacity(arc.len() + changes.len());
        points.extend(arc.iter().filter(|point| !goes(point)));
        for (point, _) in changes.iter().filter(|(_, comes)| *comes) {
            let before = |other: &Point| self.order(other, point) == Ordering::Less;
            points.insert(points.partition_point(before), *point);
        }
        points.into()
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
            let points = weight.saturating_mul(POINTS.into()) / whole;
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

/// Where the points of a stretch are.
fn points_of(
    endpoint: &Endpoint,
    numbers: &Range<u32>,
    member: u32,
) -> impl Iterator<Item = Point> {
    let key = endpoint.key;
    numbers.clone().map(move |number| Point { at: hash::nth(key, number.into()), member })
}
