//! The tables of the SQLite store, and a load that believes nothing: every row carries a SHA-256,
//! and the sum of all rows is held against one kept in `meta`, so that a row that vanished is
//! noticed as well as one that changed.
//!
//! Adding a table or column is a new schema version; a store of a newer version is refused, one of
//! an older version is read as it is and then brought forward by `migration`.

use std::sync::Arc;

use aws_lc_rs::digest::{SHA256, digest};
use rusqlite::{Connection, OptionalExtension, Row, Transaction, params};

use super::{Contents, Objects, Stored, history, kind};
use crate::control::registration::Registration;
use crate::mesh::ObjectRef;
use crate::names::ProxyId;

/// The version of the tables below. Version 1 had no `changes`, and `revisions` without sums.
pub(super) const SCHEMA_VERSION: i64 = 2;

/// The tables that never changed.
const TABLES: &str = "
CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE objects (
    kind TEXT NOT NULL, namespace TEXT NOT NULL, name TEXT NOT NULL,
    document TEXT NOT NULL, generation INTEGER NOT NULL, created_ms INTEGER NOT NULL,
    revision INTEGER NOT NULL, sha256 BLOB NOT NULL,
    PRIMARY KEY (kind, namespace, name)) WITHOUT ROWID;
CREATE TABLE registrations (
    proxy TEXT PRIMARY KEY, document TEXT NOT NULL, sha256 BLOB NOT NULL) WITHOUT ROWID;
";

/// The tables of a store of each version, in alphabetical order.
const NAMES: [&[&str]; 2] = [
    &["meta", "objects", "registrations", "revisions"],
    &["changes", "meta", "objects", "registrations", "revisions"],
];

/// Why a store could not be loaded.
#[derive(Debug)]
pub(super) enum LoadError {
    /// What is in it is not what was written.
    Damaged(String),
    /// It was not damaged, but could not be read.
    Sqlite(rusqlite::Error),
}

impl From<rusqlite::Error> for LoadError {
    fn from(error: rusqlite::Error) -> Self {
        use rusqlite::ErrorCode::{DatabaseCorrupt, NotADatabase};
        match (&error, error.sqlite_error_code()) {
            (_, Some(DatabaseCorrupt | NotADatabase)) => Self::Damaged(error.to_string()),
            // A column of another type or a missing table is damage too: we wrote neither.
            (rusqlite::Error::SqliteFailure(_, Some(text)), _) if text.contains("no such") => {
                Self::Damaged(text.clone())
            }
            (rusqlite::Error::SqliteFailure(..), _) => Self::Sqlite(error),
            _ => Self::Damaged(error.to_string()),
        }
    }
}

/// A SHA-256.
pub(super) type Sum = [u8; 32];

/// The SHA-256 of fields, each with its length, so that no two lists of fields are alike.
pub(super) fn sum(fields: &[&[u8]]) -> Sum {
    let mut bytes = Vec::with_capacity(fields.iter().map(|field| field.len() + 8).sum());
    for field in fields {
        bytes.extend_from_slice(&(field.len() as u64).to_be_bytes());
        bytes.extend_from_slice(field);
    }
    let mut sum = Sum::default();
    sum.copy_from_slice(digest(&SHA256, &bytes).as_ref());
    sum
}

/// The checksum of an object's row.
pub(super) fn object_sum(object: &Stored, document: &str) -> Sum {
    let reference = &object.reference;
    sum(&[
        reference.kind.as_str().as_bytes(),
        reference.namespace.as_str().as_bytes(),
        reference.name.as_str().as_bytes(),
        document.as_bytes(),
        &object.generation.to_be_bytes(),
        &object.created_ms.to_be_bytes(),
        &object.revision.to_be_bytes(),
    ])
}

