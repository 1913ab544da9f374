//! Inbound: who calls our application, and whether they may.
//!
//! Strict: nothing without a certificate of the mesh gets in. Permissive: our ALPN is the mesh,
//! anything else is passed on without an identity; who is silent at first may wait for the server to
//! speak, and gets what it says. What comes in TLS of the mesh has said by ALPN what it is, and is
//! held to it where the port is declared.

use std::io;
use std::net::IpAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use rustls::server::Acceptor;
use tokio::io::Interest;
use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;

use crate::certs::tls::{self, peer_identity};
use crate::names::{Identity, Protocol};
use crate::proxy::cluster::Endpoint;
use crate::proxy::connect::{Alpn, tls_reason};
use crate::proxy::decide::{Decision, Endpoints, Refusal};
use crate::proxy::detect::{self, Kind};
use crate::proxy::pool::MAX_AGE;
use crate::proxy::record::{self, Caller};
use crate::proxy::serve::{Connection, Origin};
use crate::proxy::stream::{Side, Stream};
use crate::proxy::worker::Worker;
use crate::proxy::{h2, tcp};
use crate::resource::MtlsMode;
use crate::telemetry::limits::Limit;
use crate::telemetry::reason::Reason;

#[cfg(test)]
mod tests;

/// How long a handshake may take.
const HANDSHAKE: Duration = Duration::from_secs(Limit::HandshakeTime.most() as u64);

/// How much is looked at to recognize the mesh's own TLS.
const MAX_HELLO: usize = 16 * 1024;

/// Where requests to our application go.
///
/// # Errors
/// [`Reason::NoApp`] where the workload only calls.
pub fn decide(worker: &Worker, caller: &Caller) -> Result<Decision, Refusal> {
    let app = caller.app.as_ref().ok_or(Reason::NoApp)?;
    Ok(Decision {
        destination: Arc::clone(&worker.labels.service),
        destination_id: 0,
        service: worker.shared.service.clone(),
        rule: None,
        backend: 0,
        pool: Endpoints::App(Arc::clone(app)),
        affinity: None,
        fault: None,
    })
}

/// A connection that got in.
struct Admitted {
    side: Side,
    alpn: Alpn,
    identity: Option<Identity>,
    life: Duration,
    /// The application, where it was heard first.
    spoke: Option<Box<tcp::Opened>>,
}

/// Takes in a connection to `app`; without one the workload only calls. One of HTTP/1.1 is to be
/// served then; any other was served to its end.
pub async fn arrive(
    worker: Rc<Worker>,
    tcp: TcpStream,
    app: Option<Arc<Endpoint>>,
) -> Option<Box<Connection>> {
    let peer = peer_ip(&tcp);
    // Boxed: what is over soon must not make a connection of HTTP/2 or of bytes larger.
    let Admitted { side, alpn, identity, life, spoke } =
        Box::pin(admit(&worker, tcp, app.as_ref())).await?;
    let protocol = match alpn {
        Alpn::Http1 => Protocol::Http,
        Alpn::Http2 => Protocol::Http2,
        Alpn::Tcp => Protocol::Tcp,
    };
    let caller = Caller::new(&worker, app, (identity, peer), protocol);
    match alpn {
        Alpn::Http1 => {
            return Some(Connection::new(worker, side, Origin::Inbound(caller), life));
        }
        Alpn::Http2 => Box::pin(h2::serve(worker, side, Origin::Inbound(caller), life)).await,
        Alpn::Tcp => Box::pin(tcp::serve_inbound(worker, side, caller, spoke)).await,
    }
    None
}

/// Lets a connection in; `None` where it is refused or has gone.
async fn admit(
    worker: &Rc<Worker>,
    tcp: TcpStream,
    app: Option<&Arc<Endpoint>>,
) -> Option<Admitted> {
    let (mode, protocol) = demands(worker, app);
    if mode == MtlsMode::Strict {
        return handshake(worker, tcp, protocol).await;
    }
    let mut seen = tokio::time::timeout(detect::SILENCE, is_mesh(&tcp)).await;
    if seen.is_err() {
        // Nothing has come, or not enough; an application that speaks HTTP has nothing to say yet.
        if let Some(app) = app.filter(|_| !protocol.is_http())
            && let Some(spoke) = tcp::speaks_first(worker, &tcp, app).await
        {
            let side = Side::new(Stream::Plain(tcp));
            let (alpn, spoke) = (Alpn::Tcp, Some(spoke));
            return Some(Admitted { side, alpn, identity: None, life: MAX_AGE, spoke });
        }
        seen = tokio::time::timeout(HANDSHAKE, is_mesh(&tcp)).await;
    }
    match seen.ok()?.ok()? {
        true => handshake(worker, tcp, protocol).await,
        false => plaintext(worker, Side::new(Stream::Plain(tcp)), protocol).await,
    }
}

