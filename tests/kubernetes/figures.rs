//! What the mesh costs on a cluster: time at the start of a pod, memory of a sidecar at rest and of
//! the control plane. Held to the limits only where `MESHCTL_TEST_FIGURES` is set, as `.ci/soak` does
//! on a release build; always measured, and printed.

use std::fmt::Write as _;
use std::net::{IpAddr, SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use jiff::Timestamp;

use super::support::{Mesh, Namespace, SYSTEM};

/// A server that answers plaintext on a port left out of the mesh, so that both kinds of pod can be
/// asked in the same way from outside.
const POD: &str = "apiVersion: v1
kind: Pod
metadata:
  name: NAME
  labels: {app: NAME}
  annotations: {meshctl.dev/exclude-inbound-ports: '8080'}
spec:
  terminationGracePeriodSeconds: 1
  containers:
    - {name: files, image: APPLICATIONS, command: [python3, -m, http.server, '8080']}
";

/// Prints a figure, and fails the test where it is over its limit and limits are held.
#[track_caller]
#[expect(clippy::print_stdout, reason = "figures are what these tests are for")]
fn figure(what: &str, found: f64, limit: f64, unit: &str) {
    println!("figure: {what}: {found:.1} {unit} (at most {limit} {unit})");
    let held = std::env::var_os("MESHCTL_TEST_FIGURES").is_some();
    assert!(!held || found <= limit, "{what}: {found:.1} {unit}, at most {limit} {unit}");
}

/// How long it takes from the creation of a pod until it accepts a connection.
fn start(within: &Namespace<'_>, name: &str) -> Duration {
    let began = Instant::now();
    within.apply(&POD.replace("NAME", name));
    within.wait("jsonpath={.status.podIP}", &[&format!("pod/{name}")]);
    let pod = within.pod(&format!("app={name}"));
    let address: IpAddr =
        pod["status"]["podIP"].as_str().and_then(|text| text.parse().ok()).expect("an address");
    while TcpStream::connect_timeout(&SocketAddr::new(address, 8080), Duration::from_secs(1))
        .is_err()
    {
        assert!(began.elapsed() < Duration::from_secs(60), "`{name}` does not start");
        std::thread::sleep(Duration::from_millis(5));
    }
    began.elapsed()
}

/// The middle one of five.
fn usual_start(within: &Namespace<'_>) -> f64 {
    let mut times: Vec<_> = (0..5).map(|n| start(within, &format!("server-{n}"))).collect();
    times.sort();
    times.get(times.len() / 2).map_or(0.0, Duration::as_secs_f64)
}

#[test]
#[ignore = "needs a cluster: .ci/kubernetes makes one"]
fn a_pod_of_the_mesh_starts_soon() {
    let mesh = Mesh::shared();
    let bare = usual_start(&mesh.cluster.namespace("bare"));
    let meshed = usual_start(&mesh.namespace("meshed"));
    figure("start of a pod, more than without the mesh", meshed - bare, 2.5, "s");
}

/// The memory of a container that is its own, in MiB, as the kubelet measures it, and when it did.
fn memory(mesh: &Mesh, namespace: &str, container: &str) -> Option<(Timestamp, f64)> {
    let node = mesh.cluster.kubectl(&["get", "nodes", "--output=name"]).ok();
    let node = node.lines().next()?.trim_start_matches("node/").to_owned();
    let path = format!("/api/v1/nodes/{node}/proxy/stats/summary");
    let summary = mesh.cluster.kubectl(&["get", "--raw", &path]).json();
    let pods = summary["pods"].as_array()?;
    let pod = pods.iter().find(|pod| pod["podRef"]["namespace"] == namespace)?;
    let found = pod["containers"].as_array()?.iter().find(|found| found["name"] == container)?;
    let at = found["memory"]["time"].as_str()?.parse().ok()?;
    Some((at, found["memory"]["rssBytes"].as_f64()? / f64::from(1 << 20)))
}

/// The same as soon as the kubelet has measured it from now on, which it does every ten seconds or so.
fn measured(mesh: &Mesh, namespace: &str, container: &str) -> f64 {
    let (began, asked) = (Instant::now(), Timestamp::now());
    loop {
        match memory(mesh, namespace, container) {
            Some((at, memory)) if at > asked && memory > 0.0 => return memory,
            _ => {}
        }
        assert!(began.elapsed() < Duration::from_secs(60), "no figure of `{container}`");
        std::thread::sleep(Duration::from_millis(500));
    }
}

#[test]
#[ignore = "needs a cluster: .ci/kubernetes makes one"]
fn a_sidecar_at_rest_is_small() {
    let mesh = Mesh::shared();
    let shop = mesh.namespace("rest");
    start(&shop, "server");
    figure(
        "memory of a sidecar at rest",
        measured(&mesh, &shop.name, "meshctl-proxy"),
        10.0,
        "MiB",
    );
}

/// Services with endpoints that are objects only: nobody is at these addresses.
fn paper_services(services: usize, endpoints: usize) -> String {
    let mut manifests = String::new();
    for service in 0..services {
        let _ = write!(
            manifests,
            "---\n{{apiVersion: v1, kind: Service, metadata: {{name: paper-{service}}}, \
             spec: {{ports: [{{name: http, port: 80}}]}}}}\n\
             ---\n{{apiVersion: discovery.k8s.io/v1, kind: EndpointSlice, addressType: IPv4, \
             metadata: {{name: paper-{service}, labels: {{kubernetes.io/service-name: paper-{service}}}}}, \
             ports: [{{name: http, port: 80, protocol: TCP}}], endpoints: ["
        );
        for endpoint in 0..endpoints {
            let (third, fourth) = (service % 250, endpoint + 1);
            let _ = write!(
                manifests,
                "{{addresses: [10.99.{third}.{fourth}], conditions: {{ready: true}}}},"
            );
        }
        manifests.push_str("]}\n");
    }
    manifests
}

#[test]
#[ignore = "needs a cluster: .ci/kubernetes makes one"]
fn the_control_plane_is_small_with_two_hundred_services() {
    let mesh = Mesh::shared();
    let paper = mesh.cluster.namespace("paper");
    paper.apply(&paper_services(200, 10));
    figure("memory of the control plane", measured(&mesh, SYSTEM, "control-plane"), 64.0, "MiB");
}

/// A service whose only endpoint, and its zone, is what an object says.
const SLICE: &str = "
apiVersion: v1
kind: Service
metadata: {name: sliced}
spec: {ports: [{name: http, port: 80}]}
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: sliced, labels: {kubernetes.io/service-name: sliced}}
addressType: IPv4
ports: [{name: http, port: 80, protocol: TCP}]
endpoints: [{addresses: [ADDRESS], conditions: {ready: true}}]
";

