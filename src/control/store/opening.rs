//! Opening the SQLite store: read and checked as it is, replaced by the kept generation where it is
//! damaged, then brought to the tables of this version.
//!
//! Nothing is written before all of it was read. A store of a newer version, of another trust
//! domain or of another user is refused, untouched.

use std::path::Path;

use rusqlite::{Connection, OpenFlags};

use super::kept::{self, KeepError};
use super::schema::{self, LoadError, SCHEMA_VERSION};
use super::{Contents, Recovered, StoreError, mark, migration, private};
use crate::names::TrustDomain;

/// Opens or creates the store, falling back to the kept generation, and starts its thread.
pub(super) fn open(path: &Path, trust_domain: &TrustDomain) -> Result<Loaded, StoreError> {
    private::check(path)?;
    let there = path.exists();
    if !there && !kept::path(path).exists() {
        create(path, trust_domain)?;
    }
    private::mend(path).map_err(|error| failed(path, &error))?;
    let marked = mark::read(path);
    let loaded = load(path, trust_domain).and_then(|loaded| complete(loaded, marked));
    let mut loaded = match loaded {
        Ok(loaded) => loaded,
        Err(Trouble::Refused(error)) => return Err(error),
        Err(Trouble::Damaged(reason)) => recover(path, trust_domain, reason)?,
    };
    if loaded.version < SCHEMA_VERSION {
        migration::migrate(&mut loaded.connection, path, loaded.version)
            .map_err(|error| keep_failed(path, &error))?;
    }
    if !kept::path(path).exists() {
        kept::keep(&loaded.connection, path).map_err(|error| keep_failed(path, &error))?;
    }
    acknowledge(path, loaded.contents.revision);
    Ok(loaded)
}

/// Copies the store at `path` to `target`, which is whole and durable then; what is written to the
/// store meanwhile is in the copy or not.
pub(super) fn copy(
    path: &Path,
    trust_domain: &TrustDomain,
    target: &Path,
) -> Result<(Contents, i64), StoreError> {
    private::check(path)?;
    let found = version(path)?;
    if found > SCHEMA_VERSION {
        return Err(StoreError::Newer { path: path.to_owned(), found, known: SCHEMA_VERSION });
    }
    // Read before: what is acknowledged meanwhile may be in the copy or not.
    let marked = mark::read(path);
    let broken = |error: rusqlite::Error| match LoadError::from(error) {
        LoadError::Damaged(reason) => damaged(path, reason),
        LoadError::Sqlite(error) => sqlite_failed(path, &error),
    };
    let connection = connect(path).map_err(broken)?;
    kept::copy(&connection, target).map_err(|error| match error {
        KeepError::Sqlite(error) => broken(error),
        KeepError::Io(error) => failed(target, &error),
    })?;
    match load(target, trust_domain).and_then(|loaded| complete(loaded, marked)) {
        Ok(loaded) => Ok((loaded.contents, loaded.version)),
        Err(trouble) => {
            // It tells no more than the store itself; where it stays, the next one replaces it.
            let _ = std::fs::remove_file(target);
            Err(match trouble {
                Trouble::Refused(error) => error,
                Trouble::Damaged(reason) => damaged(path, reason),
            })
        }
    }
}

/// Loads the store at `path`, changes nothing, and says what is in it and of which version it is.
pub(super) fn verify(
    path: &Path,
    trust_domain: &TrustDomain,
) -> Result<(Contents, i64), StoreError> {
    match load(path, trust_domain) {
        Ok(loaded) => Ok((loaded.contents, loaded.version)),
        Err(Trouble::Refused(error)) => Err(error),
        Err(Trouble::Damaged(reason)) => Err(damaged(path, reason)),
    }
}

/// The version of the tables of the store at `path`.
pub(super) fn version(path: &Path) -> Result<i64, StoreError> {
    let found = Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_ONLY)
        .map_err(LoadError::from)
        .and_then(|probe| schema::version(&probe));
    found.map_err(|error| match error {
        LoadError::Damaged(reason) => damaged(path, reason),
        LoadError::Sqlite(error) => sqlite_failed(path, &error),
    })
}

fn damaged(path: &Path, reason: String) -> StoreError {
    StoreError::Damaged { path: path.to_owned(), reason, kept: "it was not looked for".to_owned() }
}

/// Writes the mark. Where that fails the store is as good as it was, and only less is known of it.
pub(super) fn acknowledge(path: &Path, revision: u64) {
    if mark::read(path) == Some(revision) {
        return;
    }
    if let Err(error) = mark::write(path, revision) {
        let path = mark::path(path);
        tracing::warn!(path = %path.display(), %error, "cannot note the last revision");
    }
}

/// A store that was read.
#[derive(Debug)]
pub(super) struct Loaded {
    pub(super) connection: Connection,
    pub(super) contents: Contents,
    /// The version of its tables.
    pub(super) version: i64,
    pub(super) recovered: Option<Recovered>,
}

/// Why a store was not loaded.
enum Trouble {
    Damaged(String),
    Refused(StoreError),
}

/// Whether it has all that was ever acknowledged, as the mark says.
fn complete(loaded: Loaded, marked: Option<u64>) -> Result<Loaded, Trouble> {
    let found = loaded.contents.revision;
    match marked {
        Some(last) if last > found => Err(Trouble::Damaged(format!(
            "revision {last} was acknowledged, and it ends with {found}"
        ))),
        _ => Ok(loaded),
    }
}

