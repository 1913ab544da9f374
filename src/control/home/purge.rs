//! What goes when a mesh is purged: what it has put into its home directory, by name, and nothing
//! else. A home may have been laid over a directory that somebody uses.

use std::fs;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

use super::Home;
use crate::certs::ca::{CERTIFICATE_FILE, KEY_FILE};

/// Files and directories of a home directory that are a mesh's as a whole; with those of the store
/// and of the last upgrade, see [`is_own`]. The record of what was installed last is not among them:
/// where it is of a mesh on a cluster it stays.
const OWN: &[&str] = &[
    "control-plane.json",
    "control-plane.log",
    "control-plane.log.1",
    "supervisor.lock",
    "admin.sock",
    "join.sock",
    "address",
    "joins.json",
    "store.mark",
    "restored",
    "before-restore",
    "lock",
];

/// What every directory of a proxy has in it.
const PROXY_LOCK: &str = "lock";

impl Home {
    /// Whether a mesh, or a proxy of one, has ever lived here: by what nobody else calls so.
    pub fn is_lived_in(&self) -> bool {
        let key = self.ca().join(KEY_FILE);
        let record = self.dir.join("installation.json");
        [self.store(), self.log(), key, record].iter().any(|it| it.is_file())
            || !self.places().is_empty()
    }

    /// Deletes what a mesh has put here, then the directory, if it is empty; else the names of what
    /// is left in it.
    ///
    /// # Errors
    /// Something of it cannot be deleted.
    pub fn purge(&self) -> io::Result<Vec<String>> {
        for place in self.places() {
            remove(&place)?;
            place.parent().map_or(Ok(()), remove_empty)?;
        }
        for file in [CERTIFICATE_FILE, KEY_FILE] {
            remove(&self.ca().join(file))?;
        }
        for (name, path) in entries(&self.ca()) {
            if is_temporary(&name) {
                remove(&path)?;
            }
        }
        for directory in [self.ca(), self.proxies()] {
            remove_empty(&directory)?;
        }
        for (name, path) in entries(&self.dir) {
            if is_own(&name) {
                remove(&path)?;
            }
        }
        remove_empty(&self.dir)?;
        Ok(entries(&self.dir).into_iter().map(|(name, _)| name).collect())
    }

    /// The directories of proxies, `NAMESPACE/NAME`.
    fn places(&self) -> Vec<PathBuf> {
        let namespaces = entries(&self.proxies()).into_iter();
        let places = namespaces.flat_map(|(_, namespace)| entries(&namespace));
        places.map(|(_, place)| place).filter(|it| it.join(PROXY_LOCK).is_file()).collect()
    }
}

fn is_own(name: &str) -> bool {
    OWN.contains(&name)
        || (name.starts_with("store.") && name.contains(".db"))
        || name.starts_with("before-upgrade.")
        || is_temporary(name)
}

/// What a process that was killed has left half written.
fn is_temporary(name: &str) -> bool {
    (name.starts_with(".write-") && name.ends_with(".tmp"))
        || name.starts_with(".backup-")
        || name.starts_with(".restore-")
}

/// What is in a directory, by name; nothing where there is none. No link is followed.
fn entries(directory: &Path) -> Vec<(String, PathBuf)> {
    if !fs::symlink_metadata(directory).is_ok_and(|it| it.is_dir()) {
        return Vec::new();
    }
    let entries = fs::read_dir(directory).into_iter().flatten().flatten();
    let named = |it: fs::DirEntry| (it.file_name().to_string_lossy().into_owned(), it.path());
    let mut found: Vec<_> = entries.map(named).collect();
    found.sort();
    found
}

fn remove(path: &Path) -> io::Result<()> {
    let removed = match fs::symlink_metadata(path) {
        Ok(meta) if meta.is_dir() => fs::remove_dir_all(path),
        Ok(_) => fs::remove_file(path),
        Err(error) => Err(error),
    };
    removed.or_else(|error| if error.kind() == ErrorKind::NotFound { Ok(()) } else { Err(error) })
}

fn remove_empty(directory: &Path) -> io::Result<()> {
    const FINE: [ErrorKind; 3] =
        [ErrorKind::NotFound, ErrorKind::DirectoryNotEmpty, ErrorKind::NotADirectory];
    fs::remove_dir(directory)
        .or_else(|error| if FINE.contains(&error.kind()) { Ok(()) } else { Err(error) })
}
