//! Pools as an operator has them: who is out is seen at once, taken out and put back by hand.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use serde_json::{Value, json};

use crate::support::{Mesh, Origin, eventually};

/// `web` calls `app`, of which there are two: the endpoint whose application is the first.
fn two(one: &Origin, other: &Origin, rules: &str) -> (Mesh, String) {
    let mesh = Mesh::new().caller("web").service("app", one).service("app", other);
    let mesh = mesh.rules(rules).start();
    let beside = |origin: &Origin| {
        let mut proxies = mesh.proxies().iter();
        let found = proxies.find(|proxy| proxy.config().app == Some(origin.address()));
        found.expect("a proxy").addresses().proxy.clone()
    };
    let first = beside(one);
    (mesh, first)
}

/// Who answers a few calls of `web`.
fn answering(mesh: &Mesh) -> BTreeSet<String> {
    let mut conn = mesh.call("web");
    (0..40).map(|_| conn.get("app", "/").text()).collect()
}

fn order(mesh: &Mesh, what: &str, endpoint: &str, seconds: u64) -> Value {
    let body = json!({"service": "default/app", "endpoint": endpoint, "seconds": seconds});
    let (status, answer) = mesh.post(&format!("/v1/endpoints/{what}"), &body);
    assert_eq!(status, 200, "{answer}");
    answer
}

fn app(mesh: &Mesh) -> Value {
    mesh.service("app").expect("it is there")
}

#[test]
fn an_endpoint_is_taken_out_by_hand_and_put_back() {
    let (one, other) = (Origin::saying("one"), Origin::saying("other"));
    let (mesh, first) = two(&one, &other, "");
    let both: BTreeSet<_> = ["one".to_owned(), "other".to_owned()].into();
    eventually("both answer", || (answering(&mesh) == both).then_some(()));

    let done = order(&mesh, "eject", &first, 0);
    assert_eq!(done["callers"], json!([{"proxy": "default/web-0", "error": ""}]));
    // What is told is so already when the order returns.
    let seen = app(&mesh);
    assert_eq!(
        (&seen["endpoints"]["ready"], &seen["endpoints"]["ejected"]),
        (&json!(2), &json!(1))
    );
    let entry = &seen["pool"][0];
    assert_eq!((&entry["endpoint"], &entry["state"]), (&json!(first), &json!("ByHand")), "{seen}");
    assert_eq!((&entry["caller"], &entry["until"]), (&json!("default/web-0"), &Value::Null));
    assert_eq!(answering(&mesh), ["other".to_owned()].into());
    let stats: Value = serde_json::from_slice(&mesh.proxy("web").ask("/stats").body).expect("JSON");
    assert_eq!(stats["pools"][0]["out"][0]["endpoint"], json!(first), "{stats}");
    let metrics = mesh.proxy("web").ask("/metrics").text();
    let out = metrics.lines().find(|line| line.starts_with("meshctl_pool_endpoints_ejected{"));
    assert!(out.is_some_and(|line| line.ends_with(" 1")), "{metrics}");

    order(&mesh, "restore", &first, 0);
    let seen = app(&mesh);
    assert_eq!((&seen["endpoints"]["ejected"], &seen["pool"]), (&json!(0), &json!([])), "{seen}");
    eventually("both answer again", || (answering(&mesh) == both).then_some(()));
}

#[test]
fn an_order_for_a_time_ends_by_itself() {
    let (one, other) = (Origin::saying("one"), Origin::saying("other"));
    let (mesh, first) = two(&one, &other, "");
    answering(&mesh);
    order(&mesh, "eject", &first, 1);
    let seen = app(&mesh);
    assert!(seen["pool"][0]["until"].is_string(), "{seen}");
    eventually("nobody is out any more", || {
        (app(&mesh)["endpoints"]["ejected"] == 0).then_some(())
    });
    eventually("both answer again", || (answering(&mesh).len() == 2).then_some(()));
}

const EJECTING: &str = "
apiVersion: meshctl.dev/v1alpha1
kind: TrafficPolicy
metadata: {name: app}
spec:
  targetRefs: [{group: '', kind: Service, name: app}]
  outlierDetection: {consecutiveErrors: 2, interval: 100ms, baseEjectionTime: 1s, maxEjectionPercent: 50}
";

#[test]
fn an_endpoint_that_fails_is_seen_out_with_the_reason_and_seen_back() {
    let bad = Arc::new(AtomicBool::new(true));
    let failing = Arc::clone(&bad);
    let one = Origin::http(move |_| match failing.load(Ordering::SeqCst) {
        true => "HTTP/1.1 503 Service Unavailable\r\ncontent-length: 3\r\n\r\none".into(),
        false => "HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\none".into(),
    });
    let other = Origin::saying("other");
    let (mesh, first) = two(&one, &other, EJECTING);
    let seen = eventually("it is out", || {
        answering(&mesh);
        let seen = app(&mesh);
        (seen["endpoints"]["ejected"] == 1).then_some(seen)
    });
    let entry = &seen["pool"][0];
    assert_eq!((&entry["endpoint"], &entry["state"]), (&json!(first), &json!("Ejected")), "{seen}");
    assert!(entry["why"].as_str().is_some_and(|why| why.contains("503")), "{seen}");
    assert!(entry["since"].is_string() && entry["until"].is_string(), "{seen}");
    assert_eq!(seen["breakerDetail"]["callers"][0]["ejections"], 1, "{seen}");
    bad.store(false, Ordering::SeqCst);
    eventually("it is back in its full share", || {
        answering(&mesh);
        (app(&mesh)["pool"] == json!([])).then_some(())
    });
}

const ONE_AT_ONCE: &str = "
apiVersion: meshctl.dev/v1alpha1
kind: TrafficPolicy
metadata: {name: app}
spec:
  targetRefs: [{group: '', kind: Service, name: app}]
  circuitBreaker: {maxRequests: 1}
";

#[test]
fn a_breaker_that_refuses_is_open_with_its_reason() {
    let app_here = Origin::saying("here");
    let mesh = Mesh::new().caller("web").service("app", &app_here).rules(ONE_AT_ONCE).start();
    assert_eq!(mesh.call("web").get("app", "/").status, 200);
    assert_eq!(app(&mesh)["breaker"], "Closed");
    let mut first = mesh.call("web");
    // It waits for its body, and counts until then.
    first.send("POST / HTTP/1.1\r\nhost: app\r\ncontent-length: 2\r\n\r\nh");
    let refused = eventually("the other is refused", || {
        let answer = mesh.call("web").get("app", "/");
        (answer.status == 503).then(|| answer.reason())
    });
    assert_eq!(refused, "max_requests");
    let seen = eventually("it is told", || {
        let seen = app(&mesh);
        (seen["breaker"] == "Open").then_some(seen)
    });
    let caller = &seen["breakerDetail"]["callers"][0];
    assert_eq!((&caller["proxy"], &caller["breaker"]), (&json!("default/web-0"), &json!("Open")));
    assert!(seen["breakerDetail"]["refused"]["max_requests"].as_u64() >= Some(1), "{seen}");
    first.send("i");
    assert_eq!(first.answer().status, 200);
}
