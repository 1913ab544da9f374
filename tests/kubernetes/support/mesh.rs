//! The mesh of the cluster: installed once for all tests, taken away only by one that runs alone.
//!
//! Tests share it and run at once, each with namespaces of its own. The control plane is killed
//! under all of them, which nobody may notice. The Gateway API's definitions come after the
//! control plane, so every run proves that they are found without a restart.

use std::sync::{RwLock, RwLockReadGuard, RwLockWriteGuard};

use super::{Cluster, Namespace, Run};

/// Where the control plane lives.
pub(crate) const SYSTEM: &str = "meshctl-system";

/// Whether the mesh is installed; held for reading by those that share it.
static INSTALLED: RwLock<bool> = RwLock::new(false);

/// The cluster with the mesh in it.
pub(crate) struct Mesh {
    pub(crate) cluster: Cluster,
    _held: RwLockReadGuard<'static, bool>,
}

impl Mesh {
    /// The mesh that tests share.
    #[track_caller]
    pub(crate) fn shared() -> Self {
        let cluster = Cluster::reach();
        loop {
            let held = INSTALLED.read().unwrap_or_else(|poison| poison.into_inner());
            if *held {
                return Self { cluster, _held: held };
            }
            drop(held);
            let mut held = INSTALLED.write().unwrap_or_else(|poison| poison.into_inner());
            if !*held {
                install(&cluster).ok();
                routes(&cluster);
                *held = true;
            }
        }
    }

    /// A namespace whose pods are injected.
    #[track_caller]
    pub(crate) fn namespace(&self, name: &str) -> Namespace<'_> {
        let made = self.cluster.labelled(name, &["meshctl.dev/inject=enabled"]);
        // Sidecars mount it.
        made.wait("create", &["configmap/meshctl-root"]);
        made
    }

    /// Applies rules and waits until every proxy acknowledged them.
    #[track_caller]
    pub(crate) fn apply(&self, within: &Namespace<'_>, rules: &str) {
        let words = ["apply", "--namespace", &within.name, "--filename", "-", "--wait"];
        self.cluster.meshctl_reading(&words, &rules.replace("NAMESPACE", &within.name)).ok();
    }

    /// Runs `kubectl` in the control plane's namespace.
    pub(crate) fn system(&self, words: &[&str]) -> Run {
        self.cluster.kubectl(&[&["--namespace", SYSTEM], words].concat())
    }
}

/// A cluster that nobody else uses meanwhile, without the mesh at first.
pub(crate) struct Alone {
    pub(crate) cluster: Cluster,
    held: RwLockWriteGuard<'static, bool>,
}

impl Alone {
    #[track_caller]
    pub(crate) fn take() -> Self {
        let mut held = INSTALLED.write().unwrap_or_else(|poison| poison.into_inner());
        let cluster = Cluster::reach();
        if std::mem::replace(&mut *held, false) {
            cluster.meshctl(&["uninstall", "--yes", "--force", "--purge"]).ok();
        }
        Self { cluster, held }
    }

    /// Installs the mesh and says how that went.
    pub(crate) fn install(&mut self) -> Run {
        let run = install(&self.cluster);
        *self.held = run.worked();
        run
    }

    /// Takes it away and says how that went.
    pub(crate) fn uninstall(&mut self, words: &[&str]) -> Run {
        let words = [&["uninstall", "--yes"], words].concat();
        let run = self.cluster.meshctl(&words);
        *self.held = *self.held && !run.worked();
        run
    }
}

fn install(cluster: &Cluster) -> Run {
    cluster.meshctl(&["install", "--platform", "kubernetes", "--image", &Cluster::image()])
}

/// The Gateway API's kinds, which the mesh never brings itself.
fn routes(cluster: &Cluster) {
    if let Ok(directory) = std::env::var("MESHCTL_TEST_GATEWAY_API") {
        cluster.kubectl(&["apply", "--server-side", "--filename", &directory]).ok();
    }
}
