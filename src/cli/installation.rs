//! What `install` made, recorded in the home directory. Commands without flags go by it and never
//! guess; without a record the mesh is the local one of that directory.

use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::exit::Failure;
use super::install::Platform;
use crate::names::{Namespace, ROOT_NAMESPACE};
use crate::net::file::write_atomic;

#[cfg(test)]
mod tests;

/// The record in the home directory.
const FILE: &str = "installation.json";

/// What is recorded.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "platform", rename_all = "camelCase")]
pub(crate) enum Installation {
    /// A control plane of this machine, in this directory.
    Local,
    /// One on a cluster.
    Kubernetes(Target),
}

/// A mesh on a cluster.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Target {
    /// The kubeconfig that was named, absolute; `None`: as `kubectl` finds it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) kubeconfig: Option<PathBuf>,
    /// The context; `None` (never recorded): the current one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) context: Option<String>,
    /// The namespace of the control plane.
    pub(crate) namespace: Namespace,
}

/// The flags that name a cluster.
#[derive(Debug, Clone, Default, clap::Args)]
pub(crate) struct ClusterArgs {
    /// Context of the kubeconfig: the mesh on that cluster [default: what `install` recorded].
    #[arg(long, global = true, value_name = "NAME", help_heading = "Global options")]
    pub(crate) context: Option<String>,
    /// The kubeconfig [default: `KUBECONFIG`, else `~/.kube/config`].
    #[arg(
        long,
        global = true,
        value_name = "FILE",
        value_hint = clap::ValueHint::FilePath,
        help_heading = "Global options"
    )]
    pub(crate) kubeconfig: Option<PathBuf>,
}

impl Target {
    /// The flags that name its cluster, a space before each, as `kubectl` takes them too; empty
    /// where it is the current context of the usual kubeconfig.
    pub(crate) fn flags(&self) -> String {
        let mut words = String::new();
        if let Some(kubeconfig) = &self.kubeconfig {
            words += &format!(" --kubeconfig {}", kubeconfig.display());
        }
        if let Some(context) = &self.context {
            words += &format!(" --context {context}");
        }
        words
    }

    /// What one types to do `verb` (`install`, `upgrade`, `uninstall`) to this very mesh.
    pub(crate) fn command(&self, verb: &str) -> String {
        let mut words = match self.flags() {
            none if none.is_empty() => format!("meshctl {verb} --platform kubernetes"),
            flags => format!("meshctl {verb}{flags}"),
        };
        if self.namespace != usual() {
            words += &format!(" --namespace {}", self.namespace);
        }
        words
    }
}

impl Installation {
    /// What is recorded in `home`; `None` where nothing is.
    ///
    /// # Errors
    /// That there is a record which cannot be read.
    pub(crate) fn read(home: &Path) -> Result<Option<Self>, Failure> {
        let path = home.join(FILE);
        let failed = |error: anyhow::Error| {
            Failure::from(error)
                .context(format!("cannot read what was installed from `{}`", path.display()))
                .help("name the mesh with `--context`, or run `meshctl install` again")
        };
        match std::fs::read(&path) {
            Ok(text) => {
                serde_json::from_slice(&text).map(Some).map_err(|error| failed(error.into()))
            }
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(failed(error.into())),
        }
    }

    /// Records it in `home`, which is made where it is not there.
    ///
    /// # Errors
    /// The file cannot be written.
    pub(crate) fn record(&self, home: &Path) -> Result<(), Failure> {
        let path = home.join(FILE);
        let write = || {
            std::fs::DirBuilder::new().recursive(true).mode(0o700).create(home)?;
            write_atomic(
                &path,
                format!("{}\n", serde_json::to_string_pretty(self)?).as_bytes(),
                0o600,
            )
        };
        write().map_err(|error| {
            Failure::from(error)
                .context(format!("cannot record what was installed in `{}`", path.display()))
        })
    }

    /// Forgets what is recorded in `home`; nothing there is fine.
    ///
    /// # Errors
    /// The file cannot be removed.
    pub(crate) fn forget(home: &Path) -> Result<(), Failure> {
        match std::fs::remove_file(home.join(FILE)) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error.into()),
            _ => Ok(()),
        }
    }

    /// The same on the platform that is named: of a cluster that is only called so, the current
    /// context.
    pub(crate) fn on(self, platform: Option<Platform>) -> Self {
        match (platform, self) {
            (Some(Platform::Local), _) => Self::Local,
            (Some(Platform::Kubernetes), Self::Local) => {
                Self::Kubernetes(Target { kubeconfig: None, context: None, namespace: usual() })
            }
            (_, meant) => meant,
        }
    }

    /// The mesh that is meant: the flags before the record, the record before the local one.
    pub(crate) fn meant(args: &ClusterArgs, recorded: Option<Self>) -> Self {
        let named = args.context.is_some() || args.kubeconfig.is_some();
        match (named, recorded) {
            (false, recorded) => recorded.unwrap_or(Self::Local),
            (true, recorded) => {
                let ClusterArgs { context, kubeconfig } = args.clone();
                // As it is recorded; a path that cannot be made absolute is no path of a record.
                let kubeconfig = kubeconfig.map(|path| std::path::absolute(&path).unwrap_or(path));
                // Elsewhere than recorded nobody knows of another namespace than the usual one.
                let namespace = match recorded {
                    Some(Self::Kubernetes(target))
                        if (context.is_none() || target.context == context)
                            && target.kubeconfig == kubeconfig =>
                    {
                        target.namespace
                    }
                    _ => usual(),
                };
                Self::Kubernetes(Target { kubeconfig, context, namespace })
            }
        }
    }
}

fn usual() -> Namespace {
    ROOT_NAMESPACE.parse().expect("the constant is a namespace's name")
}
