//! What a proxy holds of a large mesh: the endpoints of what it calls, and no others.

use super::*;
use crate::proxy::cluster::Endpoint;
use crate::resource::{ClusterPort, Endpoint as Wire, PortMapping};

const SERVICES: usize = 1_000;
const CALLED: usize = 10;
const EACH: usize = 100;

fn full(name: &str) -> Resource {
    let endpoints = (0..EACH).map(|number| Wire {
        workload: format!("{name}-{number:03}").parse().unwrap(),
        addresses: vec!["127.0.0.1".parse().unwrap()],
        ports: vec![PortMapping { service_port: 80, target_port: 8_000 + number as u16 }],
        identity: Some(identity(name)),
        version: String::new(),
        weight: 1,
        zone: String::new(),
    });
    Resource::Cluster(Cluster {
        name: named(name),
        ports: vec![ClusterPort { port: 80, protocol: Protocol::Http }],
        policy: ClusterPolicy::default(),
        endpoints: endpoints.map(Arc::new).collect(),
    })
}

fn held(rig: &Rig) -> Vec<Arc<Endpoint>> {
    let cells: Vec<_> = rig.directory.clusters.lock().values().cloned().collect();
    let clusters = cells.iter().filter_map(|cell| cell.load());
    clusters
        .flat_map(|cluster| {
            let ports = cluster.ports().iter().map(|port| port.endpoints.clone());
            ports.flatten().collect::<Vec<_>>()
        })
        .collect()
}

#[test]
fn of_a_hundred_thousand_endpoints_it_asks_for_and_holds_those_it_calls() {
    let limits = Limits { names: SERVICES, ..QUICK };
    let mut rig = Rig::new(limits);
    let mut asked = Vec::new();
    for number in 0..CALLED {
        let name = format!("s{number}");
        asked.extend(rig.want(&name));
        asked.extend(rig.offer(Resource::Service(service(&name, &[&name])), number as u64));
    }
    let subscribed = asked.iter().filter(|effect| matches!(effect, Effect::Subscribe(_))).count();
    assert_eq!(subscribed, 2 * CALLED, "each service and its cluster, nothing else: {asked:?}");
    // A control plane that sends everything finds no taker either.
    for number in 0..SERVICES {
        rig.offer(full(&format!("s{number}")), 10_000 + number as u64);
    }
    assert_eq!(held(&rig).len(), CALLED * EACH);
    // What is not called any more is let go.
    for number in 1..CALLED {
        rig.gone(&Key::service(&named(&format!("s{number}"))));
    }
    assert_eq!(held(&rig).len(), EACH);
}

#[test]
fn the_zone_of_this_proxy_decides_who_is_near_also_when_it_comes_late() {
    let mut rig = Rig::new(QUICK);
    rig.want("a");
    rig.offer(Resource::Service(service("a", &["a"])), 1);
    let Resource::Cluster(mut cluster) = full("a") else { panic!("a cluster") };
    cluster.policy.load_balancer.locality = crate::resource::Locality::Prefer;
    for (number, endpoint) in cluster.endpoints.iter_mut().enumerate() {
        Arc::make_mut(endpoint).zone = if number % 2 == 0 { "here" } else { "there" }.into();
    }
    rig.offer(Resource::Cluster(cluster), 2);
    let zones = |rig: &Rig| -> Vec<String> {
        let cluster = rig.directory.cluster(&named("a")).load().unwrap();
        let port = cluster.port(80).unwrap();
        let pick = |seed| crate::proxy::balance::pick(port, &Default::default(), seed).unwrap();
        let mut zones: Vec<String> = (0..100).map(|seed| pick(seed).zone.clone()).collect();
        zones.sort();
        zones.dedup();
        zones
    };
    assert_eq!(zones(&rig), ["here", "there"], "nobody knows yet where we are");
    rig.offer(Resource::Workload(Workload { zone: "here".into(), ..workload() }), 3);
    assert_eq!(zones(&rig), ["here"]);
    rig.offer(Resource::Workload(Workload { zone: "there".into(), ..workload() }), 4);
    assert_eq!(zones(&rig), ["there"]);
}
