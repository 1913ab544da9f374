//! The mesh at a glance, as people see it.

use super::super::output::{Format, render};
use super::*;
use crate::control::api::shapes::{EndpointState, PoolEntry};

const STATUS: &str = r#"{
  "apiVersion": "meshctl.dev/v1alpha1", "kind": "MeshStatus",
  "controlPlane": {"ready": true, "version": "0.1.0", "address": "127.0.0.1:15012", "revision": 3,
    "since": "2026-01-01T00:00:00Z", "rootExpires": "2036-01-01T00:00:00Z"},
  "proxies": [
    {"name": "reviews-v1-0", "service": "reviews", "namespace": "default", "version": "v1",
     "identity": "spiffe://x", "state": "Synced", "reason": "", "since": "2026-01-01T00:00:30Z",
     "certificateExpires": "2026-01-02T00:00:00Z"},
    {"name": "web-0", "service": "web", "namespace": "shop", "version": "", "identity": "spiffe://y",
     "state": "Rejected", "reason": "bad path", "since": "2026-01-01T00:00:50Z",
     "certificateExpires": null}],
  "services": [{"name": "reviews", "namespace": "default",
     "endpoints": {"ready": 1, "ejected": 1, "total": 2}, "breaker": "Closed",
     "requestsPerSecond": 12.5, "successRate": 0.9987, "latency": {"p50": 0.8, "p95": 2.1, "p99": null}}],
  "edges": [{"from": "web", "fromNamespace": "shop", "to": "reviews", "toNamespace": "default",
     "backend": "default/reviews-v1", "version": "v1", "mtls": true, "protocol": "http",
     "requestsPerSecond": 12.5, "successRate": 1.0, "latency": {"p50": 0.8, "p95": 2.1, "p99": 4.0}}],
  "faults": [{"policy": "slow", "namespace": "default", "service": "reviews",
     "what": "delay 2s (10%)", "callers": "all", "expires": "2026-01-01T00:31:00Z"},
    {"policy": "gone", "namespace": "shop", "service": "web", "what": "reset (1%)",
     "callers": "ns/default", "expires": null}]
}"#;

fn shown(edges: bool) -> String {
    let status = serde_json::from_str(STATUS).expect("the shape of CLI.md");
    let now = "2026-01-01T00:01:00Z".parse().expect("a time");
    let view = view(&status, edges, now).expect("renders");
    let text = render(Format::Table, &view, None).expect("renders");
    anstream::adapter::strip_str(&text).to_string()
}

#[test]
fn the_mesh_at_a_glance() {
    assert_eq!(
        shown(true),
        "\
control plane 0.1.0 ready at 127.0.0.1:15012, up 60s
rules at revision 3, root certificate for 10y

PROXY          SERVICE   VERSION   STATE      SINCE   CERTIFICATE   REASON
reviews-v1-0   reviews   v1        Synced       30s           23h
shop/web-0     web       -         Rejected     10s             -   bad path

SERVICE         ENDPOINTS   BREAKER    RPS   SUCCESS     P50     P95   P99
reviews   1/2 (1 ejected)   Closed    12.5     99.8%   0.8ms   2.1ms     -

FAULT       SERVICE    WHAT             FROM          ENDS
slow        reviews    delay 2s (10%)   all            30m
shop/gone   shop/web   reset (1%)       ns/default   never

FROM       TO        BACKEND              VERSION   MTLS   PROTOCOL    RPS   SUCCESS     P50     P95     P99
shop/web   reviews   default/reviews-v1   v1        yes    http       12.5    100.0%   0.8ms   2.1ms   4.0ms
"
    );
    assert!(!shown(false).contains("MTLS"));
}

const CALLER: &str = r#"{"proxy": "default/web-0", "service": "default/web", "breaker": "Open",
  "shadow": false, "refused": {"max_connections": 3, "max_requests": 12},
  "lastRefused": "2026-01-01T00:00:56Z", "concurrency": null, "retriesOverBudget": 0,
  "ejections": 1, "panic": true}"#;

const ENTRY: &str = r#"{"endpoint": "reviews-v1-0", "address": "127.0.0.1:9080",
  "caller": "default/web-0", "state": "Ejected", "why": "5 errors in a row, the last was 503",
  "since": "2026-01-01T00:00:48Z", "until": "2026-01-01T00:01:18Z", "ejections": 1,
  "spared": false}"#;

#[test]
fn what_is_out_and_what_is_open_stands_below() {
    let mut status: MeshStatus = serde_json::from_str(STATUS).expect("the shape of CLI.md");
    assert!(!shown(false).contains("POOL") && !shown(false).contains("CALLER "));
    let entry: PoolEntry = serde_json::from_str(ENTRY).expect("the shape of the API");
    let probation = PoolEntry { state: EndpointState::Probation, until: None, ..entry.clone() };
    let spared = PoolEntry { spared: true, endpoint: "reviews-v2-0".into(), ..entry.clone() };
    let warming = PoolEntry {
        state: EndpointState::Warming,
        endpoint: "reviews-v2-1".into(),
        ..entry.clone()
    };
    let other = PoolEntry { caller: "shop/cart-0".into(), ..probation.clone() };
    let service = status.services.first_mut().expect("one");
    service.pool = vec![entry, probation, other, spared, warming];
    service.breaker = "Open".into();
    service.breaker_detail.callers = vec![serde_json::from_str(CALLER).expect("the shape")];
    let now = "2026-01-01T00:01:00Z".parse().expect("a time");
    let text = render(Format::Table, &view(&status, false, now).expect("renders"), None);
    let text = anstream::adapter::strip_str(&text.expect("renders")).to_string();
    let below = text.split_once("\nPOOL").expect("a table").1;
    assert_eq!(
        below,
        "      ENDPOINT       CALLER     STATE              SINCE    UNTIL   WHY
reviews   reviews-v1-0   web-0      Ejected              12s   in 18s   5 errors in a row, the last was 503
reviews   reviews-v1-0   web-0 +1   Probation            12s        -   5 errors in a row, the last was 503
reviews   reviews-v2-0   web-0      Ejected (spared)     12s   in 18s   5 errors in a row, the last was 503
reviews   all            web-0      Panic                  -        -   too few are left, so all are used

BREAKER   CALLER   STATE   LAST   REFUSED
reviews   web-0    Open      4s   3 max_connections, 12 max_requests
"
    );
}
