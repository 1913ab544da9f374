//! The way to the control plane of a cluster: TLS without a certificate of one's own, pinned to the
//! mesh's roots; the proof is the token of the pod's service account (KEP-1205).
//!
//! The kubelet renews the token and the roots in their files, so both are read at each try. The
//! token is shown to nobody but a peer that the roots prove to be the control plane.

use std::io;
use std::path::PathBuf;

use super::{JoinError, contact};
use crate::certs::{Roots, failure_of, to_control_plane};
use crate::names::TrustDomain;
use crate::xds::grpc::Client;

/// What a pod joins with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PodToken {
    /// Where the control plane is, `host:port`; looked up at each connection.
    pub control_plane: String,
    /// The token.
    pub token_file: PathBuf,
    /// The mesh's roots, PEM.
    pub roots_file: PathBuf,
}

impl PodToken {
    /// Connects to the control plane, and says of which mesh it is.
    pub(super) async fn connect(&self) -> Result<(Client, TrustDomain), JoinError> {
        let roots = contact::read(&self.roots_file).await?;
        let roots = Roots::from_pem(&roots).map_err(|error| {
            JoinError::File(
                self.roots_file.clone(),
                io::Error::new(io::ErrorKind::InvalidData, error),
            )
        })?;
        let refused = |error: io::Error| {
            let error = match failure_of(&error) {
                Some(failure) => {
                    io::Error::new(error.kind(), format!("{error} ({})", failure.as_str()))
                }
                None => error,
            };
            JoinError::Away(self.control_plane.clone(), error)
        };
        contact::call(&self.control_plane, to_control_plane(roots, &[b"h2"]), refused).await
    }

    /// The token as it is now.
    pub(super) async fn token(&self) -> Result<String, JoinError> {
        let wrong = |error| JoinError::File(self.token_file.clone(), error);
        let text = String::from_utf8(contact::read(&self.token_file).await?)
            .map_err(|_| wrong(io::ErrorKind::InvalidData.into()))?;
        match text.trim() {
            "" => Err(wrong(io::Error::new(io::ErrorKind::UnexpectedEof, "the file is empty"))),
            token => Ok(token.to_owned()),
        }
    }
}
