//! What is said first to a port that takes nothing but mutual TLS 1.3, and is not that: the
//! connection ends, the application hears nothing, and it is counted.

use super::with;
use crate::support::{Conn, Mesh, Origin, eventually};

/// The head of a TLS record of a handshake.
fn record(payload: &[u8]) -> Vec<u8> {
    let length = u16::try_from(payload.len()).expect("one record").to_be_bytes();
    [[0x16, 0x03, 0x01].as_slice(), &length, payload].concat()
}

/// A ClientHello that offers TLS 1.1 at most: one suite, no extensions.
fn tls_1_1() -> Vec<u8> {
    let suites = [0x00, 0x02, 0x00, 0x2f];
    let body = [[0x03, 0x02].as_slice(), &[7; 32], &[0x00], &suites, &[0x01, 0x00]].concat();
    let length = u32::try_from(body.len()).expect("short").to_be_bytes();
    record(&[[0x01].as_slice(), &length[1..], &body].concat())
}

/// A ClientHello of 64 KiB less one, in as many records as it takes.
fn huge() -> Vec<u8> {
    let message = [[0x01, 0x00, 0xff, 0xff].as_slice(), &[0x03; 0xffff]].concat();
    message.chunks(16 * 1024).flat_map(record).collect()
}

fn refused(mesh: &Mesh) -> u64 {
    let text = mesh.proxy("app").ask("/metrics").text();
    let ours = |line: &&str| {
        line.starts_with("istio_requests_total{reporter=\"destination\"")
            && line.contains("response_code=\"0\"")
            && line.contains("response_flags=\"tls_failure\"")
    };
    let counts = text.lines().filter(ours).filter_map(|line| line.rsplit(' ').next());
    counts.map(|count| count.parse::<u64>().expect("a number")).sum()
}

/// Says it to `app`, which must close without a word of HTTP.
fn say(mesh: &Mesh, bytes: &[u8]) {
    let mut conn = Conn::connect(mesh.proxy("app").addresses().inbound);
    // It may be closed before all of it is sent.
    let _ = conn.try_send(bytes);
    let heard = conn.rest();
    // An alert at most, the first byte of whose record is 21.
    assert!(matches!(heard.first(), None | Some(0x15)), "{heard:?}");
    assert!(heard.len() <= 64, "{heard:?}");
}

#[test]
fn what_is_no_tls_of_today_is_closed_and_counted() {
    let app = Origin::saying("secret");
    let mesh = with(&app);
    let words: [&[u8]; 5] = [
        b"GET / HTTP/1.1\r\nhost: app\r\n\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0",
        &tls_1_1(),
        &[0x5a; 4_000],
        &huge(),
    ];
    for bytes in words {
        say(&mesh, bytes);
    }
    eventually("all are counted", || (refused(&mesh) == 5).then_some(()));
    assert_eq!(app.connections(), 0);
}

#[test]
fn half_a_hello_is_not_waited_for_for_ever() {
    let app = Origin::saying("secret");
    let mesh = with(&app);
    let hello = tls_1_1();
    let (half, _) = hello.split_at(hello.len() / 2);
    say(&mesh, half);
    say(&mesh, b"");
    eventually("both are counted", || (refused(&mesh) == 2).then_some(()));
    assert_eq!(app.connections(), 0);
}
