//! Bytes that the mesh does not read, through local ports that stand for a service.

use std::time::Duration;

use meshctl::names::Protocol;

use super::http1::large::{SIZE, pattern};
use crate::support::{Conn, Mesh, Origin, ok};

/// `web` with a local port for `db`, which speaks what `protocol` says.
fn with(db: &Origin, protocol: Protocol) -> Mesh {
    Mesh::new().caller("web").upstream("db").service("db", db).protocol(protocol).start()
}

/// The cases in which bytes are opaque: declared so, or found out.
const OPAQUE: [Protocol; 2] = [Protocol::Tcp, Protocol::Detect];

#[test]
fn bytes_go_both_ways() {
    for protocol in OPAQUE {
        let db = Origin::scripted(|conn, _| {
            conn.expect(b"\x00\xff\x01query");
            conn.send(b"\x02\x00answer");
            conn.expect("more");
            conn.send("done");
            conn.is_closed();
        });
        let mesh = with(&db, protocol);
        let mut conn = mesh.call_upstream("web", "db");
        conn.send(b"\x00\xff\x01query");
        conn.expect(b"\x02\x00answer");
        conn.send("more");
        conn.expect("done");
        conn.finish();
        conn.is_closed();
    }
}

#[test]
fn the_client_may_close_its_half_and_still_read() {
    for protocol in OPAQUE {
        let db = Origin::scripted(|conn, _| {
            let query = conn.rest();
            conn.send(query.iter().rev().copied().collect::<Vec<_>>());
        });
        let mesh = with(&db, protocol);
        let mut conn = mesh.call_upstream("web", "db");
        conn.send("abc");
        conn.finish();
        assert_eq!(conn.rest(), b"cba");
    }
}

#[test]
fn the_server_may_close_its_half_and_still_read() {
    for protocol in OPAQUE {
        let (told, heard) = std::sync::mpsc::channel();
        let db = Origin::scripted(move |conn, _| {
            conn.expect("a");
            conn.send("bye");
            conn.finish();
            told.send(conn.rest()).expect("the test waits");
        });
        let mesh = with(&db, protocol);
        let mut conn = mesh.call_upstream("web", "db");
        conn.send("a");
        assert_eq!(conn.rest(), b"bye");
        conn.send("late");
        conn.finish();
        assert_eq!(heard.recv_timeout(crate::support::DEADLINE).expect("in time"), b"late");
    }
}

#[test]
fn a_server_that_speaks_first_is_heard() {
    for protocol in OPAQUE {
        let db = Origin::scripted(|conn, _| {
            conn.send("220 ready\r\n");
            conn.expect("HELO\r\n");
            conn.send("250 hello\r\n");
        });
        let mesh = with(&db, protocol);
        let mut conn = mesh.call_upstream("web", "db");
        conn.expect("220 ready\r\n");
        conn.send("HELO\r\n");
        conn.expect("250 hello\r\n");
    }
}

#[test]
fn a_port_where_the_server_was_heard_first_stays_opaque() {
    let db = Origin::scripted(|conn, _| {
        conn.send("220 ready\r\n");
        let said = conn.rest();
        conn.send(said);
    });
    let mesh = with(&db, Protocol::Detect);
    mesh.call_upstream("web", "db").expect("220 ready\r\n");
    // Read as HTTP this would be refused.
    let mut conn = mesh.call_upstream("web", "db");
    conn.send("GET / is not HTTP\r\n\r\n");
    conn.finish();
    assert_eq!(conn.rest(), b"220 ready\r\nGET / is not HTTP\r\n\r\n");
}

#[test]
fn a_server_that_ends_without_a_word_is_not_taken_for_one_that_speaks_first() {
    let app = Origin::scripted(|conn, count| {
        // The first connection is that of a silent client.
        if count > 0
            && let Some(request) = conn.request()
        {
            let read = if request.field("traceparent").is_some() { "as HTTP" } else { "as bytes" };
            let _ = conn.try_send(ok(read));
        }
    });
    let mesh = with(&app, Protocol::Detect);
    assert_eq!(mesh.call_upstream("web", "db").rest(), b"");
    assert_eq!(mesh.call_upstream("web", "db").get("db", "/").text(), "as HTTP");
}

#[test]
fn a_client_that_speaks_first_after_a_pause_is_heard() {
    for protocol in OPAQUE {
        let db = Origin::scripted(|conn, _| {
            // The connection that was opened for nothing may end here.
            if conn.hears_within(crate::support::DEADLINE) {
                let query = conn.rest();
                conn.send(query);
            }
        });
        let mesh = with(&db, protocol);
        let mut conn = mesh.call_upstream("web", "db");
        // Longer than the silence after which the other side is asked.
        assert!(!conn.hears_within(Duration::from_millis(150)));
        conn.send("\x00late");
        conn.finish();
        assert_eq!(conn.rest(), b"\x00late");
    }
}

#[test]
fn http_that_begins_after_a_pause_is_still_http() {
    let app = Origin::http(|request| ok(request.path()));
    let mesh = with(&app, Protocol::Detect);
    let mut conn = mesh.call_upstream("web", "db");
    assert!(!conn.hears_within(Duration::from_millis(150)));
    assert_eq!(conn.get("db", "/late").text(), "/late");
    assert!(app.last().field("traceparent").is_some(), "it was read as HTTP");
}

#[test]
fn ten_mebibytes_each_way_at_once() {
    let db = Origin::scripted(|conn, _| echo(conn));
    let mesh = with(&db, Protocol::Tcp);
    let mut conn = mesh.call_upstream("web", "db");
    let bytes = pattern(SIZE);
    for piece in bytes.chunks(64 * 1024) {
        conn.send(piece);
        assert!(conn.exact(piece.len()) == piece);
    }
    conn.finish();
    conn.is_closed();
}

#[test]
fn ten_mebibytes_that_nobody_reads_yet_are_not_lost() {
    let db = Origin::scripted(|conn, _| {
        let all = conn.rest();
        assert!(all == pattern(SIZE), "{} bytes", all.len());
        conn.send(all);
    });
    let mesh = with(&db, Protocol::Tcp);
    let mut conn = mesh.call_upstream("web", "db");
    conn.send(pattern(SIZE));
    conn.finish();
    assert!(conn.rest() == pattern(SIZE));
}

#[test]
fn connect_carries_opaque_bytes() {
    let db = Origin::scripted(|conn, _| echo(conn));
    let mesh = with(&db, Protocol::Tcp);
    let mut conn = mesh.call("web");
    conn.send("CONNECT db:80 HTTP/1.1\r\nhost: db:80\r\n\r\n");
    assert_eq!(conn.head(), "HTTP/1.1 200 Connection established\r\n\r\n");
    conn.send(b"\x00\x01");
    conn.expect(b"\x00\x01");
    conn.finish();
    conn.is_closed();
}

#[test]
fn a_local_port_routes_http_as_the_outbound_side_does() {
    let app = Origin::http(|request| ok(request.path()));
    let mesh = Mesh::new().caller("web").upstream("app").service("app", &app).start();
    let mut conn = mesh.call_upstream("web", "app");
    assert_eq!(conn.get("anything.example", "/a").text(), "/a");
    assert_eq!(conn.get("app", "/b").text(), "/b");
    assert_eq!(app.last().field("host").as_deref(), Some("app"));
}

/// Sends back what comes, as it comes.
fn echo(conn: &mut Conn) {
    while conn.hears_within(crate::support::DEADLINE) {
        let heard = conn.heard();
        if heard.is_empty() || conn.try_send(heard).is_err() {
            return;
        }
    }
}
