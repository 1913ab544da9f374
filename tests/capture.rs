//! Transparent capture in the kernel: network namespaces of the test's own, real rules in them,
//! real connections. Needs the rights to make a namespace; where they are missing a test fails.

mod command;
mod kernel;
mod namespace;
mod proxy;

use std::net::{IpAddr, SocketAddr};

use meshctl::names::sidecar::{INBOUND_PORT, OUTBOUND_PORT, PROBE_PORT, SIDECAR_UID};
use meshctl::platform::capture::{Capture, CaptureError, hold, load, unload};
use namespace::{Arrival, Link, Listener};

const ROOT: u32 = 0;
const SOMEBODY: u32 = 1_001;
const APP_PORT: u16 = 8_080;
const SPARED_PORT: u16 = 5_432;

/// A capture that leaves out one port of each side and one network.
fn capture(link: &Link) -> Capture {
    let mut capture = Capture::of_pod(SIDECAR_UID);
    capture.inbound.as_mut().expect("a pod has it").except_ports.push(SPARED_PORT);
    capture.outbound.except_ports.push(SPARED_PORT);
    let spared = link.spared.iter().map(|address| ipnet::IpNet::from(*address));
    capture.outbound.except_networks.extend(spared);
    capture
}

/// Sockets on everything that a connection of these tests may arrive at.
fn listen(link: &Link) -> Vec<Listener> {
    let ports = [APP_PORT, SPARED_PORT, 53];
    let ours = [INBOUND_PORT, OUTBOUND_PORT, PROBE_PORT];
    let inside = ports.iter().chain(&ours).map(|port| link.pod.listen(*port));
    inside.chain(ports.iter().map(|port| link.outside.listen(*port))).collect()
}

#[test]
fn what_a_pod_sends_goes_to_its_sidecar_with_the_destination_that_was_meant() {
    let link = Link::new();
    let listeners = listen(&link);
    link.pod.enter(ROOT, {
        let capture = capture(&link);
        move || load(&capture).expect("the kernel takes the rules")
    });
    let from_pod = |user: u32, address: IpAddr, port: u16| {
        link.pod.connect(&listeners, user, SocketAddr::new(address, port))
    };
    for (outside, pod, spared, loopback) in link.addresses() {
        let captured = |address, port| Arrival::at(&link.pod, OUTBOUND_PORT, address, port);
        assert_eq!(from_pod(ROOT, outside, APP_PORT), captured(outside, APP_PORT));
        assert_eq!(from_pod(SOMEBODY, outside, APP_PORT), captured(outside, APP_PORT));
        assert_eq!(from_pod(ROOT, pod, APP_PORT), captured(pod, APP_PORT), "its own address");
        let direct = |address, port| Arrival::at(&link.outside, port, address, port);
        assert_eq!(from_pod(SIDECAR_UID, outside, APP_PORT), direct(outside, APP_PORT));
        assert_eq!(from_pod(ROOT, outside, 53), direct(outside, 53), "names");
        assert_eq!(from_pod(ROOT, outside, SPARED_PORT), direct(outside, SPARED_PORT));
        assert_eq!(from_pod(ROOT, spared, APP_PORT), direct(spared, APP_PORT), "a network");
        let own = Arrival::at(&link.pod, APP_PORT, loopback, APP_PORT);
        assert_eq!(from_pod(ROOT, loopback, APP_PORT), own);
        let own = Arrival::at(&link.pod, APP_PORT, pod, APP_PORT);
        assert_eq!(from_pod(SIDECAR_UID, pod, APP_PORT), own, "the sidecar asks the application");
    }
}

#[test]
fn what_a_pod_is_sent_goes_to_its_sidecar_but_for_probes_and_ports_left_out() {
    let link = Link::new();
    let listeners = listen(&link);
    link.pod.enter(ROOT, {
        let capture = capture(&link);
        move || load(&capture).expect("the kernel takes the rules")
    });
    for (_, pod, ..) in link.addresses() {
        let arrival = |port| link.outside.connect(&listeners, SOMEBODY, SocketAddr::new(pod, port));
        let captured = |port| Arrival::at(&link.pod, INBOUND_PORT, pod, port);
        assert_eq!(arrival(APP_PORT), captured(APP_PORT));
        assert_eq!(arrival(4), captured(4), "a port that nobody listens on");
        assert_eq!(arrival(OUTBOUND_PORT), captured(OUTBOUND_PORT), "nobody comes in that way");
        for port in [PROBE_PORT, SPARED_PORT] {
            assert_eq!(arrival(port), Arrival::at(&link.pod, port, pod, port));
        }
    }
}

