//! Coming and going: installed twice is installed once, and nothing is left when it goes.

use super::support::{Alone, Cluster, SYSTEM};

/// Every object of every kind that has the mesh in its name, or lies where the mesh lay.
fn left(cluster: &Cluster) -> Vec<String> {
    let kinds = cluster.kubectl(&["api-resources", "--verbs=list", "--output=name"]).ok();
    let kinds: Vec<_> = kinds
        .lines()
        .filter(|kind| !kind.starts_with("events") && !kind.contains("metrics"))
        .collect();
    let columns = "--output=custom-columns=:kind,:metadata.namespace,:metadata.name";
    let listed = cluster
        .kubectl(&["get", &kinds.join(","), "--all-namespaces", "--no-headers", columns])
        .ok();
    listed.lines().filter(|line| line.contains("meshctl")).map(str::to_owned).collect()
}

#[test]
#[ignore = "needs a cluster: .ci/kubernetes makes one"]
fn uninstall_leaves_nothing_and_applications_run_on() {
    let mut alone = Alone::take();
    assert_eq!(left(&alone.cluster), Vec::<String>::new());
    alone.install().ok();
    let before = left(&alone.cluster);
    alone.install().ok();
    assert_eq!(left(&alone.cluster), before, "the second time changed something");

    let cluster = Cluster::reach();
    let shop = cluster.labelled("stays", &["meshctl.dev/inject=enabled"]);
    shop.wait("create", &["configmap/meshctl-root"]);
    shop.apply(include_str!("manifests/web.yaml"));
    shop.rolled_out(&["deployment/web", "deployment/client"]);
    let served = || {
        // Of pods that come and go the node learns a moment later.
        let again = ["--retry", "10", "--retry-all-errors"];
        let curl =
            [&["curl", "--silent", "--fail", "-m", "10"], &again[..], &["http://web/"]].concat();
        assert_eq!(shop.exec("deployment/client", &curl).ok(), "web\n");
    };
    served();
    let check = cluster.meshctl(&["check", "--proxy"]);
    assert!(check.worked(), "{check}");

    let refused = alone.uninstall(&[]);
    assert!(!refused.worked() && refused.stderr.contains("a sidecar"), "{refused}");
    served();
    alone.uninstall(&["--force", "--purge"]).ok();
    served();
    let mut remains = left(&cluster);
    // The namespace is gone when the last of its pods has ended.
    if remains.iter().any(|line| line.contains(SYSTEM)) {
        cluster.kubectl(&["wait", "--for=delete", "--timeout=90s", "namespace", SYSTEM]);
        remains = left(&cluster);
    }
    assert_eq!(remains, Vec::<String>::new());

    // Started again they are as they were before the mesh came.
    shop.kubectl(&["rollout", "restart", "deployment/web", "deployment/client"]).ok();
    shop.rolled_out(&["deployment/web", "deployment/client"]);
    // Those that were meshed still demand it of others, until they are gone.
    shop.only_running("app=web", 1);
    shop.only_running("app=client", 1);
    assert!(shop.pod("app=web")["spec"]["initContainers"].is_null());
    // The node learns of a Service's endpoints a moment after they are ready.
    let curl = ["curl", "--silent", "--fail", "--retry", "10", "--retry-all-errors", "http://web/"];
    assert_eq!(shop.exec("deployment/client", &curl).ok(), "web\n");
}
