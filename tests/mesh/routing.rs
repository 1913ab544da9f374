//! Where a request goes and what is done to it on the way, as the Gateway API says.

use std::time::{Duration, Instant};

use crate::support::{Conn, Mesh, Origin, eventually};

mod changes;
mod matches;
mod paths;
mod urls;

/// An HTTPRoute of `reviews` with these rules, in YAML, each line indented by two.
pub(super) fn route(rules: &str) -> String {
    format!(
        "apiVersion: gateway.networking.k8s.io/v1\n\
         kind: HTTPRoute\n\
         metadata: {{name: reviews}}\n\
         spec:\n\
         \x20 parentRefs: [{{group: \"\", kind: Service, name: reviews, port: 80}}]\n\
         \x20 rules:\n{rules}"
    )
}

/// A rule without a condition that sends to one service.
pub(super) fn to(backend: &str) -> String {
    format!("  - backendRefs: [{{name: {backend}, port: 80}}]\n")
}

/// `web` (in two namespaces) calls `reviews`, of which there are two versions that say their names.
struct Two {
    mesh: Mesh,
    v1: Origin,
    v2: Origin,
}

fn two(rules: &str) -> Two {
    let (v1, v2) = (Origin::saying("v1"), Origin::saying("v2"));
    let mesh = Mesh::new()
        .caller("web")
        .caller("elsewhere/web")
        .service("reviews", &v1)
        .version("v1")
        .service("reviews", &v2)
        .version("v2")
        .rules(rules)
        .start();
    Two { mesh, v1, v2 }
}

impl Two {
    fn call(&self) -> Conn {
        self.mesh.call("web")
    }

    /// How many of so many requests `v1` answered; the others went to `v2`.
    fn share(&self, requests: usize) -> usize {
        let mut conn = self.call();
        let mut first = 0;
        for _ in 0..requests {
            let answer = conn.get("reviews", "/");
            assert_eq!(answer.status, 200, "{}", answer.head);
            match answer.text().as_str() {
                "v1" => first += 1,
                other => assert_eq!(other, "v2"),
            }
        }
        first
    }
}

/// Two backends and their weights.
fn weighted(one: (&str, u32), other: (&str, u32)) -> String {
    let refs = [one, other]
        .map(|(name, weight)| format!("    - {{name: {name}, port: 80, weight: {weight}}}\n"));
    route(&format!("  - backendRefs:\n{}", refs.concat()))
}

#[test]
fn without_a_rule_every_endpoint_gets_its_part() {
    let two = two("");
    let first = two.share(100);
    assert!((10..=90).contains(&first), "v1 got {first} of 100");
    assert_eq!(two.v1.requests().len() + two.v2.requests().len(), 100);
}

#[test]
fn weights_are_kept() {
    let first = two(&weighted(("reviews-v1", 90), ("reviews-v2", 10))).share(1000);
    // Ten standard deviations around 900.
    assert!((805..=995).contains(&first), "v1 got {first} of 1000");
}

#[test]
fn a_weight_of_zero_gets_nothing() {
    let two = two(&weighted(("reviews-v1", 1), ("reviews-v2", 0)));
    assert_eq!(two.share(100), 100);
    assert!(two.v2.requests().is_empty());
}

#[test]
fn all_weights_zero_is_500() {
    let two = two(&weighted(("reviews-v1", 0), ("reviews-v2", 0)));
    let answer = two.call().get("reviews", "/");
    assert_eq!((answer.status, answer.reason().as_str()), (500, "no_backend"));
    assert!(two.v1.requests().is_empty());
}

#[test]
fn a_backend_that_does_not_exist_is_500_for_its_share() {
    let two = two(&weighted(("reviews-v1", 1), ("ghost", 1)));
    let mut conn = two.call();
    let answers: Vec<_> = (0..100).map(|_| conn.get("reviews", "/")).collect();
    let missing = answers.iter().filter(|answer| answer.status == 500).count();
    assert!((10..=90).contains(&missing), "{missing} of 100 were 500");
    for answer in answers {
        match answer.status {
            200 => assert_eq!(answer.text(), "v1"),
            _ => assert_eq!((answer.status, answer.reason().as_str()), (500, "missing_backend")),
        }
    }
}

#[test]
fn a_service_without_endpoints_is_503() {
    let rules = "
apiVersion: v1
kind: Service
metadata: {name: empty}
spec:
  selector: {app: nobody}
  ports: [{port: 80}]
";
    let mesh = Mesh::new().caller("web").rules(rules).start();
    let answer = mesh.call("web").get("empty", "/");
    assert_eq!((answer.status, answer.reason().as_str()), (503, "no_endpoints"));
}

