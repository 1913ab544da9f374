//! `Location`, case by case as the specification has them.

use super::*;
use crate::proxy::h1::{Headroom, RequestHead, head_end};
use crate::resource::{PathEdit, Scheme};

const KEEP: Redirect =
    Redirect { scheme: None, hostname: None, path: None, port: None, status: 302 };

/// Of a request to port `called` of a service.
fn sent(redirect: &Redirect, request: &str, called: u16) -> String {
    let text = format!("{request}\r\n\r\n");
    head_end(text.as_bytes(), &mut 0).unwrap().unwrap();
    let mut head = RequestHead::default();
    head.parse(text.as_bytes(), Headroom::NONE).unwrap();
    location(redirect, &head.view(text.as_bytes()), called)
}

#[test]
fn what_is_not_said_stays() {
    let get = "GET /a/./b?x=1&y=%2F HTTP/1.1\r\nHost: reviews";
    assert_eq!(sent(&KEEP, get, 80), "http://reviews/a/b?x=1&y=%2F");
    assert_eq!(sent(&KEEP, get, 8080), "http://reviews:8080/a/b?x=1&y=%2F");
    let named = "GET /? HTTP/1.1\r\nHost: 127.0.0.1:4711";
    assert_eq!(sent(&KEEP, named, 80), "http://127.0.0.1:4711/?");
    assert_eq!(sent(&KEEP, "GET / HTTP/1.1\r\nHost: [::1]:81", 80), "http://[::1]:81/");
    assert_eq!(sent(&KEEP, "OPTIONS * HTTP/1.1\r\nHost: a", 80), "http://a");
    assert_eq!(sent(&KEEP, "GET /a?b HTTP/1.0", 80), "/a?b");
}

#[test]
fn ports_follow_the_scheme_and_default_ones_are_left_out() {
    let get = "GET /a HTTP/1.1\r\nHost: reviews:8080";
    for (scheme, port, expected) in [
        (None, None, "http://reviews:8080/a"),
        (None, Some(80), "http://reviews/a"),
        (None, Some(443), "http://reviews:443/a"),
        (Some(Scheme::Http), None, "http://reviews/a"),
        (Some(Scheme::Https), None, "https://reviews/a"),
        (Some(Scheme::Https), Some(443), "https://reviews/a"),
        (Some(Scheme::Https), Some(80), "https://reviews:80/a"),
        (Some(Scheme::Https), Some(8443), "https://reviews:8443/a"),
    ] {
        assert_eq!(sent(&Redirect { scheme, port, ..KEEP }, get, 8080), expected);
    }
}

#[test]
fn another_host_is_asked_at_the_port_that_was_called() {
    let get = "GET /a HTTP/1.1\r\nHost: 127.0.0.1:4711";
    let other = Redirect { hostname: Some("example.com".into()), ..KEEP };
    assert_eq!(sent(&other, get, 80), "http://example.com/a");
    assert_eq!(sent(&other, get, 8080), "http://example.com:8080/a");
}

#[test]
fn paths_are_replaced_and_queries_kept() {
    let prefix = |matched: &str, replacement: &str| {
        let (matched, replacement) = (matched.to_owned(), replacement.to_owned());
        Redirect { path: Some(PathEdit::Prefix { matched, replacement }), ..KEEP }
    };
    let get = "GET /old/x/?q=/old HTTP/1.1\r\nHost: a";
    assert_eq!(sent(&prefix("/old", "/new"), get, 80), "http://a/new/x/?q=/old");
    assert_eq!(sent(&prefix("/old", ""), get, 80), "http://a/x/?q=/old");
    assert_eq!(sent(&prefix("", "/new"), get, 80), "http://a/new/old/x/?q=/old");
    let full = Redirect { path: Some(PathEdit::Full("/all".into())), ..KEEP };
    assert_eq!(sent(&full, get, 80), "http://a/all?q=/old");
}
