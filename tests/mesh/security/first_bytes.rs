//! What is said first to a port that takes nothing but mutual TLS 1.3, and is not that: the
//! connection ends, the application hears nothing, and it is counted.

use std::collections::BTreeMap;

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

/// How many connections were refused, by reason.
fn refused(mesh: &Mesh) -> BTreeMap<String, u64> {
    let text = mesh.proxy("app").ask("/metrics").text();
    let ours = |line: &&str| {
        line.starts_with("istio_requests_total{reporter=\"destination\"")
            && line.contains("response_code=\"0\"")
    };
    let mut found = BTreeMap::new();
    for line in text.lines().filter(ours) {
        let (_, rest) = line.split_once("response_flags=\"").expect("a reason");
        let (reason, _) = rest.split_once('"').expect("its end");
        let count = line.rsplit(' ').next().and_then(|count| count.parse::<u64>().ok());
        *found.entry(reason.to_owned()).or_default() += count.expect("a number");
    }
    found
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
    let words: [&[u8]; 4] = [
        b"GET / HTTP/1.1\r\nhost: app\r\n\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0",
        &tls_1_1(),
        &[0x5a; 4_000],
    ];
    for bytes in words {
        say(&mesh, bytes);
    }
    let wanted = BTreeMap::from([("not_tls".to_owned(), 3), ("tls_version".to_owned(), 1)]);
    eventually("all are counted", || (refused(&mesh) == wanted).then_some(()));
    say(&mesh, &huge());
    eventually("so is the last", || (refused(&mesh).values().sum::<u64>() == 5).then_some(()));
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
    let wanted = BTreeMap::from([("tls_failure".to_owned(), 2)]);
    eventually("both are counted", || (refused(&mesh) == wanted).then_some(()));
    assert_eq!(app.connections(), 0);
}
