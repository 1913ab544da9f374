//! Balancing: each algorithm keeps its promise, and a retry goes to another endpoint.

use super::*;
use crate::names::Protocol;
use crate::proxy::cluster::ClusterCell;
use crate::resource::{Cluster, ClusterPolicy, ClusterPort, Endpoint as Wire, PortMapping};

fn cell(count: usize) -> ClusterCell {
    let endpoints = (0..count).map(|index| Wire {
        workload: format!("w-{index}").parse().unwrap(),
        addresses: vec!["127.0.0.1".parse().unwrap()],
        ports: vec![PortMapping { service_port: 80, target_port: 8000 + index as u16 }],
        identity: None,
        version: String::new(),
        weight: 1,
        zone: String::new(),
    });
    let cell = ClusterCell::new("default/w".parse().unwrap());
    let cluster = Cluster {
        name: cell.name.clone(),
        ports: vec![ClusterPort { port: 80, protocol: Protocol::Http }],
        policy: ClusterPolicy::default(),
        endpoints: endpoints.collect(),
    };
    cell.apply(&cluster).unwrap();
    cell
}

#[test]
fn round_robin_is_even_and_random_is_nearly() {
    let cluster = cell(3).load().unwrap();
    let port = cluster.port(80).unwrap();
    for (algorithm, spread) in [(Algorithm::RoundRobin, 0), (Algorithm::Random, 200)] {
        let mut counts = [0i32; 3];
        let mut rng = fastrand::Rng::with_seed(1);
        for _ in 0..3000 {
            let found = pick(algorithm, port, &Wish::default(), rng.u64(..)).unwrap();
            counts[usize::from(found.address.port() - 8000)] += 1;
        }
        assert!(counts.iter().all(|count| (count - 1000).abs() <= spread), "{counts:?}");
    }
}

#[test]
fn least_request_leaves_the_busy_one_alone() {
    let cluster = cell(3).load().unwrap();
    let port = cluster.port(80).unwrap();
    port.endpoints[1].in_flight.store(100, Ordering::Relaxed);
    let mut rng = fastrand::Rng::with_seed(1);
    for _ in 0..1000 {
        let found = pick(Algorithm::LeastRequest, port, &Wish::default(), rng.u64(..)).unwrap();
        assert_ne!(found.id, port.endpoints[1].id, "two choices always hold an idle one");
    }
}

#[test]
fn a_retry_goes_elsewhere_if_there_is_an_elsewhere() {
    for (count, elsewhere) in [(1, false), (2, true)] {
        let cluster = cell(count).load().unwrap();
        let port = cluster.port(80).unwrap();
        let avoid = port.endpoints[0].id;
        for random in 0..64 {
            let random = fastrand::Rng::with_seed(random).u64(..);
            let found =
                pick(Algorithm::LeastRequest, port, &Wish { avoid: &[avoid], hash: None }, random)
                    .unwrap();
            assert_eq!(found.id != avoid, elsewhere);
        }
    }
    let empty = cell(0).load().unwrap();
    assert!(pick(Algorithm::Random, empty.port(80).unwrap(), &Wish::default(), 7).is_none());
}

#[test]
fn endpoints_that_stay_keep_their_identity_and_counters() {
    let cell = cell(2);
    let before = cell.load().unwrap();
    let kept = before.port(80).unwrap().endpoints[0].clone();
    kept.in_flight.store(5, Ordering::Relaxed);
    let mut wire = Cluster {
        name: cell.name.clone(),
        ports: vec![ClusterPort { port: 80, protocol: Protocol::Http }],
        policy: before.policy.clone(),
        endpoints: vec![Wire {
            workload: kept.workload.clone(),
            addresses: vec![kept.address.ip()],
            ports: vec![PortMapping { service_port: 80, target_port: kept.address.port() }],
            identity: None,
            version: String::new(),
            weight: 1,
            zone: String::new(),
        }],
    };
    cell.apply(&wire).unwrap();
    let after = cell.load().unwrap().port(80).unwrap().endpoints[0].clone();
    assert_eq!((after.id, after.in_flight.load(Ordering::Relaxed)), (kept.id, 5));
    wire.endpoints[0].identity = Some("spiffe://td/ns/a/sa/b".parse().unwrap());
    cell.apply(&wire).unwrap();
    let other = cell.load().unwrap().port(80).unwrap().endpoints[0].clone();
    assert_ne!(other.id, kept.id, "another identity never shares a pool");
}
