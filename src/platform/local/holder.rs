//! Who supervises in a home directory: the process that holds the lock, and no other.
//!
//! The lock file holds the process id of its holder, written under the lock. To signal it safely a
//! handle on the process is taken first and the lock looked at again: while it is held by that id,
//! the handle cannot be anyone else's.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{Read as _, Seek as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use rustix::process::{Pid, Signal};

use super::lock_file;

/// The process that supervises.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Holder {
    /// Its process id.
    pub pid: u32,
    home: PathBuf,
}

impl Holder {
    /// Who supervises in `home`; `None` where nobody does.
    ///
    /// # Errors
    /// That the lock file is there and cannot be read.
    pub fn find(home: &Path) -> std::io::Result<Option<Self>> {
        let mut file = match File::open(lock_file(home)) {
            Ok(file) => file,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        };
        match file.try_lock_shared() {
            Ok(()) => return Ok(None),
            Err(TryLockError::WouldBlock) => {}
            Err(TryLockError::Error(error)) => return Err(error),
        }
        let mut text = String::new();
        file.read_to_string(&mut text)?;
        // A holder that has not written its id yet is not signalled; ask again.
        Ok(text.trim().parse().ok().map(|pid| Self { pid, home: home.to_owned() }))
    }

    /// Asks it to end, and with it the control plane. False where it was gone already.
    ///
    /// # Errors
    /// That the system refuses.
    pub fn terminate(&self) -> std::io::Result<bool> {
        let raw = i32::try_from(self.pid).ok().and_then(Pid::from_raw);
        let Some(pid) = raw else {
            return Ok(false);
        };
        signal(pid, || matches!(Self::find(&self.home), Ok(Some(now)) if now == *self))
    }
}

#[cfg(target_os = "linux")]
fn signal(pid: Pid, still: impl Fn() -> bool) -> std::io::Result<bool> {
    use rustix::process::{PidfdFlags, pidfd_open, pidfd_send_signal};
    let handle = match pidfd_open(pid, PidfdFlags::empty()) {
        Ok(handle) => handle,
        Err(rustix::io::Errno::SRCH) => return Ok(false),
        Err(error) => return Err(error.into()),
    };
    if !still() {
        return Ok(false);
    }
    match pidfd_send_signal(handle, Signal::TERM) {
        Ok(()) => Ok(true),
        Err(rustix::io::Errno::SRCH) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

#[cfg(not(target_os = "linux"))]
fn signal(pid: Pid, still: impl Fn() -> bool) -> std::io::Result<bool> {
    if !still() {
        return Ok(false);
    }
    match rustix::process::kill_process(pid, Signal::TERM) {
        Ok(()) => Ok(true),
        Err(rustix::io::Errno::SRCH) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

/// The lock, for as long as this lives.
#[derive(Debug)]
pub(super) struct Held {
    _file: File,
}

impl Held {
    /// Takes the lock and writes this process's id; `None` where another holds it.
    pub(super) fn take(home: &Path) -> std::io::Result<Option<Self>> {
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(false).mode(0o600);
        let mut file = options.open(lock_file(home))?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Ok(None),
            Err(TryLockError::Error(error)) => return Err(error),
        }
        file.set_len(0)?;
        file.rewind()?;
        writeln!(file, "{}", std::process::id())?;
        Ok(Some(Self { _file: file }))
    }
}
