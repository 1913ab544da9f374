//! The guide's commands on a real cluster, typed as its reader would: every `sh` block, in one
//! shell, with the images of this run.

use std::fs;
use std::process::Command;

use super::support::{Alone, Cluster, Run};
use crate::guides;

/// The directory with the Gateway API's definitions, where this run brings them.
const DEFINITIONS: &str = "MESHCTL_TEST_GATEWAY_API";

const PAGE: &str = include_str!("../../docs/guides/kubernetes.md");

/// What the page's commands must have said, in this order.
const SAYS: [&str; 11] = [
    "you may install a mesh",
    "a pod that is made on trial gets a sidecar",
    "every pod that should have a sidecar has one",
    "httproute/hello created",
    "hello from v2",
    "shop/hello-v1",
    "meshconfig/default created",
    "in plaintext: outside/visitor to shop/hello-v1",
    "meshconfig/default configured",
    "refused under strict",
    "nothing changed",
];

/// The page's commands for this cluster. The definitions of the Gateway API come from a file, for
/// the cluster has no way out; foreign images are the one that the tests made.
fn script() -> String {
    let mut script = guides::commands(PAGE);
    let mut put = |there: &str, here: &str| {
        assert!(script.contains(there), "the guide does not name {there}");
        script = script.replace(there, here);
    };
    put("registry.example.org/meshctl:0.1.0", &Cluster::image());
    put("docker.io/library/python:3-alpine", &Cluster::applications());
    put("docker.io/curlimages/curl", &Cluster::applications());
    if let Ok(directory) = std::env::var(DEFINITIONS) {
        let url = PAGE.split_whitespace().find(|word| word.ends_with("/standard-install.yaml"));
        put(url.expect("the guide brings them"), &directory);
    }
    format!("set -euo pipefail\n{script}")
}

/// Takes away what the page made, however far it came.
struct Swept<'a>(&'a mut Alone);

impl Drop for Swept<'_> {
    fn drop(&mut self) {
        self.0.cluster.kubectl(&["delete", "namespace", "shop", "outside", "--ignore-not-found"]);
        self.0.cluster.meshctl(&["uninstall", "--yes", "--force", "--purge"]);
        // Whoever comes next proves again that the definitions are found when they come.
        if let Ok(directory) = std::env::var(DEFINITIONS) {
            self.0.cluster.kubectl(&["delete", "--filename", &directory]);
        }
    }
}

#[test]
#[ignore = "needs a cluster: .ci/kubernetes makes one"]
fn a_cluster_comes_into_the_mesh_and_out_again_as_its_guide_says() {
    let mut alone = Alone::take();
    let swept = Swept(&mut alone);
    let directory = tempfile::tempdir().expect("a directory");
    let bin = directory.path().join("bin");
    let work = directory.path().join("work");
    fs::create_dir(&bin).and_then(|()| fs::create_dir(&work)).expect("it is ours");
    let mut page = Command::new("timeout");
    page.args(["--kill-after=10", "400", "bash", "-c", &format!("exec 2>&1\n{}", script())])
        .current_dir(&work)
        .env("PATH", guides::path_with_meshctl(&bin))
        .env("HOME", &work)
        .env_remove("MESHCTL_HOME")
        .env_remove("XDG_STATE_HOME");
    let run = Run::of(page, "");
    assert!(run.worked(), "{run}");
    let mut rest = run.stdout.as_str();
    for text in SAYS {
        let at = rest.find(text).unwrap_or_else(|| panic!("no `{text}` in its place in {run}"));
        rest = &rest[at + text.len()..];
    }
    assert!(!swept.0.cluster.kubectl(&["get", "mutatingwebhookconfiguration", "meshctl"]).worked());
}
