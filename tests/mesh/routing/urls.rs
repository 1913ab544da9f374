//! Redirects and rewriting, over HTTP/1.1 and HTTP/2.

use meshctl::names::Protocol;

use super::{route, two};
use crate::h2::raw;
use crate::support::{Conn, Mesh, Origin, eventually};

/// Redirects on `/old`, `/app`, `/away` and by whom nothing is said; the rest goes to `reviews`.
const REDIRECTS: &str = "
  - name: moved
    matches: [{path: {value: /old}}]
    filters:
    - type: RequestRedirect
      requestRedirect: {path: {type: ReplacePrefixMatch, replacePrefixMatch: /new}, statusCode: 301}
    - type: ResponseHeaderModifier
      responseHeaderModifier: {set: [{name: cache-control, value: no-store}, {name: content-type, value: text/x}]}
  - name: away
    matches: [{path: {value: /away}}]
    filters:
    - type: RequestRedirect
      requestRedirect: {scheme: https, hostname: example.com, path: {type: ReplaceFullPath, replaceFullPath: /}}
  - name: port
    matches: [{path: {value: /port}}]
    filters: [{type: RequestRedirect, requestRedirect: {port: 8443, statusCode: 308}}]
  - backendRefs: [{name: reviews, port: 80}]
";

/// A path, and the status and `Location` of the answer.
const REDIRECTED: &[(&str, u16, &str)] = &[
    ("/old", 301, "http://reviews/new"),
    ("/old/?a=%2F&b", 301, "http://reviews/new/?a=%2F&b"),
    ("/x/..//old/./y", 301, "http://reviews/new/y"),
    ("/old//evil.example", 301, "http://reviews/new/evil.example"),
    ("/away/a?q", 302, "https://example.com/?q"),
    ("/port", 308, "http://reviews:8443/port"),
];

/// Rewriting on `/v1`, `/all` and `/split`, where each backend has its own.
const REWRITES: &str = "
  - name: v1
    matches: [{path: {value: /v1}}]
    filters:
    - type: URLRewrite
      urlRewrite: {hostname: one.example, path: {type: ReplacePrefixMatch, replacePrefixMatch: /}}
    backendRefs: [{name: reviews, port: 80}]
  - name: all
    matches: [{path: {type: Exact, value: /all}}]
    filters: [{type: URLRewrite, urlRewrite: {path: {type: ReplaceFullPath, replaceFullPath: /one}}}]
    backendRefs: [{name: reviews, port: 80}]
  - name: own
    matches: [{path: {value: /own}}]
    filters:
    - {type: URLRewrite, urlRewrite: {hostname: rule.example, path: {type: ReplaceFullPath, replaceFullPath: /rule}}}
    backendRefs:
    - name: reviews
      port: 80
      filters:
      - {type: URLRewrite, urlRewrite: {path: {type: ReplacePrefixMatch, replacePrefixMatch: /backend}}}
  - backendRefs: [{name: reviews, port: 80}]
";

/// A target, and the authority and target that the application sees.
const REWRITTEN: &[(&str, &str, &str)] = &[
    ("/v1", "one.example", "/"),
    ("/v1/a//b/?x=/v1", "one.example", "/a/b/?x=/v1"),
    ("/v12", "reviews", "/v12"),
    ("/all?a", "reviews", "/one?a"),
    ("/own/er", "rule.example", "/backend/er"),
];

#[test]
fn redirects_over_http1() {
    let origin = Origin::saying("new");
    let rules = route(REDIRECTS);
    let mesh = Mesh::new().caller("web").service("reviews", &origin).rules(&rules).start();
    let mut conn = mesh.call("web");
    for (path, status, location) in REDIRECTED {
        let answer = conn.get("reviews", path);
        let found = answer.field("location").unwrap_or_default();
        assert_eq!((answer.status, &*found), (*status, *location), "{path}: {}", answer.head);
        assert_eq!(answer.reason(), "redirected");
    }
    assert!(origin.requests().is_empty(), "nobody was asked");
    let answer = conn.get("reviews", "/old");
    assert_eq!(answer.field("cache-control").as_deref(), Some("no-store"));
    assert_eq!(answer.field("content-type").as_deref(), Some("text/x"));
    assert_eq!(answer.field("meshctl-rule").as_deref(), Some("HTTPRoute/default/reviews/moved"));
    assert_eq!(conn.get("reviews", "/new").text(), "new", "the connection goes on");
    body_and_head(&mut conn);
}

