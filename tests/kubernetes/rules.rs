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
    let mut told = run.stderr.clone();
    assert_eq!(run.ok(), lines("created"));
    // What another test changes at that very moment is of the same revision: then once more.
    for _ in 0..5 {
        if told.contains("httproute/reviews: no proxy subscribes") {
            break;
        }
        let delete = words(&shop, &["delete", "httproute", "reviews", "--yes", "--wait"]);
        assert_eq!(mesh.cluster.meshctl(&delete).ok(), "httproute/reviews deleted\n");
        told = apply(&["--wait"], RULES).stderr;
    }
    assert!(told.contains("httproute/reviews: no proxy subscribes"), "{told}");
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

/// The policy of [`RULES`] under another name, for another service.
fn policy(name: &str) -> String {
    let (_, policy) = RULES.rsplit_once("---\n").expect("documents");
    policy.replace("name: reviews", &format!("name: {name}"))
}

/// What of a policy changes when somebody touches it; its status is the control plane's.
fn as_it_is(within: &Namespace<'_>, name: &str) -> String {
    let columns =
        "--output=jsonpath={.metadata.uid} {.metadata.generation} {.metadata.labels} {.spec}";
    within.kubectl(&["get", "trafficpolicy", name, columns]).ok()
}

#[test]
#[ignore = "needs a cluster: .ci/kubernetes makes one"]
fn a_set_is_compared_applied_and_pruned_of_its_own() {
    let mesh = Mesh::shared();
    let (shop, other) = (mesh.cluster.namespace("set"), mesh.cluster.namespace("other"));
    let set = ["-f", "-", "--apply-set", &shop.name];
    let run = |command: &str, more: &[&str], rules: &str| {
        let words = words(&shop, &[&[command], &set[..], more].concat()).to_vec();
        mesh.cluster.meshctl_reading(&words, rules)
    };
    let new = run("diff", &["--effect"], RULES);
    assert_eq!(new.code, Some(3), "{new}");
    assert!(new.stderr.ends_with("rules created: 3, configured: 0, unchanged: 0\n"), "{new}");
    let label = format!("+    meshctl.dev/apply-set: {}\n", shop.name);
    assert_eq!(new.stdout.matches(&label).count(), 3, "{new}");
    assert!(new.stdout.ends_with("  all requests  service: none -> there\n"), "{new}");
    assert!(!new.stdout.contains("clusterIP"), "one of the dry run, no other: {new}");
    assert_eq!(shop.kubectl(&["get", "services,httproutes,trafficpolicies"]).ok(), "");

    run("apply", &["--wait"], RULES).ok();
    // What somebody else writes beside it is no difference.
    shop.kubectl(&["annotate", "service/reviews", "example.com/owner=jane"]).ok();
    let same = run("diff", &["--prune", "--effect"], RULES);
    assert_eq!(same.code, Some(0), "{same}");
    assert_eq!(same.stdout.trim(), "nothing that proxies do would change", "{same}");
    let changed = run("diff", &["-o", "name"], &RULES.replace("3s", "4s"));
    assert_eq!((changed.code, changed.stdout.as_str()), (Some(3), "trafficpolicy/reviews\n"));

    // Nobody's, another set's, and one of this set in another namespace.
    let apply = |within: &Namespace<'_>, more: &[&str], rules: &str| {
        let words = words(within, &[&["apply", "-f", "-"], more].concat()).to_vec();
        mesh.cluster.meshctl_reading(&words, rules).ok();
    };
    apply(&shop, &[], &policy("nobodys"));
    apply(&shop, &["--apply-set", &other.name], &policy("others"));
    apply(&other, &["--apply-set", &shop.name], &policy("elsewhere"));
    let foreign = ["nobodys", "others"].map(|name| as_it_is(&shop, name));

    let (fewer, _) = RULES.rsplit_once("---\n").expect("documents");
    let diff = run("diff", &["--prune", "--effect"], fewer);
    assert_eq!(diff.code, Some(3), "{diff}");
    assert!(diff.stderr.ends_with("configured: 0, deleted: 2, unchanged: 2\n"), "{diff}");
    let pruned = format!("+++ trafficpolicy/elsewhere in {}, pruned\n", other.name);
    assert!(diff.stdout.contains(&pruned), "{diff}");
    assert!(diff.stdout.contains("timeouts.request: 3s -> none"), "{diff}");

    let asked = run("apply", &["--prune"], fewer);
    assert_eq!((asked.code, asked.stdout.as_str()), (Some(2), ""), "{asked}");
    assert!(asked.stderr.contains("to prune 2 rules ("), "{asked}");
    let kept = "service/reviews unchanged\nhttproute/reviews unchanged\n";
    let gone = "trafficpolicy/reviews deleted\ntrafficpolicy/elsewhere deleted\n";
    let said = format!("{kept}{gone}");
    let tried = run("apply", &["--prune", "--dry-run=server"], fewer).ok();
    assert_eq!(tried, said.replace('\n', " (dry run)\n"));
    as_it_is(&shop, "reviews");
    assert_eq!(run("apply", &["--prune", "--yes", "--wait"], fewer).ok(), said);

    let left = ["get", "trafficpolicies", "--output=name"];
    let named = |name: &str| format!("trafficpolicy.meshctl.dev/{name}\n");
    assert_eq!(shop.kubectl(&left).ok(), format!("{}{}", named("nobodys"), named("others")));
    assert_eq!(other.kubectl(&left).ok(), "");
    assert_eq!(["nobodys", "others"].map(|name| as_it_is(&shop, name)), foreign);
    let after = run("diff", &["--prune", "--effect"], fewer);
    assert_eq!(after.code, Some(0), "{after}");
    assert_eq!(run("apply", &["--prune"], fewer).ok(), kept);
}

#[test]
#[ignore = "needs a cluster: .ci/kubernetes makes one"]
fn a_field_that_somebody_else_owns_is_said_to_be_theirs() {
    let mesh = Mesh::shared();
    let shop = mesh.cluster.namespace("owned");
    shop.apply(&policy("reviews"));
    let before = as_it_is(&shop, "reviews");
    for command in ["diff", "apply"] {
        let words = words(&shop, &[command, "-f", "-"]).to_vec();
        let refused = mesh.cluster.meshctl_reading(&words, &policy("reviews").replace("3s", "4s"));
        assert_eq!((refused.code, refused.stdout.as_str()), (Some(1), ""), "{refused}");
        assert!(refused.stderr.contains("conflict with \"kubectl"), "{refused}");
        assert!(refused.stderr.contains("somebody else owns that field"), "{refused}");
    }
    assert_eq!(as_it_is(&shop, "reviews"), before);
}
