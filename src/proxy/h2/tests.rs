//! Heads of HTTP/2 against heads of HTTP/1.1; the own answers; the budget of streams given up. In the
//! files beside it: requests over real sockets, tried again and limited.

use std::time::Duration;

use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Uri};
use proptest::prelude::*;

use super::answer::Form;
use super::grpc::code_of;
use super::head::{RequestHead, edit_response};
use super::tally::Tally;
use crate::proxy::h1;
use crate::proxy::head::Head;
use crate::resource::{Field, HeaderEdit};
use crate::telemetry::reason::Reason;

mod calls;
mod events;
mod floods;
mod limits;
mod retries;
mod rig;
mod silence;
mod verdicts;

/// A request before it has a form.
#[derive(Debug, Clone)]
struct Plain {
    method: &'static str,
    target: String,
    host: String,
    fields: Vec<(&'static str, String)>,
}

impl Plain {
    fn get(target: &str) -> Self {
        let (target, host) = (target.to_owned(), "web".to_owned());
        Self { method: "GET", target, host, fields: Vec::new() }
    }

    fn with(mut self, name: &'static str, value: &str) -> Self {
        self.fields.push((name, value.to_owned()));
        self
    }

    fn http1(&self) -> Vec<u8> {
        let mut text =
            format!("{} {} HTTP/1.1\r\nHost: {}\r\n", self.method, self.target, self.host);
        for (name, value) in &self.fields {
            text.push_str(&format!("{name}: {value}\r\n"));
        }
        text.push_str("\r\n");
        text.into_bytes()
    }

