//! What a compromised proxy says, and what is kept of it.

use super::*;
use crate::control::registration::tests::hello;
use crate::xds::agent::EdgeMetrics;

/// What is kept of an edge that `web` tells of.
fn kept(edge: Edge, reason: &str) -> (Edge, String) {
    let registration = Registration::from_hello(&hello("web-0", "web")).expect("valid");
    let requests = vec![RequestCount { reason: reason.to_owned(), ..RequestCount::default() }];
    let edges = vec![EdgeMetrics { edge: Some(edge), requests, ..EdgeMetrics::default() }];
    let trust_domain = "cluster.local".parse().expect("valid");
    let said = Metrics { edges };
    let mut kept = metrics(said, &registration, &trust_domain).edges.remove(0);
    (kept.edge.expect("there"), kept.requests.remove(0).reason)
}

fn edge(reporter_destination: bool) -> Edge {
    let caller = if reporter_destination { "web-client" } else { "web" };
    Edge {
        reporter_destination,
        source: format!("default/{caller}"),
        source_identity: format!("spiffe://cluster.local/ns/default/sa/{caller}"),
        destination: if reporter_destination { "default/web" } else { "example.com:443" }
            .to_owned(),
        destination_version: "v1".to_owned(),
        protocol: "http2".to_owned(),
        mtls: true,
        backend: "default/web".to_owned(),
    }
}

#[test]
fn what_proxies_say_of_real_traffic_is_kept_as_it_is() {
    for edge in [edge(true), edge(false)] {
        assert_eq!(kept(edge.clone(), "no_route"), (edge, "no_route".to_owned()));
    }
    let stranger =
        Edge { source: "10.0.0.7".to_owned(), source_identity: String::new(), ..edge(true) };
    assert_eq!(kept(stranger.clone(), ""), (stranger, String::new()));
}

/// They were kept whatever they were: 4,096 edges of megabytes.
#[test]
fn what_cannot_be_is_cut() {
    let long = "x".repeat(1 << 20);
    let (found, reason) = kept(
        Edge {
            reporter_destination: true,
            source: long.clone(),
            source_identity: long.clone(),
            destination: long.clone(),
            destination_version: long.clone(),
            protocol: long.clone(),
            mtls: true,
            backend: "a\u{1b}[2J".to_owned(),
        },
        &long,
    );
    let wanted = Edge {
        reporter_destination: true,
        source: OTHER.to_owned(),
        destination: "default/web".to_owned(),
        backend: OTHER.to_owned(),
        mtls: true,
        ..Edge::default()
    };
    assert_eq!((found, reason.as_str()), (wanted, OTHER));
}

#[test]
fn nobody_speaks_for_the_side_of_another() {
    let as_caller = Edge {
        source: "default/payments".to_owned(),
        source_identity: "spiffe://cluster.local/ns/default/sa/payments".to_owned(),
        ..edge(false)
    };
    assert_eq!(kept(as_caller, "").0, edge(false));
    let as_called = Edge { destination: "default/payments".to_owned(), ..edge(true) };
    assert_eq!(kept(as_called, "").0, edge(true));
}

#[test]
fn a_serial_number_is_hexadecimal_and_short() {
    let said = |serial: &str, root: &str| {
        let said = State {
            certificate_serial: serial.to_owned(),
            root: root.to_owned(),
            ..State::default()
        };
        let kept = state(said);
        (kept.certificate_serial, kept.root)
    };
    let hash = "0a".repeat(32);
    assert_eq!(said("4f00", &hash), ("4f00".to_owned(), hash));
    assert_eq!(said("no hex", &"0".repeat(1 << 20)), (String::new(), String::new()));
}
