//! The local platform: the control plane as a background process of this user, without root.
//!
//! `install` starts a supervisor in a session of its own ([`start`]); the supervisor ([`fn@supervise`])
//! runs `control-plane run` and starts it again when it crashes. Who supervises is found out by the
//! lock that the supervisor holds, never by a process id alone, so that no foreign process is ever
//! signalled. What the control plane itself keeps in its home directory is none of this module's.

use std::ffi::OsString;
use std::fs::{File, OpenOptions};
use std::net::SocketAddr;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use crate::names::TrustDomain;

mod backoff;
mod holder;
mod supervise;
#[cfg(test)]
mod tests;
mod unit;

pub use holder::Holder;
pub use supervise::{SuperviseError, supervise};
pub use unit::unit;

/// A log that is longer than this is put aside at the next start.
const LONGEST_LOG: u64 = 8 << 20;

/// What to run in the background.
#[derive(Debug, Clone)]
pub struct Launch {
    /// The program, absolute.
    pub program: PathBuf,
    /// The home directory, absolute; it exists.
    pub home: PathBuf,
    /// Where output goes, appended.
    pub log: PathBuf,
    /// Where proxies are listened for; `None` leaves it to the control plane.
    pub listen: Option<SocketAddr>,
    /// The trust domain; `None` leaves it to the control plane.
    pub trust_domain: Option<TrustDomain>,
}

/// Why the background process could not be started.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The log cannot be opened.
    #[error("cannot open the log `{}`", .0.display())]
    Log(PathBuf, #[source] std::io::Error),
    /// The program cannot be run.
    #[error("cannot run `{}`", .0.display())]
    Spawn(PathBuf, #[source] std::io::Error),
}

impl Launch {
    /// The words behind the program's name: `control-plane run --home DIR …`.
    pub fn words(&self) -> Vec<OsString> {
        let mut words: Vec<OsString> =
            ["control-plane".into(), "run".into(), "--home".into(), self.home.clone().into()]
                .into();
        if let Some(listen) = self.listen {
            words.extend(["--listen".into(), listen.to_string().into()]);
        }
        if let Some(domain) = &self.trust_domain {
            words.extend(["--trust-domain".into(), domain.as_str().into()]);
        }
        words
    }

    /// The same as one line that a shell would take.
    pub fn line(&self) -> String {
        let program = std::iter::once(self.program.clone().into_os_string());
        let words = program.chain(self.words());
        words.map(|word| unit::quoted(&word.to_string_lossy())).collect::<Vec<_>>().join(" ")
    }

    /// Opens the log; one that has grown too long is put aside first, in place of the one before.
    fn open_log(&self) -> Result<File, StartError> {
        if std::fs::metadata(&self.log).is_ok_and(|meta| meta.len() > LONGEST_LOG) {
            let mut aside = self.log.clone().into_os_string();
            aside.push(".1");
            // Where that fails the log grows on, which is better than no control plane.
            let _ = std::fs::rename(&self.log, aside);
        }
        let log = OpenOptions::new().append(true).create(true).mode(0o600).open(&self.log);
        log.map_err(|error| StartError::Log(self.log.clone(), error))
    }
}

/// Starts the supervisor, detached from the terminal; its output goes to the log.
///
/// # Errors
/// [`StartError`]. That the control plane then fails shows in the [`Child`] ending.
pub fn start(launch: &Launch) -> Result<Child, StartError> {
    let log = launch.open_log()?;
    let second = log.try_clone().map_err(|error| StartError::Log(launch.log.clone(), error))?;
    Command::new(&launch.program)
        .args(launch.words())
        .arg("--supervise")
        .current_dir("/")
        .stdin(Stdio::null())
        .stdout(log)
        .stderr(second)
        .spawn()
        .map_err(|error| StartError::Spawn(launch.program.clone(), error))
}

/// The lock of whoever supervises in a home directory.
fn lock_file(home: &Path) -> PathBuf {
    home.join("supervisor.lock")
}
