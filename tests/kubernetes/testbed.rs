//! The test bed itself: a node that is Ready, names that resolve, foreign applications, our image.

use super::support::Cluster;

#[test]
#[ignore = "needs a cluster: .ci/kubernetes makes one"]
fn an_application_serves_by_the_name_of_its_service() {
    let cluster = Cluster::reach();
    let shop = cluster.namespace("serves");
    shop.apply(include_str!("manifests/web.yaml"));
    shop.rolled_out(&["deployment/web", "deployment/client"]);
    let url = format!("http://web.{}.svc.cluster.local/", shop.name);
    // The node learns of a Service's endpoints a moment after they are ready.
    let curl = ["curl", "--silent", "--fail", "--retry", "10", "--retry-all-errors", &url];
    assert_eq!(shop.exec("deployment/client", &curl).ok(), "web\n");
}

/// As injection runs it: not root, nothing writable, no rights; its only ways are names and TCP.
#[test]
#[ignore = "needs a cluster: .ci/kubernetes makes one"]
fn the_image_runs_under_restricted_pod_security_and_resolves_names() {
    let cluster = Cluster::reach();
    let labels = ["pod-security.kubernetes.io/enforce=restricted"];
    let shop = cluster.namespace("image");
    shop.apply(include_str!("manifests/web.yaml"));
    shop.rolled_out(&["deployment/web"]);
    shop.label(&labels);
    shop.apply(include_str!("manifests/meshctl.yaml"));
    shop.wait("condition=Complete", &["job/version", "job/fetch"]);
    let said = shop.logs("job/version", &[]);
    assert!(said.contains(env!("CARGO_PKG_VERSION")), "{said}");
    // The document came from the server: `validate` found the kind that it skips in it.
    let said = shop.logs("job/fetch", &[]);
    assert!(said.contains("ConfigMap") || said.contains("skipped"), "{said}");
}
