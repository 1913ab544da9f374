//! The ways in on one machine: TLS for proxies, mutual but for those of other machines that join by a
//! token; the join socket for proxies of the same user that have no certificate yet; the admin socket
//! for the command line.
//!
//! All are bound before any is served. Who is at the other end of a Unix socket the system says.

use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::{TcpListener, UnixListener, UnixStream};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio_stream::wrappers::ReceiverStream;

use super::RunError;
use super::listen::{Callers, READY, serve_grpc, serve_proxies};
use super::local::wanted;
use crate::control::home::Home;
use crate::control::plane::Plane;
use crate::net::any::AnyListener;
use crate::xds::grpc::{Peer, PeerStream};

/// After an `accept` on a Unix socket failed.
const PAUSE: Duration = Duration::from_millis(50);

/// The bound sockets.
pub(super) struct Listeners {
    tcp: TcpListener,
    /// Where `tcp` really listens.
    pub(super) address: SocketAddr,
    join: UnixListener,
    admin: UnixListener,
}

impl Listeners {
    pub(super) async fn bind(home: &Home, listen: Option<SocketAddr>) -> Result<Self, RunError> {
        let first = wanted(listen, home.remembered_address());
        let chosen = listen.is_some_and(|asked| asked.port() != 0);
        let tcp = match TcpListener::bind(first).await {
            // Other machines were told of the port, and would not find another one.
            Err(error)
                if error.kind() == io::ErrorKind::AddrInUse
                    && !chosen
                    && first.ip().is_loopback() =>
            {
                tracing::warn!(address = %first, "the port of last time is taken; another is used");
                let any = SocketAddr::new(first.ip(), 0);
                TcpListener::bind(any).await.map_err(|error| RunError::port(any, &error))?
            }
            bound => bound.map_err(|error| RunError::port(first, &error))?,
        };
        let address = tcp.local_addr().map_err(|error| RunError::port(first, &error))?;
        let unix = |path: &Path| {
            let at = path.display().to_string();
            bind_unix(path).map_err(|error| RunError::Listen { at, why: error.to_string() })
        };
        let (join, admin) = (unix(&home.join_socket())?, unix(&home.admin_socket())?);
        Ok(Self { tcp, address, join, admin })
    }

    /// Serves all three in `tasks`, until the plane stops.
    pub(super) fn serve(self, plane: &Arc<Plane>, admin: axum::Router, tasks: &mut JoinSet<()>) {
        let tls = plane.tls.first_contact_config(&[b"h2"]);
        serve_proxies(plane, self.tcp, tls, tasks);
        // Only the same user gets this far.
        let joins = Callers::Joining { at_most: None };
        let (ready, joining) = mpsc::channel(READY);
        tasks.spawn(accept_unix(Arc::clone(plane), self.join, ready));
        tasks.spawn(serve_grpc(Arc::clone(plane), ReceiverStream::new(joining), joins));
        let plane = Arc::clone(plane);
        tasks.spawn(async move {
            let stop = plane.stop.clone();
            let serve = axum::serve(AnyListener::new(SameUser(self.admin)), admin)
                .with_graceful_shutdown(async move { stop.cancelled().await });
            if let Err(error) = serve.await {
                tracing::error!(%error, "the admin API has ended");
            }
        });
    }
}

/// A socket left by a control plane that was killed is in the way; the lock says that it is dead.
fn bind_unix(path: &Path) -> io::Result<UnixListener> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let listener = UnixListener::bind(path)?;
    std::fs::set_permissions(path, std::os::unix::fs::PermissionsExt::from_mode(0o600))?;
    Ok(listener)
}

async fn accept_unix(
    plane: Arc<Plane>,
    listener: UnixListener,
    ready: mpsc::Sender<io::Result<PeerStream>>,
) {
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = plane.stop.cancelled() => return,
        };
        match accepted {
            Ok((stream, _)) => {
                let unix_uid = stream.peer_cred().ok().map(|peer| peer.uid());
                let peer = Peer { unix_uid, ..Peer::default() };
                if ready.send(Ok(PeerStream::new(stream, peer))).await.is_err() {
                    return;
                }
            }
            Err(error) => {
                tracing::warn!(%error, "cannot accept on the join socket");
                tokio::time::sleep(PAUSE).await;
            }
        }
    }
}

/// The admin socket: only who runs the control plane gets in.
struct SameUser(UnixListener);

impl axum::serve::Listener for SameUser {
    type Io = UnixStream;
    type Addr = ();

    async fn accept(&mut self) -> (UnixStream, ()) {
        loop {
            match self.0.accept().await {
                Ok((stream, _)) => {
                    let uid = stream.peer_cred().ok().map(|peer| peer.uid());
                    if uid == Some(rustix::process::getuid().as_raw()) {
                        return (stream, ());
                    }
                    tracing::warn!(target: "audit", ?uid, "admin connection refused");
                }
                Err(error) => {
                    tracing::warn!(%error, "cannot accept on the admin socket");
                    tokio::time::sleep(PAUSE).await;
                }
            }
        }
    }

    fn local_addr(&self) -> io::Result<()> {
        Ok(())
    }
}