/// What is demanded of callers, and what the application is declared to speak.
fn demands(worker: &Worker, app: Option<&Arc<Endpoint>>) -> (MtlsMode, Protocol) {
    let workload = worker.shared.directory.workload();
    let port = app.map(|app| app.address.port());
    match workload.ports.iter().find(|known| Some(known.port) == port) {
        Some(port) => (port.mtls, port.protocol),
        None => (workload.mtls, Protocol::Detect),
    }
}

/// Whether a caller that was let in may go on: nobody without an identity once mTLS is strict.
pub fn is_still_welcome(worker: &Worker, caller: &Caller) -> bool {
    caller.identity.is_some() || demands(worker, caller.app.as_ref()).0 == MtlsMode::Permissive
}

async fn handshake(worker: &Worker, tcp: TcpStream, protocol: Protocol) -> Option<Admitted> {
    let peer = peer_ip(&tcp);
    let acceptor = TlsAcceptor::from(Arc::clone(&worker.duties.server));
    let accepted = match tokio::time::timeout(HANDSHAKE, acceptor.accept(tcp)).await {
        Ok(accepted) => accepted,
        Err(_) => {
            worker.hit(Limit::HandshakeTime);
            Err(io::ErrorKind::TimedOut.into())
        }
    };
    let refuse = |reason| {
        record::handshake_refused(worker, peer, reason);
        None
    };
    let stream = match accepted {
        Ok(stream) => stream,
        Err(error) => {
            tracing::debug!(%error, "handshake refused");
            return refuse(tls_reason(&error));
        }
    };
    let session = stream.get_ref().1;
    let chain = session.peer_certificates();
    let identity = chain.and_then(peer_identity);
    let alpn = session.alpn_protocol().and_then(Alpn::from_bytes);
    let life = remaining(worker, chain.and_then(tls::peer_not_after));
    let (Some(identity), Some(alpn)) = (identity, alpn) else {
        return refuse(Reason::ProtocolMismatch);
    };
    if alpn == Alpn::Tcp && protocol.is_http() {
        tracing::debug!(%identity, "opaque bytes to a port that is declared HTTP");
        return refuse(Reason::ProtocolMismatch);
    }
    let side = Side::new(Stream::Accepted(Box::new(stream)));
    Some(Admitted { side, alpn, identity: Some(identity), life, spoke: None })
}

fn peer_ip(tcp: &TcpStream) -> Option<IpAddr> {
    tcp.peer_addr().ok().map(|peer| peer.ip())
}

/// How long a connection may live: to the end of either certificate.
fn remaining(worker: &Worker, peer: Option<SystemTime>) -> Duration {
    let own = worker.shared.tls.credentials().not_after();
    let end = peer.map_or(own, |peer| peer.min(own));
    end.duration_since(SystemTime::now()).unwrap_or_default().min(MAX_AGE)
}

async fn plaintext(worker: &Worker, mut side: Side, protocol: Protocol) -> Option<Admitted> {
    let alpn = match protocol {
        Protocol::Http => Alpn::Http1,
        Protocol::Http2 | Protocol::Grpc => Alpn::Http2,
        Protocol::Tcp => Alpn::Tcp,
        Protocol::Detect => match detect::detect(worker, &mut side).await? {
            Kind::Http1 => Alpn::Http1,
            Kind::Http2 => Alpn::Http2,
            // Nobody but the application can know what a silent client wants.
            Kind::Opaque | Kind::Silent => Alpn::Tcp,
        },
    };
    Some(Admitted { side, alpn, identity: None, life: MAX_AGE, spoke: None })
}

/// Whether what begins is TLS with one of our protocols; nothing is taken from the socket.
async fn is_mesh(tcp: &TcpStream) -> io::Result<bool> {
    let mut seen = vec![0; MAX_HELLO];
    let mut known = 0;
    loop {
        let ready = tcp.ready(Interest::READABLE).await?;
        let count = tcp.peek(&mut seen).await?;
        if count > known {
            known = count;
            let hello = seen.get(..count).unwrap_or_default();
            if hello.first() != Some(&0x16) {
                return Ok(false);
            }
            match offers_mesh(hello) {
                Some(answer) => return Ok(answer),
                None if count == MAX_HELLO => return Ok(false),
                None => {}
            }
        } else if ready.is_read_closed() {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        // What was seen stays in the socket: from here on only more of it is news.
        let news = || io::Result::<()>::Err(io::ErrorKind::WouldBlock.into());
        let _ = tcp.try_io(Interest::READABLE, news);
    }
}

/// Whether a ClientHello offers one of our protocols; `None` where it is not complete.
pub fn offers_mesh(mut hello: &[u8]) -> Option<bool> {
    let mut acceptor = Acceptor::default();
    while !hello.is_empty() {
        match acceptor.read_tls(&mut hello) {
            Ok(_) => {}
            Err(_) => return Some(false),
        }
    }
    match acceptor.accept() {
        Ok(Some(accepted)) => {
            let hello = accepted.client_hello();
            let offered =
                hello.alpn().map(|mut names| names.any(|n| Alpn::from_bytes(n).is_some()));
            Some(offered.unwrap_or(false))
        }
        Ok(None) => None,
        Err(_) => Some(false),
    }
}