/// The checksum of the set of all objects: any that is missing, or too many, changes it.
fn whole_sum(objects: &Objects, revision: u64) -> String {
    let mut all = Vec::new();
    for object in objects.values() {
        all.extend_from_slice(&object_sum(object, &object.document.to_string()));
    }
    let sum = sum(&[&revision.to_be_bytes(), &all]);
    sum.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Creates the tables of an empty store.
pub(super) fn create(connection: &mut Connection, trust_domain: &str) -> rusqlite::Result<()> {
    let transaction = connection.transaction()?;
    transaction.execute_batch(TABLES)?;
    transaction.execute_batch(history::TABLES)?;
    set_version(&transaction)?;
    set_meta(&transaction, "trust_domain", trust_domain)?;
    save_revision(&transaction, &Objects::new(), 0)?;
    transaction.commit()
}

/// Says that the tables are those of [`SCHEMA_VERSION`].
pub(super) fn set_version(transaction: &Transaction<'_>) -> rusqlite::Result<()> {
    transaction.pragma_update(None, "user_version", SCHEMA_VERSION)?;
    set_meta(transaction, "schema_version", &SCHEMA_VERSION.to_string())
}

/// The version that the file's header says, which must be what `meta` says too: a bit that fell
/// over in either is damage, not another version.
pub(super) fn version(connection: &Connection) -> Result<i64, LoadError> {
    let header: i64 = connection.query_row("PRAGMA user_version", [], |row| row.get(0))?;
    let meta = meta(connection, "schema_version")?;
    match meta.and_then(|text| text.parse::<i64>().ok()) {
        Some(meta) if meta == header && header > 0 => Ok(header),
        _ => Err(LoadError::Damaged("its two versions differ".to_owned())),
    }
}

/// Reads one value of `meta`.
pub(super) fn meta(connection: &Connection, key: &str) -> rusqlite::Result<Option<String>> {
    let sql = "SELECT value FROM meta WHERE key = ?1";
    connection.query_row(sql, [key], |row| row.get(0)).optional()
}

fn set_meta(transaction: &Transaction<'_>, key: &str, value: &str) -> rusqlite::Result<()> {
    let sql = "INSERT OR REPLACE INTO meta (key, value) VALUES (?1, ?2)";
    transaction.execute(sql, [key, value]).map(|_| ())
}

/// Writes what says that `objects` are all there is at `revision`.
pub(super) fn save_revision(
    transaction: &Transaction<'_>,
    objects: &Objects,
    revision: u64,
) -> rusqlite::Result<()> {
    set_meta(transaction, "revision", &revision.to_string())?;
    set_meta(transaction, "objects", &whole_sum(objects, revision))
}

/// Writes or deletes one object.
pub(super) fn save_object(
    transaction: &Transaction<'_>,
    reference: &ObjectRef,
    object: Option<&Stored>,
) -> rusqlite::Result<()> {
    let (kind, namespace, name) =
        (reference.kind.as_str(), reference.namespace.as_str(), reference.name.as_str());
    let Some(object) = object else {
        let sql = "DELETE FROM objects WHERE kind = ?1 AND namespace = ?2 AND name = ?3";
        return transaction.execute(sql, [kind, namespace, name]).map(|_| ());
    };
    let document = object.document.to_string();
    let sum = object_sum(object, &document);
    let numbers = [object.generation, object.created_ms, object.revision].map(u64::cast_signed);
    let sql = "INSERT OR REPLACE INTO objects VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)";
    let [generation, created, revision] = numbers;
    transaction
        .execute(sql, params![kind, namespace, name, document, generation, created, revision, sum])
        .map(|_| ())
}

/// Writes or deletes one registration.
pub(super) fn save_registration(
    connection: &Connection,
    proxy: &ProxyId,
    registration: Option<&Registration>,
) -> rusqlite::Result<()> {
    let proxy = proxy.to_string();
    let Some(registration) = registration else {
        let sql = "DELETE FROM registrations WHERE proxy = ?1";
        return connection.execute(sql, [proxy]).map(|_| ());
    };
    let document = serde_json::to_string(registration).expect("a struct of strings and numbers");
    let sum = sum(&[proxy.as_bytes(), document.as_bytes()]);
    let sql = "INSERT OR REPLACE INTO registrations VALUES (?1, ?2, ?3)";
    connection.execute(sql, params![proxy, document, sum]).map(|_| ())
}

/// Reads everything and checks every row.
pub(super) fn load(connection: &Connection) -> Result<Contents, LoadError> {
    let verdict: String =
        connection.query_row("PRAGMA integrity_check(1)", [], |row| row.get(0))?;
    if verdict != "ok" {
        return Err(LoadError::Damaged(verdict));
    }
    check_tables(connection)?;
    let missing = || LoadError::Damaged("`meta` is incomplete".to_owned());
    let revision = meta(connection, "revision")?.and_then(|text| text.parse().ok());
    let mut contents = Contents { revision: revision.ok_or_else(missing)?, ..Contents::default() };
    let mut statement = connection.prepare("SELECT * FROM objects")?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        let object = object(row)?;
        contents.objects.insert(object.reference.clone(), Arc::new(object));
    }
    let whole = meta(connection, "objects")?.ok_or_else(missing)?;
    if whole != whole_sum(&contents.objects, contents.revision) {
        return Err(LoadError::Damaged("the objects are not those that were written".to_owned()));
    }
    let mut statement = connection.prepare("SELECT * FROM registrations")?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        // A registration that cannot be read is no loss: its proxy registers again.
        match registration(row)? {
            Some((proxy, registration)) => drop(contents.registrations.insert(proxy, registration)),
            None => tracing::warn!("a damaged registration was left out"),
        }
    }
    Ok(contents)
}

