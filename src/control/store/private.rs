//! The store's files are its owner's alone (0600), whatever the umask and SQLite's own defaults.
//!
//! SQLite gives the journal files beside a database the mode of the database, so it is enough that
//! each database is private when it is made; those that an earlier version made are mended. A file
//! of somebody else, or a link to one, is refused.

use std::fs::{OpenOptions, Permissions};
use std::io;
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::Path;

use super::StoreError;

const MODE: u32 = 0o600;

/// Makes an empty file for a database that is about to be written there.
///
/// # Errors
/// That of the file system, also where something is there already.
pub(super) fn create(path: &Path) -> io::Result<()> {
    OpenOptions::new().write(true).create_new(true).mode(MODE).open(path).map(drop)
}

/// Refuses files of `store` that are links or belong to somebody else, where they are there.
///
/// # Errors
/// [`StoreError::Link`], [`StoreError::Owner`], or that of the file system.
pub(super) fn check(store: &Path) -> Result<(), StoreError> {
    let user = rustix::process::geteuid().as_raw();
    for path in [store, &super::kept::path(store), &super::mark::path(store)] {
        let meta = match std::fs::symlink_metadata(path) {
            Ok(meta) => meta,
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            Err(error) => return Err(super::opening::failed(path, &error)),
        };
        let path = path.to_owned();
        match meta.uid() {
            _ if meta.is_symlink() => return Err(StoreError::Link(path)),
            owner if owner != user => return Err(StoreError::Owner { path, owner, user }),
            _ => {}
        }
    }
    Ok(())
}

/// Takes away what others may do with the files of `store`, where they are there.
///
/// # Errors
/// That of the file system.
pub(super) fn mend(store: &Path) -> io::Result<()> {
    let kept = super::kept::path(store);
    let journals = ["-wal", "-shm"].map(|suffix| super::kept::with_suffix(store, suffix));
    for path in [store, &kept].into_iter().chain(journals.iter().map(AsRef::as_ref)) {
        match std::fs::set_permissions(path, Permissions::from_mode(MODE)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
    }
    Ok(())
}
