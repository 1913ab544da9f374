//! The home directory: where everything of a local mesh lies, and who may look into it.
//!
//! In goes a path; out come the paths inside it, after the directory was created with mode 0700 and
//! its owner and mode were checked. One process at a time holds its lock. A socket path that the
//! operating system could not bind is refused here, by name, rather than as `invalid argument`.

use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{Read, Seek, Write};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::FlockOperation;
use serde::{Deserialize, Serialize};

mod purge;
#[cfg(test)]
mod tests;

/// The longest path of a Unix socket on Linux: `sun_path` holds 108 bytes with the final NUL.
const SOCKET_PATH_MAX: usize = 107;

/// What is wrong with a home directory.
#[derive(Debug, thiserror::Error)]
pub enum HomeError {
    /// It could not be created, read or written.
    #[error("cannot {what} `{}`: {source}", path.display())]
    Io {
        /// What was tried.
        what: &'static str,
        /// On what.
        path: PathBuf,
        /// Why it failed.
        source: std::io::Error,
    },
    /// It is no directory.
    #[error("`{}` is not a directory", .0.display())]
    NotADirectory(PathBuf),
    /// Somebody else owns it.
    #[error("`{}` belongs to user {owner}, not to user {user}", path.display())]
    Owner {
        /// Which.
        path: PathBuf,
        /// Its owner.
        owner: u32,
        /// Who runs.
        user: u32,
    },
    /// Others may read or write it.
    #[error("`{}` has mode {mode:04o}, others could get at its keys", path.display())]
    Mode {
        /// Which.
        path: PathBuf,
        /// Its mode.
        mode: u32,
    },
    /// Another process holds the lock.
    #[error("another control plane (pid {pid}) runs on `{}`", path.display())]
    Locked {
        /// Which.
        path: PathBuf,
        /// Who holds it; `unknown` where it did not say.
        pid: String,
    },
    /// The sockets in it would have too long a path.
    #[error("the socket path `{}` has {length} bytes, the system's limit is {SOCKET_PATH_MAX}", path.display())]
    SocketPath {
        /// Which.
        path: PathBuf,
        /// Its length in bytes.
        length: usize,
    },
}

impl HomeError {
    /// What to do about it.
    pub fn help(&self) -> String {
        match self {
            Self::Io { what: "create", .. } | Self::NotADirectory(_) => {
                "choose another directory with `--home`".to_owned()
            }
            Self::Io { .. } => String::new(),
            Self::Owner { .. } => {
                "run as that user, or choose another directory with `--home`".to_owned()
            }
            Self::Mode { path, .. } => format!("run `chmod 700 {}`", path.display()),
            Self::Locked { .. } => "stop it, or choose another directory with `--home`".to_owned(),
            Self::SocketPath { .. } => "choose a shorter directory with `--home`".to_owned(),
        }
    }

    fn io(what: &'static str, path: &Path, source: std::io::Error) -> Self {
        Self::Io { what, path: path.to_owned(), source }
    }
}

/// A home directory. Making one does nothing; see [`Home::prepare`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Home {
    dir: PathBuf,
}

/// What `control-plane.json` says about the control plane that runs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Running {
    /// Its process id.
    pub pid: u32,
    /// Where proxies reach it over mutual TLS, `address:port`.
    pub address: String,
    /// The Unix socket of the admin API.
    pub admin_socket: PathBuf,
    /// The Unix socket at which proxies of the same user join.
    pub join_socket: PathBuf,
    /// Its version.
    pub version: String,
}

/// The lock on a home directory; given back when dropped, and by the system when the process ends.
#[derive(Debug)]
pub struct Lock {
    _file: File,
}

impl Home {
    /// The home directory at `dir`, which need not exist yet.
    pub fn new(dir: impl Into<PathBuf>) -> Self {
        Self { dir: dir.into() }
    }

    /// The directory itself.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// The socket of the admin API.
    pub fn admin_socket(&self) -> PathBuf {
        self.dir.join("admin.sock")
    }

    /// The socket at which proxies of the same user join.
    pub fn join_socket(&self) -> PathBuf {
        self.dir.join("join.sock")
    }

    /// Where [`Running`] is written while a control plane serves.
    pub fn running_file(&self) -> PathBuf {
        self.dir.join("control-plane.json")
    }

    /// The store.
    pub fn store(&self) -> PathBuf {
        self.dir.join("store.db")
    }

    /// The join tokens.
    pub fn joins(&self) -> PathBuf {
        self.dir.join("joins.json")
    }

    /// The certificate authority's directory.
    pub fn ca(&self) -> PathBuf {
        self.dir.join("ca")
    }

    /// The proxies' own directories, `NAMESPACE/NAME` below it.
    pub fn proxies(&self) -> PathBuf {
        self.dir.join("proxies")
    }

