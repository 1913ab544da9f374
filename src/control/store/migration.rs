//! From the tables of an earlier version to those of this one.
//!
//! The store was loaded and found whole before; it is copied beside itself (`store.v1.db`), so that
//! the earlier version can be gone back to, and then changed in one transaction. There is no way
//! back but that copy: an earlier version refuses the store and leaves it untouched.

use std::path::{Path, PathBuf};

use rusqlite::{Connection, TransactionBehavior};

use super::history;
use super::kept::{self, KeepError};
use super::schema::{self, SCHEMA_VERSION};

/// `store.db` → `store.v1.db`: the copy from before.
pub(super) fn copy_path(store: &Path, version: i64) -> PathBuf {
    store.with_extension(format!("v{version}.db"))
}

/// Brings the store at `path` from `version` to [`SCHEMA_VERSION`].
pub(super) fn migrate(
    connection: &mut Connection,
    path: &Path,
    version: i64,
) -> Result<(), KeepError> {
    let copy = copy_path(path, version);
    kept::copy(connection, &copy)?;
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    if version < 2 {
        history::from_lines(&transaction)?;
    }
    schema::set_version(&transaction)?;
    transaction.commit()?;
    tracing::info!(
        from = version, to = SCHEMA_VERSION, copy = %copy.display(),
        "the store was brought to the tables of this version"
    );
    Ok(())
}
