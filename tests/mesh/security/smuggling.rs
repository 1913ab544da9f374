//! Requests that two readers could read differently: 400, closed, and the application saw nothing.

use super::with;
use crate::support::{Forger, Mesh, Origin, Tunnel};

/// What must be refused with 400 wherever it comes in. `SMUGGLED` stands for a request behind it.
const BAD: &[(&str, &str)] = &[
    (
        "length and chunks",
        "POST / HTTP/1.1\r\nhost: app\r\ncontent-length: 4\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\nSMUGGLED",
    ),
    (
        "chunks and length",
        "POST / HTTP/1.1\r\nhost: app\r\ntransfer-encoding: chunked\r\ncontent-length: 4\r\n\r\n0\r\n\r\nSMUGGLED",
    ),
    (
        "two lengths",
        "POST / HTTP/1.1\r\nhost: app\r\ncontent-length: 0\r\ncontent-length: 44\r\n\r\nSMUGGLED",
    ),
    ("a list of lengths", "POST / HTTP/1.1\r\nhost: app\r\ncontent-length: 0, 44\r\n\r\nSMUGGLED"),
    ("a signed length", "POST / HTTP/1.1\r\nhost: app\r\ncontent-length: +5\r\n\r\nhello"),
    ("a length that is none", "POST / HTTP/1.1\r\nhost: app\r\ncontent-length: 0x5\r\n\r\nhello"),
    (
        "a huge length",
        "POST / HTTP/1.1\r\nhost: app\r\ncontent-length: 99999999999999999999\r\n\r\n",
    ),
    (
        "an unknown coding",
        "POST / HTTP/1.1\r\nhost: app\r\ntransfer-encoding: xchunked\r\n\r\n0\r\n\r\n",
    ),
    (
        "two codings",
        "POST / HTTP/1.1\r\nhost: app\r\ntransfer-encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
    ),
    (
        "chunked twice",
        "POST / HTTP/1.1\r\nhost: app\r\ntransfer-encoding: chunked\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
    ),
    (
        "a coding with a comma",
        "POST / HTTP/1.1\r\nhost: app\r\ntransfer-encoding: ,chunked\r\n\r\n0\r\n\r\n",
    ),
    (
        "a coding in HTTP/1.0",
        "POST / HTTP/1.0\r\nhost: app\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
    ),
    ("a folded field", "GET / HTTP/1.1\r\nhost: app\r\nx: a\r\n b\r\n\r\n"),
    ("a space before the colon", "GET / HTTP/1.1\r\nhost: app\r\ncontent-length : 5\r\n\r\nhello"),
    ("a space before the name", "GET / HTTP/1.1\r\n host: app\r\n\r\n"),
    ("a bare CR", "GET / HTTP/1.1\r\nhost: app\r\nx: a\rb\r\n\r\n"),
    ("a bare LF", "GET / HTTP/1.1\r\nhost: app\r\nx: a\ny: b\r\n\r\n"),
    ("NUL in a value", "GET / HTTP/1.1\r\nhost: app\r\nx: a\0b\r\n\r\n"),
    ("NUL in a name", "GET / HTTP/1.1\r\nhost: app\r\nx\0: a\r\n\r\n"),
    ("no host", "GET / HTTP/1.1\r\n\r\n"),
    ("two hosts", "GET / HTTP/1.1\r\nhost: app\r\nhost: app\r\n\r\n"),
    ("a host with a space", "GET / HTTP/1.1\r\nhost: a b\r\n\r\n"),
    ("a host with a user", "GET / HTTP/1.1\r\nhost: u@app\r\n\r\n"),
    ("a host with a path", "GET / HTTP/1.1\r\nhost: app/x\r\n\r\n"),
    ("a method that is none", "GE@T / HTTP/1.1\r\nhost: app\r\n\r\n"),
    ("a fragment", "GET /a#b HTTP/1.1\r\nhost: app\r\n\r\n"),
    ("a target with a control byte", "GET /a\x7f HTTP/1.1\r\nhost: app\r\n\r\n"),
];

/// Bodies whose framing breaks after the head was fine.
const BAD_CHUNKS: &[(&str, &str)] = &[
    ("a size that is none", "x\r\n"),
    ("a negative size", "-1\r\n"),
    ("a size with a space", "5 \r\nhello\r\n0\r\n\r\n"),
    ("a size with 0x", "0x5\r\nhello\r\n0\r\n\r\n"),
    ("a size without end", "11111111111111111\r\n"),
    ("a bare LF after the size", "5\nhello\r\n0\r\n\r\n"),
    ("data longer than said", "5\r\nhelloX\r\n0\r\n\r\n"),
    ("a bare LF after the data", "5\r\nhello\n0\r\n\r\n"),
];

