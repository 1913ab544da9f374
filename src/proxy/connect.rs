//! Opening a connection to an endpoint: TCP, and between sidecars mutual TLS that proves the one
//! identity which the control plane names. Fails closed: there is no plaintext instead.

use std::io;
use std::time::{Duration, SystemTime};

use rustls_pki_types::ServerName;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use crate::certs::tls::{self, Tls};
use crate::certs::{VerifyFailure, failure_of};
use crate::names::{Identity, ServiceName};
use crate::net::accept::{AcceptFailure, classify};
use crate::proxy::captured::OwnPod;
use crate::proxy::cluster::Endpoint;
use crate::proxy::pool::{MAX_AGE, Upstream};
use crate::proxy::stream::{Side, Stream};
use crate::proxy::worker::Worker;
use crate::resource::OutboundMode;
use crate::telemetry::limits::Limit;
use crate::telemetry::reason::Reason;

/// What the caller says is coming (ALPN, RFC 7301).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Alpn {
    /// HTTP/1.1.
    Http1,
    /// HTTP/2.
    Http2,
    /// Opaque bytes.
    Tcp,
}

impl Alpn {
    /// Every protocol between sidecars.
    pub const ALL: [Self; 3] = [Self::Http1, Self::Http2, Self::Tcp];

    /// The protocol's name on the wire.
    pub fn as_bytes(self) -> &'static [u8] {
        match self {
            Self::Http1 => b"meshctl/http1.1",
            Self::Http2 => b"meshctl/h2",
            Self::Tcp => b"meshctl/tcp",
        }
    }

    /// The protocol of a name.
    pub fn from_bytes(name: &[u8]) -> Option<Self> {
        Self::ALL.into_iter().find(|alpn| alpn.as_bytes() == name)
    }
}

/// How to connect.
#[derive(Debug, Clone, Copy)]
pub struct Terms<'a> {
    /// TCP and TLS together.
    pub timeout: Duration,
    /// How long the connection may lie idle afterwards.
    pub idle_limit: Duration,
    /// What is coming.
    pub alpn: Alpn,
    /// The service, for the SNI, which is for reading only.
    pub service: &'a ServiceName,
}

/// Who dials: what it takes, beside the endpoint. Workers have it, and the thread that checks health.
#[derive(Debug, Clone, Copy)]
pub struct Dialer<'a> {
    /// Credentials and roots.
    pub tls: &'a Tls,
    /// What may be called outside of the mesh.
    pub outbound: OutboundMode,
    /// How calls of the own pod come in, where the endpoint is in it.
    pub own_pod: Option<&'a OwnPod>,
}

/// Connects to `endpoint`.
///
/// # Errors
/// The reason for which the request fails.
pub async fn open(
    worker: &Worker,
    endpoint: &Endpoint,
    terms: Terms<'_>,
) -> Result<Upstream, Reason> {
    // Our own pod is reached through our own inbound side, which nothing else would capture for.
    let own_pod = worker.duties.own_pod.as_ref().filter(|_| worker.is_local(endpoint.address.ip()));
    let dialer = Dialer {
        tls: &worker.shared.tls,
        outbound: worker.shared.directory.mesh().outbound,
        own_pod: own_pod.map(|own_pod| &**own_pod),
    };
    let mut dialed = dialer.dial(endpoint, terms).await;
    if let Err(Reason::Overloaded) = dialed {
        // No descriptor was left: those of connections that nobody uses are, once they are closed.
        worker.hit(Limit::Descriptors);
        worker.close_unused();
        worker.shared.overload.run_dry(worker.shared.directory.bell());
        dialed = dialer.dial(endpoint, terms).await;
    }
    let (stream, life) = dialed?;
    Ok(Upstream {
        side: Side::new(stream),
        endpoint: endpoint.id,
        expires: worker.slots.now() + life,
        idle_limit: terms.idle_limit,
        carried: 1,
        permit: None,
    })
}

