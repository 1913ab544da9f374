//! The way to the control plane of the same machine: `join.sock` of the home directory, where the
//! proof is to be the same user.

use std::path::Path;

use tokio::net::UnixStream;

use super::JoinError;
use crate::xds::grpc::{Client, client_over};

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
    Ok(client_over(stream))
}
