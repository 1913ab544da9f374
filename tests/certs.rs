//! Identity on the wire: real handshakes over in-memory streams, with good and with hostile peers.

mod first;
pub(crate) mod foreign;
mod hostile;
mod swap;

use std::io;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use meshctl::certs::{Authority, Credentials, PendingKey, Tls};
use meshctl::names::Identity;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ServerConfig};
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};
use tokio_rustls::{TlsAcceptor, TlsConnector};

/// The protocol of these connections.
const ALPN: &[&[u8]] = &[b"meshctl/tcp"];

const HOUR: Duration = Duration::from_secs(3_600);

/// An identity of a service account in `default` of `cluster.local`.
fn identity(account: &str) -> Identity {
    format!("spiffe://cluster.local/ns/default/sa/{account}").parse().expect("an identity")
}

fn authority() -> Authority {
    let trust_domain = identity("any").trust_domain;
    Authority::create(&trust_domain, SystemTime::now()).expect("an authority")
}

fn credentials(authority: &Authority, identity: &Identity, issued: SystemTime) -> Credentials {
    let key = PendingKey::generate().expect("a key");
    let csr = key.csr(identity).expect("a request");
    let issued = authority.sign(&csr, identity, HOUR, issued).expect("signed");
    key.finish(issued.chain, authority.roots(), identity).expect("good credentials")
}

fn tls(authority: &Authority, account: &str) -> Arc<Tls> {
    let credentials = credentials(authority, &identity(account), SystemTime::now());
    Tls::new(credentials, authority.roots().clone()).expect("usable")
}

/// What one side saw of the other.
#[derive(Debug)]
struct Peer {
    chain: Vec<CertificateDer<'static>>,
    alpn: Option<Vec<u8>>,
}

/// Both sides' outcome, each after it has heard from the other.
struct Outcome {
    client: io::Result<Peer>,
    server: io::Result<Peer>,
}

/// Connects the two over memory and passes one byte each way.
async fn handshake(client: Arc<ClientConfig>, server: Arc<ServerConfig>) -> Outcome {
    let (near, far) = tokio::io::duplex(64 * 1024);
    let (client, server) = tokio::join!(connect(client, near), accept(server, far));
    Outcome { client, server }
}

async fn connect(config: Arc<ClientConfig>, stream: DuplexStream) -> io::Result<Peer> {
    let name = ServerName::try_from("reviews.default").expect("a name");
    let mut stream = TlsConnector::from(config).connect(name, stream).await?;
    stream.write_all(b"?").await?;
    stream.flush().await?;
    // The server judges after the client is done; only its answer says that it agreed.
    stream.read_u8().await?;
    let (_, session) = stream.get_ref();
    let chain = session.peer_certificates().unwrap_or_default().to_vec();
    Ok(Peer { chain, alpn: session.alpn_protocol().map(<[u8]>::to_vec) })
}

async fn accept(config: Arc<ServerConfig>, stream: DuplexStream) -> io::Result<Peer> {
    let mut stream = TlsAcceptor::from(config).accept(stream).await?;
    stream.read_u8().await?;
    stream.write_all(b"!").await?;
    stream.flush().await?;
    let (_, session) = stream.get_ref();
    let chain = session.peer_certificates().unwrap_or_default().to_vec();
    Ok(Peer { chain, alpn: session.alpn_protocol().map(<[u8]>::to_vec) })
}
