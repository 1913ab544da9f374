//! What changes while requests flow: weights, pods, the control plane. Not one request may fail.

use super::support::{Load, Mesh, Namespace};

/// Two versions of `hello` and a client, all meshed and ready.
fn hello<'m>(mesh: &'m Mesh, name: &str) -> Namespace<'m> {
    let made = mesh.namespace(name);
    made.apply(include_str!("manifests/versions.yaml"));
    made.rolled_out(&["deployment/hello-v1", "deployment/hello-v2", "deployment/client"]);
    made
}

fn load(within: &Namespace<'_>) -> Load {
    Load::start(within, "deployment/client", "http://hello/", 4)
}

/// A route of `hello` that gives its versions these weights.
fn weights(v1: u32, v2: u32) -> String {
    format!(
        "apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {{name: hello, namespace: NAMESPACE}}
spec:
  parentRefs: [{{group: '', kind: Service, name: hello, port: 80}}]
  rules:
    - backendRefs:
        - {{name: hello-v1, port: 80, weight: {v1}}}
        - {{name: hello-v2, port: 80, weight: {v2}}}
"
    )
}

#[test]
#[ignore = "needs a cluster: .ci/kubernetes makes one"]
fn weights_shift_and_hold_from_the_moment_that_apply_returns() {
    let mesh = Mesh::shared();
    let shop = hello(&mesh, "weights");
    let throughout = load(&shop);
    for (v1, v2) in [(100, 0), (75, 25), (0, 100)] {
        mesh.apply(&shop, &weights(v1, v2));
        let report = load(&shop).finish();
        report.is_without_failure();
        let answers = |version| report.bodies.get(version).copied().unwrap_or(0) as f64;
        let share = answers("v1") / report.requests as f64 * 100.0;
        let wanted = f64::from(v1);
        let slack = if v1 == 0 || v2 == 0 { 0.0 } else { 6.0 };
        assert!((share - wanted).abs() <= slack, "{v1}/{v2}: {report:?}");
    }
    throughout.finish().is_without_failure();
}

#[test]
#[ignore = "needs a cluster: .ci/kubernetes makes one"]
fn no_request_fails_while_a_deployment_is_rolled_out() {
    let mesh = Mesh::shared();
    let shop = hello(&mesh, "rollout");
    let load = load(&shop);
    shop.kubectl(&["rollout", "restart", "deployment/hello-v1", "deployment/hello-v2"]).ok();
    shop.rolled_out(&["deployment/hello-v1", "deployment/hello-v2"]);
    shop.only_running("app=hello", 4);
    load.finish().is_without_failure();
}

#[test]
#[ignore = "needs a cluster: .ci/kubernetes makes one"]
fn no_request_fails_while_a_service_grows_and_shrinks() {
    let mesh = Mesh::shared();
    let shop = hello(&mesh, "scale");
    let load = load(&shop);
    for replicas in [4, 1] {
        shop.kubectl(&["scale", &format!("--replicas={replicas}"), "deployment/hello-v1"]).ok();
        shop.rolled_out(&["deployment/hello-v1"]);
        shop.only_running("app=hello,version=v1", replicas);
    }
    load.finish().is_without_failure();
}

#[test]
#[ignore = "needs a cluster: .ci/kubernetes makes one"]
fn no_request_fails_when_a_pod_is_deleted() {
    let mesh = Mesh::shared();
    let shop = hello(&mesh, "delete");
    let load = load(&shop);
    let pod = shop.pod("app=hello,version=v1");
    let name = pod["metadata"]["name"].as_str().expect("a pod has a name");
    shop.kubectl(&["delete", "pod", name]).ok();
    shop.rolled_out(&["deployment/hello-v1"]);
    load.finish().is_without_failure();
}

#[test]
#[ignore = "needs a cluster: .ci/kubernetes makes one"]
fn no_request_fails_while_the_control_plane_is_killed() {
    let mesh = Mesh::shared();
    let shop = hello(&mesh, "killed");
    let load = load(&shop);
    mesh.system(&["delete", "pod", "--all", "--grace-period=0", "--force"]).ok();
    mesh.system(&["rollout", "status", "deployment/meshctl", "--timeout=90s"]).ok();
    // The one that came instead knows the mesh: rules reach every proxy again.
    mesh.apply(&shop, &weights(0, 100));
    load.finish().is_without_failure();
}

#[test]
#[ignore = "needs a cluster: .ci/kubernetes makes one"]
fn pods_are_admitted_while_the_webhooks_certificate_is_renewed() {
    let mesh = Mesh::shared();
    let shop = hello(&mesh, "renewed");
    let load = load(&shop);
    let patch = r#"[{"op": "add", "path": "/spec/template/spec/containers/0/args/-", "value": "--webhook-certificate-life=10s"}]"#;
    mesh.system(&["patch", "deployment/meshctl", "--type=json", "--patch", patch]).ok();
    mesh.system(&["rollout", "status", "deployment/meshctl", "--timeout=90s"]).ok();
    let renewals = || {
        let log = mesh.system(&["logs", "deployment/meshctl"]).stdout;
        log.matches("the webhooks' certificate was renewed").count()
    };
    let mut admitted = 0;
    while renewals() < 2 {
        shop.kubectl(&["delete", "pod", "--selector=version=v2", "--wait=false"]).ok();
        shop.rolled_out(&["deployment/hello-v2"]);
        admitted += 2;
        assert!(admitted < 100, "no renewal in all this time");
    }
    for pod in shop.pods("app=hello") {
        let sidecars = pod["spec"]["initContainers"].as_array().map_or(0, Vec::len);
        assert!(sidecars >= 2, "a pod without its sidecar: {pod}");
    }
    load.finish().is_without_failure();
}
