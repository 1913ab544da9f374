//! Outbound: what must not be called.

use super::*;
use crate::proxy::serve::tests::rig::worker;

#[test]
fn the_own_listeners_are_known_however_they_are_written() {
    let address = |text: &str| text.parse::<SocketAddr>().unwrap();
    for (listener, called, own) in [
        ("127.0.0.1:81", "127.0.0.1:81", true),
        ("127.0.0.1:81", "[::ffff:127.0.0.1]:81", true),
        ("127.0.0.1:81", "0.0.0.0:81", true),
        ("127.0.0.1:81", "[::]:81", true),
        ("127.0.0.1:81", "[::ffff:0.0.0.0]:81", true),
        ("127.0.0.1:81", "127.0.0.1:82", false),
        ("127.0.0.1:81", "192.0.2.1:81", false),
        ("0.0.0.0:81", "127.0.0.1:81", true),
        ("0.0.0.0:81", "[::ffff:127.0.0.2]:81", true),
        // Somebody else's machine may use the same port.
        ("0.0.0.0:81", "192.0.2.1:81", false),
    ] {
        let worker = worker(None, vec![address(listener)]);
        assert_eq!(is_own(&worker, address(called)), own, "{listener} {called}");
    }
}
