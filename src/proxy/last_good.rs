//! The last good configuration on disk: with it a proxy serves again at once, control plane or not.
//!
//! Goes in: every resource that was accepted, every name let go. Comes out: a file that is whole or
//! not there, at most one write a second and one at a time. Layout: `MAGIC`, SHA-256 of the rest,
//! a protobuf `Saved`. A file with a wrong checksum, of another proxy, identity or trust domain
//! is refused and said, never used in part.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use aws_lc_rs::digest::{SHA256, digest};
use prost::Message as _;

use crate::names::{Identity, ProxyId, ServiceName};
use crate::net::file::{PrivateFileError, read_private, write_atomic};
use crate::resource::{Key, Kind, Resource};
use crate::xds::codec::{self, Encoded};

use super::view::Accepted;

#[cfg(test)]
mod tests;

/// The file name inside the proxy's directory.
const FILE: &str = "last-good";

/// The first bytes of the file; the number is that of the layout.
const MAGIC: &[u8] = b"meshctl last good 1\n";

/// A longer file is refused unread.
const MAX_BYTES: u64 = 256 * 1024 * 1024;

/// The length of a SHA-256.
const DIGEST_BYTES: usize = 32;

/// Between two writes.
const INTERVAL: Duration = Duration::from_secs(1);

/// What is on disk.
#[derive(Clone, PartialEq, prost::Message)]
struct Saved {
    /// Whose it is: `namespace/proxy`.
    #[prost(string, tag = "1")]
    proxy: String,
    /// SPIFFE identity, trust domain included.
    #[prost(string, tag = "2")]
    identity: String,
    /// Where the control plane was.
    #[prost(string, tag = "3")]
    control_plane: String,
    /// The services that were in use, `namespace/service`, also those that are none.
    #[prost(string, repeated, tag = "4")]
    services: Vec<String>,
    /// What was accepted.
    #[prost(message, repeated, tag = "5")]
    resources: Vec<SavedResource>,
    /// Those of `services` that are none.
    #[prost(string, repeated, tag = "6")]
    not_services: Vec<String>,
    /// Addresses outside of the mesh, `ip:port`.
    #[prost(string, repeated, tag = "7")]
    outside: Vec<String>,
    /// Addresses that no workload of the mesh has, `ip`.
    #[prost(string, repeated, tag = "8")]
    outside_hosts: Vec<String>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct SavedResource {
    #[prost(string, tag = "1")]
    type_url: String,
    #[prost(string, tag = "2")]
    name: String,
    #[prost(string, tag = "3")]
    version: String,
    #[prost(bytes = "bytes", tag = "4")]
    body: bytes::Bytes,
}

/// What a proxy had when it ended.
#[derive(Debug, Default)]
pub struct LastGood {
    /// Where the control plane was: `address:port`.
    pub control_plane: String,
    /// The services that were in use.
    pub services: Vec<ServiceName>,
    /// Names that are no service.
    pub not_services: Vec<ServiceName>,
    /// Addresses that are outside of the mesh.
    pub outside: Vec<SocketAddr>,
    /// Addresses that no workload of the mesh has.
    pub outside_hosts: Vec<IpAddr>,
    /// What was accepted; services before the clusters that they point to.
    pub resources: Vec<(Resource, Encoded)>,
}

/// Why the file is not used.
#[derive(Debug, thiserror::Error)]
pub enum LastGoodError {
    /// It cannot be read, or others could have written it.
    #[error(transparent)]
    File(#[from] PrivateFileError),
    /// Not what was written.
    #[error("`{0}` is damaged: its checksum is wrong")]
    Checksum(PathBuf),
    /// Written by another version, or not by us.
    #[error("`{0}` is not a last good configuration that this version reads ({1})")]
    Content(PathBuf, String),
    /// Somebody else's.
    #[error("`{path}` belongs to `{found}`, not to `{expected}`")]
    Foreign {
        /// The file.
        path: PathBuf,
        /// Proxy and identity in it.
        found: String,
        /// Proxy and identity that run.
        expected: String,
    },
}

/// Reads the file of `proxy` in `directory`; `None` where there is none.
///
/// # Errors
/// [`LastGoodError`]: nothing of the file is to be used.
pub fn load(
    directory: &Path,
    proxy: &ProxyId,
    identity: &Identity,
) -> Result<Option<LastGood>, LastGoodError> {
    let path = directory.join(FILE);
    let content = match read_private(&path, MAX_BYTES) {
        Err(PrivateFileError::Missing(_)) => return Ok(None),
        content => content?,
    };
    let content_error = |what: &str| LastGoodError::Content(path.clone(), what.to_owned());
    let rest = content.strip_prefix(MAGIC).ok_or_else(|| content_error("another layout"))?;
    let (checksum, body) =
        rest.split_at_checked(DIGEST_BYTES).ok_or(LastGoodError::Checksum(path.clone()))?;
    if digest(&SHA256, body).as_ref() != checksum {
        return Err(LastGoodError::Checksum(path));
    }
    let saved = Saved::decode(body).map_err(|error| content_error(&error.to_string()))?;
    if saved.proxy != proxy.to_string() || saved.identity != identity.to_string() {
        let found = format!("{} {}", saved.proxy, saved.identity);
        return Err(LastGoodError::Foreign {
            path,
            found,
            expected: format!("{proxy} {identity}"),
        });
    }
    let mut resources = Vec::with_capacity(saved.resources.len());
    for resource in saved.resources {
        resources.push(read(resource).map_err(|what| content_error(&what))?);
    }
    resources.sort_by_key(|(_, encoded)| order(encoded.key.kind));
    let services = parsed(&saved.services).map_err(|what| content_error(&what))?;
    let not_services = parsed(&saved.not_services).map_err(|what| content_error(&what))?;
    let outside = parsed(&saved.outside).map_err(|what| content_error(&what))?;
    let outside_hosts = parsed(&saved.outside_hosts).map_err(|what| content_error(&what))?;
    Ok(Some(LastGood {
        control_plane: saved.control_plane,
        services,
        not_services,
        outside,
        outside_hosts,
        resources,
    }))
}

fn parsed<T: FromStr<Err: fmt::Display>>(texts: &[String]) -> Result<Vec<T>, String> {
    texts.iter().map(|text| text.parse().map_err(|error: T::Err| error.to_string())).collect()
}

fn read(saved: SavedResource) -> Result<(Resource, Encoded), String> {
    let kind = Kind::from_type_url(&saved.type_url).ok_or("an unknown kind")?;
    let resource =
        codec::decode(kind, &saved.name, &saved.body).map_err(|error| error.to_string())?;
    let key = Key { kind, name: saved.name.into() };
    Ok((resource, Encoded { key, version: saved.version.as_str().into(), body: saved.body }))
}

/// Services first: a cluster is taken only when a service has asked for it.
fn order(kind: Kind) -> u8 {
    match kind {
        Kind::Mesh | Kind::Workload => 0,
        Kind::Service => 1,
        Kind::Cluster | Kind::Address | Kind::Host => 2,
    }
}

/// What was called.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Names {
    /// The services in use, also those that are none.
    pub services: Vec<ServiceName>,
    /// Those of them that are none.
    pub not_services: Vec<ServiceName>,
    /// Addresses outside of the mesh.
    pub outside: Vec<SocketAddr>,
    /// Addresses that no workload of the mesh has.
    pub outside_hosts: Vec<IpAddr>,
}

/// Collects what was accepted and says when it is to be written.
#[derive(Debug)]
pub struct Keeper {
    path: PathBuf,
    proxy: ProxyId,
    identity: Identity,
    control_plane: String,
    names: Names,
    accepted: Accepted,
    changed: bool,
    next: Instant,
    writing: bool,
}

/// A file to be written, off the control thread.
#[derive(Debug)]
pub struct Write {
    path: PathBuf,
    saved: Saved,
}

impl Write {
    /// Encodes and writes it, whole or not at all; blocks.
    ///
    /// # Errors
    /// That of the file system; the file is as before then.
    pub fn run(self) -> std::io::Result<()> {
        let body = self.saved.encode_to_vec();
        let content = [MAGIC, digest(&SHA256, &body).as_ref(), &body].concat();
        write_atomic(&self.path, &content, 0o600)
    }
}

impl Keeper {
    /// Keeps for `proxy` in `directory`; `accepted` shows others what is in use.
    pub fn new(
        directory: &Path,
        proxy: ProxyId,
        identity: Identity,
        accepted: Accepted,
        now: Instant,
    ) -> Self {
        Self {
            path: directory.join(FILE),
            proxy,
            identity,
            control_plane: String::new(),
            names: Names::default(),
            accepted,
            changed: false,
            next: now,
            writing: false,
        }
    }

