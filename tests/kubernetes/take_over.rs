//! A sidecar whose place another process takes, in the same pod: both share its network and the
//! directory of the proxy, as two containers do. Not one request may fail.
//!
//! The kubelet starts the older one again, because a sidecar is always to run. It finds its name in
//! use and ends, so that nobody is pushed out.

use serde_json::{Value, json};

use super::support::{Load, Mesh};

/// The pod with a container beside its sidecar that runs the same, and takes its place.
fn with_successor(mut pod: Value) -> Value {
    let init = pod["spec"]["initContainers"].as_array().cloned().unwrap_or_default();
    let sidecar = init.into_iter().find(|it| it["name"] == "meshctl-proxy");
    let mut successor = sidecar.expect("it is injected");
    // Those that come later may not have them.
    let fields = successor.as_object_mut().expect("a container");
    fields.retain(|field, _| {
        !["lifecycle", "readinessProbe", "resources", "restartPolicy"].contains(&field.as_str())
    });
    successor["name"] = json!("successor");
    successor["args"].as_array_mut().expect("arguments").push(json!("--take-over"));
    pod["spec"]["ephemeralContainers"] = json!([successor]);
    pod
}

#[test]
#[ignore = "needs a cluster: .ci/kubernetes makes one"]
fn another_process_of_the_pod_takes_the_place_of_its_sidecar() {
    let mesh = Mesh::shared();
    let shop = mesh.namespace("successor");
    shop.apply(include_str!("manifests/web.yaml"));
    shop.rolled_out(&["deployment/web", "deployment/client"]);
    let load = Load::start(&shop, "deployment/client", "http://web/", 4);
    let pod = shop.pod("app=client");
    let proxy = pod["metadata"]["name"].as_str().expect("a name").to_owned();
    let name = format!("pod/{proxy}");
    let path = format!("/api/v1/namespaces/{}/pods/{proxy}/ephemeralcontainers", shop.name);
    let replace = ["replace", "--raw", &path, "--filename", "-"];
    mesh.cluster.kubectl_reading(&replace, &with_successor(pod).to_string()).ok();

    // The older one has drained and ended, was started again, and has found its name in use.
    let at = "jsonpath={.status.initContainerStatuses[?(@.name==\"meshctl-proxy\")]";
    shop.wait(&format!("{at}.lastState.terminated.exitCode}}=1"), &[&name]);
    load.finish().is_without_failure();
    let again = shop.logs(&name, &["--container=meshctl-proxy"]);
    assert!(again.contains("`--take-over` takes its place"), "{again}");
    let curl = ["curl", "--silent", "--fail", "-m", "10", "http://web/"];
    assert_eq!(shop.exec("deployment/client", &curl).ok(), "web\n");
    let status = mesh.cluster.meshctl(&["status", "-o", "json"]).json();
    let proxies = status["proxies"].as_array().expect("proxies");
    let states: Vec<_> = proxies.iter().filter(|it| it["name"] == proxy.as_str()).collect();
    assert!(matches!(states[..], [one] if one["state"] == "Synced"), "{status:#}");
}
