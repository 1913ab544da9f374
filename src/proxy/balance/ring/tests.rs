//! The ring: a state that was changed is the state that would have been made.

use proptest::prelude::*;

use super::*;
use crate::proxy::cluster::tests::{cell, wire};

fn placed(ring: &Ring) -> Vec<(u64, u64)> {
    let points = ring.handfuls.iter().flat_map(|arcs| arcs.iter()).flat_map(|arc| arc.iter());
    points.map(|point| (point.at, ring.members.get(point.member).unwrap().id)).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]
    #[test]
    fn a_changed_ring_is_the_ring_made_anew(
        before in prop::collection::vec(0..=128u32, 60),
        changes in prop::collection::vec((0..60usize, 0..=128u32), 1..8),
        key in any::<u64>(),
    ) {
        let cluster = cell(&wire(0..60)).load().unwrap();
        let endpoints = &cluster.port(80).unwrap().endpoints;
        let mut after = before.clone();
        for (at, count) in changes {
            after[at] = count;
        }
        let whole = |counts: &[u32]| {
            let all: Vec<_> = endpoints.iter().zip(counts).map(|(e, count)| (e, 0..*count)).collect();
            Ring::new(&all)
        };
        let (mut gone, mut come) = (Vec::new(), Vec::new());
        for (endpoint, (was, is)) in endpoints.iter().zip(before.iter().zip(&after)) {
            if is < was {
                gone.push((endpoint, *is..*was));
            } else {
                come.push((endpoint, *was..*is));
            }
        }
        if let Some(changed) = whole(&before).changed(&gone, &come) {
            let fresh = whole(&after);
            prop_assert_eq!(changed.points, fresh.points);
            prop_assert_eq!(placed(&changed), placed(&fresh));
            let one = |ring: &Ring| ring.find(key, |_| true).map(|endpoint| endpoint.id);
            prop_assert_eq!(one(&changed), one(&fresh));
        }
    }
}

#[test]
fn a_key_belongs_to_the_next_point_and_around_the_end_to_the_first() {
    let cluster = cell(&wire(0..5)).load().unwrap();
    let endpoints = &cluster.port(80).unwrap().endpoints;
    let ring =
        Ring::new(&endpoints.iter().map(|endpoint| (endpoint, 0..POINTS)).collect::<Vec<_>>());
    let placed = placed(&ring);
    assert!(placed.is_sorted());
    for pair in placed.windows(2) {
        let found = |key| ring.find(key, |_| true).unwrap().id;
        assert_eq!(found(pair[1].0), pair[1].1);
        assert_eq!(found(pair[0].0 + 1), pair[1].1);
    }
    let first = placed[0].1;
    assert_eq!(ring.find(u64::MAX, |_| true).unwrap().id, first);
    assert_ne!(ring.find(u64::MAX, |endpoint| endpoint.id != first).unwrap().id, first);
    assert!(ring.find(0, |_| false).is_none());
    assert!(Ring::new(&[]).find(0, |_| true).is_none());
}

#[test]
fn who_comes_gets_the_number_of_one_that_has_gone() {
    let cluster = cell(&wire(0..9)).load().unwrap();
    let endpoints = &cluster.port(80).unwrap().endpoints;
    let all: Vec<_> = endpoints.iter().map(|endpoint| (endpoint, 0..POINTS)).collect();
    let (out, all) = all.split_first().unwrap();
    let mut ring = Ring::new(&[&[(out.0, 0..0)], all].concat());
    let whole = placed(&ring);
    for stretch in all.iter().cycle().take(20) {
        let without = ring.changed(std::slice::from_ref(stretch), &[]).expect("little changes");
        assert!(placed(&without).iter().all(|(_, id)| *id != stretch.0.id));
        ring = without.changed(&[], std::slice::from_ref(stretch)).expect("little changes");
    }
    assert_eq!(placed(&ring), whole);
    assert_eq!(ring.members.0.len(), 8);
}