    /// Where the background process writes its log.
    pub fn log(&self) -> PathBuf {
        self.dir.join("control-plane.log")
    }

    fn address_file(&self) -> PathBuf {
        self.dir.join("address")
    }

    /// Creates what is missing (mode 0700) and checks owner, mode and socket paths.
    ///
    /// # Errors
    /// [`HomeError`].
    pub fn prepare(&self) -> Result<(), HomeError> {
        for socket in [self.admin_socket(), self.join_socket()] {
            let length = socket.as_os_str().as_bytes().len();
            if length > SOCKET_PATH_MAX {
                return Err(HomeError::SocketPath { path: socket, length });
            }
        }
        for dir in [self.dir.clone(), self.ca(), self.proxies()] {
            DirBuilder::new()
                .recursive(true)
                .mode(0o700)
                .create(&dir)
                .map_err(|error| HomeError::io("create", &dir, error))?;
            check(&dir)?;
        }
        Ok(())
    }

    /// Takes the lock, or names the process that holds it.
    ///
    /// # Errors
    /// [`HomeError::Locked`], or that the file cannot be opened.
    pub fn lock(&self) -> Result<Lock, HomeError> {
        let path = self.dir.join("lock");
        let failed = |error| HomeError::io("lock", &path, error);
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(&path)
            .map_err(failed)?;
        match rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => {}
            Err(rustix::io::Errno::WOULDBLOCK) => {
                let mut pid = String::new();
                let known = file.read_to_string(&mut pid).is_ok() && !pid.trim().is_empty();
                let pid = if known { pid.trim().to_owned() } else { "unknown".to_owned() };
                return Err(HomeError::Locked { path: self.dir.clone(), pid });
            }
            Err(error) => return Err(failed(error.into())),
        }
        file.set_len(0).map_err(failed)?;
        file.rewind().map_err(failed)?;
        writeln!(file, "{}", std::process::id()).map_err(failed)?;
        Ok(Lock { _file: file })
    }

    /// Says that a control plane serves; readers see all of it or nothing.
    ///
    /// # Errors
    /// [`HomeError::Io`].
    pub fn write_running(&self, running: &Running) -> Result<(), HomeError> {
        let text = serde_json::to_vec_pretty(running).expect("a struct of strings and numbers");
        self.write(&self.running_file(), &text)
    }

    /// What the control plane that runs said about itself; `None` where none does (or ended
    /// without tidying up: hold the lock against it).
    pub fn read_running(&self) -> Option<Running> {
        serde_json::from_slice(&std::fs::read(self.running_file()).ok()?).ok()
    }

    /// Takes back what [`Self::write_running`] said, and the sockets.
    pub fn clear_running(&self) {
        for path in [self.running_file(), self.admin_socket(), self.join_socket()] {
            if let Err(error) = std::fs::remove_file(&path)
                && error.kind() != std::io::ErrorKind::NotFound
            {
                tracing::warn!(path = %path.display(), %error, "a file of this run cannot be removed");
            }
        }
    }

    /// The address served last time, so that a restart takes the same port.
    pub fn remembered_address(&self) -> Option<std::net::SocketAddr> {
        std::fs::read_to_string(self.address_file()).ok()?.trim().parse().ok()
    }

    /// Remembers the address for the next start.
    ///
    /// # Errors
    /// [`HomeError::Io`].
    pub fn remember_address(&self, address: std::net::SocketAddr) -> Result<(), HomeError> {
        self.write(&self.address_file(), address.to_string().as_bytes())
    }

    /// Writes beside `path` and renames into place.
    fn write(&self, path: &Path, content: &[u8]) -> Result<(), HomeError> {
        let failed = |error| HomeError::io("write", path, error);
        let mut file = tempfile::NamedTempFile::new_in(&self.dir).map_err(failed)?;
        file.write_all(content).map_err(failed)?;
        file.as_file().sync_all().map_err(failed)?;
        file.persist(path).map_err(|error| failed(error.error))?;
        Ok(())
    }
}

/// Refuses a directory that is not ours alone.
fn check(dir: &Path) -> Result<(), HomeError> {
    let meta = std::fs::symlink_metadata(dir).map_err(|error| HomeError::io("read", dir, error))?;
    if !meta.is_dir() {
        return Err(HomeError::NotADirectory(dir.to_owned()));
    }
    let user = rustix::process::getuid().as_raw();
    if meta.uid() != user {
        return Err(HomeError::Owner { path: dir.to_owned(), owner: meta.uid(), user });
    }
    let mode = meta.mode() & 0o7777;
    if mode & 0o077 != 0 {
        return Err(HomeError::Mode { path: dir.to_owned(), mode });
    }
    Ok(())
}