/// What has a body is answered before it was read; what asks for a head gets nothing more.
fn body_and_head(conn: &mut Conn) {
    conn.send("HEAD /old HTTP/1.1\r\nhost: reviews\r\n\r\n");
    let answer = conn.try_answer("HEAD").expect("an answer");
    assert_eq!((answer.status, answer.body.len()), (301, 0));
    let post = "POST /port HTTP/1.1\r\nhost: reviews\r\ncontent-length: 5\r\n\r\nGET /";
    let answer = conn.ask(post);
    assert_eq!((answer.status, answer.field("connection").as_deref()), (308, Some("close")));
}

#[test]
fn redirects_are_counted_with_their_status() {
    let origin = Origin::saying("");
    let rules = route(REDIRECTS);
    let mesh = Mesh::new().caller("web").service("reviews", &origin).rules(&rules).start();
    assert_eq!(mesh.call("web").get("reviews", "/port").status, 308);
    eventually("the redirect is counted", || {
        let stats = mesh.proxy("web").ask("/stats");
        let stats: serde_json::Value = serde_json::from_slice(&stats.body).ok()?;
        let edges =
            stats["edges"].as_array()?.iter().filter(|it| it["destination"] == "default/reviews");
        edges
            .flat_map(|edge| edge["requests"].as_array())
            .flatten()
            .find_map(|one| (one["status"] == 308 && one["reason"] == "redirected").then_some(()))
    });
}

#[test]
fn requests_are_rewritten_over_http1() {
    let origin = Origin::saying("");
    let rules = route(REWRITES);
    let mesh = Mesh::new().caller("web").service("reviews", &origin).rules(&rules).start();
    for (target, authority, seen) in REWRITTEN {
        assert_eq!(mesh.call("web").get("reviews", target).status, 200);
        let request = origin.last();
        assert_eq!(request.field("host").as_deref(), Some(*authority), "{target}");
        assert_eq!(request.path(), *seen, "{target}");
    }
    let options = "OPTIONS * HTTP/1.1\r\nhost: reviews\r\n\r\n";
    assert_eq!(mesh.call("web").ask(options).status, 200);
    assert_eq!(origin.last().path(), "*");
}

#[test]
fn backends_are_rewritten_to_each_by_its_own() {
    let split = "
  - matches: [{path: {value: /split}}]
    backendRefs:
    - name: reviews-v1
      port: 80
      filters: [{type: URLRewrite, urlRewrite: {hostname: one.example, path: {type: ReplacePrefixMatch, replacePrefixMatch: /one}}}]
    - name: reviews-v2
      port: 80
";
    let two = two(&route(split));
    for _ in 0..100 {
        assert_eq!(two.call().get("reviews", "/split/x").status, 200);
    }
    let (v1, v2) = (two.v1.last(), two.v2.last());
    assert_eq!((v1.path(), v1.field("host").as_deref()), ("/one/x", Some("one.example")));
    assert_eq!((v2.path(), v2.field("host").as_deref()), ("/split/x", Some("reviews")));
}

#[test]
fn both_over_http2() {
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let (app, _lost) = runtime.block_on(raw::start());
    let rules = REWRITES.to_owned() + REDIRECTS.rsplit_once("  - backendRefs").expect("rules").0;
    let mesh = Mesh::new().caller("web").service_at("reviews", app).protocol(Protocol::Http2);
    let mesh = mesh.rules(&route(&rules)).start();
    let outbound = mesh.proxy("web").addresses().outbound;
    runtime.block_on(async {
        let send = raw::client(outbound).await;
        let field = |head: &http::HeaderMap, name| {
            let value = head.get(name).and_then(|value| value.to_str().ok());
            value.unwrap_or_default().to_owned()
        };
        for (path, status, location) in REDIRECTED {
            let mut request = raw::get("reviews", path);
            let grpc = http::HeaderValue::from_static("application/grpc");
            request.headers_mut().insert("content-type", grpc);
            let (head, _) = raw::answer(&send, request).await.expect("an answer").into_parts();
            assert_eq!(head.status.as_u16(), *status, "{path}");
            assert_eq!(field(&head.headers, "location"), *location, "{path}");
            assert_eq!(field(&head.headers, "meshctl-reason"), "redirected");
        }
        for (target, authority, seen) in REWRITTEN {
            let answer = raw::answer(&send, raw::get("reviews", target)).await;
            let (head, _) = answer.expect("an answer").into_parts();
            assert_eq!(head.status, 200, "{target}: {:?}", head.headers);
            assert_eq!(field(&head.headers, "x-authority"), *authority, "{target}");
            let path = seen.split('?').next().expect("a path");
            assert_eq!(field(&head.headers, "x-path"), path, "{target}");
        }
    });
}
