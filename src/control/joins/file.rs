//! `joins.json`: a line with the SHA-256 of what follows, then JSON. Written whole, synced, private.
//!
//! A file that was changed by anything but us is refused: a token that was spent would be good again.

use std::path::{Path, PathBuf};

use aws_lc_rs::digest::{SHA256, digest};

use super::ledger::{Full, Ledger, NotRevoked};
use crate::net::file::{PrivateFileError, read_private, write_atomic};

/// The file is never longer: tokens are bounded, and so are names.
const MAX_BYTES: u64 = 64 << 20;

/// Why tokens could not be read or changed.
#[derive(Debug, thiserror::Error)]
pub enum JoinsError {
    /// The file cannot be read, or others could.
    #[error(transparent)]
    File(#[from] PrivateFileError),
    /// What is in it is not what was written.
    #[error(
        "`{}` is damaged; put a backup in its place, or remove it: tokens that were not used are lost then, and workloads of other machines are no longer held to their services", .0.display()
    )]
    Damaged(PathBuf),
    /// It cannot be written; nothing was changed.
    #[error("`{}` cannot be written, nothing was changed", .0.display())]
    Write(PathBuf, #[source] std::io::Error),
    /// There are too many tokens.
    #[error(transparent)]
    Full(Full),
    /// Nothing was taken back.
    #[error(transparent)]
    NotRevoked(NotRevoked),
}

pub(super) fn read(path: &Path) -> Result<Ledger, JoinsError> {
    let text = match read_private(path, MAX_BYTES) {
        Err(PrivateFileError::Missing(_)) => return Ok(Ledger::default()),
        text => text?,
    };
    let damaged = || JoinsError::Damaged(path.to_owned());
    let text = String::from_utf8(text).map_err(|_| damaged())?;
    let (sum, json) = text.split_once('\n').ok_or_else(damaged)?;
    match sum == sum_of(json) {
        true => serde_json::from_str(json).map_err(|_| damaged()),
        false => Err(damaged()),
    }
}

pub(super) fn write(path: &Path, ledger: &Ledger) -> Result<(), JoinsError> {
    let json = serde_json::to_string_pretty(ledger).expect("strings, sets and times");
    let text = format!("{}\n{json}", sum_of(&json));
    write_atomic(path, text.as_bytes(), 0o600)
        .map_err(|error| JoinsError::Write(path.to_owned(), error))
}

fn sum_of(json: &str) -> String {
    digest(&SHA256, json.as_bytes()).as_ref().iter().map(|byte| format!("{byte:02x}")).collect()
}
