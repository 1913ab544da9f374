//! Rules that keep failures away from callers, on a cluster: what each does to requests, and what
//! its status says.

use super::support::{Mesh, Namespace};

/// A policy of the service `hello`, round-robin so that each pod is asked in turn.
fn policy(spec: &str) -> String {
    format!(
        "
apiVersion: meshctl.dev/v1alpha1
kind: TrafficPolicy
metadata: {{name: hello}}
spec:
  targetRefs: [{{kind: Service, name: hello}}]
  loadBalancer: {{algorithm: round-robin}}
{spec}"
    )
}

/// Three pods that are well and one that is broken behind `hello`, and one that calls. It has called
/// already: rules are programmed in proxies that use them.
fn shop<'m>(mesh: &'m Mesh, name: &str) -> Namespace<'m> {
    let shop = mesh.namespace(name);
    shop.apply(include_str!("manifests/failing.yaml"));
    shop.rolled_out(&["deployment/hello", "deployment/broken", "deployment/client"]);
    assert_eq!(ask(&shop, "/ready", 1, false), ["200"]);
    shop
}

/// So many requests for a path, one after the other or all at once: status and reason of each.
fn ask(shop: &Namespace<'_>, path: &str, count: usize, at_once: bool) -> Vec<String> {
    let url = format!("http://hello{path}");
    let write = "%{http_code} %header{meshctl-reason}\n";
    let mut curl = vec!["curl", "--silent", "--output", "/dev/null", "--write-out", write];
    if at_once {
        curl.extend(["--parallel", "--parallel-immediate", "--parallel-max", "50"]);
    }
    curl.push(&url);
    for _ in 1..count {
        curl.extend(["--output", "/dev/null", &url]);
    }
    let said = shop.exec("deployment/client", &curl).ok();
    let lines: Vec<_> = said.lines().map(|line| line.trim_end().to_owned()).collect();
    assert_eq!(lines.len(), count, "{said}");
    lines
}

fn count(answers: &[String], wanted: &str) -> usize {
    answers.iter().filter(|answer| *answer == wanted).count()
}

/// The rule's status says that it holds, in the proxies too.
fn accepted(shop: &Namespace<'_>, object: &str) {
    for condition in ["condition=Accepted", "condition=Programmed"] {
        shop.wait(condition, &[object]);
    }
}

/// The service as `meshctl status` shows it.
fn status(mesh: &Mesh, shop: &Namespace<'_>) -> serde_json::Value {
    let status = mesh.cluster.meshctl(&["status", "--output", "json"]).json();
    let services = status["services"].as_array().cloned().unwrap_or_default();
    let ours = |it: &serde_json::Value| it["name"] == "hello" && it["namespace"] == shop.name;
    services.into_iter().find(ours).unwrap_or_default()
}

/// Asks `meshctl status` until the service is as it must be; metrics take a moment to arrive.
#[track_caller]
fn is_shown(mesh: &Mesh, shop: &Namespace<'_>, holds: impl Fn(&serde_json::Value) -> bool) {
    let mut last = serde_json::Value::Null;
    for _ in 0..100 {
        last = status(mesh, shop);
        if holds(&last) {
            return;
        }
        std::thread::sleep(std::time::Duration::from_millis(200));
    }
    panic!("not shown: {last:#}");
}

#[test]
#[ignore = "needs a cluster: .ci/kubernetes makes one"]
fn a_breaker_refuses_what_is_too_much_at_once() {
    let mesh = Mesh::shared();
    let shop = shop(&mesh, "breaker");
    mesh.apply(&shop, &policy("  circuitBreaker: {maxRequests: 3}\n"));
    accepted(&shop, "trafficpolicy/hello");
    let answers = ask(&shop, "/slow", 12, true);
    let refused = count(&answers, "503 max_requests");
    assert!((6..=9).contains(&refused), "{answers:?}");
    is_shown(&mesh, &shop, |service| service["breaker"].is_string());
    // All of it is over: nothing is refused any more.
    assert_eq!(count(&ask(&shop, "/", 8, false), "503 max_requests"), 0);
}

