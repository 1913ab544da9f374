//! The kept generation: a whole copy of the store as it was before the last batch, beside it.
//!
//! Made with `VACUUM INTO` (consistent whatever the journal holds), synced, then renamed into
//! place, so that there is always one good copy. Used only when the store itself is damaged; the
//! damaged files are put aside, never deleted.

use std::fs::File;
use std::path::{Path, PathBuf};

use rusqlite::Connection;

/// `store.db` → `store.prev.db`.
pub(super) fn path(store: &Path) -> PathBuf {
    store.with_extension("prev.db")
}

/// Copies the store as it is now to the kept generation.
pub(super) fn keep(connection: &Connection, store: &Path) -> Result<(), KeepError> {
    copy(connection, &path(store))
}

/// Copies the store as it is now to `target`, whole or not at all, durable when it returns.
pub(super) fn copy(connection: &Connection, target: &Path) -> Result<(), KeepError> {
    let fresh = with_suffix(target, ".new");
    match std::fs::remove_file(&fresh) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error.into()),
        _ => {}
    }
    let text = fresh.to_str().ok_or_else(|| {
        std::io::Error::new(std::io::ErrorKind::InvalidInput, "the path is not UTF-8")
    })?;
    // SQLite writes into an empty file that is there as it would into one of its own.
    super::private::create(&fresh)?;
    let copied = connection
        .execute("VACUUM INTO ?1", [text])
        .map_err(KeepError::from)
        .and_then(|_| Ok(File::open(&fresh)?.sync_all()?));
    if copied.is_err() {
        // Half a copy would take the space that is missing; if it stays, the next one removes it.
        let _ = std::fs::remove_file(&fresh);
    }
    copied?;
    std::fs::rename(&fresh, target)?;
    sync_dir(target)?;
    Ok(())
}

/// Why a copy could not be made.
#[derive(Debug)]
pub(super) enum KeepError {
    /// SQLite's word.
    Sqlite(rusqlite::Error),
    /// The file system's.
    Io(std::io::Error),
}

impl From<rusqlite::Error> for KeepError {
    fn from(error: rusqlite::Error) -> Self {
        Self::Sqlite(error)
    }
}

impl From<std::io::Error> for KeepError {
    fn from(error: std::io::Error) -> Self {
        Self::Io(error)
    }
}

/// Puts the damaged store aside and the kept generation in its place; returns where the damaged
/// one went.
pub(super) fn restore(store: &Path) -> std::io::Result<PathBuf> {
    let kept = path(store);
    let fresh = store.with_extension("restored.db");
    std::fs::copy(&kept, &fresh)?;
    File::open(&fresh)?.sync_all()?;
    let damaged = store.with_extension("damaged.db");
    for suffix in ["", "-wal", "-shm"] {
        let (from, to) = (with_suffix(store, suffix), with_suffix(&damaged, suffix));
        match std::fs::rename(&from, &to) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
    }
    std::fs::rename(&fresh, store)?;
    sync_dir(store)?;
    Ok(damaged)
}

pub(super) fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut text = path.as_os_str().to_owned();
    text.push(suffix);
    text.into()
}

/// Makes renames beside `path` durable.
pub(super) fn sync_dir(path: &Path) -> std::io::Result<()> {
    match path.parent() {
        Some(dir) => File::open(dir)?.sync_all(),
        None => Ok(()),
    }
}