    /// A resource is in use.
    pub fn accepted(&mut self, encoded: Encoded) {
        let version = Arc::clone(&encoded.version);
        let before = self.accepted.lock().insert(encoded.key.clone(), encoded);
        self.changed |= before.is_none_or(|before| before.version != version);
    }

    /// A resource is gone, or no longer wanted.
    pub fn dropped(&mut self, key: &Key) {
        self.changed |= self.accepted.lock().remove(key).is_some();
    }

    /// The version in use under `key`.
    pub fn version(&self, key: &Key) -> Option<Arc<str>> {
        self.accepted.lock().get(key).map(|encoded| Arc::clone(&encoded.version))
    }

    /// The control plane is there from now on.
    pub fn moved(&mut self, control_plane: &str) {
        if self.control_plane != control_plane {
            control_plane.clone_into(&mut self.control_plane);
            self.changed = true;
        }
    }

    /// What is to be written at `now`, with the names in use; [`Keeper::written`] must follow.
    pub fn due(&mut self, names: Names, now: Instant) -> Option<Write> {
        self.called(names);
        if !self.changed || self.writing || now < self.next {
            return None;
        }
        self.changed = false;
        self.writing = true;
        self.next = now + INTERVAL;
        Some(self.write())
    }

    /// How the write went; after a failure it is tried again.
    pub fn written(&mut self, outcome: &std::io::Result<()>) {
        self.writing = false;
        self.changed |= outcome.is_err();
    }

    /// What is not on disk yet at the end, with the names in use; no write may be under way.
    pub fn rest(&mut self, names: Names) -> Option<Write> {
        self.called(names);
        std::mem::take(&mut self.changed).then(|| self.write())
    }

    fn called(&mut self, names: Names) {
        if self.names != names {
            self.names = names;
            self.changed = true;
        }
    }

    fn write(&self) -> Write {
        let accepted = self.accepted.lock();
        let resources = accepted.values().map(|encoded| SavedResource {
            type_url: encoded.key.kind.type_url().into(),
            name: encoded.key.name.to_string(),
            version: encoded.version.to_string(),
            body: encoded.body.clone(),
        });
        let saved = Saved {
            proxy: self.proxy.to_string(),
            identity: self.identity.to_string(),
            control_plane: self.control_plane.clone(),
            services: self.names.services.iter().map(ServiceName::to_string).collect(),
            resources: resources.collect(),
            not_services: self.names.not_services.iter().map(ServiceName::to_string).collect(),
            outside: self.names.outside.iter().map(SocketAddr::to_string).collect(),
            outside_hosts: self.names.outside_hosts.iter().map(IpAddr::to_string).collect(),
        };
        Write { path: self.path.clone(), saved }
    }
}
