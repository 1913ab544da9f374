//! Accepting over TCP and TLS, and serving proxies on what was accepted.
//!
//! Handshakes run beside accepting, bounded in number and time; who is at the other end is found out
//! once per connection, in here.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use futures_util::Stream;
use rustls::ServerConfig;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, mpsc};
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::sync::CancellationToken;
use tonic::transport::Server;

use super::GRACE;
use crate::certs::{failure_of, peer_identity};
use crate::control::plane::Plane;
use crate::control::refusals::{Refusals, What};
use crate::control::{ads, agent, identity};
use crate::net::accept::Acceptor;
use crate::net::shares::Shares;
use crate::xds::grpc::{Connect, Delta, Peer, PeerStream, Sign, serve_stream, serve_unary};

/// How long a TLS handshake may take.
const HANDSHAKE: Duration = Duration::from_secs(10);

/// Handshakes at once; further connections wait in the kernel.
const HANDSHAKES: usize = 512;

/// … with one address; further connections from there are closed. Not on loopback, where all are one.
const HANDSHAKES_EACH: usize = HANDSHAKES / 4;

/// Connections that are ready and not yet taken.
pub(super) const READY: usize = 64;

/// Connections without a certificate at once.
const ANONYMOUS: usize = 256;

/// … from one address.
const ANONYMOUS_EACH: usize = ANONYMOUS / 4;

/// How long one of those may last: enough for one signature by an API server that is slow.
const JOINING: Duration = Duration::from_secs(20);

/// PINGs to proxies, so that a frozen or vanished one is noticed.
const KEEPALIVE: Duration = Duration::from_secs(10);

/// How long a PING may be unanswered.
const KEEPALIVE_TIMEOUT: Duration = Duration::from_secs(10);

/// Streams that one proxy may open over one connection: discovery, agent, signing, and some more.
const STREAMS: u32 = 16;

/// A finished handshake, and from where.
pub(super) type Secure = (TlsStream<TcpStream>, SocketAddr);

/// Accepts and shakes hands until `stop`; a listener that is broken is a reason to stop.
pub(super) async fn accept_tls(
    config: Arc<ServerConfig>,
    mut acceptor: Acceptor,
    ready: mpsc::Sender<Secure>,
    refusals: Arc<Refusals>,
    stop: CancellationToken,
) {
    let tls = TlsAcceptor::from(config);
    let slots = Arc::new(Semaphore::new(HANDSHAKES));
    let shares = Shares::new(usize::MAX, HANDSHAKES_EACH);
    let mut handshakes = JoinSet::new();
    loop {
        while handshakes.try_join_next().is_some() {}
        let Ok(slot) = Arc::clone(&slots).acquire_owned().await else { return };
        let Some((stream, from)) = accept(&mut acceptor, &stop).await else { return };
        let share = shares.take(from.ip());
        if share.is_none() && !from.ip().to_canonical().is_loopback() {
            tracing::debug!(%from, "too many handshakes with one address; a connection was closed");
            continue;
        }
        let (tls, ready, refusals) = (tls.clone(), ready.clone(), Arc::clone(&refusals));
        handshakes.spawn(async move {
            let _held = (slot, share);
            match tokio::time::timeout(HANDSHAKE, tls.accept(stream)).await {
                Ok(Ok(stream)) => {
                    // Nobody takes it when the control plane ends.
                    let _ = ready.send((stream, from)).await;
                }
                Ok(Err(error)) => {
                    let why = failure_of(&error).map(|failure| failure.as_str());
                    tracing::info!(target: "audit", %from, %error, why, "handshake refused");
                    refusals.count(What::Handshake, why.unwrap_or("broken_off"));
                }
                Err(_) => {
                    tracing::info!(target: "audit", %from, "handshake too slow");
                    refusals.count(What::Handshake, "too_slow");
                }
            }
        });
    }
}

/// Accepts, without TLS, until `stop`.
pub(super) async fn accept_plain(
    mut acceptor: Acceptor,
    ready: mpsc::Sender<(TcpStream, SocketAddr)>,
    stop: CancellationToken,
) {
    while let Some(accepted) = accept(&mut acceptor, &stop).await {
        if ready.send(accepted).await.is_err() {
            return;
        }
    }
}

