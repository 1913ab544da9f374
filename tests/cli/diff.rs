//! `diff`, and sets of rules that are applied and pruned together, against a real control plane.

use super::installed::Mesh;

const ROUTE: &str = "\
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: reviews}
spec:
  parentRefs: [{group: \"\", kind: Service, name: reviews, port: 80}]
  rules:
  - backendRefs: [{name: reviews-v1, port: 80, weight: 90}, {name: reviews-v2, port: 80, weight: 10}]
";

const SERVICES: &str = "---
apiVersion: v1
kind: Service
metadata: {name: reviews}
spec: {selector: {app: reviews}, ports: [{port: 80}]}
---
apiVersion: v1
kind: Service
metadata: {name: reviews-v1}
spec: {selector: {app: reviews, version: v1}, ports: [{port: 80}]}
---
apiVersion: v1
kind: Service
metadata: {name: reviews-v2}
spec: {selector: {app: reviews, version: v2}, ports: [{port: 80}]}
";

const POLICY: &str = "---
apiVersion: meshctl.dev/v1alpha1
kind: TrafficPolicy
metadata: {name: reviews}
spec:
  targetRefs: [{kind: Service, name: reviews}]
  timeouts: {request: 5s}
";

#[test]
fn what_apply_would_change_is_shown_and_nothing_is_changed() {
    let mesh = Mesh::install();
    let new = mesh.feed("diff -f -", ROUTE);
    assert_eq!(new.code, 3, "{new:?}");
    assert!(new.stdout.starts_with("--- httproute/reviews in default, now\n+++ httproute/reviews in default, -:1\n@@ -0,0 +1,"), "{new:?}");
    assert!(new.stdout.contains("+kind: HTTPRoute\n") && !new.stdout.contains("\n-"), "{new:?}");
    assert!(new.stderr.ends_with("rules created: 1, configured: 0, unchanged: 0\n"), "{new:?}");
    mesh.run("get all -o name").is(0, "", "");

    assert_eq!(mesh.feed("apply -f -", ROUTE).code, 0);
    let same = mesh.feed("diff -f -", ROUTE);
    assert_eq!((same.code, same.stdout.trim()), (0, ""), "{same:?}");
    let moved = ROUTE.replace("weight: 90", "weight: 80");
    let other = mesh.feed("diff -f -", &moved);
    assert_eq!(other.code, 3, "{other:?}");
    assert!(other.stdout.contains("-      weight: 90\n+      weight: 80\n"), "{other:?}");
    let report = mesh.feed("diff -f - -o json", &moved);
    let report: serde_json::Value = serde_json::from_str(&report.stdout).expect("JSON");
    assert_eq!(
        (&report["kind"], &report["objects"][0]["action"]),
        (&"DiffReport".into(), &"configured".into())
    );
    assert_eq!(mesh.feed("diff -f - -o name", &moved).stdout, "httproute/reviews\n");
    assert_eq!(mesh.feed("diff -f -", "kind: Nothing\n").code, 1);
}

#[test]
fn the_effect_is_told_by_requests() {
    let mesh = Mesh::install();
    assert_eq!(mesh.feed("apply -f -", SERVICES).code, 0);
    let effect = mesh.feed("diff --effect -f -", &format!("{ROUTE}{POLICY}"));
    assert_eq!(effect.code, 3, "{effect:?}");
    let told = "\ndefault/reviews port 80\n  \
        /*  destination: default/reviews:80 -> default/reviews-v1:80 90%, default/reviews-v2:80 10%\n  \
        /*  timeouts.request: none -> 5s\n";
    assert!(effect.stdout.ends_with(told), "{effect:?}");
    let json = mesh.feed("diff --effect -f - -o json", ROUTE);
    let json: serde_json::Value = serde_json::from_str(&json.stdout).expect("JSON");
    assert_eq!(json["effects"][0]["what"], "destination", "{json:#}");
    assert_eq!(mesh.feed("apply -f -", ROUTE).code, 0);
    // Other words that mean the same differ, and change nothing.
    let named = ROUTE.replace("  - backendRefs", "  - name: all\n    backendRefs");
    let named = mesh.feed("diff --effect -f -", &named);
    assert!(named.stdout.ends_with("\nnothing that proxies do would change\n"), "{named:?}");
    assert!(!mesh.run("get all -o name").stdout.contains("trafficpolicy"), "nothing was applied");
}

#[test]
fn a_set_is_pruned_of_what_its_files_no_longer_have() {
    let mesh = Mesh::install();
    let both = format!("{ROUTE}{POLICY}");
    let other = POLICY.replace("name: reviews", "name: ratings");
    assert_eq!(mesh.feed("apply -f - --apply-set shop", &both).code, 0);
    assert_eq!(mesh.feed("apply -f - --apply-set others", &other).code, 0);
    let route = mesh.json("get httproute reviews -o json");
    assert_eq!(route["metadata"]["labels"]["meshctl.dev/apply-set"], "shop");

    let asked = mesh.feed("apply -f - --apply-set shop --prune", ROUTE);
    assert_eq!((asked.code, asked.stdout.as_str()), (2, ""), "{asked:?}");
    assert!(
        asked
            .stderr
            .contains("to prune 1 rule (trafficpolicy/reviews in default) needs a confirmation"),
        "{asked:?}"
    );
    let diff = mesh.feed("diff -f - --apply-set shop --prune", ROUTE);
    assert_eq!(diff.code, 3, "{diff:?}");
    assert!(diff.stdout.contains("+++ trafficpolicy/reviews in default, pruned\n"), "{diff:?}");
    let tried = mesh.feed("apply -f - --apply-set shop --prune --dry-run=server", ROUTE);
    let lines = "httproute/reviews unchanged (dry run)\ntrafficpolicy/reviews deleted (dry run)\n";
    assert_eq!((tried.code, tried.stdout.as_str()), (0, lines), "{tried:?}");
    mesh.run("get trafficpolicies -o name").is(
        0,
        "trafficpolicy/ratings\ntrafficpolicy/reviews\n",
        "",
    );
    let done = mesh.feed("apply -f - --apply-set shop --prune --yes", ROUTE);
    let lines = "httproute/reviews unchanged\ntrafficpolicy/reviews deleted\n";
    assert_eq!((done.code, done.stdout.as_str()), (0, lines), "{done:?}");
    mesh.run("get trafficpolicies -o name").is(0, "trafficpolicy/ratings\n", "");
    let again = mesh.feed("apply -f - --apply-set shop --prune", ROUTE);
    assert_eq!((again.code, again.stdout.as_str()), (0, "httproute/reviews unchanged\n"));

    let whose = mesh.feed("apply -f - --prune", ROUTE);
    assert_eq!(whose.code, 2, "{whose:?}");
    let bad = mesh.feed("apply -f - --apply-set Not_A_Name", ROUTE);
    assert_eq!(bad.code, 2, "{bad:?}");
    let here = mesh.feed("apply -f - --apply-set shop --prune --dry-run=client", ROUTE);
    assert_eq!(here.code, 2, "{here:?}");
}
