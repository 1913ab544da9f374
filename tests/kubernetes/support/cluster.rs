//! The cluster that the tests were given: `kubectl` and `meshctl` against it.

use std::process::Command;

use tempfile::TempDir;

use super::{Namespace, Run};

/// A cluster, and a home of its own for every `meshctl` that a test runs against it.
pub(crate) struct Cluster {
    home: TempDir,
    context: String,
}

impl Cluster {
    /// The cluster that `KUBECONFIG` names. Never the one that somebody happens to work with.
    #[track_caller]
    pub(crate) fn reach() -> Self {
        assert!(std::env::var_os("KUBECONFIG").is_some(), "no KUBECONFIG; see .ci/kubernetes");
        let mut current = Command::new("kubectl");
        current.args(["config", "current-context"]);
        let context = Run::of(current, "").ok().trim().to_owned();
        Self { home: tempfile::tempdir().expect("a directory"), context }
    }

    /// The image of `meshctl` that the cluster has or can pull.
    pub(crate) fn image() -> String {
        std::env::var("MESHCTL_TEST_IMAGE").unwrap_or_else(|_| "localhost/meshctl:test".to_owned())
    }

    /// The image of foreign programs that `tests/kubernetes/testbed/applications` makes.
    pub(crate) fn applications() -> String {
        std::env::var("MESHCTL_TEST_APPLICATIONS")
            .unwrap_or_else(|_| "localhost/applications:1".to_owned())
    }

    /// Runs `kubectl`.
    pub(crate) fn kubectl(&self, words: &[&str]) -> Run {
        self.kubectl_reading(words, "")
    }

    /// Runs `kubectl` with this on its standard input.
    pub(crate) fn kubectl_reading(&self, words: &[&str], input: &str) -> Run {
        let mut command = Command::new("kubectl");
        command.args(words).env("HOME", self.home.path());
        Run::of(command, input)
    }

    /// Runs `meshctl` as a user of this cluster would who did not install it: the context is named.
    pub(crate) fn meshctl(&self, words: &[&str]) -> Run {
        self.meshctl_reading(words, "")
    }

    /// Runs `meshctl` with this on its standard input.
    pub(crate) fn meshctl_reading(&self, words: &[&str], input: &str) -> Run {
        let mut command = Command::new(env!("CARGO_BIN_EXE_meshctl"));
        command.env_clear().args(words).args(["--context", &self.context]);
        for name in ["KUBECONFIG", "PATH"] {
            command.env(name, std::env::var_os(name).unwrap_or_default());
        }
        command.env("MESHCTL_HOME", self.home.path().join("meshctl"));
        command.env("HOME", self.home.path());
        Run::of(command, input)
    }

    /// A new namespace whose name begins with this, gone when it is dropped.
    #[track_caller]
    pub(crate) fn namespace(&self, name: &str) -> Namespace<'_> {
        self.labelled(name, &[])
    }

    /// A new namespace with these labels (`key=value`).
    #[track_caller]
    pub(crate) fn labelled(&self, name: &str, labels: &[&str]) -> Namespace<'_> {
        Namespace::make(self, name, labels)
    }
}

/// The manifests with the images of this run.
pub(super) fn filled(manifests: &str) -> String {
    manifests.replace("APPLICATIONS", &Cluster::applications()).replace("IMAGE", &Cluster::image())
}
