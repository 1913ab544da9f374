//! Calling a control plane that is not of this home, without a certificate of one's own.

use std::io;
use std::path::Path;
use std::sync::Arc;

use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::{JoinError, TRY};
use crate::certs::peer_identity;
use crate::names::TrustDomain;
use crate::xds::grpc::{Client, client_over};

/// No file that is shown to it or held against it is longer.
const FILE_BYTES: usize = 256 * 1024;

/// Connects to `host:port`, looked up anew, and says of which mesh it is. `config` decides who is
/// taken for it; why somebody was not is said by `refused`.
pub(super) async fn call(
    control_plane: &str,
    config: Arc<ClientConfig>,
    refused: impl FnOnce(io::Error) -> JoinError,
) -> Result<(Client, TrustDomain), JoinError> {
    let connecting = tokio::time::timeout(TRY, connect(control_plane, config));
    let connected = connecting.await.map_err(|_| JoinError::Timeout)?;
    let (stream, mesh) = connected.map_err(refused)?;
    Ok((client_over(stream), mesh))
}

async fn connect(
    control_plane: &str,
    config: Arc<ClientConfig>,
) -> io::Result<(TlsStream<TcpStream>, TrustDomain)> {
    let stream = TcpStream::connect(control_plane).await?;
    stream.set_nodelay(true)?;
    // For reading only: who answers is decided by the certificate's URI.
    let name =
        ServerName::try_from("control-plane.meshctl-system").expect("the name is a DNS name");
    let stream = TlsConnector::from(config).connect(name, stream).await?;
    let peer = stream.get_ref().1.peer_certificates().and_then(peer_identity);
    let peer = peer.ok_or_else(|| io::Error::from(io::ErrorKind::InvalidData))?;
    Ok((stream, peer.trust_domain))
}

/// Reads a file that a proof needs.
pub(super) async fn read(path: &Path) -> Result<Vec<u8>, JoinError> {
    let content = tokio::fs::read(path).await;
    let content = content.map_err(|error| JoinError::File(path.to_owned(), error))?;
    match content.len() <= FILE_BYTES {
        true => Ok(content),
        false => Err(JoinError::File(path.to_owned(), io::ErrorKind::FileTooLarge.into())),
    }
}