/// Whether there are the tables of its version, and nothing else.
fn check_tables(connection: &Connection) -> Result<(), LoadError> {
    let index = usize::try_from(version(connection)? - 1).ok();
    let wanted = index.and_then(|index| NAMES.get(index)).copied().unwrap_or_default();
    let sql = "SELECT name FROM sqlite_schema WHERE type = 'table' ORDER BY name";
    let mut statement = connection.prepare(sql)?;
    let found: Vec<String> =
        statement.query_map([], |row| row.get(0))?.collect::<Result<_, _>>()?;
    match found == wanted {
        true => Ok(()),
        false => Err(LoadError::Damaged(format!("it has the tables {}", found.join(", ")))),
    }
}

fn object(row: &Row<'_>) -> Result<Stored, LoadError> {
    let text = |index| row.get::<_, String>(index);
    let number = |index| row.get::<_, i64>(index).map(i64::cast_unsigned);
    let (kind_text, namespace, name) = (text(0)?, text(1)?, text(2)?);
    let place = format!("the row of {kind_text}/{namespace}/{name}");
    let damaged = |why: &str| LoadError::Damaged(format!("{place} {why}"));
    let reference = ObjectRef {
        kind: kind(&kind_text).ok_or_else(|| damaged("has an unknown kind"))?,
        namespace: namespace.parse().map_err(|_| damaged("has no valid namespace"))?,
        name: name.parse().map_err(|_| damaged("has no valid name"))?,
    };
    let document = text(3)?;
    let object = Stored {
        reference,
        document: serde_json::from_str(&document).map_err(|_| damaged("is not JSON"))?,
        generation: number(4)?,
        created_ms: number(5)?,
        revision: number(6)?,
    };
    match row.get::<_, Sum>(7)? == object_sum(&object, &document) {
        true => Ok(object),
        false => Err(damaged("does not match its checksum")),
    }
}

fn registration(row: &Row<'_>) -> Result<Option<(ProxyId, Registration)>, LoadError> {
    let (proxy, document) = (row.get::<_, String>(0)?, row.get::<_, String>(1)?);
    if row.get::<_, Sum>(2)? != sum(&[proxy.as_bytes(), document.as_bytes()]) {
        return Ok(None);
    }
    Ok(proxy.parse().ok().zip(serde_json::from_str(&document).ok()))
}