    /// What the crate hands out; `None` where it refuses the stream itself.
    fn http2(&self) -> Option<Request<()>> {
        let uri = Uri::builder().scheme("http").authority(&*self.host);
        let uri = uri.path_and_query(&*self.target).build().ok()?;
        let mut request = Request::new(());
        *request.method_mut() = Method::from_bytes(self.method.as_bytes()).ok()?;
        *request.uri_mut() = uri;
        for (name, value) in &self.fields {
            let name = HeaderName::from_static(name);
            request.headers_mut().append(name, HeaderValue::from_str(value).ok()?);
        }
        Some(request)
    }
}

fn parse(request: Request<()>) -> Result<RequestHead, Reason> {
    RequestHead::parse(request.into_parts().0, h1::Headroom::NONE)
        .map_err(|malformed| malformed.reason)
}

fn refusal(request: Request<()>) -> Reason {
    parse(request).expect_err("it must be refused")
}

/// Everything that routing, policy and telemetry can read.
fn reading(head: &impl Head) -> Vec<Option<String>> {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let mut all = vec![
        Some(head.method().to_owned()),
        Some(head.path().to_owned()),
        head.query().map(str::to_owned),
        Some(head.authority().to_owned()),
    ];
    for name in
        ["host", "x-one", "x-two", "accept", "content-type", "te", "x-forwarded-client-cert"]
    {
        all.push(head.header(name).map(text));
        all.push(head.header_joined(name).map(|value| text(&value)));
    }
    all
}

fn requests() -> impl Strategy<Value = Plain> {
    // `#`, `<`, `>` and the backtick never come out of the crate as they were sent.
    let segment = "[a-zA-Z0-9._~!$&'()*+,;=:@%|^-]{0,6}";
    let escape =
        prop::sample::select(vec!["%41", "%2e", "%2F", "%2e%2E", "%00", "%zz", "%", "..", "."]);
    let part = prop_oneof![3 => segment.prop_map(String::from), 1 => escape.prop_map(String::from)];
    let path = prop::collection::vec(part, 0..5).prop_map(|parts| format!("/{}", parts.join("/")));
    let query = prop::option::of("[a-z0-9=&%+]{0,10}");
    let target = (path, query).prop_map(|(path, query)| match query {
        Some(query) => format!("{path}?{query}"),
        None => path,
    });
    let method = prop::sample::select(vec!["GET", "HEAD", "POST", "OPTIONS", "DELETE", "PURGE"]);
    let host = prop::sample::select(vec![
        "web",
        "WEB.shop",
        "web:80",
        "web.shop.svc.cluster.local:8080",
        "[::1]:80",
        "10.0.0.1",
        "web:0",
        "a@web",
        "a_b",
    ]);
    let names = vec!["x-one", "x-two", "accept", "content-type", "x-forwarded-client-cert"];
    let name = prop::sample::select(names);
    let fields = prop::collection::vec((name, "[a-z0-9,=/]([a-z0-9,= /]{0,8}[a-z0-9])?"), 0..6);
    (method, target, host, fields).prop_map(|(method, target, host, fields)| Plain {
        method,
        target,
        host: host.to_owned(),
        fields,
    })
}

proptest! {
    #[test]
    fn one_request_reads_the_same_in_both_forms(plain in requests()) {
        let bytes = plain.http1();
        let mut head = h1::RequestHead::default();
        let first = head.parse(&bytes, h1::Headroom::NONE).ok().map(|()| reading(&head.view(&bytes)));
        let second = plain.http2().and_then(|request| parse(request).ok());
        prop_assert_eq!(first, second.map(|head| reading(&head)));
    }
}

#[test]
fn a_path_is_canonical_before_anybody_reads_it() {
    for (sent, seen) in [
        ("/a/../%61dmin", "/admin"),
        ("//a//b/", "/a/b/"),
        ("/a%2Fb", "/a%2Fb"),
        ("/%2e%2e/x", "/x"),
    ] {
        let head = parse(Plain::get(sent).http2().unwrap()).unwrap();
        assert_eq!(head.path(), seen, "{sent}");
    }
}

/// Over HTTP/2 it could choose a route or an endpoint, before it was replaced on the way out.
#[test]
fn nobody_reads_what_a_caller_says_of_itself() {
    let plain = Plain::get("/")
        .with("x-forwarded-client-cert", "URI=spiffe://cluster.local/ns/shop/sa/admin")
        .with("x-forwarded-client-cert", "URI=forged");
    let bytes = plain.http1();
    let mut first = h1::RequestHead::default();
    first.parse(&bytes, h1::Headroom::NONE).unwrap();
    let second = parse(plain.http2().unwrap()).unwrap();
    for name in ["x-forwarded-client-cert", "X-Forwarded-Client-Cert"] {
        assert_eq!(first.view(&bytes).header(name), None);
        assert_eq!(second.header(name), None);
        assert_eq!(second.header_joined(name), None);
    }
}

#[test]
fn what_has_no_meaning_in_http2_is_refused() {
    let request = |name, value: &str| Plain::get("/").with(name, value).http2().unwrap();
    for (name, value) in [
        ("connection", "close"),
        ("transfer-encoding", "chunked"),
        ("upgrade", "websocket"),
        ("keep-alive", "1"),
        ("proxy-connection", "close"),
        ("te", "gzip"),
        ("host", "another"),
        ("content-length", "-1"),
        ("content-length", "1, 1"),
        ("x-space", " a"),
    ] {
        assert_eq!(refusal(request(name, value)), Reason::BadRequest, "{name}: {value}");
    }
    assert_eq!(refusal(request("expect", "more")), Reason::UnsupportedExpectation);
    let mut connect = Plain::get("/").http2().unwrap();
    *connect.method_mut() = Method::CONNECT;
    assert_eq!(refusal(connect), Reason::BadRequest);
    let mut many = Plain::get("/");
    for _ in 0..=100 {
        many = many.with("x-one", "a");
    }
    assert_eq!(refusal(many.http2().unwrap()), Reason::HeadTooLarge);
}

#[test]
fn a_host_stands_in_for_the_authority_and_must_agree_with_it() {
    let mut request = Request::new(());
    *request.uri_mut() = Uri::from_static("/a");
    assert_eq!(refusal(request), Reason::BadRequest);
    let mut request = Request::new(());
    *request.uri_mut() = Uri::from_static("/a");
    request.headers_mut().insert("host", HeaderValue::from_static("web"));
    let head = parse(request).unwrap();
    assert_eq!((head.authority(), head.header("host")), ("web", Some(b"web".as_slice())));
    let same = Plain::get("/").with("host", "WEB").http2().unwrap();
    assert!(parse(same).is_ok());
}

#[test]
fn crumbs_of_a_cookie_are_one_field() {
    let crumbs = Plain::get("/").with("cookie", "a=1").with("cookie", "b=2").http2().unwrap();
    let head = parse(crumbs).unwrap();
    assert_eq!(head.header_joined("cookie").as_deref(), Some(b"a=1; b=2".as_slice()));
}

#[test]
fn a_later_edit_replaces_what_an_earlier_one_wrote() {
    let field = |name: &str, value: &str| Field { name: name.into(), value: value.into() };
    let backend = HeaderEdit {
        set: vec![field("x-one", "backend"), field("x-two", "backend")],
        ..HeaderEdit::default()
    };
    let rule = HeaderEdit {
        set: vec![field("x-one", "rule")],
        add: vec![field("x-three", "rule")],
        remove: vec!["x-two".into(), "server".into()],
    };
    let mut headers = HeaderMap::new();
    for (name, value) in [("x-one", "app"), ("server", "app"), ("x-three", "app")] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    edit_response(&mut headers, &[Some(&backend), Some(&rule)]);
    let all = |name| headers.get_all(name).iter().map(|v| v.to_str().unwrap()).collect::<Vec<_>>();
    assert_eq!(all("x-one"), ["rule"]);
    assert_eq!(all("x-two"), [""; 0]);
    assert_eq!(all("x-three"), ["app", "rule"]);
    assert_eq!(all("server"), [""; 0]);
}

#[test]
fn grpc_is_answered_in_its_own_words() {
    let form = |kind: &str| {
        Form::of(&parse(Plain::get("/").with("content-type", kind).http2().unwrap()).unwrap())
    };
    assert_eq!(form("application/grpc"), Form::Grpc);
    assert_eq!(form("application/grpc+proto"), Form::Grpc);
    assert_eq!(form("application/grpc-web"), Form::Http);
    for (reason, status) in [
        (Reason::NoRoute, 12),
        (Reason::NoEndpoints, 14),
        (Reason::ProtocolMismatch, 14),
        (Reason::RequestTimeout, 4),
        (Reason::TryTimeout, 4),
        (Reason::MaxRequests, 14),
        (Reason::BadRequest, 13),
        (Reason::UpstreamProtocol, 13),
        (Reason::MissingBackend, 2),
    ] {
        assert_eq!(code_of(&reason.into()), status, "{reason:?}");
    }
}

#[test]
fn only_a_flood_of_resets_uses_up_the_budget() {
    let mut tally = Tally::new(Duration::ZERO);
    for _ in 0..10_000 {
        assert!(tally.given_up(Duration::ZERO));
        tally.completed();
    }
    let until = |tally: &mut Tally, now| (0..).take_while(|_| tally.given_up(now)).count();
    assert_eq!(until(&mut tally, Duration::ZERO), 500);
    assert_eq!(until(&mut tally, Duration::from_secs(2)), 100);
}