impl Dialer<'_> {
    /// Connects to `endpoint`; also how long the connection may live.
    ///
    /// # Errors
    /// The reason for which the request fails.
    pub async fn dial(
        &self,
        endpoint: &Endpoint,
        terms: Terms<'_>,
    ) -> Result<(Stream, Duration), Reason> {
        let dialed = tokio::time::timeout(terms.timeout, self.connect(endpoint, terms)).await;
        dialed.unwrap_or(Err(Reason::ConnectTimeout))
    }

    async fn connect(
        &self,
        endpoint: &Endpoint,
        terms: Terms<'_>,
    ) -> Result<(Stream, Duration), Reason> {
        let failed = |error| {
            tracing::debug!(address = %endpoint.address, %error, "no connection");
            match classify(&error) {
                AcceptFailure::Exhausted => Reason::Overloaded,
                AcceptFailure::Connection | AcceptFailure::Listener => Reason::ConnectFailure,
            }
        };
        let Some(identity) = &endpoint.identity else {
            may_be_plain(endpoint, self.outbound)?;
            let tcp = TcpStream::connect(endpoint.address).await.map_err(failed)?;
            // A socket that refuses the option still works, only slower.
            let _ = tcp.set_nodelay(true);
            return Ok((Stream::Plain(tcp), MAX_AGE));
        };
        let (tcp, _note) = match self.own_pod {
            Some(own_pod) => {
                let (tcp, note) = own_pod.connect(endpoint.address).await.map_err(failed)?;
                (tcp, Some(note))
            }
            None => (TcpStream::connect(endpoint.address).await.map_err(failed)?, None),
        };
        let _ = tcp.set_nodelay(true);
        self.encrypt(tcp, identity, terms).await
    }

    async fn encrypt(
        &self,
        tcp: TcpStream,
        identity: &Identity,
        terms: Terms<'_>,
    ) -> Result<(Stream, Duration), Reason> {
        let now = SystemTime::now();
        let own = self.tls.credentials().not_after();
        if own <= now {
            return Err(Reason::CertExpired);
        }
        let config = self.tls.client_config(identity, &[terms.alpn.as_bytes()]);
        let sni = format!("{}.{}", terms.service.name, terms.service.namespace);
        let sni = ServerName::try_from(sni).map_err(|_| Reason::Internal)?;
        let stream = TlsConnector::from(config).connect(sni, tcp).await.map_err(|error| {
            tracing::warn!(expected = %identity, %error, "no mutual TLS with the endpoint");
            tls_reason(&error)
        })?;
        let session = stream.get_ref().1;
        if session.alpn_protocol() != Some(terms.alpn.as_bytes()) {
            return Err(Reason::ProtocolMismatch);
        }
        let peer = session.peer_certificates().and_then(tls::peer_not_after).unwrap_or(now);
        let valid = peer.min(own).duration_since(now).unwrap_or_default();
        Ok((Stream::Dialed(Box::new(stream)), valid.min(MAX_AGE)))
    }
}

/// Whether what has no sidecar may be called at all.
///
/// # Errors
/// The reason for which a request to it fails.
pub fn may_be_plain(endpoint: &Endpoint, outbound: OutboundMode) -> Result<(), Reason> {
    match endpoint.registered && outbound == OutboundMode::RegistryOnly {
        true => Err(Reason::NotRegistered),
        false => Ok(()),
    }
}

/// The reason for which a handshake failed, on either side.
pub fn tls_reason(error: &io::Error) -> Reason {
    let Some(failure) = failure_of(error) else {
        return match error.kind() {
            io::ErrorKind::ConnectionReset => Reason::ConnectFailure,
            _ => Reason::TlsFailure,
        };
    };
    match failure {
        VerifyFailure::BadSpiffeId => Reason::BadSpiffeId,
        VerifyFailure::WrongTrustDomain => Reason::WrongTrustDomain,
        VerifyFailure::CertExpired => Reason::CertExpired,
        VerifyFailure::CertNotYetValid => Reason::CertNotYetValid,
        VerifyFailure::UnknownRoot => Reason::UnknownRoot,
        VerifyFailure::SelfSigned => Reason::SelfSigned,
        VerifyFailure::CaAsLeaf => Reason::CaAsLeaf,
        VerifyFailure::WrongUsage => Reason::WrongUsage,
        VerifyFailure::ChainTooLong => Reason::ChainTooLong,
        VerifyFailure::NameConstraints => Reason::NameConstraints,
        VerifyFailure::BadCertificate => Reason::BadCertificate,
        VerifyFailure::NoCertificate => Reason::NoCertificate,
        VerifyFailure::NoAlpn => Reason::NoAlpn,
        VerifyFailure::TlsVersion => Reason::TlsVersion,
        VerifyFailure::NotTls => Reason::NotTls,
        VerifyFailure::PeerRefused => Reason::PeerRefused,
        VerifyFailure::WrongIdentity => Reason::WrongIdentity,
    }
}
