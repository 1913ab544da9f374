//! Where one proxy keeps what must survive it: `proxies/NAMESPACE/NAME/` in the home directory,
//! mode 0700, locked while the proxy lives, with the ports that were chosen for that name.
//!
//! No path is built from anything but parsed names. A name that is not given is the service's, the
//! version's and the lowest number that nobody has locked, so that a restart finds its own again.

use std::collections::BTreeMap;
use std::fs::{DirBuilder, File, OpenOptions};
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::os::fd::OwnedFd;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, flock};
use serde::{Deserialize, Serialize};

use crate::names::{NameError, ObjectName, ProxyId};
use crate::net::file::{read_private, write_atomic};

use super::Config;

/// Names are tried up to this number: more proxies of one service are not run in one home.
const MOST_OF_A_NAME: usize = 1000;

/// The file that is locked.
const LOCK: &str = "lock";

/// The file of the chosen ports; no longer than [`PORTS_BYTES`].
const PORTS: &str = "ports.json";
const PORTS_BYTES: u64 = 64 * 1024;

/// The directory of a proxy, locked.
#[derive(Debug)]
pub(super) struct Place {
    /// The proxy's name.
    pub(super) proxy: ProxyId,
    /// The directory.
    pub(super) directory: PathBuf,
    /// The lock goes with the last descriptor of it, also under `kill -9`.
    lock: File,
}

