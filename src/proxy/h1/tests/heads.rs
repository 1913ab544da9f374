//! Heads: what is read, what is refused, and what is written onward.

use super::*;
use proptest::prelude::*;

#[test]
fn smuggling_and_ambiguity_are_refused() {
    for text in [
        "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1, 1\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: +1\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: \r\n\r\n",
        "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 99999999999999999999\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: ,chunked\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip, chunked\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n",
        "POST / HTTP/1.0\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\nX: a\r\n b\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\nX: b\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\nX: a\rb\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\nX: a\0b\r\n\r\n",
        "GET / HTTP/1.1\r\nHost : a\r\n\r\n",
        "GET / HTTP/1.1\r\n Host: a\r\n\r\n",
        "GET / HTTP/1.1\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a b\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: u@a\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a,b\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a:0\r\n\r\n",
        "GET / HTTP/1.1\r\nHost:\r\n\r\n",
        "GET a HTTP/1.1\r\nHost: a\r\n\r\n",
        "GET /a#b HTTP/1.1\r\nHost: a\r\n\r\n",
        "GET /a\\b HTTP/1.1\r\nHost: a\r\n\r\n",
        "GET /%zz HTTP/1.1\r\nHost: a\r\n\r\n",
        "GET https://a/ HTTP/1.1\r\nHost: a\r\n\r\n",
        "GET * HTTP/1.1\r\nHost: a\r\n\r\n",
        "G(T / HTTP/1.1\r\nHost: a\r\n\r\n",
        "CONNECT a:80 HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\n",
        "CONNECT a HTTP/1.1\r\nHost: a\r\n\r\n",
        "CONNECT [::1] HTTP/1.1\r\nHost: a\r\n\r\n",
        "GET / HTTP/2.0\r\nHost: a\r\n\r\n",
    ] {
        assert!(parse(text.as_bytes()).is_err(), "{text:?}");
    }
}

#[test]
fn limits_have_their_own_answers() {
    let fields: String = (0..101).map(|i| format!("x{i}: y\r\n")).collect();
    let many = format!("GET / HTTP/1.1\r\nHost: a\r\n{fields}\r\n");
    assert_eq!(parse(many.as_bytes()).unwrap_err().reason, Reason::HeadTooLarge);
    let wide = format!("GET / HTTP/1.1\r\nHost: a\r\nX: {}\r\n\r\n", "y".repeat(64 * 1024));
    assert_eq!(parse(wide.as_bytes()).unwrap_err().reason, Reason::HeadTooLarge);
    let long = format!("GET /{} HTTP/1.1\r\nHost: a\r\n\r\n", "y".repeat(70 * 1024));
    assert_eq!(parse(long.as_bytes()).unwrap_err().reason, Reason::UriTooLong);
    let expect = "GET / HTTP/1.1\r\nHost: a\r\nExpect: tea\r\n\r\n";
    assert_eq!(parse(expect.as_bytes()).unwrap_err().reason, Reason::UnsupportedExpectation);
}

#[test]
fn hop_by_hop_fields_end_here_and_host_is_canonical() {
    assert_eq!(
        forwarded(concat!(
            "GET http://reviews:80/a/../b?q=1 HTTP/1.1\r\nHost: other\r\nConnection: close, X-Drop\r\n",
            "X-Drop: 1\r\nKeep-Alive: 5\r\nProxy-Connection: keep-alive\r\nTE: gzip\r\n",
            "X-Forwarded-Client-Cert: URI=forged\r\nX-Keep: 2\r\n\r\n"
        )),
        "GET /b?q=1 HTTP/1.1\r\nhost: reviews:80\r\nX-Keep: 2\r\n\r\n"
    );
}

#[test]
fn rules_read_what_the_endpoint_will_read() {
    let (head, bytes) = parse(
        b"GET http://reviews/ HTTP/1.1\r\nHost: other\r\nConnection: x-drop\r\nX-Drop: 1\r\n\
          X-Forwarded-Client-Cert: URI=forged\r\nX-Keep: 2\r\nx-keep: 3\r\n\r\n",
    )
    .unwrap();
    let view = head.view(&bytes);
    for gone in ["x-drop", "x-forwarded-client-cert", "connection"] {
        assert_eq!((view.header(gone), view.header_joined(gone)), (None, None), "{gone}");
    }
    assert_eq!(view.header("host"), Some(b"reviews".as_slice()));
    assert_eq!(view.header("x-keep"), Some(b"2".as_slice()));
    assert_eq!(view.header_joined("x-keep").as_deref(), Some(b"2, 3".as_slice()));
}

