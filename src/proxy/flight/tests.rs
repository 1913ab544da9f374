//! How fast an endpoint is is told once, when it answers.

use super::*;
use crate::proxy::cluster::tests::{cell, wire};
use crate::resource::{Algorithm, ClusterPolicy};

/// One endpoint that is chosen by how fast it is, and its pool.
fn pool() -> (Endpoints, Arc<Endpoint>) {
    let mut wire = wire(0..1);
    let mut policy = ClusterPolicy::default();
    policy.load_balancer.algorithm = Algorithm::Ewma;
    wire.policy = policy;
    let cluster = cell(&wire).load().expect("loaded");
    let endpoint = Arc::clone(&cluster.port(80).expect("its port").endpoints[0]);
    (Endpoints::Mesh(cluster, 80), endpoint)
}

/// What is known of it; 0 where nothing is.
fn known(endpoint: &Endpoint) -> f64 {
    // The time of an observation is not before this.
    endpoint.latency.cost(0.0, 0)
}

#[test]
fn what_follows_the_head_of_an_answer_is_not_measured_but_a_break_counts() {
    for (verdict, slow) in [
        (Verdict::Answered(200, None), false),
        (Verdict::Answered(200, Some(14)), false),
        (Verdict::Abandoned, false),
        (Verdict::Failed(Reason::UpstreamReset), true),
    ] {
        let (pool, endpoint) = pool();
        let mut flight = Flight::begin(&pool, Arc::clone(&endpoint));
        assert_eq!(known(&endpoint), 0.0);
        flight.answered(200);
        let answered = known(&endpoint);
        assert!(answered > 0.0, "told when it answers");
        flight.end(verdict);
        let ended = known(&endpoint);
        assert_eq!(ended >= 1_000.0, slow, "{verdict:?}: {answered} ms, then {ended} ms");
        assert!(slow || ended == answered, "{verdict:?}: {answered} ms, then {ended} ms");
    }
}

#[test]
fn without_an_answer_the_end_is_measured() {
    for (verdict, told) in [
        (Verdict::Answered(503, None), true),
        (Verdict::Failed(Reason::ConnectFailure), true),
        (Verdict::Abandoned, false),
    ] {
        let (pool, endpoint) = pool();
        Flight::begin(&pool, Arc::clone(&endpoint)).end(verdict);
        assert_eq!(known(&endpoint) > 0.0, told, "{verdict:?}");
        assert_eq!(endpoint.in_flight.load(Ordering::Relaxed), 0);
    }
}
