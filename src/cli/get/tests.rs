//! Rules as a table, as JSON and as names.

use super::super::output::{Format, render};
use super::*;

fn route() -> Value {
    serde_json::json!({
        "apiVersion": "gateway.networking.k8s.io/v1",
        "kind": "HTTPRoute",
        "metadata": {
            "name": "reviews", "namespace": "default", "generation": 2,
            "creationTimestamp": "2026-01-01T00:00:00Z",
        },
        "spec": {},
        "status": {"parents": [{"conditions": [
            {"type": "Accepted", "status": "True", "message": ""},
            {"type": "Programmed", "status": "False", "message": "refused by default/web-0"},
        ]}]},
    })
}

#[test]
fn rules_show_their_verdicts() {
    let now = "2026-01-01T00:01:00Z".parse().expect("a time");
    let list = view(&[route()], false, true, now);
    let text = render(Format::Table, &list, None).expect("renders");
    assert_eq!(
        anstream::adapter::strip_str(&text).to_string(),
        "NAMESPACE   NAME                ACCEPTED   RESOLVED   PROGRAMMED   AGE\n\
         default     httproute/reviews   True       -          False        60s\n"
    );
    assert_eq!(list.names, ["httproute/reviews"]);
    assert_eq!(list.value["kind"], "List");
    assert_eq!(view(&[route()], true, false, now).value["kind"], "HTTPRoute");
}