fn refused(mesh: &Mesh, name: &str, bytes: &str) {
    let smuggled = "GET /smuggled HTTP/1.1\r\nhost: app\r\n\r\n";
    let mut conn = mesh.call("web");
    conn.send(bytes.replace("SMUGGLED", smuggled));
    let answer = conn.answer();
    assert_eq!(answer.status, 400, "{name}: {}", answer.head);
    assert_eq!(answer.reason(), "bad_request", "{name}");
    assert_eq!(answer.field("connection").as_deref(), Some("close"), "{name}");
    conn.is_closed();
}

#[test]
fn at_the_outbound_side() {
    let app = Origin::saying("");
    let mesh = with(&app);
    for (name, bytes) in BAD {
        refused(&mesh, name, bytes);
    }
    assert_eq!(app.connections(), 0, "{:?}", app.requests());
}

#[test]
fn at_the_inbound_side() {
    let app = Origin::saying("");
    let mesh = with(&app);
    let tls = Forger::of(&mesh).tls("web", &mesh);
    let inbound = mesh.proxy("app").addresses().inbound;
    for (name, bytes) in BAD {
        let mut conn = Tunnel::open(&tls, inbound, "app", b"meshctl/http1.1");
        conn.send(bytes.replace("SMUGGLED", "GET /smuggled HTTP/1.1\r\nhost: app\r\n\r\n"));
        let answer = conn.answer();
        assert_eq!((answer.status, answer.reason().as_str()), (400, "bad_request"), "{name}");
        conn.is_closed();
    }
    assert_eq!(app.connections(), 0, "{:?}", app.requests());
}

#[test]
fn chunks_that_are_none_end_the_request() {
    let app = Origin::scripted(|conn, _| {
        if conn.try_head().is_some() {
            // What comes must never look like a complete body.
            let body = conn.rest();
            let text = String::from_utf8_lossy(&body);
            assert!(!text.ends_with("0\r\n\r\n"), "{text:?}");
        }
    });
    let mesh = with(&app);
    for (name, bytes) in BAD_CHUNKS {
        let mut conn = mesh.call("web");
        conn.send("POST / HTTP/1.1\r\nhost: app\r\ntransfer-encoding: chunked\r\n\r\n");
        conn.send(bytes);
        conn.send("GET /smuggled HTTP/1.1\r\nhost: app\r\n\r\n");
        let answer = conn.answer();
        assert_eq!(answer.status, 400, "{name}: {}", answer.head);
        conn.is_closed();
    }
}

#[test]
fn heads_that_are_too_large_or_of_another_version_are_refused() {
    let app = Origin::saying("");
    let mesh = with(&app);
    let many = "x: y\r\n".repeat(101);
    let long = "y".repeat(64 * 1024);
    for (name, request, status) in [
        ("many fields", format!("GET / HTTP/1.1\r\nhost: app\r\n{many}\r\n"), 431),
        ("a long field", format!("GET / HTTP/1.1\r\nhost: app\r\nx: {long}\r\n\r\n"), 431),
        ("a target with a space", "GET /a b HTTP/1.1\r\nhost: app\r\n\r\n".into(), 505),
        ("HTTP/2 without its preface", "GET / HTTP/2.0\r\nhost: app\r\n\r\n".into(), 505),
        ("a long target", format!("GET /{long} HTTP/1.1\r\nhost: app\r\n\r\n"), 414),
    ] {
        let mut conn = mesh.call("web");
        // It may be refused before all of it is sent.
        let _ = conn.try_send(request);
        let answer = conn.answer();
        assert_eq!(answer.status, status, "{name}: {}", answer.head);
        conn.is_closed();
    }
    assert_eq!(app.connections(), 0);
}

#[test]
fn what_is_on_the_way_to_the_application_is_written_anew() {
    let app = Origin::saying("");
    let mesh = with(&app);
    let answer = mesh.call("web").ask(
        "POST //a/./b/../%7Ec?q=%2F HTTP/1.1\r\nHost: app\r\nContent-Length: 2\r\n\
         Content-Length: 2\r\nTRANSFER-EXTRA:   x\t\r\n\r\nhi",
    );
    assert_eq!(answer.status, 200);
    let seen = app.last();
    assert_eq!(seen.path(), "/a/~c?q=%2F");
    assert_eq!(seen.field("content-length").as_deref(), Some("2"));
    assert!(seen.head.contains("TRANSFER-EXTRA: x\r\n"), "{}", seen.head);
}