#[test]
fn another_version_is_not_a_broken_line() {
    for (line, reason) in [
        ("GET / HTTP/2.0", Reason::VersionNotSupported),
        ("GET / HTTP/1.2", Reason::VersionNotSupported),
        ("GET /a b HTTP/1.1", Reason::BadRequest),
        ("GET / HTTP/1.1 ", Reason::BadRequest),
        ("GET / HTTPS/1.1", Reason::BadRequest),
        ("GET / HTTP/11", Reason::BadRequest),
        ("GET /", Reason::BadRequest),
    ] {
        let text = format!("{line}\r\nHost: a\r\n\r\n");
        assert_eq!(parse(text.as_bytes()).unwrap_err().reason, reason, "{line}");
    }
}

#[test]
fn what_sidecars_add_to_a_full_head_is_not_held_against_it() {
    let head = |fields: usize, length: usize| {
        let fields = "x: y\r\n".repeat(fields - 2);
        let text = format!("GET / HTTP/1.1\r\nHost: a\r\n{fields}z: \r\n\r\n");
        text.replace("z: ", &format!("z: {}", "z".repeat(length - text.len())))
    };
    let Headroom { bytes, fields } = Headroom::SIDECAR;
    for (fields, length, of_application, of_sidecar) in [
        (MAX_FIELDS, MAX_HEAD, true, true),
        (MAX_FIELDS + 1, MAX_HEAD, false, true),
        (MAX_FIELDS, MAX_HEAD + 1, false, true),
        (MAX_FIELDS + fields, MAX_HEAD + bytes, false, true),
        (MAX_FIELDS + fields + 1, MAX_HEAD, false, false),
    ] {
        let text = head(fields, length);
        let accepted = |headroom| match RequestHead::default().parse(text.as_bytes(), headroom) {
            Ok(()) => true,
            Err(malformed) => {
                assert_eq!(malformed.reason, Reason::HeadTooLarge);
                false
            }
        };
        let found = (accepted(Headroom::NONE), accepted(Headroom::SIDECAR));
        assert_eq!(found, (of_application, of_sidecar), "{fields} fields, {length} bytes");
    }
    let over = head(MAX_FIELDS, MAX_HEAD + bytes + 1);
    assert_eq!(head_end(over.as_bytes(), &mut 0).unwrap_err().reason, Reason::HeadTooLarge);
}

#[test]
fn the_work_for_connection_is_bounded() {
    let head = |named: usize| {
        let names = "a, ".repeat(named);
        format!("GET / HTTP/1.1\r\nHost: a\r\nConnection: {names}close\r\n\r\n")
    };
    assert!(!parse(head(MAX_FIELDS - 1).as_bytes()).unwrap().0.keep_alive);
    assert_eq!(parse(head(10_000).as_bytes()).unwrap_err().reason, Reason::BadRequest);
}

#[test]
fn connection_cannot_take_away_framing_or_host() {
    let text = "POST / HTTP/1.1\r\nHost: a\r\nConnection: content-length, host\r\nContent-Length: 3\r\n\r\n";
    assert_eq!(forwarded(text), "POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 3\r\n\r\n");
}

#[test]
fn upgrade_needs_connection_and_no_body() {
    let upgrade = "GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n";
    let (head, _) = parse(upgrade.as_bytes()).unwrap();
    assert!(head.upgrade.is_some());
    assert!(forwarded(upgrade).ends_with("upgrade: websocket\r\nconnection: upgrade\r\n\r\n"));
    for text in [
        "GET / HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: h2c\r\nContent-Length: 1\r\n\r\n",
    ] {
        assert!(parse(text.as_bytes()).unwrap().0.upgrade.is_none(), "{text}");
        assert!(!forwarded(text).contains("upgrade"), "{text}");
    }
}

#[test]
fn no_upgrade_to_another_http() {
    for protocol in ["h2c", "H2C", "websocket, h2c", "HTTP/2.0", "TLS/1.2"] {
        let text = format!(
            "GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade, HTTP2-Settings\r\n\
             Upgrade: {protocol}\r\nHTTP2-Settings: AAMAAABk\r\n\r\n"
        );
        assert_eq!(forwarded(&text), "GET / HTTP/1.1\r\nhost: a\r\n\r\n", "{protocol}");
    }
}

