//! What `install` has made, as a file in the home directory, so that later commands find it without
//! flags and never guess.

use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::exit::Failure;
use crate::names::Namespace;
use crate::net::file::write_atomic;

/// The file's name.
const FILE: &str = "installation.json";

/// What was installed, where.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "platform", rename_all = "lowercase")]
pub(crate) enum Installation {
    /// On this machine.
    Local,
    /// On a cluster.
    Kubernetes {
        /// The context of the kubeconfig.
        context: String,
        /// The kubeconfig where it was named; absolute.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        kubeconfig: Option<PathBuf>,
        /// The namespace of the control plane.
        namespace: Namespace,
    },
}

impl Installation {
    /// What was recorded in `home`; `None` where nothing was.
    pub(crate) fn read(home: &Path) -> Result<Option<Self>, Failure> {
        let path = home.join(FILE);
        let text = match std::fs::read(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(error) => {
                return Err(
                    Failure::from(error).context(format!("cannot read `{}`", path.display()))
                );
            }
        };
        serde_json::from_slice(&text).map(Some).map_err(|error| {
            Failure::from(error)
                .context(format!("`{}` is not what `meshctl install` writes", path.display()))
                .help("delete it, then run `meshctl install` again, which changes nothing else")
        })
    }

    /// Records it in `home`, which is made where it is not there.
    pub(crate) fn write(&self, home: &Path) -> Result<(), Failure> {
        let failed = |error: std::io::Error| {
            Failure::from(error).context(format!("cannot record this in `{}`", home.display()))
        };
        std::fs::DirBuilder::new().recursive(true).mode(0o700).create(home).map_err(failed)?;
        let text = super::output::json(self)?;
        write_atomic(&home.join(FILE), text.as_bytes(), 0o600).map_err(failed)
    }

    /// Forgets it.
    pub(crate) fn remove(home: &Path) -> Result<(), Failure> {
        match std::fs::remove_file(home.join(FILE)) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error.into()),
            _ => Ok(()),
        }
    }
}
