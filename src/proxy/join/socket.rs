//! The way to the control plane of the same machine: `join.sock` of the home directory, where the
//! proof is to be the same user.

use std::io;
use std::path::Path;

use tokio::net::UnixStream;

use super::JoinError;
use crate::xds::grpc::{Client, Keepalive, channel_over};

/// The socket in the home directory.
const SOCKET: &str = "join.sock";

/// Connects; whoever serves must be this user or root.
pub(super) async fn connect(home: &Path) -> Result<Client, JoinError> {
    let path = home.join(SOCKET);
    let stream = UnixStream::connect(&path).await;
    let stream = stream.map_err(|error| JoinError::Away(path.display().to_string(), error))?;
    let uid = stream.peer_cred().map(|peer| peer.uid());
    let own = rustix::process::geteuid().as_raw();
    if !uid.is_ok_and(|uid| uid == own || uid == 0) {
        return Err(JoinError::Stranger(path));
    }
    // The channel opens one stream, for one call.
    let stream = std::sync::Mutex::new(Some(stream));
    let connect = move || {
        let stream = stream.lock().ok().and_then(|mut stream| stream.take());
        async move { stream.ok_or_else(|| io::Error::from(io::ErrorKind::NotConnected)) }
    };
    Ok(Client::new(channel_over(connect, Keepalive::default())))
}
