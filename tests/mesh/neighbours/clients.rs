//! curl as the application that calls.

use super::{curl, with};
use crate::support::{Origin, ok};

#[test]
fn curl_gets_through_the_outbound_side_as_its_proxy() {
    let app = Origin::http(|request| ok(request.path()));
    let mesh = with(&app);
    let said = curl(&mesh, &["http://app/path?q=1"], b"");
    assert_eq!((said.status, said.body.as_str()), (200, "/path?q=1"));
    assert_eq!(app.last().field("proxy-connection"), None);
    assert!(app.last().field("user-agent").is_some_and(|agent| agent.starts_with("curl/")));
}

#[test]
fn curl_in_http_10() {
    let app = Origin::http(|_| {
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n".into()
    });
    let mesh = with(&app);
    let said = curl(&mesh, &["--http1.0", "http://app/"], b"");
    assert_eq!((said.status, said.body.as_str()), (200, "hello"));
}

#[test]
fn curl_uploads_in_chunks_from_a_pipe() {
    let app = Origin::http(|request| {
        let sum: u64 = request.body.iter().map(|byte| u64::from(*byte)).sum();
        ok(&format!("{} {sum}", request.body.len()))
    });
    let mesh = with(&app);
    let body: Vec<u8> = (0..3_000_000_u32).map(|at| (at % 253) as u8).collect();
    let sum: u64 = body.iter().map(|byte| u64::from(*byte)).sum();
    let said = curl(&mesh, &["-T", "-", "http://app/up"], &body);
    assert_eq!((said.status, said.body), (200, format!("{} {sum}", body.len())));
    assert_eq!(app.last().field("transfer-encoding").as_deref(), Some("chunked"));
}

#[test]
fn curl_waits_for_100_and_hears_it() {
    let app = Origin::scripted(|conn, _| {
        while let Some(head) = conn.try_head() {
            assert!(head.to_ascii_lowercase().contains("expect: 100-continue"), "{head}");
            conn.send("HTTP/1.1 100 Continue\r\n\r\n");
            let (body, _) = conn.request_body(&head);
            conn.send(ok(&String::from_utf8_lossy(&body)));
        }
    });
    let mesh = with(&app);
    // Longer than the deadline of the whole: curl goes on because of the 100, not by itself.
    let wait = ["--expect100-timeout", "60", "-H", "Expect: 100-continue"];
    let said = curl(&mesh, &[&wait[..], &["--data", "hello", "http://app/"]].concat(), b"");
    assert_eq!((said.status, said.body.as_str()), (200, "hello"));
}

#[test]
fn curl_tunnels() {
    let app = Origin::http(|request| ok(request.path()));
    let mesh = with(&app);
    let said = curl(&mesh, &["--proxytunnel", "http://app:80/through"], b"");
    assert_eq!((said.status, said.body.as_str()), (200, "/through"));
}

#[test]
fn curl_hears_why_it_failed() {
    let app = Origin::saying("");
    let mesh = with(&app);
    let said = curl(&mesh, &["--include", "http://app:81/"], b"");
    assert_eq!(said.status, 404);
    assert!(said.body.contains("meshctl-reason: no_route\r\n"), "{}", said.body);
}
