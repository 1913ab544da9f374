//! The way to the control plane of a cluster: TLS without a certificate of one's own, pinned to the
//! mesh's roots; the proof is the token of the pod's service account (KEP-1205).
//!
//! The kubelet renews the token and the roots in their files, so both are read at each try. The
//! token is shown to nobody but a peer that the roots prove to be the control plane.

use std::io;
use std::path::{Path, PathBuf};

use rustls::pki_types::ServerName;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use super::{JoinError, TRY};
use crate::certs::{Roots, failure_of, peer_identity, to_control_plane};
use crate::names::TrustDomain;
use crate::xds::grpc::{Client, Keepalive, channel_over};

/// Neither file is longer.
const FILE_BYTES: usize = 256 * 1024;

/// What a pod joins with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TokenProof {
    /// Where the control plane is, `host:port`; looked up at each connection.
    pub control_plane: String,
    /// The token.
    pub token_file: PathBuf,
    /// The mesh's roots, PEM.
    pub roots_file: PathBuf,
}

impl TokenProof {
    /// Connects to the control plane, and says of which mesh it is.
    pub(super) async fn connect(&self) -> Result<(Client, TrustDomain), JoinError> {
        let roots = read(&self.roots_file).await?;
        let roots = Roots::from_pem(&roots).map_err(|error| {
            JoinError::File(
                self.roots_file.clone(),
                io::Error::new(io::ErrorKind::InvalidData, error),
            )
        })?;
        let connecting = tokio::time::timeout(TRY, self.tls(roots));
        let connected = connecting.await.map_err(|_| JoinError::Timeout)?;
        let (stream, mesh) =
            connected.map_err(|error| JoinError::Away(self.control_plane.clone(), error))?;
        let stream = std::sync::Mutex::new(Some(stream));
        let once = move || {
            let stream = stream.lock().ok().and_then(|mut stream| stream.take());
            async move { stream.ok_or_else(|| io::Error::from(io::ErrorKind::NotConnected)) }
        };
        Ok((Client::new(channel_over(once, Keepalive::default())), mesh))
    }

    async fn tls(
        &self,
        roots: Roots,
    ) -> io::Result<(tokio_rustls::client::TlsStream<TcpStream>, TrustDomain)> {
        let stream = TcpStream::connect(&self.control_plane).await?;
        stream.set_nodelay(true)?;
        // For reading only: who answers is decided by the certificate's URI.
        let name =
            ServerName::try_from("control-plane.meshctl-system").expect("the name is a DNS name");
        let connector = TlsConnector::from(to_control_plane(roots, &[b"h2"]));
        let stream =
            connector.connect(name, stream).await.map_err(|error| match failure_of(&error) {
                Some(failure) => {
                    io::Error::new(error.kind(), format!("{error} ({})", failure.as_str()))
                }
                None => error,
            })?;
        let peer = stream.get_ref().1.peer_certificates().and_then(peer_identity);
        let peer = peer.ok_or_else(|| io::Error::from(io::ErrorKind::InvalidData))?;
        Ok((stream, peer.trust_domain))
    }

    /// The token as it is now.
    pub(super) async fn token(&self) -> Result<String, JoinError> {
        let wrong = |error| JoinError::File(self.token_file.clone(), error);
        let text = String::from_utf8(read(&self.token_file).await?)
            .map_err(|_| wrong(io::ErrorKind::InvalidData.into()))?;
        match text.trim() {
            "" => Err(wrong(io::Error::new(io::ErrorKind::UnexpectedEof, "the file is empty"))),
            token => Ok(token.to_owned()),
        }
    }
}

async fn read(path: &Path) -> Result<Vec<u8>, JoinError> {
    let content = tokio::fs::read(path).await;
    let content = content.map_err(|error| JoinError::File(path.to_owned(), error))?;
    match content.len() <= FILE_BYTES {
        true => Ok(content),
        false => Err(JoinError::File(path.to_owned(), io::ErrorKind::FileTooLarge.into())),
    }
}