#[test]
fn targets() {
    assert_eq!(path_of("GET http://a HTTP/1.1\r\nHost: a\r\n\r\n"), "/");
    assert_eq!(path_of("GET http://a?x HTTP/1.1\r\nHost: a\r\n\r\n"), "/");
    assert_eq!(path_of("OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n"), "*");
    let (head, bytes) = parse(b"CONNECT a:80 HTTP/1.1\r\nHost: b\r\n\r\n").unwrap();
    assert_eq!((head.target, head.view(&bytes).authority()), (Target::Authority, "a:80"));
}

#[test]
fn keep_alive_follows_version_and_connection() {
    for (text, kept) in [
        ("GET / HTTP/1.1\r\nHost: a\r\n\r\n", true),
        ("GET / HTTP/1.1\r\nHost: a\r\nConnection: Close\r\n\r\n", false),
        ("GET / HTTP/1.0\r\n\r\n", false),
        ("GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n", true),
    ] {
        assert_eq!(parse(text.as_bytes()).unwrap().0.keep_alive, kept, "{text}");
    }
}

#[test]
fn response_framing_follows_the_order_of_the_rfc() {
    for (text, method, framing) in [
        ("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", "GET", Framing::Length(5)),
        ("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", "HEAD", Framing::None),
        ("HTTP/1.1 204 No Content\r\n\r\n", "GET", Framing::None),
        ("HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n", "GET", Framing::None),
        ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", "GET", Framing::Chunked),
        ("HTTP/1.1 200 OK\r\n\r\n", "GET", Framing::UntilClose),
        ("HTTP/1.0 200\r\n\r\n", "GET", Framing::UntilClose),
    ] {
        let mut head = ResponseHead::default();
        head.parse(text.as_bytes(), method, Headroom::NONE).expect(text);
        assert_eq!(head.framing, framing, "{text}");
    }
    for text in [
        "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n",
        "HTTP/1.1 99 No\r\n\r\n",
        "\r\nHTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
        "HTTP/1.1 204 No Content\r\nContent-Length: 5\r\n\r\n",
        "HTTP/1.1 204 No Content\r\nTransfer-Encoding: chunked\r\n\r\n",
        "HTTP/1.1 103 Early Hints\r\nContent-Length: 5\r\n\r\n",
    ] {
        assert!(
            ResponseHead::default().parse(text.as_bytes(), "GET", Headroom::NONE).is_err(),
            "{text}"
        );
    }
}

#[test]
fn edits_set_add_and_remove() {
    use crate::resource::{Field, HeaderEdit};
    let field = |name: &str, value: &str| Field { name: name.into(), value: value.into() };
    let rule = HeaderEdit {
        set: vec![field("x-a", "rule"), field("x-b", "rule")],
        add: vec![field("x-c", "rule")],
        remove: vec!["x-gone".into()],
    };
    let backend = HeaderEdit { set: vec![field("x-b", "backend")], ..HeaderEdit::default() };
    let text = "GET / HTTP/1.1\r\nHost: a\r\nX-A: 1\r\nX-C: 1\r\nX-Gone: 1\r\n\r\n";
    let (head, bytes) = parse(text.as_bytes()).unwrap();
    let plan = write::RequestPlan { edits: [Some(&rule), Some(&backend)], ..Default::default() };
    let mut out = Vec::new();
    write::request(&mut out, &head.view(&bytes), &plan);
    assert_eq!(
        String::from_utf8(out).unwrap(),
        "GET / HTTP/1.1\r\nhost: a\r\nX-C: 1\r\nx-a: rule\r\nx-c: rule\r\nx-b: backend\r\n\r\n"
    );
}

proptest! {
    #[test]
    fn no_input_panics_and_what_is_accepted_is_stable(bytes in "[ -~\r\n]{0,200}") {
        let text = format!("GET /{bytes}\r\n\r\n");
        if let Ok((head, bytes)) = parse(text.as_bytes()) {
            let mut out = Vec::new();
            write::request(&mut out, &head.view(&bytes), &write::RequestPlan::default());
            let (again, out) = parse(&out).expect("what we write, we accept");
            let (once, twice) = (head.view(&bytes), again.view(&out));
            prop_assert_eq!(once.path(), twice.path());
            prop_assert_eq!(again.framing, head.framing);
        }
    }

    #[test]
    fn arbitrary_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        let _ = parse(&bytes);
        let _ = ResponseHead::default().parse(&bytes, "GET", Headroom::NONE);
    }
}