/// The buckets of `meshctl_propagation_milliseconds` so far: upper bound and count.
fn propagation(mesh: &Mesh) -> Vec<(f64, f64)> {
    let pods =
        mesh.system(&["get", "pods", "--selector=app.kubernetes.io/name=meshctl", "--output=name"]);
    let pod = pods.ok().lines().next().map(|name| name.trim_start_matches("pod/").to_owned());
    let pod = pod.expect("a control plane");
    let path = format!("/api/v1/namespaces/{SYSTEM}/pods/{pod}:14715/proxy/metrics");
    let metrics = mesh.cluster.kubectl(&["get", "--raw", &path]).ok();
    let bucket = |line: &str| {
        let rest = line.strip_prefix("meshctl_propagation_milliseconds_bucket{le=\"")?;
        let (bound, count) = rest.split_once("\"} ")?;
        Some((bound.replace("+Inf", "inf").parse().ok()?, count.parse().ok()?))
    };
    metrics.lines().filter_map(bucket).collect()
}

/// The bound under which 99 of 100 of what came between the two are.
fn ninety_ninth(before: &[(f64, f64)], after: &[(f64, f64)]) -> (f64, f64) {
    let came: Vec<_> = before.iter().zip(after).map(|(b, a)| (a.0, a.1 - b.1)).collect();
    let all = came.last().map_or(0.0, |(_, count)| *count);
    let bound =
        came.iter().find(|(_, count)| *count >= all * 0.99).map_or(0.0, |(bound, _)| *bound);
    (all, bound)
}

#[test]
#[ignore = "needs a cluster: .ci/kubernetes makes one"]
fn a_changed_slice_is_soon_in_use() {
    let mesh = Mesh::shared();
    let shop = mesh.namespace("slices");
    shop.apply(include_str!("manifests/failing.yaml"));
    shop.rolled_out(&["deployment/client"]);
    let apply =
        |n: usize| shop.apply(&SLICE.replace("ADDRESS", &format!("10.99.0.{}", n % 250 + 1)));
    apply(0);
    // Nobody is at that address; who calls subscribes all the same.
    let called = ["curl", "--silent", "--max-time", "3", "--output", "/dev/null", "http://sliced/"];
    shop.exec("deployment/client", &called);
    let before = propagation(&mesh);
    (1..=50).for_each(apply);
    let began = Instant::now();
    loop {
        let (count, bound) = ninety_ninth(&before, &propagation(&mesh));
        if count >= 50.0 {
            return figure("change of a slice to its acknowledgement, p99", bound, 263.0, "ms");
        }
        assert!(began.elapsed() < Duration::from_secs(30), "only {count} were acknowledged");
    }
}
