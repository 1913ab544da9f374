//! The three ways in: mutual TLS for proxies, the join socket for proxies that have no certificate
//! yet, the admin socket for the command line.
//!
//! All are bound before any is served. Handshakes run beside accepting, bounded in number and time;
//! who is at the other end is found out once per connection, in here.

use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream, UnixListener, UnixStream};
use tokio::sync::{Semaphore, mpsc};
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;
use tokio_stream::wrappers::ReceiverStream;
use tonic::transport::Server;

use super::{RunError, wanted};
use crate::certs::{ClientAuth, failure_of, peer_identity};
use crate::control::home::Home;
use crate::control::plane::Plane;
use crate::control::{ads, agent, identity};
use crate::net::accept::Acceptor;
use crate::xds::grpc::{Connect, Delta, Peer, PeerStream, Sign, serve_stream, serve_unary};

/// How long a TLS handshake may take.
const HANDSHAKE: Duration = Duration::from_secs(10);

/// Handshakes at once; further connections wait in the kernel.
const HANDSHAKES: usize = 512;

/// Connections that are ready and not yet taken.
const READY: usize = 64;

/// PINGs to proxies, so that a frozen or vanished one is noticed.
const KEEPALIVE: Duration = Duration::from_secs(10);

/// How long a PING may be unanswered.
const KEEPALIVE_TIMEOUT: Duration = Duration::from_secs(10);

/// After an `accept` on a Unix socket failed.
const PAUSE: Duration = Duration::from_millis(50);

/// Streams that one proxy may open over one connection: discovery, agent, signing, and some more.
const STREAMS: u32 = 16;

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
        let failed =
            |at: &dyn std::fmt::Display, source| RunError::Listen { at: at.to_string(), source };
        let first = wanted(listen, home.remembered_address());
        let chosen = listen.is_some_and(|asked| asked.port() != 0);
        let tcp = match TcpListener::bind(first).await {
            Err(error) if error.kind() == io::ErrorKind::AddrInUse && !chosen => {
                tracing::warn!(address = %first, "the port of last time is taken; another is used");
                let any = SocketAddr::new(first.ip(), 0);
                TcpListener::bind(any).await.map_err(|error| failed(&any, error))?
            }
            bound => bound.map_err(|error| failed(&first, error))?,
        };
        let address = tcp.local_addr().map_err(|error| failed(&first, error))?;
        let unix = |path: &Path| bind_unix(path).map_err(|error| failed(&path.display(), error));
        let (join, admin) = (unix(&home.join_socket())?, unix(&home.admin_socket())?);
        Ok(Self { tcp, address, join, admin })
    }

    /// Serves all three in `tasks`, until the plane stops.
    pub(super) fn serve(self, plane: &Arc<Plane>, admin: axum::Router, tasks: &mut JoinSet<()>) {
        let (ready, secure) = mpsc::channel(READY);
        tasks.spawn(accept_tls(Arc::clone(plane), Acceptor::new(self.tcp), ready));
        tasks.spawn(serve_grpc(Arc::clone(plane), ReceiverStream::new(secure), true));
        let (ready, joining) = mpsc::channel(READY);
        tasks.spawn(accept_unix(Arc::clone(plane), self.join, ready));
        tasks.spawn(serve_grpc(Arc::clone(plane), ReceiverStream::new(joining), false));
        let plane = Arc::clone(plane);
        tasks.spawn(async move {
            let stop = plane.stop.clone();
            let serve = axum::serve(SameUser(self.admin), admin)
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

type Secure = io::Result<PeerStream<TlsStream<TcpStream>>>;

async fn accept_tls(plane: Arc<Plane>, mut acceptor: Acceptor, ready: mpsc::Sender<Secure>) {
    let tls = TlsAcceptor::from(plane.tls.server_config(&[b"h2"], ClientAuth::Required));
    let slots = Arc::new(Semaphore::new(HANDSHAKES));
    let mut handshakes = JoinSet::new();
    loop {
        while handshakes.try_join_next().is_some() {}
        let Ok(slot) = Arc::clone(&slots).acquire_owned().await else { return };
        let (stream, from) = tokio::select! {
            accepted = acceptor.accept() => match accepted {
                Ok(accepted) => accepted,
                Err(error) => {
                    tracing::error!(%error, "the listener for proxies is broken");
                    plane.stop.cancel();
                    return;
                }
            },
            () = plane.stop.cancelled() => return,
        };
        let (tls, ready) = (tls.clone(), ready.clone());
        handshakes.spawn(async move {
            let _slot = slot;
            // Small messages must not wait for one another.
            let _ = stream.set_nodelay(true);
            match tokio::time::timeout(HANDSHAKE, tls.accept(stream)).await {
                Ok(Ok(stream)) => {
                    let peer = Peer { identity: certified(&stream), unix_uid: None };
                    // Nobody takes it when the control plane ends.
                    let _ = ready.send(Ok(PeerStream::new(stream, peer))).await;
                }
                Ok(Err(error)) => {
                    let why = failure_of(&error).map(|failure| failure.as_str());
                    tracing::info!(target: "audit", %from, %error, why, "handshake refused");
                }
                Err(_) => tracing::info!(target: "audit", %from, "handshake too slow"),
            }
        });
    }
}

fn certified(stream: &TlsStream<TcpStream>) -> Option<crate::names::Identity> {
    peer_identity(stream.get_ref().1.peer_certificates()?)
}

async fn accept_unix(
    plane: Arc<Plane>,
    listener: UnixListener,
    ready: mpsc::Sender<io::Result<PeerStream<UnixStream>>>,
) {
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = plane.stop.cancelled() => return,
        };
        match accepted {
            Ok((stream, _)) => {
                let unix_uid = stream.peer_cred().ok().map(|peer| peer.uid());
                let peer = Peer { identity: None, unix_uid };
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

/// Serves signing, and over TLS the two streams as well.
async fn serve_grpc<S>(
    plane: Arc<Plane>,
    incoming: ReceiverStream<io::Result<PeerStream<S>>>,
    streams: bool,
) where
    S: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin + Send + 'static,
{
    let mut server = Server::builder()
        .http2_keepalive_interval(Some(KEEPALIVE))
        .http2_keepalive_timeout(Some(KEEPALIVE_TIMEOUT))
        .max_concurrent_streams(Some(STREAMS));
    let signer = Arc::clone(&plane);
    let sign = serve_unary(Sign, move |peer, request| {
        let result = identity::sign(&signer, &peer, &request);
        async move { result }
    });
    let (discovery, agents) = (Arc::clone(&plane), Arc::clone(&plane));
    let delta = serve_stream(Delta, move |peer, inbound| {
        let result = ads::serve(&discovery, peer, inbound);
        async move { result }
    });
    let connect = serve_stream(Connect, move |peer, inbound| {
        let result = agent::serve(&agents, peer, inbound);
        async move { result }
    });
    let router = server.add_service(sign);
    let router = if streams { router.add_service(delta).add_service(connect) } else { router };
    let stop = plane.stop.clone();
    let stopped = async move { stop.cancelled().await };
    if let Err(error) = router.serve_with_incoming_shutdown(incoming, stopped).await {
        tracing::error!(%error, "a listener has ended");
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
