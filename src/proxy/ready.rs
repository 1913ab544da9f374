//! The ready file: what others wait for, as JSON, renamed into place once everything listens and
//! the workload has its certificate, and removed when the proxy ends.

use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use serde::Serialize;

use crate::net::file::write_atomic;

/// What is said about a proxy that is ready.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Ready {
    /// The process.
    pub pid: u32,
    /// The service inside the namespace.
    pub service: String,
    /// The namespace.
    pub namespace: String,
    /// The proxy inside the namespace.
    pub proxy: String,
    /// SPIFFE identity.
    pub identity: String,
    /// Where calls from the mesh arrive.
    pub inbound: SocketAddr,
    /// Where the application hands over its calls.
    pub outbound: SocketAddr,
    /// Where the proxy is asked: an address, or `unix:PATH`.
    pub admin: String,
    /// Local ports by `NAME:PORT`, with `.NAMESPACE` after the name where it is another one.
    pub upstreams: BTreeMap<String, SocketAddr>,
}

/// The file; gone when this is dropped.
#[derive(Debug)]
pub struct ReadyFile {
    path: PathBuf,
}

impl ReadyFile {
    /// Writes it, whole or not at all.
    ///
    /// # Errors
    /// That of the file system.
    pub fn write(path: &Path, ready: &Ready) -> io::Result<Self> {
        let mut text = serde_json::to_vec(ready).map_err(io::Error::other)?;
        text.push(b'\n');
        write_atomic(path, &text, 0o644)?;
        Ok(Self { path: path.to_owned() })
    }
}

impl Drop for ReadyFile {
    fn drop(&mut self) {
        if let Err(error) = std::fs::remove_file(&self.path)
            && error.kind() != io::ErrorKind::NotFound
        {
            tracing::warn!(path = %self.path.display(), %error, "the ready file was not removed");
        }
    }
}
