//! Rules on a cluster: applied, read and deleted by `meshctl`, each step with the user's own rights.

use super::support::{Cluster, Mesh, Namespace};

const RULES: &str = "\
apiVersion: v1
kind: Service
metadata: {name: reviews}
spec: {selector: {app: reviews}, ports: [{port: 80}]}
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: reviews}
spec:
  parentRefs: [{group: \"\", kind: Service, name: reviews, port: 80}]
  rules:
  - backendRefs: [{name: reviews, port: 80}]
---
apiVersion: meshctl.dev/v1alpha1
kind: TrafficPolicy
metadata: {name: reviews}
spec:
  targetRefs: [{group: \"\", kind: Service, name: reviews}]
  timeouts: {request: 3s}
";

/// `meshctl` in a namespace.
fn words<'w>(within: &'w Namespace<'_>, words: &[&'w str]) -> Vec<&'w str> {
    [words, &["--namespace", &within.name]].concat()
}

#[test]
#[ignore = "needs a cluster: .ci/kubernetes makes one"]
fn rules_are_applied_seen_changed_and_deleted() {
    let mesh = Mesh::shared();
    let shop = mesh.cluster.namespace("rules");
    let apply = |more: &[&str], rules: &str| {
        let words = words(&shop, &[&["apply", "-f", "-"], more].concat()).to_vec();
        mesh.cluster.meshctl_reading(&words, rules)
    };
    let lines = |action: &str| {
        ["service", "httproute", "trafficpolicy"]
            .map(|kind| format!("{kind}/reviews {action}\n"))
            .concat()
    };
    assert_eq!(apply(&["--dry-run=server"], RULES).ok(), lines("created (dry run)"));
    let run = apply(&["--wait"], RULES);
    assert!(run.stderr.starts_with("context `"), "it says what it changes: {run}");
    assert!(run.stderr.contains("httproute/reviews: no proxy subscribes"), "{run}");
    assert_eq!(run.ok(), lines("created"));
    assert_eq!(apply(&[], RULES).ok(), lines("unchanged"));
    let changed = apply(&["--wait"], &RULES.replace("3s", "4s")).ok();
    assert!(changed.ends_with("httproute/reviews unchanged\ntrafficpolicy/reviews configured\n"));

    let get = words(&shop, &["get", "httproute", "reviews", "-o", "json"]);
    let route = mesh.cluster.meshctl(&get).json();
    assert_eq!(route["metadata"]["name"], "reviews", "{route}");
    let again = mesh.cluster.meshctl(&words(&shop, &["get", "httproute", "reviews", "-o", "yaml"]));
    assert_eq!(apply(&[], &again.ok()).ok(), "httproute/reviews unchanged\n");

    let nowhere = RULES.replace("{name: reviews}", "{name: reviews, namespace: nowhere}");
    let refused = apply(&[], &nowhere);
    assert_eq!((refused.code, refused.stdout.as_str()), (Some(1), ""), "{refused}");
    assert!(
        refused.stderr.contains("HTTPRoute/nowhere/reviews: namespaces \"nowhere\""),
        "{refused}"
    );
    assert!(refused.stderr.contains("nothing was changed"), "{refused}");

    let missing = words(&shop, &["delete", "httproute", "reviews", "none", "--yes"]);
    let refused = mesh.cluster.meshctl(&missing);
    assert_eq!((refused.code, refused.stdout.as_str()), (Some(1), ""), "{refused}");
    let delete = words(&shop, &["delete", "httproute", "reviews", "--yes", "--wait"]);
    assert_eq!(mesh.cluster.meshctl(&delete).ok(), "httproute/reviews deleted\n");
    let gone = mesh.cluster.meshctl(&get);
    assert!(gone.stderr.contains("there is no HTTPRoute `reviews`"), "{gone}");
}

#[test]
#[ignore = "needs a cluster: .ci/kubernetes makes one"]
fn what_a_user_may_not_is_said_by_verb_and_resource() {
    let mesh = Mesh::shared();
    let shop = mesh.cluster.namespace("rights");
    shop.kubectl(&["create", "serviceaccount", "jane"]).ok();
    let token = shop.kubectl(&["create", "token", "jane"]).ok();
    let dir = tempfile::tempdir().expect("a directory");
    let file = dir.path().join("jane");
    let config =
        mesh.cluster.kubectl(&["config", "view", "--raw", "--minify", "-o", "json"]).json();
    let mut config = config;
    config["users"][0]["user"] = serde_json::json!({ "token": token.trim() });
    std::fs::write(&file, config.to_string()).expect("written");
    let jane = |cluster: &Cluster, more: &[&str], input: &str| {
        let kubeconfig = ["--kubeconfig", file.to_str().expect("UTF-8")];
        cluster.meshctl_reading(&[more, &kubeconfig].concat(), input)
    };
    let refused = jane(&mesh.cluster, &["status"], "");
    assert_eq!(refused.code, Some(1), "{refused}");
    assert!(refused.stderr.contains("cannot list resource \"pods\""), "{refused}");
    let refused = jane(&mesh.cluster, &words(&shop, &["apply", "-f", "-"]), RULES);
    assert_eq!((refused.code, refused.stdout.as_str()), (Some(1), ""), "{refused}");
    assert!(refused.stderr.contains("cannot get resource \"httproutes\""), "{refused}");
    assert!(refused.stderr.contains("nothing was changed"), "{refused}");

    // One right after the other, until it is allowed to look and no more.
    let system = |more: &[&str]| mesh.system(more).ok();
    let name = format!("jane-{}", shop.name);
    let account = format!("--serviceaccount={}:jane", shop.name);
    system(&["create", "role", &name, "--verb=list", "--resource=pods"]);
    system(&["create", "rolebinding", &name, "--role", &name, &account]);
    let refused = jane(&mesh.cluster, &["status"], "");
    assert!(refused.stderr.contains("\"meshctl-root\""), "{refused}");
    system(&["delete", "role,rolebinding", &name]);
}
