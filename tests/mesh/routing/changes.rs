//! Changes of rules and of endpoints while the mesh runs.

use serde_json::json;

use super::{route, to, two};
use crate::support::{Mesh, Origin, eventually};

#[test]
fn a_change_that_has_settled_holds_for_the_next_request() {
    let two = two(&route(&to("reviews-v1")));
    let mut conn = two.call();
    assert_eq!(conn.get("reviews", "/").text(), "v1");
    for turn in 0..20 {
        let version = if turn % 2 == 0 { "v2" } else { "v1" };
        two.mesh.change(&route(&to(&format!("reviews-{version}"))));
        let answer = conn.get("reviews", "/");
        assert_eq!(answer.text(), version, "turn {turn}: {}", answer.head);
    }
}

#[test]
fn who_does_not_call_a_service_is_not_waited_for() {
    let two = two("");
    let revision = two.mesh.apply(&route(&to("reviews-v1")));
    eventually("it is compiled", || two.mesh.is_settled(revision).then_some(()));
    let said = two.mesh.read(&format!("/v1/propagation?revision={revision}"));
    assert_eq!(said["acknowledged"], json!([]), "{said}");
}

#[test]
fn those_who_have_acknowledged_are_named() {
    let two = two("");
    two.call().get("reviews", "/");
    let revision = two.mesh.apply(&route(&to("reviews-v1")));
    eventually("it has arrived", || two.mesh.is_settled(revision).then_some(()));
    let said = two.mesh.read(&format!("/v1/propagation?revision={revision}"));
    assert_eq!(said["acknowledged"], json!(["default/web-0"]), "{said}");
    assert!(said["settledMs"].as_f64().is_some_and(|ms| ms > 0.0), "{said}");
}

#[test]
fn deleting_a_route_brings_back_what_was() {
    let two = two(&route(&to("ghost")));
    assert_eq!(two.call().get("reviews", "/").status, 500);
    let objects = json!([{"kind": "HTTPRoute", "namespace": "default", "name": "reviews"}]);
    let (status, answer) = two.mesh.post("/v1/delete", &json!({"objects": objects}));
    assert_eq!(status, 200, "{answer}");
    let revision = answer["revision"].as_u64().expect("a revision");
    eventually("it has arrived", || two.mesh.is_settled(revision).then_some(()));
    assert_eq!(two.call().get("reviews", "/").status, 200);
}

#[test]
fn a_workload_that_goes_and_comes_back_is_found() {
    let origin = Origin::saying("back");
    let declared = format!(
        "apiVersion: v1\nkind: Service\nmetadata: {{name: reviews}}\nspec:\n  \
         selector: {{app: reviews}}\n  ports: [{{port: 80, targetPort: {}}}]\n",
        origin.address().port()
    );
    let mesh = Mesh::new().caller("web").service("reviews", &origin);
    let mut mesh = mesh.rules(&declared).start();
    let reviews = mesh.take("reviews-0");
    let config = reviews.config().clone();
    assert_eq!(mesh.call("web").get("reviews", "/").status, 200);
    assert_eq!(reviews.end(), 0);
    let answer = eventually("the endpoint is gone", || {
        let answer = mesh.call("web").get("reviews", "/");
        (answer.reason() != "connect_failure" && answer.status != 200).then_some(answer)
    });
    assert_eq!((answer.status, answer.reason().as_str()), (503, "no_endpoints"));
    mesh.start_again("reviews-0", config);
    eventually("the endpoint is back", || {
        (mesh.call("web").get("reviews", "/").text() == "back").then_some(())
    });
}
