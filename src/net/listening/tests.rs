//! The kernel's lists are read as they are.

use super::*;

/// Lines of `/proc/net/tcp` and `tcp6` of a little-endian machine.
#[cfg(target_endian = "little")]
const LIST: &str = "\
  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 0100007F:24A5 00000000:0000 0A 00000000:00000000 00:00000000 00000000  1000        0 41 1
   1: 00000000:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000  1000        0 42 1
   2: 0100007F:9C40 0100007F:24A5 01 00000000:00000000 00:00000000 00000000  1000        0 43 1
   3: 00000000000000000000000001000000:24A6 00000000000000000000000000000000:0000 0A 00000000:00000000 00:00000000 00000000  0        0 44 1
   4: garbage
";

#[test]
#[cfg(target_endian = "little")]
fn what_listens_is_read_from_the_kernels_lists() {
    let found = listening(LIST).map(|it| (it.address.to_string(), it.inode));
    let found: Vec<_> = found.collect();
    let wanted = [("127.0.0.1:9381", "41"), ("0.0.0.0:8080", "42"), ("[::1]:9382", "44")];
    assert_eq!(found, wanted.map(|(address, inode)| (address.to_owned(), inode.to_owned())));
}

#[test]
fn a_socket_of_this_process_is_among_them() {
    let held = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = held.local_addr().expect("an address");
    assert!(cfg!(not(target_os = "linux")) || all().iter().any(|it| it.address == address));
}
