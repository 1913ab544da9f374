//! A backup on its way into place: steps of renames that may be cut off anywhere and are finished.
//!
//! All of it lies checked and synced in one directory, which a rename gives the name [`STAGED`]: from
//! then on it holds. Each file of it is put into place after what it replaces was put aside, so a
//! file that is still staged is one whose turn is not over. Never is a new store in place together
//! with the journal of the old one.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use super::{ADDRESS, KEY, ROOT, STORE};
use crate::control::home::Home;

/// The directory of a backup that is to be put into place.
const STAGED: &str = "restored";

/// Where what was replaced last lies.
const ASIDE: &str = "before-restore";

/// What belongs to a store beside the file itself.
pub(super) const OF_STORE: [&str; 5] =
    ["store.db-wal", "store.db-shm", "store.prev.db", "store.mark", STORE];

/// Decides that what lies in `dir` is to be put into place.
pub(super) fn commit(home: &Home, dir: tempfile::TempDir) -> io::Result<()> {
    remove(&home.dir().join(ASIDE))?;
    // SQLite, which looked at the store, has left nothing behind that the store needs.
    for name in OF_STORE.iter().filter(|name| **name != STORE) {
        remove(&dir.path().join(name))?;
    }
    std::fs::rename(dir.path(), home.dir().join(STAGED))?;
    // It has another name now, so that nothing is removed here.
    drop(dir.keep());
    sync(home.dir())
}

/// Puts into place what is staged in `home`, where something is; returns where what it replaced
/// lies.
pub(in crate::control) fn finish(home: &Home) -> io::Result<Option<PathBuf>> {
    let (staged, aside) = (home.dir().join(STAGED), home.dir().join(ASIDE));
    if !staged.exists() {
        return Ok(None);
    }
    for name in [KEY, ROOT, ADDRESS, STORE] {
        if !staged.join(name).exists() {
            continue;
        }
        let replaced: &[&str] = if name == STORE { &OF_STORE } else { &[name] };
        for old in replaced {
            put(&home.dir().join(old), &aside.join(old))?;
        }
        put(&staged.join(name), &home.dir().join(name))?;
    }
    remove(&staged)?;
    sync(home.dir())?;
    Ok(aside.exists().then_some(aside))
}

/// Moves a file, if it is there, and makes that durable.
fn put(from: &Path, to: &Path) -> io::Result<()> {
    if std::fs::symlink_metadata(from).is_err() {
        return Ok(());
    }
    let [old, new] = [from, to].map(|path| path.parent().unwrap_or(Path::new(".")));
    private_dir(new)?;
    std::fs::rename(from, to)?;
    sync(new)?;
    sync(old)
}

fn private_dir(dir: &Path) -> io::Result<()> {
    use std::os::unix::fs::DirBuilderExt as _;
    std::fs::DirBuilder::new().recursive(true).mode(0o700).create(dir)
}

/// Removes a file or directory, if it is there.
fn remove(path: &Path) -> io::Result<()> {
    let done = match path.is_dir() {
        true => std::fs::remove_dir_all(path),
        false => std::fs::remove_file(path),
    };
    match done {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

fn sync(dir: &Path) -> io::Result<()> {
    File::open(dir)?.sync_all()
}
