//! What is said about a revision that settled, is late, or was refused.

use super::*;

fn propagation(done: &[&str], pending: &[&str], away: &[&str]) -> Propagation {
    let names = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
    Propagation {
        revision: 3,
        compiled: true,
        acknowledged: names(done),
        pending: names(pending),
        disconnected: names(away),
        rejected: Vec::new(),
        settled_ms: Some(12.3),
    }
}

#[test]
fn a_settled_revision_counts_and_names_who_is_away() {
    assert_eq!(
        told(&propagation(&["default/a"], &[], &["default/b"])),
        ["acknowledged by 1 of 2 proxies in 12 ms", "disconnected, not waited for: default/b"]
    );
    assert_eq!(told(&propagation(&["a"], &[], &[])), ["acknowledged by 1 of 1 proxy in 12 ms"]);
    assert_eq!(told(&propagation(&[], &[], &[])), ["no proxy subscribes to what changed"]);
}

#[test]
fn a_late_one_names_who_has_not_answered() {
    let text = late(&propagation(&["a"], &["default/b"], &[]), Duration::from_secs(5)).render();
    assert!(text.contains("no answer after 5s from default/b"), "{text}");
}

#[test]
fn a_refusal_names_proxy_rule_field_and_reason() {
    let text = refused(&[Rejection {
        proxy: "default/web-0".into(),
        resource: "Service default/reviews".into(),
        rules: vec!["HTTPRoute/default/reviews".into()],
        reason: "rules[0].path: too long".into(),
    }])
    .render();
    let text = anstream::adapter::strip_str(&text).to_string();
    assert_eq!(
        text.lines().collect::<Vec<_>>()[..3],
        [
            "proxy `default/web-0` refused `Service default/reviews`: rules[0].path: too long",
            "  from rule `HTTPRoute/default/reviews`",
            "error: refused by 1 proxy",
        ]
    );
}

#[test]
fn proxies_may_come_back_for_a_while_after_a_start() {
    let status = |state: &str| -> MeshStatus {
        serde_json::from_value(serde_json::json!({
            "apiVersion": "", "kind": "",
            "controlPlane": {
                "ready": true, "version": "", "address": "", "revision": 1,
                "rootExpires": "2036-01-01T00:00:00Z", "since": "2026-01-01T00:00:00Z",
            },
            "proxies": [{
                "name": "web-0", "service": "web", "namespace": "default", "version": "",
                "identity": "", "state": state, "reason": "", "since": "2026-01-01T00:00:00Z",
                "certificateExpires": null,
            }],
            "services": [], "edges": [],
        }))
        .expect("a status")
    };
    let after = |millis| {
        let start: Timestamp = "2026-01-01T00:00:00Z".parse().expect("a time");
        start + SignedDuration::from_millis(millis)
    };
    assert!(is_returning(&status("Disconnected"), after(2_900)));
    assert!(!is_returning(&status("Disconnected"), after(3_100)), "who is gone is not waited for");
    assert!(!is_returning(&status("Synced"), after(10)));
}
