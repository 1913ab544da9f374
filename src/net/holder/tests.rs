//! Whom a taken port is said to belong to, and what else is said of addresses that cannot be bound.

use std::net::TcpListener;

use super::*;

/// Lines of `/proc/net/tcp` and `tcp6` of a little-endian machine.
const TABLE: &str = "\
  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 0100007F:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000  1000        0 41 1
   1: 00000000:1F91 00000000:0000 0A 00000000:00000000 00:00000000 00000000  1000        0 42 1
   2: 0100007F:1F92 0100007F:9999 01 00000000:00000000 00:00000000 00000000  1000        0 43 1
   3: 00000000000000000000000001000000:1F93 00000000000000000000000000000000:0000 0A 00000000:00000000 00:00000000 00000000  0        0 44 1
";

#[test]
#[cfg(target_endian = "little")]
fn the_kernels_table_is_read() {
    let at = |text: &str| listening(TABLE, text.parse().expect("an address"));
    assert_eq!(at("127.0.0.1:8080"), ["41"]);
    assert_eq!(at("0.0.0.0:8080"), ["41"], "all addresses include it");
    assert_eq!(at("127.0.0.2:8080"), [""; 0]);
    assert_eq!(at("192.0.2.1:8081"), ["42"], "it holds them all");
    assert_eq!(at("127.0.0.1:8082"), [""; 0], "that one does not listen");
    assert_eq!(at("[::1]:8083"), ["44"]);
    assert!(listening("nonsense\n 1: x y z", "1.2.3.4:5".parse().expect("one")).is_empty());
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
