//! Interim answers: 100, 103, and what comes instead of 100.

use super::with;
use crate::support::{Origin, ok};

const EXPECTING: &str =
    "PUT / HTTP/1.1\r\nhost: app\r\nexpect: 100-continue\r\ncontent-length: 5\r\n\r\n";

#[test]
fn the_application_says_when_to_continue() {
    let app = Origin::scripted(|conn, _| {
        while let Some(head) = conn.try_head() {
            assert!(head.to_ascii_lowercase().contains("expect: 100-continue"), "{head}");
            conn.send("HTTP/1.1 100 Continue\r\n\r\n");
            conn.expect("hello");
            conn.send(ok("thanks"));
        }
    });
    let mesh = with(&app);
    let mut conn = mesh.call("web");
    for _ in 0..2 {
        conn.send(EXPECTING);
        assert_eq!(conn.head(), "HTTP/1.1 100 Continue\r\n\r\n");
        conn.send("hello");
        assert_eq!(conn.answer().text(), "thanks");
    }
}

#[test]
fn an_application_that_refuses_is_believed_and_gets_no_body() {
    for status in ["413 Content Too Large", "417 Expectation Failed"] {
        let app = Origin::scripted(move |conn, _| {
            if conn.try_head().is_some() {
                conn.send(format!("HTTP/1.1 {status}\r\ncontent-length: 0\r\n\r\n"));
                // The client, told no, sends nothing of the body; the connection ends.
                conn.is_closed();
            }
        });
        let mesh = with(&app);
        let mut conn = mesh.call("web");
        conn.send(EXPECTING);
        let answer = conn.answer();
        assert!(answer.head.starts_with(&format!("HTTP/1.1 {status}\r\n")), "{}", answer.head);
        assert_eq!(answer.field("connection").as_deref(), Some("close"));
        conn.is_closed();
    }
}

#[test]
fn an_application_that_does_not_know_100_gets_the_body_all_the_same() {
    let app = Origin::http(|request| ok(&String::from_utf8_lossy(&request.body)));
    let mesh = with(&app);
    let mut conn = mesh.call("web");
    conn.send(EXPECTING);
    // Clients wait a while and send then (RFC 9110 §10.1.1).
    conn.send("hello");
    assert_eq!(conn.answer().text(), "hello");
    assert_eq!(conn.get("app", "/").status, 200);
}

#[test]
fn early_hints_come_before_the_answer() {
    let app = Origin::http(|_| {
        let hint = "HTTP/1.1 103 Early Hints\r\nlink: </a.css>; rel=preload\r\n\r\n";
        [hint, hint, &ok("page")].concat()
    });
    let mesh = with(&app);
    let mut conn = mesh.call("web");
    for _ in 0..2 {
        conn.send("GET / HTTP/1.1\r\nhost: app\r\n\r\n");
        for _ in 0..2 {
            let hint = conn.answer();
            assert_eq!(hint.status, 103);
            assert_eq!(hint.field("link").as_deref(), Some("</a.css>; rel=preload"));
            assert_eq!((hint.field("content-length"), hint.field("connection")), (None, None));
        }
        assert_eq!(conn.answer().text(), "page");
    }
}

#[test]
fn interim_answers_are_kept_from_http_10() {
    let app = Origin::http(|_| ["HTTP/1.1 103 Early Hints\r\n\r\n", &ok("page")].concat());
    let mesh = with(&app);
    let answer = mesh.call("web").ask("GET / HTTP/1.0\r\nhost: app\r\n\r\n");
    assert_eq!((answer.status, answer.text().as_str()), (200, "page"));
}
