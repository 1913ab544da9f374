//! Whom a taken port is said to belong to, and what else is said of addresses that cannot be bound.

use std::net::TcpListener;

use super::*;

#[test]
fn a_socket_is_in_the_way_where_addresses_meet() {
    for (there, address, wanted) in [
        ("127.0.0.1:8080", "127.0.0.1:8080", true),
        ("127.0.0.1:8080", "0.0.0.0:8080", true),
        ("127.0.0.1:8080", "127.0.0.2:8080", false),
        ("127.0.0.1:8080", "127.0.0.1:8081", false),
        ("0.0.0.0:8080", "192.0.2.1:8080", true),
        ("[::1]:8080", "[::1]:8080", true),
    ] {
        let at = |text: &str| text.parse().expect("an address");
        assert_eq!(in_the_way(at(there), at(address)), wanted, "{there} and {address}");
    }
}

#[test]
fn who_holds_a_port_is_named() {
    let held = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = held.local_addr().expect("an address");
    let error = TcpListener::bind(address).expect_err("it is held");
    let why = why_not(address, &error);
    let own = format!("(pid {})", std::process::id());
    assert!(why.starts_with("the port is in use by `") && why.ends_with(&own), "{why}");
    drop(held);
    assert_eq!(holder(address), None);
}

#[test]
fn other_faults_say_what_is_wrong_with_the_address() {
    let foreign: SocketAddr = "192.0.2.1:0".parse().expect("an address");
    let error = TcpListener::bind(foreign).expect_err("not ours");
    assert_eq!(why_not(foreign, &error), "`192.0.2.1` is not an address of this machine");
    let low: SocketAddr = "127.0.0.1:80".parse().expect("an address");
    let denied = io::Error::from(io::ErrorKind::PermissionDenied);
    assert_eq!(why_not(low, &denied), "ports below 1024 are the system's; choose a higher one");
}
