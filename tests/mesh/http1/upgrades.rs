//! Connections that become another protocol's: `Upgrade` and `CONNECT`.

use super::with;
use crate::support::{Origin, ok};

const UPGRADE: &str = "GET /chat HTTP/1.1\r\nhost: app\r\nconnection: Upgrade\r\nupgrade: websocket\r\nsec-websocket-key: x\r\n\r\n";

const SWITCH: &str = "HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: websocket\r\nsec-websocket-accept: y\r\n\r\n";

#[test]
fn after_101_the_bytes_are_the_other_protocols() {
    let app = Origin::scripted(|conn, _| {
        let Some(head) = conn.try_head() else { return };
        let lower = head.to_ascii_lowercase();
        assert!(lower.contains("upgrade: websocket\r\n"), "{head}");
        assert!(lower.contains("connection: upgrade\r\n"), "{head}");
        // The first frame comes in the same packet as the head.
        conn.send([SWITCH.as_bytes(), b"\x81\x05first"].concat());
        conn.expect(b"\x81\x04ping");
        conn.send(b"\x81\x04pong");
        conn.expect(b"GET / HTTP/1.1\r\n\r\n");
        conn.is_closed();
    });
    let mesh = with(&app);
    let mut conn = mesh.call("web");
    conn.send(UPGRADE);
    let head = conn.head();
    assert!(head.starts_with("HTTP/1.1 101 Switching Protocols\r\n"), "{head}");
    assert!(head.contains("upgrade: websocket\r\n"), "{head}");
    assert!(head.contains("sec-websocket-accept: y\r\n"), "{head}");
    conn.expect(b"\x81\x05first");
    conn.send(b"\x81\x04ping");
    conn.expect(b"\x81\x04pong");
    // No request any more, whatever it looks like.
    conn.send("GET / HTTP/1.1\r\n\r\n");
    conn.finish();
    conn.is_closed();
}

#[test]
fn what_follows_a_refused_upgrade_in_the_same_packet_is_a_request_of_its_own() {
    let app = Origin::http(|request| ok(request.path()));
    let mesh = with(&app);
    let mut conn = mesh.call("web");
    let hidden = "GET /second HTTP/1.1\r\nhost: app:81\r\n\r\n";
    conn.send([UPGRADE, hidden, "GET /third HTTP/1.1\r\nhost: app\r\n\r\n"].concat());
    let answer = conn.answer();
    assert_eq!((answer.status, answer.text().as_str()), (200, "/chat"));
    let second = conn.answer();
    assert_eq!(
        (second.status, second.reason().as_str()),
        (404, "no_route"),
        "judged by its own host"
    );
    assert_eq!(conn.answer().text(), "/third");
    let paths: Vec<_> = app.requests().iter().map(|it| it.path().to_owned()).collect();
    assert_eq!(paths, ["/chat", "/third"]);
}

#[test]
fn bytes_sent_before_101_reach_nobody() {
    let app = Origin::scripted(|conn, _| {
        if conn.try_head().is_some() {
            let _ = conn.try_send(SWITCH);
            conn.is_closed();
        }
    });
    let mesh = with(&app);
    let mut conn = mesh.call("web");
    conn.send([UPGRADE, "GET /smuggled HTTP/1.1\r\nhost: app\r\n\r\n"].concat());
    let answer = conn.answer();
    assert_eq!((answer.status, answer.reason().as_str()), (400, "bad_request"));
    conn.is_closed();
}

#[test]
fn connect_to_a_service_carries_http_that_is_routed() {
    let app = Origin::http(|request| ok(request.path()));
    let mesh = with(&app);
    let mut conn = mesh.call("web");
    conn.send("CONNECT app:80 HTTP/1.1\r\nhost: app:80\r\n\r\n");
    assert_eq!(conn.head(), "HTTP/1.1 200 Connection established\r\n\r\n");
    assert_eq!(conn.get("whatever.example", "/inside").text(), "/inside");
    assert_eq!(conn.get("app", "/again").text(), "/again");
}
