//! `install`, `check` and `uninstall` where something is wrong: no rights, no image, a second mesh,
//! a misspelt label. Nothing may be half done, and everything must be said.

use super::support::{Alone, Cluster, Run, SYSTEM};

const PLATFORM: [&str; 2] = ["--platform", "kubernetes"];

/// A kubeconfig of a ServiceAccount without any right.
fn nobody(cluster: &Cluster, namespace: &str) -> tempfile::NamedTempFile {
    let inside = |words: &[&str]| cluster.kubectl(&[&["--namespace", namespace], words].concat());
    inside(&["create", "serviceaccount", "nobody"]).ok();
    let token = inside(&["create", "token", "nobody"]).ok();
    let raw = ["config", "view", "--raw", "--minify", "--flatten", "--output", "json"];
    let mut config = cluster.kubectl(&raw).json();
    config["users"][0]["user"] = serde_json::json!({ "token": token.trim() });
    let file = tempfile::NamedTempFile::new().expect("a file");
    std::fs::write(file.path(), config.to_string()).expect("written");
    file
}

fn check(cluster: &Cluster, words: &[&str]) -> Run {
    cluster.meshctl(&[&["check"], &PLATFORM[..], words].concat())
}

/// The line of a report that has these words, with its mark.
#[track_caller]
fn line<'a>(run: &'a Run, words: &str) -> &'a str {
    let found = run.stdout.lines().find(|line| line.contains(words));
    found.unwrap_or_else(|| panic!("no `{words}` in {run}")).trim()
}

#[test]
#[ignore = "needs a cluster: .ci/kubernetes makes one"]
fn whoever_may_not_install_is_told_what_is_missing_and_changes_nothing() {
    let alone = Alone::take();
    let cluster = &alone.cluster;
    let namespace = cluster.namespace("rights");
    let kubeconfig = nobody(cluster, &namespace.name);
    let path = kubeconfig.path().to_str().expect("a path in UTF-8");
    let refused = cluster.meshctl(&["install", "--kubeconfig", path]);
    assert_eq!(refused.code, Some(1), "{refused}");
    for said in ["rights to install are missing", "create deployments.apps", "nothing was changed"]
    {
        assert!(refused.stderr.contains(said), "no `{said}` in {refused}");
    }
    let before = cluster.meshctl(&["check", "--pre", "--kubeconfig", path]);
    assert_eq!(before.code, Some(3), "{before}");
    assert!(line(&before, "you may install a mesh").starts_with('×'), "{before}");
    assert!(!cluster.kubectl(&["get", "namespace", SYSTEM]).worked());
}

#[test]
#[ignore = "needs a cluster: .ci/kubernetes makes one"]
fn an_image_that_is_nowhere_is_named() {
    let mut alone = Alone::take();
    let image = "localhost/meshctl-nowhere:1";
    let words = [&["install"], &PLATFORM[..], &["--image", image, "--timeout", "90s"]].concat();
    let failed = alone.cluster.meshctl(&words);
    assert_eq!(failed.code, Some(1), "{failed}");
    assert!(failed.stderr.contains(image) && failed.stderr.contains("--image"), "{failed}");
    // What was begun can be brought to its end.
    alone.install().ok();
    alone.uninstall(&[]).ok();
}

#[test]
#[ignore = "needs a cluster: .ci/kubernetes makes one"]
fn a_cluster_has_one_mesh_which_is_as_its_manifests_say() {
    let mut alone = Alone::take();
    assert!(line(&check(&alone.cluster, &["--pre"]), "nothing is left").starts_with('✔'));
    alone.install().ok();
    let cluster = &alone.cluster;
    let image = Cluster::image();
    for (words, said) in [
        (["--namespace", "second-mesh"], "has a mesh in the namespace `meshctl-system` already"),
        (["--trust-domain", "other.example"], "has the trust domain `cluster.local`"),
    ] {
        let words = [&["install", "--image", &image], &PLATFORM[..], &words].concat();
        let refused = cluster.meshctl(&words);
        assert_eq!(refused.code, Some(1), "{refused}");
        assert!(refused.stderr.contains(said), "{refused}");
    }

    let words = [&["install", "--dry-run", "--image", &image], &PLATFORM[..]].concat();
    let manifests = cluster.meshctl(&words).ok();
    let diff = ["diff", "--server-side", "--field-manager", "meshctl", "--filename", "-"];
    cluster.kubectl_reading(&diff, &manifests).ok();

    let well = check(cluster, &["--wait"]);
    assert_eq!(well.code, Some(0), "{well}");
    for words in ["gets a sidecar", "every namespace has", "through the API server"] {
        assert!(line(&well, words).starts_with('✔'), "{well}");
    }

    let shop = cluster.labelled("misspelt", &["meshctl.dev/inject=enable"]);
    let found = check(cluster, &[]);
    assert_eq!(found.code, Some(3), "{found}");
    assert!(found.stdout.contains(&format!("`{}` has `enable`", shop.name)), "{found}");
    drop(shop);
    alone.uninstall(&[]).ok();
}
