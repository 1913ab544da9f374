//! Accepting over TCP and TLS, and serving proxies on what was accepted.
//!
//! Handshakes run beside accepting, bounded in number and time; who is at the other end is found out
//! once per connection, in here.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use rustls::ServerConfig;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::sync::CancellationToken;
use tonic::Status;
use tonic::transport::Server;

use super::GRACE;
use crate::certs::{failure_of, peer_identity};
use crate::control::plane::Plane;
use crate::control::refusals::What;
use crate::control::{ads, agent, identity};
use crate::net::accept::Acceptor;
use crate::net::descriptors;
use crate::net::shares::{Share, Shares};
use crate::telemetry::limits::{Limit, LimitCounts};
use crate::xds::grpc::{Connect, Delta, Peer, PeerStream, Sign, serve_stream, serve_unary};

#[cfg(test)]
mod tests;

/// How long a TLS handshake may take.
const HANDSHAKE: Duration = Duration::from_secs(Limit::HandshakeTime.most() as u64);

/// Handshakes at once; further connections wait in the kernel.
const HANDSHAKES: usize = Limit::Handshakes.most();

/// … with one address; further connections from there are closed. Not on loopback, where all are one.
const HANDSHAKES_EACH: usize = HANDSHAKES / 4;

/// Connections that are ready and not yet taken.
pub(super) const READY: usize = 64;

/// Connections without a certificate at once.
const ANONYMOUS: usize = Limit::JoiningConnections.most();

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

/// Descriptors that are kept free for everything but these connections: the store, the admin and
/// join sockets and who calls there, the API server.
const RESERVE: u64 = 64;

/// A finished handshake.
pub(super) struct Secure {
    stream: TlsStream<TcpStream>,
    from: SocketAddr,
    place: OwnedSemaphorePermit,
}

/// Places for connections over TCP, as many as there are descriptors to spare.
pub(super) fn places() -> Arc<Semaphore> {
    let places = usize::try_from(descriptors::limit().saturating_sub(RESERVE));
    Arc::new(Semaphore::new(places.unwrap_or(usize::MAX).clamp(1, Semaphore::MAX_PERMITS)))
}

/// Accepts and shakes hands until `stop`; a listener that is broken is a reason to stop.
pub(super) async fn accept_tls(
    plane: Arc<Plane>,
    config: Arc<ServerConfig>,
    mut acceptor: Acceptor,
    ready: mpsc::Sender<Secure>,
) {
    let tls = TlsAcceptor::from(config);
    let slots = Arc::new(Semaphore::new(HANDSHAKES));
    let shares = Shares::new(usize::MAX, HANDSHAKES_EACH);
    let mut handshakes = JoinSet::new();
    loop {
        while handshakes.try_join_next().is_some() {}
        let Ok(slot) = Arc::clone(&slots).acquire_owned().await else { return };
        let accepted = accept(&mut acceptor, &plane.limits, &plane.stop).await;
        let Some((stream, from)) = accepted else { return };
        let Ok(place) = Arc::clone(&plane.places).try_acquire_owned() else {
            plane.limits.hit(Limit::Connections);
            tracing::debug!(%from, "no descriptor to spare; a connection was closed");
            continue;
        };
        let share = shares.take(from.ip());
        if share.is_none() && !from.ip().to_canonical().is_loopback() {
            plane.limits.hit(Limit::Handshakes);
            tracing::debug!(%from, "too many handshakes with one address; a connection was closed");
            continue;
        }
        let (tls, ready, plane) = (tls.clone(), ready.clone(), Arc::clone(&plane));
        handshakes.spawn(async move {
            let _held = (slot, share);
            match tokio::time::timeout(HANDSHAKE, tls.accept(stream)).await {
                Ok(Ok(stream)) => {
                    // Nobody takes it when the control plane ends.
                    let _ = ready.send(Secure { stream, from, place }).await;
                }
                Ok(Err(error)) => {
                    let why = failure_of(&error).map(|failure| failure.as_str());
                    tracing::info!(target: "audit", %from, %error, why, "handshake refused");
                    plane.refusals.count(What::Handshake, why.unwrap_or("broken_off"));
                }
                Err(_) => {
                    tracing::info!(target: "audit", %from, "handshake too slow");
                    plane.refusals.count(What::Handshake, "too_slow");
                    plane.limits.hit(Limit::HandshakeTime);
                }
            }
        });
    }
}

/// Accepts, without TLS, until `stop`.
pub(super) async fn accept_plain(
    mut acceptor: Acceptor,
    ready: mpsc::Sender<(TcpStream, SocketAddr)>,
    limits: Arc<LimitCounts>,
    stop: CancellationToken,
) {
    while let Some(accepted) = accept(&mut acceptor, &limits, &stop).await {
        if ready.send(accepted).await.is_err() {
            return;
        }
    }
}