/// The next connection; `None` at the end.
async fn accept(
    acceptor: &mut Acceptor,
    stop: &CancellationToken,
) -> Option<(TcpStream, SocketAddr)> {
    let accepted = tokio::select! {
        accepted = acceptor.accept() => accepted,
        () = stop.cancelled() => return None,
    };
    match accepted {
        Ok((stream, from)) => {
            // Small messages must not wait for one another.
            let _ = stream.set_nodelay(true);
            Some((stream, from))
        }
        Err(error) => {
            tracing::error!(%error, "a listener is broken");
            stop.cancel();
            None
        }
    }
}

/// The connection of a proxy, with what its certificate says, where it has shown one.
fn with_peer((stream, from): Secure) -> PeerStream<TlsStream<TcpStream>> {
    let (tcp, tls) = stream.get_ref();
    let identity = tls.peer_certificates().and_then(peer_identity);
    let from = from.ip().to_canonical();
    let own = tcp.local_addr().map(|own| own.ip().to_canonical());
    let elsewhere = !from.is_loopback() && own.ok() != Some(from);
    let peer = Peer { identity, unix_uid: None, address: Some(from), elsewhere };
    PeerStream::new(stream, peer)
}

/// Serves proxies on a port: those with a certificate everything, and those without signing alone.
pub(super) fn serve_proxies(
    plane: &Arc<Plane>,
    listener: TcpListener,
    tls: Arc<ServerConfig>,
    tasks: &mut JoinSet<()>,
) {
    let (ready, secure) = mpsc::channel(READY);
    let (refusals, stop) = (Arc::clone(&plane.refusals), plane.stop.clone());
    tasks.spawn(accept_tls(tls, Acceptor::new(listener), ready, refusals, stop));
    let (certified, with) = mpsc::channel(READY);
    let (anonymous, without) = mpsc::channel(READY);
    tasks.spawn(part(secure, certified, anonymous));
    let (with, without) = (ReceiverStream::new(with), ReceiverStream::new(without));
    tasks.spawn(serve_grpc(Arc::clone(plane), with, Callers::Certified));
    let joins = Callers::Joining { at_most: Some(JOINING) };
    tasks.spawn(serve_grpc(Arc::clone(plane), without, joins));
}

/// Sends connections with a certificate one way, and those without the other; too many without are
/// closed, because whoever reaches the port can open them.
async fn part(
    mut secure: mpsc::Receiver<Secure>,
    certified: mpsc::Sender<io::Result<PeerStream<TlsStream<TcpStream>>>>,
    anonymous: mpsc::Sender<io::Result<PeerStream<TlsStream<TcpStream>>>>,
) {
    let shares = Shares::new(ANONYMOUS, ANONYMOUS_EACH);
    while let Some(connection) = secure.recv().await {
        let from = connection.1;
        let stream = with_peer(connection);
        let sent = if stream.is_certified() {
            certified.send(Ok(stream)).await.is_ok()
        } else if let Some(share) = shares.take(from.ip()) {
            anonymous.send(Ok(stream.in_slot(share))).await.is_ok()
        } else {
            tracing::info!(%from, "too many connections without a certificate; one was closed");
            true
        };
        if !sent {
            return;
        }
    }
}

/// Who is served what.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Callers {
    /// They have a certificate: everything.
    Certified,
    /// They have none yet: signing alone, and not for long where strangers may connect.
    Joining {
        /// How long a connection may last.
        at_most: Option<Duration>,
    },
}

/// Serves signing, and to those with a certificate the two streams as well.
pub(super) async fn serve_grpc<S>(
    plane: Arc<Plane>,
    incoming: impl Stream<Item = io::Result<PeerStream<S>>> + Send + 'static,
    callers: Callers,
) where
    S: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin + Send + 'static,
{
    let mut server = Server::builder()
        .http2_keepalive_interval(Some(KEEPALIVE))
        .http2_keepalive_timeout(Some(KEEPALIVE_TIMEOUT))
        .max_concurrent_streams(Some(STREAMS));
    if let Callers::Joining { at_most: Some(at_most) } = callers {
        server = server.max_connection_age(at_most).max_connection_age_grace(GRACE);
    }
    let signer = Arc::clone(&plane);
    let sign = serve_unary(Sign, move |peer, request| {
        let signer = Arc::clone(&signer);
        async move { identity::sign(&signer, &peer, &request).await }
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
    let router = match callers {
        Callers::Certified => router.add_service(delta).add_service(connect),
        Callers::Joining { .. } => router,
    };
    let stop = plane.stop.clone();
    let stopped = async move { stop.cancelled().await };
    if let Err(error) = router.serve_with_incoming_shutdown(incoming, stopped).await {
        tracing::error!(%error, "a listener has ended");
    }
}