#[test]
#[ignore = "needs a cluster: .ci/kubernetes makes one"]
fn a_pod_that_fails_is_ejected_and_seen_to_be() {
    let mesh = Mesh::shared();
    let shop = shop(&mesh, "ejection");
    // Each pod in turn: what is chosen at random is, once in sixty times, not chosen five times in forty.
    mesh.apply(&shop, &policy(""));
    accepted(&shop, "trafficpolicy/hello");
    let without = ask(&shop, "/", 40, false);
    assert!(count(&without, "503") >= 5, "{without:?}");
    mesh.apply(
        &shop,
        &policy(
            "  outlierDetection: {consecutiveErrors: 3, interval: 1s, baseEjectionTime: 300s}\n",
        ),
    );
    accepted(&shop, "trafficpolicy/hello");
    let answers = ask(&shop, "/", 40, false);
    assert!(count(&answers, "503") <= 4, "{answers:?}");
    assert_eq!(count(&ask(&shop, "/", 40, false), "200"), 40);
    is_shown(&mesh, &shop, |service| service["endpoints"]["ejected"] == 1);
}

#[test]
#[ignore = "needs a cluster: .ci/kubernetes makes one"]
fn what_fails_is_tried_elsewhere() {
    let mesh = Mesh::shared();
    let shop = shop(&mesh, "retry");
    mesh.apply(
        &shop,
        &policy("  retry: {attempts: 2, on: [gateway-error], budget: {percent: 100}}\n"),
    );
    accepted(&shop, "trafficpolicy/hello");
    let answers = ask(&shop, "/", 40, false);
    assert_eq!(count(&answers, "200"), 40, "{answers:?}");
}

#[test]
#[ignore = "needs a cluster: .ci/kubernetes makes one"]
fn a_route_says_what_is_tried_again() {
    let mesh = Mesh::shared();
    let shop = shop(&mesh, "routeretry");
    mesh.apply(&shop, &policy("  retry: {attempts: 0, budget: {percent: 100}}\n"));
    assert!(count(&ask(&shop, "/", 40, false), "503") >= 5);
    let route = "
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: hello}
spec:
  parentRefs: [{group: '', kind: Service, name: hello, port: 80}]
  rules:
  - retry: {codes: [503], attempts: 2, backoff: 1ms}
    backendRefs: [{name: hello, port: 80}]
";
    mesh.apply(&shop, route);
    let answers = ask(&shop, "/", 40, false);
    assert_eq!(count(&answers, "200"), 40, "{answers:?}");
    for condition in ["Accepted", "ResolvedRefs", "Programmed"] {
        let path = format!("{{.status.parents[*].conditions[?(@.type=='{condition}')].status}}");
        shop.wait(&format!("jsonpath={path}=True"), &["httproute/hello"]);
    }
}

#[test]
#[ignore = "needs a cluster: .ci/kubernetes makes one"]
fn a_fault_is_put_in_for_chosen_requests_until_it_expires() {
    let mesh = Mesh::shared();
    let shop = shop(&mesh, "fault");
    let fault = |expires: &str| {
        format!(
            "
apiVersion: meshctl.dev/v1alpha1
kind: FaultPolicy
metadata: {{name: teapot}}
spec:
  targetRefs: [{{kind: Service, name: hello}}]
  matches: [{{path: {{type: PathPrefix, value: /tea}}}}]
  abort: {{status: 418, percent: 100}}
  expires: {expires}
"
        )
    };
    mesh.apply(&shop, &fault("2100-01-01T00:00:00Z"));
    accepted(&shop, "faultpolicy/teapot");
    shop.wait("condition=Active", &["faultpolicy/teapot"]);
    assert_eq!(count(&ask(&shop, "/tea", 8, false), "418 fault_injected"), 8);
    assert_eq!(count(&ask(&shop, "/slow", 2, true), "418 fault_injected"), 0);
    let said = mesh.cluster.meshctl(&["status"]).ok();
    assert!(said.contains("teapot"), "nobody must forget it: {said}");
    mesh.apply(&shop, &fault("2020-01-01T00:00:00Z"));
    shop.wait("condition=Active=False", &["faultpolicy/teapot"]);
    assert_eq!(count(&ask(&shop, "/tea", 8, false), "418 fault_injected"), 0);
}
