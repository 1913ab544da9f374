//! Resources to bytes and back.
//!
//! Each kind has its protobuf messages and both conversions side by side in a file of its own. The
//! encoding is canonical: no maps, defaults left out, lists in the order that the resource
//! documents; so equal resources give equal bytes, and the version is the hash of them. Decoding
//! validates everything that the types promise (names, ranges, known enum values).
//!
//! Changes are additive: a field number is never used again, and a new one that an older proxy
//! must not overlook comes with a higher `requires`, which makes that proxy refuse the resource.

use std::sync::Arc;

use aws_lc_rs::digest;
use bytes::Bytes;

use super::discovery::{Any, WireResource};
use crate::resource::{Key, Kind, Resource};

mod address;
mod balance;
mod cluster;
mod endpoints;
mod fault;
mod field;
mod host;
mod mesh;
mod pool;
mod retry;
mod route;
mod service;
#[cfg(test)]
mod tests;
mod url;
mod workload;

/// A resource, encoded once for everyone who asks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Encoded {
    /// What it is asked for by.
    pub key: Key,
    /// The first 16 hexadecimal digits of the SHA-256 of the body.
    pub version: Arc<str>,
    /// The canonical encoding.
    pub body: Bytes,
}

impl Encoded {
    /// As it goes into a response; the body is shared.
    pub fn to_wire(&self) -> WireResource {
        let value = self.body.clone();
        WireResource {
            version: self.version.to_string(),
            resource: Some(Any { type_url: self.key.kind.type_url().into(), value }),
            name: self.key.name.to_string(),
        }
    }
}

/// Why bytes are not a resource.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{field}: {reason}")]
pub struct DecodeError {
    /// The path of the field, `ports[0].rules[2].id`; empty for the body as a whole.
    pub field: String,
    /// What is wrong with it.
    pub reason: String,
}

impl DecodeError {
    fn new(field: &str, reason: impl Into<String>) -> Self {
        Self { field: field.into(), reason: reason.into() }
    }

    /// The same error, seen from one level further out.
    fn inside(mut self, parent: &str) -> Self {
        self.field = match self.field.as_str() {
            "" => parent.to_owned(),
            field => format!("{parent}.{field}"),
        };
        self
    }
}

/// Encodes `resource` canonically.
pub fn encode(resource: &Resource) -> Encoded {
    let body: Bytes = match resource {
        Resource::Mesh(mesh) => mesh::encode(mesh),
        Resource::Workload(workload) => workload::encode(workload),
        Resource::Cluster(cluster) => cluster::encode(cluster),
        Resource::Service(service) => service::encode(service),
        Resource::Address(address) => address::encode(address),
        Resource::Host(host) => host::encode(host),
    }
    .into();
    let hash = digest::digest(&digest::SHA256, &body);
    let version: String = hash.as_ref().iter().take(8).map(|byte| format!("{byte:02x}")).collect();
    Encoded { key: resource.key(), version: version.into(), body }
}

/// Decodes the resource that was sent as `name`.
///
/// # Errors
/// [`DecodeError`] with the first field that is not what its type promises.
pub fn decode(kind: Kind, name: &str, body: &[u8]) -> Result<Resource, DecodeError> {
    Decoder::default().decode(kind, name, Bytes::copy_from_slice(body))
}

/// Decodes what comes under one name, time after time: parts that are the same as the time before
/// are shared with it, and cost a comparison. It keeps the last body.
#[derive(Debug, Default)]
pub struct Decoder {
    endpoints: endpoints::Seen,
}

impl Decoder {
    /// Decodes the resource that was sent as `name`.
    ///
    /// # Errors
    /// [`DecodeError`] with the first field that is not what its type promises.
    pub fn decode(&mut self, kind: Kind, name: &str, body: Bytes) -> Result<Resource, DecodeError> {
        let resource = match kind {
            Kind::Mesh => Resource::Mesh(mesh::decode(&body)?),
            Kind::Workload => Resource::Workload(workload::decode(&body)?),
            Kind::Cluster => Resource::Cluster(cluster::decode(body, &mut self.endpoints)?),
            Kind::Service => Resource::Service(service::decode(&body)?),
            Kind::Address => Resource::Address(address::decode(&body)?),
            Kind::Host => Resource::Host(host::decode(&body)?),
        };
        let own = resource.key();
        if *own.name != *name {
            let reason = format!("the body is `{}`, but it was sent under another name", own.name);
            return Err(DecodeError::new("name", reason));
        }
        Ok(resource)
    }
}
