//! What stays when a resource replaces another, and what is chosen from then.

use std::sync::atomic::Ordering;

use proptest::prelude::*;

use super::*;
use crate::proxy::balance::{Wish, pick};
use crate::resource::{Cluster as Wire, ClusterPort, Endpoint as WireEndpoint, PortMapping};

/// A cluster of these workloads, each at a port of its own.
pub(in crate::proxy) fn wire(workloads: impl IntoIterator<Item = usize>) -> Wire {
    let endpoints = workloads.into_iter().map(|number| WireEndpoint {
        workload: format!("w-{number:05}").parse().unwrap(),
        addresses: vec![format!("10.0.{}.{}", number / 250, number % 250).parse().unwrap()],
        ports: vec![PortMapping { service_port: 80, target_port: 8000 }],
        identity: None,
        version: String::new(),
        weight: 1,
        zone: String::new(),
    });
    Wire {
        name: "default/w".parse().unwrap(),
        ports: vec![ClusterPort { port: 80, protocol: Protocol::Http }],
        policy: ClusterPolicy::default(),
        endpoints: endpoints.map(Arc::new).collect(),
    }
}

pub(in crate::proxy) fn cell(wire: &Wire) -> ClusterCell {
    let cell = ClusterCell::new(wire.name.clone());
    cell.apply(wire, "", 0);
    cell
}

fn ids(cell: &ClusterCell) -> Vec<(String, u64)> {
    let cluster = cell.load().unwrap();
    let endpoints = cluster.port(80).unwrap().endpoints.iter();
    endpoints.map(|endpoint| (endpoint.workload.to_string(), endpoint.id)).collect()
}

#[test]
fn endpoints_that_stay_keep_what_they_are_whatever_comes_or_goes_and_in_any_order() {
    let cell = cell(&wire(0..10));
    let before = ids(&cell);
    cell.load().unwrap().port(80).unwrap().endpoints[4].in_flight.store(5, Ordering::Relaxed);
    for workloads in [vec![4, 5, 6], vec![0, 4, 5, 6, 11], vec![6, 11, 4, 0, 5], vec![4]] {
        cell.apply(&wire(workloads.clone()), "", 0);
        let after = ids(&cell);
        assert_eq!(after.len(), workloads.len());
        for kept in [4, 5, 6].iter().filter(|kept| workloads.contains(kept)) {
            assert!(after.contains(&before[*kept]), "{kept} of {workloads:?} is another");
        }
        let old_zero = before[0].clone();
        assert!(!after.contains(&old_zero), "who went comes back as somebody else");
    }
    let cluster = cell.load().unwrap();
    let kept = &cluster.port(80).unwrap().endpoints[0];
    assert_eq!(kept.in_flight.load(Ordering::Relaxed), 5);
}

#[test]
fn another_identity_is_another_endpoint_and_another_weight_is_not() {
    let mut wire = wire(0..2);
    let cell = cell(&wire);
    let before = ids(&cell);
    Arc::make_mut(&mut wire.endpoints[0]).weight = 7;
    cell.apply(&wire, "", 0);
    assert_eq!(ids(&cell), before);
    assert_eq!(cell.load().unwrap().port(80).unwrap().endpoints[0].weight(), 7);
    let other = "spiffe://td/ns/a/sa/b".parse().unwrap();
    Arc::make_mut(&mut wire.endpoints[0]).identity = Some(other);
    cell.apply(&wire, "", 0);
    let after = ids(&cell);
    assert_ne!(after[0].1, before[0].1, "another identity never shares a pool");
    assert_eq!(after[1], before[1]);
}

#[test]
fn an_address_that_is_named_twice_is_one_endpoint() {
    let mut wire = wire(0..1);
    let address = wire.endpoints[0].addresses[0];
    let addresses = vec![address, "10.9.9.9".parse().unwrap(), address];
    Arc::make_mut(&mut wire.endpoints[0]).addresses = addresses;
    let cell = cell(&wire);
    assert_eq!(ids(&cell).len(), 2);
    let before = ids(&cell);
    cell.apply(&wire, "", 0);
    assert_eq!(ids(&cell), before);
}