/// Why there is no place.
#[derive(Debug, thiserror::Error)]
pub enum PlaceError {
    /// The name is in use.
    #[error("a proxy named `{0}` runs already (it holds the lock in `{1}`)")]
    Taken(ProxyId, PathBuf),
    /// All numbers are in use.
    #[error("{MOST_OF_A_NAME} proxies of this service run already")]
    Full,
    /// The name made of service and version is none.
    #[error("the proxy's name cannot be made of service and version")]
    Name(#[source] NameError),
    /// Others could read what lies there.
    #[error("`{path}` has mode {mode:04o}, but keys lie in it")]
    Mode {
        /// The directory.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// Somebody else could change what lies there.
    #[error("`{0}` belongs to another user")]
    Owner(PathBuf),
    /// The file system refused.
    #[error("cannot use `{0}`")]
    Io(PathBuf, #[source] io::Error),
}

impl PlaceError {
    /// What to do about it; empty where nothing is sure to help.
    pub fn help(&self) -> String {
        match self {
            Self::Taken(..) => "end that one first, or give this one another `--name`".to_owned(),
            Self::Full | Self::Name(_) => "give this one a `--name`".to_owned(),
            Self::Mode { path, .. } => format!("run `chmod 700 {}`", path.display()),
            Self::Owner(_) => {
                "run as that user, or choose another directory with `--home`".to_owned()
            }
            Self::Io(..) => String::new(),
        }
    }
}

/// The ports that were chosen for a name, by what listens there.
#[derive(Debug, Default, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Ports {
    #[serde(default)]
    pub(super) inbound: u16,
    #[serde(default)]
    pub(super) outbound: u16,
    #[serde(default)]
    pub(super) admin: u16,
    /// By `namespace/service:port`.
    #[serde(default)]
    pub(super) upstreams: BTreeMap<String, u16>,
}

impl Place {
    /// Takes the directory of the name given, or of the first free one.
    pub(super) fn claim(config: &Config) -> Result<Self, PlaceError> {
        // The volume of a pod is writable for all its containers, and for nobody else.
        if !config.is_pod() {
            keep_others_out(&config.home)?;
        }
        let proxies = config.home.join("proxies");
        let namespace = &config.service.namespace;
        let of_namespace = proxies.join(namespace.as_str());
        for directory in [&proxies, &of_namespace] {
            make_private(directory)?;
        }
        let claim = |name: ObjectName| {
            let directory = of_namespace.join(name.as_str());
            Self::lock(ProxyId::new(namespace.clone(), name), directory)
        };
        if let Some(name) = &config.name {
            return claim(name.clone());
        }
        for number in 0..MOST_OF_A_NAME {
            let name = format!("{}{number}", stem(config));
            match claim(name.parse().map_err(PlaceError::Name)?) {
                Err(PlaceError::Taken(..)) => {}
                claimed => return claimed,
            }
        }
        Err(PlaceError::Full)
    }

    /// Takes the directory of a process that has passed its lock.
    pub(super) fn inherit(config: &Config, proxy: ProxyId, lock: OwnedFd) -> Self {
        let directory = directory(config, &proxy);
        Self { proxy, directory, lock: lock.into() }
    }

    /// The lock once more, held until both are gone.
    pub(super) fn share(&self) -> io::Result<OwnedFd> {
        Ok(self.lock.try_clone()?.into())
    }

    fn lock(proxy: ProxyId, directory: PathBuf) -> Result<Self, PlaceError> {
        make_private(&directory)?;
        let path = directory.join(LOCK);
        let mut options = OpenOptions::new();
        let options = options.create(true).write(true).truncate(false).mode(0o600);
        let lock = options.open(&path).map_err(|error| PlaceError::Io(path.clone(), error))?;
        match flock(&lock, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => Ok(Self { proxy, directory, lock }),
            Err(rustix::io::Errno::WOULDBLOCK) => Err(PlaceError::Taken(proxy, directory)),
            Err(error) => Err(PlaceError::Io(path, error.into())),
        }
    }

    /// The ports chosen before; none where the file is not there or not readable as such.
    pub(super) fn ports(&self) -> Ports {
        let text = read_private(&self.directory.join(PORTS), PORTS_BYTES).ok();
        text.and_then(|text| serde_json::from_slice(&text).ok()).unwrap_or_default()
    }

    /// Keeps the ports for the next start.
    pub(super) fn keep(&self, ports: &Ports) -> Result<(), PlaceError> {
        let path = self.directory.join(PORTS);
        let text = serde_json::to_vec_pretty(ports).map_err(io::Error::other);
        text.and_then(|text| write_atomic(&path, &text, 0o600))
            .map_err(|error| PlaceError::Io(path, error))
    }
}

/// What names of this service and version begin with; a number follows.
fn stem(config: &Config) -> String {
    let service = &config.service.name;
    match &config.version {
        Some(version) => format!("{service}-{version}-"),
        None => format!("{service}-"),
    }
}

/// The directory of a proxy, there or not.
pub(super) fn directory(config: &Config, proxy: &ProxyId) -> PathBuf {
    let proxies = config.home.join("proxies");
    proxies.join(proxy.namespace.as_str()).join(proxy.name.as_str())
}

/// The proxies that run in this home and could be the one that is meant: that of the name given, or all
/// of the service and version.
pub(super) fn running(config: &Config) -> Vec<ProxyId> {
    let namespace = &config.service.namespace;
    let of_namespace = config.home.join("proxies").join(namespace.as_str());
    let stem = stem(config);
    let is_meant = |name: &ObjectName| match &config.name {
        Some(given) => name == given,
        None => {
            let number = name.as_str().strip_prefix(&stem);
            number.is_some_and(|number| number.parse::<usize>().is_ok())
        }
    };
    let entries = std::fs::read_dir(of_namespace).into_iter().flatten().flatten();
    let names = entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    let proxies = names.filter(is_meant).map(|name| ProxyId::new(namespace.clone(), name));
    let mut proxies: Vec<_> =
        proxies.filter(|proxy| is_locked(&directory(config, proxy))).collect();
    proxies.sort_unstable();
    proxies
}

fn is_locked(directory: &Path) -> bool {
    let Ok(lock) = File::open(directory.join(LOCK)) else { return false };
    // A shared lock, so that two that look at the same time do not see each other.
    flock(&lock, FlockOperation::NonBlockingLockShared) == Err(rustix::io::Errno::WOULDBLOCK)
}

/// `wanted`, with port 0 replaced by `before` where that is still free.
pub(super) fn recall(wanted: SocketAddr, before: u16) -> SocketAddr {
    let recalled = SocketAddr::new(wanted.ip(), before);
    let usable = wanted.port() == 0 && before != 0 && TcpListener::bind(recalled).is_ok();
    if usable { recalled } else { wanted }
}

/// Refuses a directory in which others could put something else in the place of ours.
fn keep_others_out(home: &Path) -> Result<(), PlaceError> {
    let Ok(metadata) = std::fs::metadata(home) else { return Ok(()) };
    match metadata.mode() & 0o7777 {
        mode if mode & 0o022 != 0 => Err(PlaceError::Mode { path: home.to_owned(), mode }),
        _ => Ok(()),
    }
}

fn make_private(directory: &Path) -> Result<(), PlaceError> {
    let io = |error| PlaceError::Io(directory.to_owned(), error);
    DirBuilder::new().recursive(true).mode(0o700).create(directory).map_err(io)?;
    let metadata = std::fs::symlink_metadata(directory).map_err(io)?;
    if !metadata.is_dir() {
        return Err(io(io::ErrorKind::NotADirectory.into()));
    }
    if metadata.uid() != rustix::process::geteuid().as_raw() {
        return Err(PlaceError::Owner(directory.to_owned()));
    }
    match metadata.mode() & 0o777 {
        mode if mode & 0o077 != 0 => Err(PlaceError::Mode { path: directory.to_owned(), mode }),
        _ => Ok(()),
    }
}
