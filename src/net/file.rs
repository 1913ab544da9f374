//! Files that are whole or not there, and files that nobody else may read.
//!
//! [`write_atomic`] writes beside the target, syncs, renames and syncs the directory: after it
//! returns the content survives a power cut, and a reader sees the old content or the new.
//! [`read_private`] refuses what others could read or have put there, and says how to mend it.

use std::fs::{File, OpenOptions, Permissions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::OFlags;
use rustix::io::Errno;

/// Why a private file was not read.
#[derive(Debug, thiserror::Error)]
pub enum PrivateFileError {
    /// It is not there.
    #[error("`{0}` does not exist")]
    Missing(PathBuf),
    /// It is a symbolic link, which could lead anywhere.
    #[error("`{0}` is a symbolic link; replace it by the file itself")]
    Link(PathBuf),
    /// It is a directory or a device.
    #[error("`{0}` is not a regular file")]
    NotAFile(PathBuf),
    /// Somebody else owns it.
    #[error(
        "`{path}` belongs to user {owner}, not to user {expected} who runs this; run as its owner, or: chown {expected} {path}"
    )]
    Owner {
        /// The file.
        path: PathBuf,
        /// Who owns it.
        owner: u32,
        /// Who runs this.
        expected: u32,
    },
    /// Others may read or write it.
    #[error("`{path}` has mode {mode:04o} but holds a secret; run: chmod 600 {path}")]
    Mode {
        /// The file.
        path: PathBuf,
        /// The permission bits found.
        mode: u32,
    },
    /// It is longer than what it should hold can be.
    #[error("`{path}` is longer than {limit} bytes")]
    TooLong {
        /// The file.
        path: PathBuf,
        /// The limit.
        limit: u64,
    },
    /// Reading failed.
    #[error("`{0}` cannot be read")]
    Io(PathBuf, #[source] io::Error),
}

/// Replaces `path` by `content` with permission bits `mode` (exactly, whatever the umask says).
///
/// # Errors
/// That of the file system; the old content is untouched then.
pub fn write_atomic(path: &Path, content: &[u8], mode: u32) -> io::Result<()> {
    let directory = match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    // The prefix has a dot and the suffix is not one that any reader looks for.
    let mut file = tempfile::Builder::new()
        .prefix(".write-")
        .suffix(".tmp")
        .permissions(Permissions::from_mode(0o600))
        .tempfile_in(directory)?;
    file.write_all(content)?;
    file.as_file().set_permissions(Permissions::from_mode(mode))?;
    file.as_file().sync_all()?;
    file.persist(path).map_err(|failed| failed.error)?;
    File::open(directory)?.sync_all()
}

/// Reads at most `limit` bytes of a file that only its owner, who runs this, may read.
///
/// # Errors
/// [`PrivateFileError`]; all checks are on the opened file, so it cannot be swapped in between.
pub fn read_private(path: &Path, limit: u64) -> Result<Vec<u8>, PrivateFileError> {
    // Non-blocking, so that a FIFO put there does not hang us.
    let flags = OFlags::NOFOLLOW | OFlags::NONBLOCK;
    let flags = i32::try_from(flags.bits()).expect("open flags are small numbers");
    let file = OpenOptions::new()
        .read(true)
        .custom_flags(flags)
        .open(path)
        .map_err(|error| open_error(path, error))?;
    let io = |error| PrivateFileError::Io(path.to_owned(), error);
    let metadata = file.metadata().map_err(io)?;
    if !metadata.is_file() {
        return Err(PrivateFileError::NotAFile(path.to_owned()));
    }
    let expected = rustix::process::geteuid().as_raw();
    if metadata.uid() != expected {
        let owner = metadata.uid();
        return Err(PrivateFileError::Owner { path: path.to_owned(), owner, expected });
    }
    let mode = metadata.mode() & 0o7777;
    if mode & 0o077 != 0 {
        return Err(PrivateFileError::Mode { path: path.to_owned(), mode });
    }
    let mut content = Vec::new();
    file.take(limit + 1).read_to_end(&mut content).map_err(io)?;
    if content.len() as u64 > limit {
        return Err(PrivateFileError::TooLong { path: path.to_owned(), limit });
    }
    Ok(content)
}

fn open_error(path: &Path, error: io::Error) -> PrivateFileError {
    let errno = error.raw_os_error().map(Errno::from_raw_os_error);
    match errno {
        Some(Errno::NOENT) => PrivateFileError::Missing(path.to_owned()),
        Some(Errno::LOOP) => PrivateFileError::Link(path.to_owned()),
        _ => PrivateFileError::Io(path.to_owned(), error),
    }
}