#[test]
fn a_new_zone_moves_the_traffic_and_leaves_the_endpoints() {
    let mut wire = wire(0..4);
    wire.policy.load_balancer.locality = crate::resource::Locality::Prefer;
    for (number, endpoint) in wire.endpoints.iter_mut().enumerate() {
        Arc::make_mut(endpoint).zone = if number < 2 { "a" } else { "b" }.into();
    }
    let cell = cell(&wire);
    let before = ids(&cell);
    for (zone, expected) in [("a", 0..2), ("b", 2..4), ("", 0..4), ("c", 0..4)] {
        cell.relocate(zone, 0);
        assert_eq!(ids(&cell), before);
        let cluster = cell.load().unwrap();
        let port = cluster.port(80).unwrap();
        let mut seen: Vec<usize> = (0..200)
            .map(|seed| pick(port, &Wish::default(), seed).unwrap().id)
            .map(|id| before.iter().position(|(_, known)| *known == id).unwrap())
            .collect();
        seen.sort_unstable();
        seen.dedup();
        assert_eq!(seen, expected.collect::<Vec<_>>(), "in zone `{zone}`");
    }
}

/// Where keys go, by names.
fn homes(cell: &ClusterCell) -> Vec<String> {
    let cluster = cell.load().unwrap();
    let port = cluster.port(80).unwrap();
    let home = |key: u64| {
        let wish = Wish { avoid: &[], hash: Some(key.wrapping_mul(0x9e37_79b9_7f4a_7c15)) };
        pick(port, &wish, key).map_or_else(String::new, |endpoint| endpoint.workload.to_string())
    };
    (0..200).map(home).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(16))]
    #[test]
    fn what_a_resource_shares_with_the_one_before_makes_no_difference(
        steps in prop::collection::vec(
            prop::collection::vec((0..30_usize, prop_oneof![Just(0), Just(1), 1..5_u32]), 1..5),
            1..6,
        ),
        consistent in any::<bool>(),
    ) {
        let mut next = wire(0..30);
        next.policy.load_balancer.algorithm =
            if consistent { Algorithm::RingHash } else { Algorithm::Maglev };
        let (shared, copied) = (cell(&next), cell(&next));
        let all = next.endpoints.clone();
        for step in steps {
            let (old_shared, old_copied) = (ids(&shared), ids(&copied));
            for (number, weight) in step {
                let here = next.endpoints.binary_search_by(|it| it.workload.cmp(&all[number].workload));
                match (here, weight) {
                    (Ok(at), 0) => drop(next.endpoints.remove(at)),
                    (Ok(at), weight) => Arc::make_mut(&mut next.endpoints[at]).weight = weight,
                    (Err(_), 0) => {}
                    (Err(at), _) => next.endpoints.insert(at, Arc::clone(&all[number])),
                }
            }
            shared.apply(&next, "", 0);
            let copies = next.endpoints.iter().map(|it| Arc::new(WireEndpoint::clone(it)));
            let copy = Wire { endpoints: copies.collect(), ..next.clone() };
            copied.apply(&copy, "", 0);
            let stays = |old: &[(String, u64)], cell: &ClusterCell| -> Vec<(String, bool)> {
                ids(cell).into_iter().map(|one| (one.0.clone(), old.contains(&one))).collect()
            };
            prop_assert_eq!(stays(&old_shared, &shared), stays(&old_copied, &copied));
            prop_assert_eq!(homes(&shared), homes(&copied));
            prop_assert_eq!(homes(&shared), homes(&cell(&next)), "as if made anew");
            let weights = |cell: &ClusterCell| -> Vec<u64> {
                let cluster = cell.load().unwrap();
                cluster.port(80).unwrap().endpoints.iter().map(|it| it.weight()).collect()
            };
            prop_assert_eq!(weights(&shared), weights(&copied));
        }
    }
}
