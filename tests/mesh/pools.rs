//! Pools as an operator has them: who is out is seen at once, taken out and put back by hand.

use std::collections::BTreeSet;

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
