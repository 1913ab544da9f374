//! The mark: the revision that was last acknowledged, in a small file of its own beside the store.
//!
//! A journal that lost its end is a good journal of an earlier moment; only somebody else can tell
//! that there was more. So each commit is followed by its number here, before it is acknowledged,
//! and a store that knows less than its mark says is damaged. Written in place, for which a full
//! disk has room. A mark that cannot be read says nothing.

use std::fs::OpenOptions;
use std::io;
use std::os::unix::fs::{FileExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use super::schema::sum;

/// Bytes of a mark: 20 digits, a space, 16 hexadecimal digits of a sum, a newline.
const LENGTH: usize = 38;

/// `store.db` → `store.mark`.
pub(super) fn path(store: &Path) -> PathBuf {
    store.with_extension("mark")
}

/// The revision that was last acknowledged, where that is known.
pub(super) fn read(store: &Path) -> Option<u64> {
    let text = std::fs::read_to_string(path(store)).ok()?;
    let revision = text.get(..20)?.parse().ok()?;
    (text == line(revision)).then_some(revision)
}

/// Says that `revision` is durable.
///
/// # Errors
/// That of the file system; then the mark says less than it could, or nothing.
pub(super) fn write(store: &Path, revision: u64) -> io::Result<()> {
    let mut options = OpenOptions::new();
    let file = options.write(true).create(true).truncate(false).mode(0o600).open(path(store))?;
    file.write_all_at(line(revision).as_bytes(), 0)?;
    file.set_len(LENGTH as u64)?;
    file.sync_data()
}

fn line(revision: u64) -> String {
    let digits = format!("{revision:020}");
    let sum = sum(&[digits.as_bytes()]);
    let sum: String = sum.iter().take(8).map(|byte| format!("{byte:02x}")).collect();
    format!("{digits} {sum}\n")
}