/// Made beside and renamed into place: an empty or half made store is never one of ours.
fn create(path: &Path, trust_domain: &TrustDomain) -> Result<(), StoreError> {
    let fresh = path.with_extension("new.db");
    match std::fs::remove_file(&fresh) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            return Err(failed(path, &error));
        }
        _ => {}
    }
    private::create(&fresh).map_err(|error| failed(path, &error))?;
    let mut connection = Connection::open(&fresh).map_err(|error| sqlite_failed(path, &error))?;
    schema::create(&mut connection, trust_domain.as_str())
        .map_err(|error| sqlite_failed(path, &error))?;
    connection.close().map_err(|(_, error)| sqlite_failed(path, &error))?;
    std::fs::File::open(&fresh)
        .and_then(|file| file.sync_all())
        .and_then(|()| std::fs::rename(&fresh, path))
        .and_then(|()| kept::sync_dir(path))
        .map_err(|error| failed(path, &error))
}

fn load(path: &Path, trust_domain: &TrustDomain) -> Result<Loaded, Trouble> {
    match std::fs::metadata(path) {
        Ok(meta) if meta.len() == 0 => return Err(Trouble::Damaged("it is empty".to_owned())),
        Ok(_) => {}
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            return Err(Trouble::Damaged("it is gone".to_owned()));
        }
        Err(error) => return Err(Trouble::Refused(failed(path, &error))),
    }
    let trouble = |error: LoadError| match error {
        LoadError::Damaged(reason) => Trouble::Damaged(reason),
        LoadError::Sqlite(error) => Trouble::Refused(sqlite_failed(path, &error)),
    };
    let sqlite = |error: rusqlite::Error| trouble(LoadError::from(error));
    // Looked at read-only first: a store of a newer version must be left untouched.
    let probe =
        Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_ONLY).map_err(sqlite)?;
    let version = schema::version(&probe).map_err(trouble)?;
    if version > SCHEMA_VERSION {
        let (path, found) = (path.to_owned(), version);
        let newer = StoreError::Newer { path, found, known: SCHEMA_VERSION };
        return Err(Trouble::Refused(newer));
    }
    drop(probe);
    let connection = connect(path).map_err(sqlite)?;
    // Its header can say that this version is not to write it.
    if connection.is_readonly("main").map_err(sqlite)? {
        return Err(Trouble::Damaged("it says that it must not be written".to_owned()));
    }
    match schema::meta(&connection, "trust_domain").map_err(sqlite)? {
        Some(found) if found == trust_domain.as_str() => {}
        Some(found) => {
            let (path, asked) = (path.to_owned(), trust_domain.clone());
            return Err(Trouble::Refused(StoreError::TrustDomain { path, found, asked }));
        }
        None => return Err(Trouble::Damaged("`meta` is incomplete".to_owned())),
    }
    let contents = schema::load(&connection).map_err(trouble)?;
    Ok(Loaded { connection, contents, version, recovered: None })
}

fn connect(path: &Path) -> rusqlite::Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags)?;
    connection.pragma_update(None, "journal_mode", "WAL")?;
    connection.pragma_update(None, "synchronous", "FULL")?;
    connection.busy_timeout(std::time::Duration::from_secs(5))?;
    Ok(connection)
}

fn recover(path: &Path, trust_domain: &TrustDomain, reason: String) -> Result<Loaded, StoreError> {
    let hopeless = |reason: String, kept: String| {
        let path = path.to_owned();
        StoreError::Damaged { path, reason, kept }
    };
    let kept = kept::path(path);
    if !kept.exists() {
        return Err(hopeless(reason, format!("`{}` is not there", kept.display())));
    }
    // Tried where it lies, before the damaged one is moved.
    match load(&kept, trust_domain) {
        Ok(loaded) => drop(loaded),
        Err(Trouble::Refused(error)) => return Err(error),
        Err(Trouble::Damaged(why)) => {
            return Err(hopeless(reason, format!("`{}` is damaged too: {why}", kept.display())));
        }
    }
    let damaged = kept::restore(path).map_err(|error| failed(path, &error))?;
    match load(path, trust_domain) {
        Ok(loaded) => {
            let revision = loaded.contents.revision;
            let recovered = Some(Recovered { revision, reason, damaged });
            Ok(Loaded { recovered, ..loaded })
        }
        Err(Trouble::Refused(error)) => Err(error),
        Err(Trouble::Damaged(why)) => Err(hopeless(reason, why)),
    }
}

pub(super) fn sqlite_failed(path: &Path, error: &rusqlite::Error) -> StoreError {
    match error.sqlite_error_code() {
        Some(rusqlite::ErrorCode::DiskFull) => StoreError::NoSpace(path.to_owned()),
        _ => StoreError::Failed { path: path.to_owned(), reason: error.to_string() },
    }
}

pub(super) fn failed(path: &Path, error: &std::io::Error) -> StoreError {
    match error.kind() {
        std::io::ErrorKind::StorageFull | std::io::ErrorKind::QuotaExceeded => {
            StoreError::NoSpace(path.to_owned())
        }
        _ => StoreError::Failed { path: path.to_owned(), reason: error.to_string() },
    }
}

pub(super) fn keep_failed(path: &Path, error: &KeepError) -> StoreError {
    match error {
        KeepError::Sqlite(error) => sqlite_failed(path, error),
        KeepError::Io(error) => failed(path, error),
    }
}
