//! The rounds of health checks by simulated time, and a warden at work over a real socket.

use std::collections::HashMap;

use tokio::net::TcpListener;

use super::*;
use crate::names::Protocol;
use crate::proxy::cluster::ClusterCell;
use crate::proxy::directory::Loader;
use crate::proxy::serve::tests::rig;
use crate::proxy::vitals::Standing;
use crate::resource::{self, ClusterPolicy, HealthCheck, HealthProbe};

fn health(interval: u64) -> HealthCheck {
    HealthCheck {
        probe: HealthProbe::Tcp,
        interval: Duration::from_millis(interval),
        timeout: Duration::from_secs(5),
        unhealthy_after: 2,
        healthy_after: 2,
    }
}

fn resource(check: Option<HealthCheck>, ports: &[u16]) -> resource::Cluster {
    let endpoint = |&port: &u16| resource::Endpoint {
        workload: format!("w-{port}").parse().unwrap(),
        addresses: vec![[127, 0, 0, 1].into()],
        ports: vec![resource::PortMapping { service_port: 80, target_port: port }],
        identity: None,
        version: String::new(),
        weight: 1,
        zone: String::new(),
    };
    resource::Cluster {
        name: "shop/w".parse().unwrap(),
        ports: vec![resource::ClusterPort { port: 80, protocol: Protocol::Tcp }],
        policy: ClusterPolicy { health_check: check, ..ClusterPolicy::default() },
        endpoints: ports.iter().map(endpoint).map(Arc::new).collect(),
    }
}

type Pool = (Arc<ClusterCell>, Arc<Cluster>);

fn pool(cell: &Arc<ClusterCell>, check: Option<HealthCheck>, ports: &[u16]) -> Pool {
    cell.apply(&resource(check, ports), "", 0);
    (Arc::clone(cell), cell.load().unwrap())
}

fn cell() -> Arc<ClusterCell> {
    Arc::new(ClusterCell::new("shop/w".parse().unwrap()))
}

#[test]
fn everybody_is_asked_soon_and_then_once_in_an_interval_give_or_take_a_tenth() {
    let pool = pool(&cell(), Some(health(5_000)), &(1..=50).collect::<Vec<_>>());
    let mut rounds = Rounds::new(7);
    rounds.reconcile(std::slice::from_ref(&pool), 0);
    let mut asked: HashMap<u64, Vec<u64>> = HashMap::new();
    while let Some(now) = rounds.next().filter(|next| *next < 3_600_000) {
        let due = rounds.begin(now).unwrap();
        asked.entry(due.id).or_default().push(now);
        // An answer takes a while.
        assert!(rounds.end(due.id, now + 300).is_some());
    }
    assert_eq!(asked.len(), 50);
    for times in asked.values() {
        assert!(times[0] <= 500, "the first at {}", times[0]);
        assert!(times.windows(2).all(|two| (4_500..=5_500).contains(&(two[1] - two[0]))));
        assert!((690..=760).contains(&times.len()), "{}", times.len());
    }
    let slots: HashSet<u64> = asked.values().map(|times| times[100] / 100).collect();
    assert!(slots.len() > 10, "they come together: {slots:?}");
}

#[test]
fn nobody_is_asked_twice_at_a_time_and_who_is_gone_not_at_all() {
    let cell = cell();
    let both = pool(&cell, Some(health(1_000)), &[1, 2]);
    let mut rounds = Rounds::new(7);
    rounds.reconcile(&[both], 0);
    let (first, second) = (rounds.begin(500).unwrap(), rounds.begin(500).unwrap());
    assert!(rounds.begin(100_000).is_none(), "both are being asked");
    let one = pool(&cell, Some(health(1_000)), &[1]);
    rounds.reconcile(&[one], 600);
    assert!(rounds.begin(100_000).is_none());
    let (gone, here) =
        if first.endpoint.address.port() == 2 { (first, second) } else { (second, first) };
    assert!(rounds.end(gone.id, 700).is_none());
    assert!(rounds.end(here.id, 700).is_some());
    // Another policy begins anew, and what was asked under the old one does not count.
    let begun = rounds.begin(10_000).unwrap();
    let other = pool(&cell, Some(health(2_000)), &[1]);
    rounds.reconcile(&[other], 10_000);
    assert!(rounds.end(begun.id, 10_001).is_none());
    assert!(rounds.begin(10_600).is_some());
    rounds.reconcile(&[], 11_000);
    assert_eq!(rounds.next(), None);
}

/// Endpoints without a sidecar may be called.
fn allow_any(directory: &Arc<Directory>) {
    let mesh = resource::Mesh {
        trust_domain: directory.mesh().trust_domain.clone(),
        roots: Vec::new(),
        outbound: resource::OutboundMode::AllowAny,
        sampling_ppm: 0,
    };
    let now = Instant::now();
    Loader::new(Arc::clone(directory), now).offer(resource::Resource::Mesh(mesh), None, now);
}

/// Waits until an endpoint stands like that.
async fn until(cell: &ClusterCell, standing: Standing) {
    let deadline = Instant::now() + Duration::from_secs(20);
    let cluster = cell.load().unwrap();
    let endpoint = &cluster.port(80).unwrap().endpoints[0];
    while endpoint.vitals.standing(clock::now_ms()) != standing {
        assert!(Instant::now() < deadline, "it never came to {standing:?}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test]
async fn a_warden_takes_out_who_does_not_answer_and_brings_them_back() {
    let worker = rig::worker(None, Vec::new());
    let directory = Arc::clone(&worker.shared.directory);
    allow_any(&directory);
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let cell = directory.cluster(&"shop/w".parse().unwrap());
    pool(&cell, Some(health(20)), &[address.port()]);
    let warden = Warden::new(directory, Arc::clone(&worker.shared.tls), None, Panics::default());
    let watch = tokio::spawn(warden.run());
    drop(listener);
    until(&cell, Standing::Out).await;
    let report = cell.report().unwrap();
    assert_eq!(report.endpoints[0].state, "unhealthy");
    assert!(report.endpoints[0].why.contains("connect_failure"));
    let listener = TcpListener::bind(address).await.unwrap();
    until(&cell, Standing::In(1.0)).await;
    assert_eq!(cell.report(), None);
    // By hand, for a time that the warden ends.
    let workload = format!("w-{}", address.port()).parse().unwrap();
    assert!(cell.eject(&workload, Some(Duration::from_millis(20))));
    assert!(cell.load().unwrap().port(80).unwrap().endpoints[0].vitals.is_out_by_hand());
    until(&cell, Standing::In(1.0)).await;
    drop(listener);
    watch.abort();
}

#[tokio::test]
async fn a_check_that_breaks_says_nothing_and_the_next_turn_comes() {
    let worker = rig::worker(None, Vec::new());
    let directory = Arc::clone(&worker.shared.directory);
    let mut warden =
        Warden::new(directory, Arc::clone(&worker.shared.tls), None, Panics::default());
    let cell = cell();
    let pool = pool(&cell, Some(health(1_000)), &[1]);
    warden.rounds.reconcile(std::slice::from_ref(&pool), 0);
    for turn in 1..=3 {
        let now = turn * 10_000;
        let due = warden.rounds.begin(now).expect("its turn");
        warden.checked((due.id, None), now);
    }
    assert_eq!(cell.report(), None, "nothing is held against it");
}
