//! The way to the control plane of another machine: TLS without a certificate of one's own, pinned to
//! the root whose hash stands in the join token; the proof is the token's secret.
//!
//! The token is good once. After that the certificate renews itself as long as it is valid, also over
//! a restart; without either there is nothing to join by.

use std::path::PathBuf;

use super::{JoinError, contact};
use crate::certs::{JoinToken, failure_of, to_pinned_control_plane};
use crate::names::TrustDomain;
use crate::xds::grpc::Client;

/// What a workload on another machine joins with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Elsewhere {
    /// Where the control plane is, `host:port`; looked up at each connection.
    pub control_plane: String,
    /// The join token; `None` where the certificate of the run before is all there is.
    pub token_file: Option<PathBuf>,
}

impl Elsewhere {
    /// The token as it is now; `None` where there is to be none.
    pub(super) async fn token(&self) -> Result<Option<JoinToken>, JoinError> {
        let Some(path) = &self.token_file else { return Ok(None) };
        let text = String::from_utf8(contact::read(path).await?).unwrap_or_default();
        let token = text.trim().parse();
        token.map(Some).map_err(|error| JoinError::NoToken(path.clone(), error))
    }

    /// Connects to the control plane of the token's mesh, and says of which trust domain that is.
    pub(super) async fn connect(
        &self,
        token: &JoinToken,
    ) -> Result<(Client, TrustDomain), JoinError> {
        let at = || self.control_plane.clone();
        let config = to_pinned_control_plane(token.root, &[b"h2"]);
        contact::call(&self.control_plane, config, |error| match failure_of(&error) {
            Some(failure) => JoinError::Impostor(at(), failure),
            None => JoinError::Away(at(), error),
        })
        .await
    }
}
