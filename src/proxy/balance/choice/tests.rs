//! Standing, panic, zones and slow start: who is chosen, and how often.

use super::*;
use crate::proxy::cluster::tests::{cell, wire};

/// How often each endpoint is chosen of `PICKS`.
const PICKS: u32 = 20_000;

struct Rig {
    policy: ClusterPolicy,
    zones: Vec<&'static str>,
    standing: Vec<Standing>,
    by_hand: Vec<usize>,
    zone: &'static str,
}

impl Rig {
    fn new(standing: &[Standing]) -> Self {
        Self {
            policy: ClusterPolicy::default(),
            zones: vec![""; standing.len()],
            standing: standing.to_vec(),
            by_hand: Vec::new(),
            zone: "",
        }
    }

    fn zoned(standing: &[Standing], zones: &[&'static str]) -> Self {
        let mut rig = Self { zones: zones.to_vec(), zone: "here", ..Self::new(standing) };
        rig.policy.load_balancer.locality = Locality::Prefer;
        rig.policy.panic_ppm = 0;
        rig
    }

    /// Whether it panics, and each endpoint's part of the traffic.
    fn parts(&self) -> (bool, Vec<f64>) {
        let mut wire = wire(0..self.standing.len());
        for (endpoint, zone) in wire.endpoints.iter_mut().zip(&self.zones) {
            Arc::make_mut(endpoint).zone = (*zone).into();
        }
        let cluster = cell(&wire).load().unwrap();
        let endpoints = &cluster.port(80).unwrap().endpoints;
        let terms = Terms { policy: &self.policy, zone: self.zone, now_ms: 0 };
        let at = |endpoint: &Endpoint| endpoints.iter().position(|e| e.id == endpoint.id).unwrap();
        let standing = |endpoint: &Endpoint| self.standing[at(endpoint)];
        let by_hand = |endpoint: &Endpoint| self.by_hand.contains(&at(endpoint));
        let judged = Judged::by(&terms, endpoints, standing, by_hand);
        let choice = Choice::build(&terms, endpoints, judged, None);
        let mut counts = vec![0u32; endpoints.len()];
        let turns = Turns::default();
        let mut rng = Rng::with_seed(7);
        for _ in 0..PICKS {
            let wish = Wish { avoid: &[], hash: Some(rng.u64(..)) };
            if let Some(found) = choice.pick(endpoints, &turns, &wish, rng.u64(..)) {
                counts[at(found)] += 1;
            }
        }
        let parts = counts.iter().map(|count| f64::from(*count) / f64::from(PICKS));
        let parts: Vec<f64> = parts.collect();
        for (told, found) in choice.parts(endpoints.len()).iter().zip(&parts) {
            assert!((told - found).abs() < 0.02, "told {told}, found {found}");
        }
        (choice.panics(), parts)
    }

    #[track_caller]
    fn expect(&self, panics: bool, expected: &[f64]) {
        let (panicked, parts) = self.parts();
        assert_eq!(panicked, panics);
        let near = parts.iter().zip(expected).all(|(part, expected)| {
            (part - expected).abs() < 0.02 && (*part == 0.0) == (*expected == 0.0)
        });
        assert!(near, "{parts:?}, but {expected:?} was expected");
    }
}

const IN: Standing = Standing::In(1.0);
const OUT: Standing = Standing::Out;

#[test]
fn who_is_out_gets_nothing_and_who_is_on_probation_a_trickle() {
    let mut rig = Rig::new(&[IN, OUT, IN, Standing::In(0.1)]);
    for algorithm in
        [Algorithm::RoundRobin, Algorithm::Random, Algorithm::LeastRequest, Algorithm::Maglev]
    {
        rig.policy.load_balancer.algorithm = algorithm;
        rig.expect(false, &[1.0 / 2.1, 0.0, 1.0 / 2.1, 0.1 / 2.1]);
    }
    rig.policy.load_balancer.algorithm = Algorithm::RingHash;
    let (_, parts) = rig.parts();
    assert_eq!(parts[1], 0.0);
    assert!(parts[3] > 0.01 && parts[3] < 0.1, "{parts:?}");
}

#[test]
fn where_too_few_are_left_all_are_used_but_those_out_by_hand() {
    let mut rig = Rig::new(&[IN, OUT, OUT, OUT]);
    rig.expect(true, &[0.25; 4]);
    rig.by_hand = vec![3];
    rig.expect(true, &[1.0 / 3.0, 1.0 / 3.0, 1.0 / 3.0, 0.0]);
    // What is left without those two is half, as many as must be.
    rig.by_hand = vec![2, 3];
    rig.expect(false, &[1.0, 0.0, 0.0, 0.0]);
    rig.by_hand.clear();
    rig.policy.panic_ppm = 250_000;
    rig.expect(false, &[1.0, 0.0, 0.0, 0.0]);
    rig.standing[0] = OUT;
    rig.policy.panic_ppm = 0;
    rig.expect(false, &[0.0; 4]);
}

#[test]
fn a_zone_keeps_its_traffic_while_it_is_well_enough() {
    let zones = ["here", "here", "here", "here", "there", "there"];
    Rig::zoned(&[IN; 6], &zones).expect(false, &[0.25, 0.25, 0.25, 0.25, 0.0, 0.0]);
    let three = 1.0 / 3.0;
    Rig::zoned(&[IN, IN, IN, OUT, IN, IN], &zones)
        .expect(false, &[three, three, three, 0.0, 0.0, 0.0]);
}

#[test]
fn it_spills_over_as_its_capacity_declines() {
    let zones = ["here", "here", "there", "there"];
    // Half is left: 0.5 × 1.4 stays.
    Rig::zoned(&[IN, OUT, IN, IN], &zones).expect(false, &[0.7, 0.0, 0.15, 0.15]);
    Rig::zoned(&[OUT, OUT, IN, IN], &zones).expect(false, &[0.0, 0.0, 0.5, 0.5]);
    // Neither is enough: by what is left of each.
    let trickle = Standing::In(0.1);
    Rig::zoned(&[trickle, OUT, trickle, trickle], &zones)
        .expect(false, &[1.0 / 3.0, 0.0, 1.0 / 3.0, 1.0 / 3.0]);
    Rig::zoned(&[IN, OUT, OUT, OUT], &zones).expect(false, &[1.0, 0.0, 0.0, 0.0]);
}

#[test]
fn in_panic_zones_do_not_count_and_without_a_zone_nobody_is_near() {
    let mut rig = Rig::zoned(&[IN, OUT, OUT, OUT], &["here", "there", "there", "there"]);
    rig.policy.panic_ppm = 500_000;
    rig.expect(true, &[0.25; 4]);
    let mut rig = Rig::zoned(&[IN; 2], &["here", "there"]);
    rig.zone = "";
    rig.expect(false, &[0.5, 0.5]);
    rig.zone = "nowhere";
    rig.expect(false, &[0.5, 0.5]);
    rig.zone = "here";
    rig.policy.load_balancer.locality = Locality::Off;
    rig.expect(false, &[0.5, 0.5]);
}

#[test]
fn a_retry_leaves_the_zone_where_nobody_else_is_in_it() {
    let mut wire = wire(0..2);
    wire.policy.load_balancer.locality = Locality::Prefer;
    for (endpoint, zone) in wire.endpoints.iter_mut().zip(["here", "there"]) {
        Arc::make_mut(endpoint).zone = zone.into();
    }
    let cell = cell(&wire);
    cell.relocate("here", 0);
    let cluster = cell.load().unwrap();
    let port = cluster.port(80).unwrap();
    let first = crate::proxy::balance::pick(port, &Wish::default(), 1).unwrap();
    let wish = Wish { avoid: &[first.id], hash: None };
    let second = crate::proxy::balance::pick(port, &wish, 1).unwrap();
    assert_eq!((first.zone.as_str(), second.zone.as_str()), ("here", "there"));
}
