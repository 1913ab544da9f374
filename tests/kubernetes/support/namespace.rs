//! A namespace for one test: what it holds is applied, waited for, called, and gone with it.

use super::cluster::filled;
use super::{Cluster, Run};

/// How long anything in a namespace may take that is waited for.
const DEADLINE: &str = "--timeout=90s";

/// A namespace that is deleted when this is dropped.
pub(crate) struct Namespace<'c> {
    cluster: &'c Cluster,
    pub(crate) name: String,
}

impl<'c> Namespace<'c> {
    #[track_caller]
    pub(super) fn make(cluster: &'c Cluster, name: &str, labels: &[&str]) -> Self {
        let name = format!("{name}-{:06x}", fastrand::u32(..1 << 24));
        cluster.kubectl(&["create", "namespace", &name]).ok();
        let made = Self { cluster, name };
        if !labels.is_empty() {
            made.label(labels);
        }
        // Pods are refused until the account that they run as is there.
        let account = ["wait", "--for=create", DEADLINE, "serviceaccount/default"];
        made.kubectl(&account).ok();
        made
    }

    /// Changes the namespace's own labels: `key=value`, or `key-` to take one away.
    #[track_caller]
    pub(crate) fn label(&self, labels: &[&str]) {
        let words = ["label", "--overwrite", "namespace", &self.name];
        self.cluster.kubectl(&[&words, labels].concat()).ok();
    }

    /// Runs `kubectl` in it.
    pub(crate) fn kubectl(&self, words: &[&str]) -> Run {
        self.cluster.kubectl(&self.inside(words))
    }

    fn inside<'w>(&'w self, words: &[&'w str]) -> Vec<&'w str> {
        [&["--namespace", self.name.as_str()], words].concat()
    }

    /// Applies manifests into it and says how that went.
    pub(crate) fn try_apply(&self, manifests: &str) -> Run {
        let words = self.inside(&["apply", "--filename", "-"]);
        self.cluster.kubectl_reading(&words, &filled(manifests))
    }

    /// Applies manifests into it; `IMAGE` and `APPLICATIONS` in them stand for the images.
    #[track_caller]
    pub(crate) fn apply(&self, manifests: &str) {
        self.try_apply(manifests).ok();
    }

    /// Waits until objects (`deployment/web`) meet a condition (`condition=Available`).
    #[track_caller]
    pub(crate) fn wait(&self, condition: &str, objects: &[&str]) {
        let condition = format!("--for={condition}");
        self.kubectl(&[&["wait", &condition, DEADLINE], objects].concat()).ok();
    }

    /// Waits until a rollout is through: every pod new and ready, no old one left.
    #[track_caller]
    pub(crate) fn rolled_out(&self, objects: &[&str]) {
        for object in objects {
            self.kubectl(&["rollout", "status", object, DEADLINE]).ok();
        }
    }

    /// Runs a command in a container; `target` is a pod or `deployment/NAME`.
    pub(crate) fn exec(&self, target: &str, command: &[&str]) -> Run {
        self.kubectl(&[&["exec", target, "--"], command].concat())
    }

    /// What a container wrote (`--container=NAME` and the like in `more`).
    pub(crate) fn logs(&self, target: &str, more: &[&str]) -> String {
        self.kubectl(&[&["logs", target], more].concat()).stdout
    }

    /// The pods that carry these labels and were not told to end.
    #[track_caller]
    pub(crate) fn pods(&self, selector: &str) -> Vec<serde_json::Value> {
        let list = self.kubectl(&["get", "pods", "--selector", selector, "--output=json"]).json();
        let pods = list["items"].as_array().cloned().unwrap_or_default();
        let stays = |pod: &serde_json::Value| pod["metadata"]["deletionTimestamp"].is_null();
        pods.into_iter().filter(stays).collect()
    }

    /// One of them.
    #[track_caller]
    pub(crate) fn pod(&self, selector: &str) -> serde_json::Value {
        self.pods(selector).into_iter().next().unwrap_or_else(|| panic!("no pod with {selector}"))
    }

    /// Waits until pods that were told to end are gone and so many are left.
    #[track_caller]
    pub(crate) fn only_running(&self, selector: &str, wanted: usize) {
        let list = self.kubectl(&["get", "pods", "--selector", selector, "--output=json"]).json();
        let pods = list["items"].as_array().cloned().unwrap_or_default();
        for pod in pods.iter().filter(|pod| !pod["metadata"]["deletionTimestamp"].is_null()) {
            let name = pod["metadata"]["name"].as_str().unwrap_or_default();
            self.wait("delete", &[&format!("pod/{name}")]);
        }
        assert_eq!(self.pods(selector).len(), wanted);
    }

    /// What failed tests show: pods, events, and what the containers wrote last.
    fn describe(&self) -> String {
        let mut shown = format!("namespace {}\n", self.name);
        for words in [
            &["get", "pods,services,endpointslices", "--output=wide"][..],
            &["get", "events", "--sort-by=.lastTimestamp"],
        ] {
            shown += &self.kubectl(words).stdout;
        }
        let pods = self.kubectl(&["get", "pods", "--output=name"]).stdout;
        for pod in pods.lines() {
            shown += &format!("--- {pod}\n");
            shown += &self.logs(pod, &["--all-containers", "--prefix", "--tail=15"]);
        }
        shown
    }
}

impl Drop for Namespace<'_> {
    #[expect(clippy::print_stderr, reason = "a failed test shows the state that it failed in")]
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("{}", self.describe());
        }
        self.cluster.kubectl(&["delete", "namespace", &self.name, "--wait=false"]);
    }
}
