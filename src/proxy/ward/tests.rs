//! The ward: what workers, people and the control plane see of the machine.

use super::*;
use crate::names::Protocol;
use crate::proxy::decide::Endpoints;
use crate::proxy::flight::Flight;
use crate::proxy::vitals::Standing;
use crate::resource::{self, CircuitBreaker, ClusterPolicy, OutlierDetection};

fn resource(policy: ClusterPolicy, count: u8) -> resource::Cluster {
    let endpoint = |index: u8| resource::Endpoint {
        workload: format!("w-{index}").parse().unwrap(),
        addresses: vec![[10, 0, 0, index].into()],
        ports: vec![resource::PortMapping { service_port: 80, target_port: 8080 }],
        identity: None,
        version: String::new(),
        weight: 1,
        zone: String::new(),
    };
    resource::Cluster {
        name: "shop/w".parse().unwrap(),
        ports: vec![resource::ClusterPort { port: 80, protocol: Protocol::Http }],
        policy,
        endpoints: (0..count).map(endpoint).map(Arc::new).collect(),
    }
}

fn policy() -> ClusterPolicy {
    ClusterPolicy {
        outlier_detection: Some(OutlierDetection {
            consecutive_errors: Some(2),
            consecutive_gateway_errors: None,
            consecutive_local_errors: None,
            success_rate: None,
            failure_percent: None,
            interval: Duration::from_secs(10),
            base_ejection: Duration::from_secs(30),
            max_ejection: Duration::from_secs(300),
            max_ejection_ppm: 500_000,
        }),
        ..ClusterPolicy::default()
    }
}

fn cell(policy: ClusterPolicy) -> ClusterCell {
    let cell = ClusterCell::new("shop/w".parse().unwrap());
    cell.apply(&resource(policy, 4), "", 0);
    cell
}

fn endpoint(cell: &ClusterCell, index: usize) -> Arc<Endpoint> {
    Arc::clone(&cell.load().unwrap().port(80).unwrap().endpoints[index])
}

/// Tries of requests that hold `cluster`.
fn fail(cluster: &Arc<Cluster>, endpoint: &Arc<Endpoint>, times: usize) {
    let pool = Endpoints::Mesh(Arc::clone(cluster), 80);
    for _ in 0..times {
        Flight::begin(&pool, Arc::clone(endpoint)).end(Verdict::Answered(500, None));
    }
}

#[test]
fn flights_eject_and_the_report_says_who() {
    let cell = cell(policy());
    assert_eq!(cell.report(), None);
    let old = cell.load().unwrap();
    let outlier = endpoint(&cell, 1);
    fail(&old, &outlier, 1);
    // A request that began before the configuration changed counts all the same.
    cell.apply(&resource(policy(), 4), "", 0);
    fail(&old, &outlier, 1);
    assert_eq!(outlier.vitals.standing(clock::now_ms()), Standing::Out);
    let report = cell.report().unwrap();
    assert_eq!((report.service.as_str(), report.total, report.ejections), ("shop/w", 4, 1));
    let [said] = &report.endpoints[..] else { panic!("one is out: {report:?}") };
    assert_eq!((said.workload.as_str(), said.state.as_str()), ("w-1", "ejected"));
    assert_eq!(said.until_ms - said.since_ms, 30_000);
    assert_eq!(said.why, "2 errors in a row, the last was 500");
    // Who is gone is forgotten, but not that there was an ejection.
    cell.apply(&resource(policy(), 1), "", 0);
    let report = cell.report().unwrap();
    assert_eq!((report.endpoints.len(), report.total, report.ejections), (0, 1, 1));
}

#[test]
fn the_warden_is_told_when_to_come_back() {
    let cell = cell(policy());
    let before = clock::now_ms();
    let next = cell.ward.tick(before).unwrap();
    assert_eq!(next, before + 10_000, "the interval");
    assert_eq!(self::cell(ClusterPolicy::default()).ward.tick(before), None);
    fail(&cell.load().unwrap(), &endpoint(&cell, 0), 2);
    cell.ward.tick(before + 40_000);
    assert_eq!(endpoint(&cell, 0).vitals.standing(before + 40_000), Standing::In(0.1));
}

#[test]
fn a_person_takes_out_and_puts_back() {
    let cell = cell(ClusterPolicy::default());
    let (name, nobody) = ("w-2".parse().unwrap(), "nobody".parse().unwrap());
    assert!(cell.eject(&name, None) && !cell.eject(&nobody, None));
    assert_eq!(endpoint(&cell, 2).vitals.standing(0), Standing::Out);
    assert_eq!(cell.report().unwrap().endpoints[0].state, "by-hand");
    assert!(cell.restore(&name) && !cell.restore(&nobody));
    assert_eq!(cell.report(), None);
}

#[test]
fn a_breaker_that_refused_is_in_the_report() {
    let breaker = CircuitBreaker { max_requests: Some(1), ..CircuitBreaker::default() };
    let cell = cell(ClusterPolicy { circuit_breaker: breaker, ..ClusterPolicy::default() });
    let circuit = Arc::clone(&cell.load().unwrap().circuit);
    let _permit = circuit.request().unwrap();
    assert_eq!(cell.report(), None);
    assert!(circuit.request().is_err());
    let report = cell.report().unwrap();
    assert!(report.breaker.is_some_and(|breaker| breaker.open && breaker.last_ms > 0));
    assert!(report.endpoints.is_empty());
}

#[test]
fn no_policy_learns_nothing() {
    let cell = cell(ClusterPolicy::default());
    assert!(!cell.load().unwrap().learns());
    fail(&cell.load().unwrap(), &endpoint(&cell, 0), 100);
    assert_eq!(cell.report(), None);
}