/// The next connection; `None` at the end.
async fn accept(
    acceptor: &mut Acceptor,
    limits: &LimitCounts,
    stop: &CancellationToken,
) -> Option<(TcpStream, SocketAddr)> {
    loop {
        let accepted = tokio::select! {
            accepted = acceptor.attempt() => accepted,
            () = stop.cancelled() => return None,
        };
        match accepted {
            Ok(Some((stream, from))) => {
                // Small messages must not wait for one another.
                let _ = stream.set_nodelay(true);
                return Some((stream, from));
            }
            Ok(None) => limits.hit(Limit::Descriptors),
            Err(error) => {
                tracing::error!(%error, "a listener is broken");
                stop.cancel();
                return None;
            }
        }
    }
}

/// The connection of a proxy, with what its certificate says, where it has shown one.
fn with_peer(secure: Secure) -> PeerStream {
    let Secure { stream, from, place } = secure;
    let (tcp, tls) = stream.get_ref();
    let identity = tls.peer_certificates().and_then(peer_identity);
    let from = from.ip().to_canonical();
    let own = tcp.local_addr().map(|own| own.ip().to_canonical());
    let elsewhere = !from.is_loopback() && own.ok() != Some(from);
    let peer = Peer { identity, unix_uid: None, address: Some(from), elsewhere };
    PeerStream::new(stream, peer).in_slot(place)
}

/// As [`with_peer`], and from where.
pub(super) fn with_address(secure: Secure) -> (PeerStream, SocketAddr) {
    let from = secure.from;
    (with_peer(secure), from)
}

/// Serves proxies on a port: those with a certificate everything, and those without signing alone.
pub(super) fn serve_proxies(
    plane: &Arc<Plane>,
    listener: TcpListener,
    tls: Arc<ServerConfig>,
    tasks: &mut JoinSet<()>,
) {
    let (ready, secure) = mpsc::channel(READY);
    tasks.spawn(accept_tls(Arc::clone(plane), tls, Acceptor::new(listener), ready));
    let (certified, with) = mpsc::channel(READY);
    let (anonymous, without) = mpsc::channel(READY);
    let places = Places::new(plane.places.available_permits());
    tasks.spawn(part((Arc::clone(&plane.limits), places), secure, certified, anonymous));
    let (with, without) = (ReceiverStream::new(with), ReceiverStream::new(without));
    tasks.spawn(serve_grpc(Arc::clone(plane), with, Callers::Certified));
    let joins = Callers::Joining { at_most: Some(JOINING) };
    tasks.spawn(serve_grpc(Arc::clone(plane), without, joins));
}

/// How many connections there may be from one address.
struct Places {
    certified: Shares,
    anonymous: Shares,
}

impl Places {
    /// Of `all` that there are.
    fn new(all: usize) -> Self {
        Self {
            certified: Shares::new(usize::MAX, (all / 4).max(1)),
            anonymous: Shares::new(ANONYMOUS, ANONYMOUS_EACH),
        }
    }

    /// A place for one more from there. With a certificate as many as there are on loopback, where all
    /// have one address; else a quarter of all, so that no workload takes those of all others. Without
    /// one few, because whoever reaches the port can open them.
    fn take(&self, is_certified: bool, from: IpAddr) -> Result<Option<Share>, Limit> {
        if !is_certified {
            return self.anonymous.take(from).map(Some).ok_or(Limit::JoiningConnections);
        }
        match from.to_canonical().is_loopback() {
            true => Ok(None),
            false => self.certified.take(from).map(Some).ok_or(Limit::Connections),
        }
    }
}

/// Sends connections with a certificate one way, and those without the other; too many are closed.
async fn part(
    (limits, places): (Arc<LimitCounts>, Places),
    mut secure: mpsc::Receiver<Secure>,
    certified: mpsc::Sender<io::Result<PeerStream>>,
    anonymous: mpsc::Sender<io::Result<PeerStream>>,
) {
    while let Some(connection) = secure.recv().await {
        let from = connection.from;
        let stream = with_peer(connection);
        let is_certified = stream.is_certified();
        let share = match places.take(is_certified, from.ip()) {
            Ok(share) => share,
            Err(limit) => {
                limits.hit(limit);
                tracing::info!(%from, is_certified, "too many connections; one was closed");
                continue;
            }
        };
        let way = if is_certified { &certified } else { &anonymous };
        if way.send(Ok(stream.in_slot(share))).await.is_err() {
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
pub(super) async fn serve_grpc(
    plane: Arc<Plane>,
    incoming: ReceiverStream<io::Result<PeerStream>>,
    callers: Callers,
) {
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
        async move {
            let signed = identity::sign(&signer, &peer, &request);
            let signed = signer.panics.contain("a signature", signed).await;
            signed.unwrap_or_else(|| Err(Status::internal("a fault of the control plane")))
        }
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