#[test]
fn a_consumer_route_replaces_the_producer_route_for_its_namespace() {
    let two = two(&route(&to("reviews-v1")));
    assert_eq!(two.share(10), 10);
    // The parent lies in another namespace than the route: a consumer's.
    let consumer = "
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: mine, namespace: elsewhere}
spec:
  parentRefs: [{group: '', kind: Service, name: reviews, namespace: default, port: 80}]
  rules:
  - backendRefs: [{name: reviews-v2, namespace: default, port: 80}]
";
    two.mesh.change(consumer);
    assert_eq!(two.share(10), 10, "a route of another namespace does not concern this one");
    let answer = two.mesh.call("elsewhere/web").get("reviews.default", "/");
    assert_eq!(answer.text(), "v2");
}

#[test]
fn header_filters_set_add_and_remove_on_both_sides() {
    let origin = Origin::http(|_| {
        "HTTP/1.1 200 OK\r\nx-secret: 1\r\nx-kept: 2\r\ncontent-length: 0\r\n\r\n".to_owned()
    });
    let rules = "
  - filters:
    - type: RequestHeaderModifier
      requestHeaderModifier:
        set: [{name: x-set, value: new}]
        add: [{name: x-add, value: two}]
        remove: [x-gone]
    - type: ResponseHeaderModifier
      responseHeaderModifier:
        set: [{name: x-kept, value: changed}]
        add: [{name: x-more, value: here}]
        remove: [x-secret]
    backendRefs: [{name: reviews, port: 80}]
";
    let mesh = Mesh::new().caller("web").service("reviews", &origin).rules(&route(rules)).start();
    let answer = mesh.call("web").ask(
        "GET / HTTP/1.1\r\nhost: reviews\r\n\
         X-Set: old\r\nX-Add: one\r\nX-Gone: a\r\nX-Other: b\r\n\r\n",
    );
    assert_eq!(answer.status, 200);
    let seen = origin.last();
    assert_eq!(seen.field("x-set").as_deref(), Some("new"));
    assert_eq!(seen.field("x-add").as_deref(), Some("one, two"));
    assert_eq!(seen.field("x-gone"), None);
    assert_eq!(seen.field("x-other").as_deref(), Some("b"));
    assert_eq!(answer.field("x-secret"), None);
    assert_eq!(answer.field("x-kept").as_deref(), Some("changed"));
    assert_eq!(answer.field("x-more").as_deref(), Some("here"));
}

#[test]
fn header_filters_of_a_backend_come_after_those_of_its_rule() {
    let origin = Origin::saying("");
    let rules = "
  - filters:
    - type: RequestHeaderModifier
      requestHeaderModifier: {set: [{name: x-a, value: rule}, {name: x-b, value: rule}]}
    backendRefs:
    - name: reviews
      port: 80
      filters:
      - type: RequestHeaderModifier
        requestHeaderModifier: {set: [{name: x-a, value: backend}]}
";
    let mesh = Mesh::new().caller("web").service("reviews", &origin).rules(&route(rules)).start();
    assert_eq!(mesh.call("web").get("reviews", "/").status, 200);
    let seen = origin.last();
    assert_eq!(seen.field("x-a").as_deref(), Some("backend"));
    assert_eq!(seen.field("x-b").as_deref(), Some("rule"));
}

#[test]
fn a_request_timeout_is_504_in_time() {
    let slow = Origin::scripted(|conn, _| {
        // Answers only when the caller has gone.
        while conn.request().is_some() {
            conn.is_closed();
        }
    });
    let rules = "  - timeouts: {request: 200ms}\n    backendRefs: [{name: reviews, port: 80}]\n";
    let mesh = Mesh::new().caller("web").service("reviews", &slow).rules(&route(rules)).start();
    let mut conn = mesh.call("web");
    let began = Instant::now();
    let answer = conn.get("reviews", "/");
    assert_eq!((answer.status, answer.reason().as_str()), (504, "request_timeout"));
    assert!(began.elapsed() >= Duration::from_millis(200), "after {:?}", began.elapsed());
    assert_eq!(answer.field("meshctl-rule").as_deref(), Some("HTTPRoute/default/reviews/0"));
    eventually("the endpoint's connections are closed", || (slow.connections() > 0).then_some(()));
}