#[test]
fn it_can_be_repeated_and_undone_and_then_leaves_nothing() {
    let link = Link::new();
    let listeners = listen(&link);
    let twice = capture(&link);
    let (first, second) = link.pod.enter(ROOT, move || {
        assert_eq!(kernel::rules(), [""; 0]);
        load(&Capture::of_pod(7)).expect("other rules");
        load(&twice).expect("the first time");
        let first = kernel::rules();
        load(&twice).expect("the second time");
        (first, kernel::rules())
    });
    assert_eq!(first, second);
    let capture = capture(&link).to_string();
    assert_eq!(first.len(), capture.lines().filter(|line| line.starts_with("\t\t")).count() - 2);

    link.pod.enter(ROOT, || {
        assert!(unload().expect("the kernel removes it"));
        assert_eq!((kernel::tables(), kernel::rules()), (vec![], vec![]));
        assert!(!unload().expect("there is nothing to remove"));
    });
    for (outside, pod, ..) in link.addresses() {
        let to = SocketAddr::new(outside, APP_PORT);
        let direct = Arrival::at(&link.outside, APP_PORT, outside, APP_PORT);
        assert_eq!(link.pod.connect(&listeners, SOMEBODY, to), direct);
        let to = SocketAddr::new(pod, APP_PORT);
        let direct = Arrival::at(&link.pod, APP_PORT, pod, APP_PORT);
        assert_eq!(link.outside.connect(&listeners, SOMEBODY, to), direct);
    }
}

#[test]
fn on_a_machine_only_one_user_is_captured_and_only_as_long_as_somebody_holds_it() {
    let link = Link::new();
    let listeners = listen(&link);
    let held = link.pod.enter(ROOT, || {
        let held = hold(&Capture::of_user(SOMEBODY, OUTBOUND_PORT)).expect("the rules");
        match hold(&Capture::of_user(SOMEBODY, 4_711)) {
            Err(CaptureError::Taken(table)) => assert_eq!(table, "meshctl-user-1001"),
            other => panic!("the same user twice: {other:?}"),
        }
        let other = hold(&Capture::of_user(SOMEBODY + 1, 4_711)).expect("another user");
        assert_eq!(kernel::tables(), ["meshctl-user-1001", "meshctl-user-1002"]);
        drop(other);
        held
    });
    for (outside, pod, _, loopback) in link.addresses() {
        let arrival =
            |user, address| link.pod.connect(&listeners, user, SocketAddr::new(address, APP_PORT));
        let captured = Arrival::at(&link.pod, OUTBOUND_PORT, outside, APP_PORT);
        assert_eq!(arrival(SOMEBODY, outside), captured);
        let direct = Arrival::at(&link.outside, APP_PORT, outside, APP_PORT);
        assert_eq!(arrival(ROOT, outside), direct);
        let own = Arrival::at(&link.pod, APP_PORT, loopback, APP_PORT);
        assert_eq!(arrival(SOMEBODY, loopback), own);
        let to = SocketAddr::new(pod, APP_PORT);
        let own = Arrival::at(&link.pod, APP_PORT, pod, APP_PORT);
        assert_eq!(link.outside.connect(&listeners, SOMEBODY, to), own, "nothing is taken inbound");
    }
    drop(held);
    link.pod.enter(ROOT, || assert_eq!(kernel::tables(), [""; 0]));
}

#[test]
fn without_the_right_it_is_refused_by_name() {
    let link = Link::new();
    link.pod.enter(SOMEBODY, || {
        let refused = [
            load(&Capture::of_pod(SIDECAR_UID)).err(),
            hold(&Capture::of_user(ROOT, 1)).err(),
            unload().err(),
        ];
        for error in refused {
            assert!(matches!(error, Some(CaptureError::NotPermitted)), "{error:?}");
        }
    });
}
