//! Certificates: those of the mesh's own authority, which a test may take from its home, and those
//! of strangers; and TLS with them against a proxy.

use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use meshctl::certs::{Authority, ClientAuth, PendingKey, Roots, Tls};
use meshctl::names::Identity;
use rustls::pki_types::ServerName;
use rustls::{ClientConnection, ServerConnection, StreamOwned};

use super::conn::Socket;
use super::{Conn, Mesh};

const HOUR: Duration = Duration::from_secs(3600);

/// Signs what it is asked to.
pub(crate) struct Forger {
    authority: Authority,
}

impl Forger {
    /// With the key of the mesh.
    pub(crate) fn of(mesh: &Mesh) -> Self {
        let authority = Authority::load(&mesh.home().ca()).expect("the mesh has an authority");
        Self { authority }
    }

    /// With a key of its own, for the same trust domain.
    pub(crate) fn stranger() -> Self {
        let trust_domain = "cluster.local".parse().expect("a trust domain");
        let authority = Authority::create(&trust_domain, SystemTime::now()).expect("a key");
        Self { authority }
    }

    /// TLS as `account`, trusting the roots of `mesh`.
    pub(crate) fn tls(&self, account: &str, mesh: &Mesh) -> Arc<Tls> {
        let identity = identity(account);
        let key = PendingKey::generate().expect("a key");
        let csr = key.csr(&identity).expect("a request");
        let now = SystemTime::now();
        let issued = self.authority.sign(&csr, &identity, HOUR, now).expect("signed");
        let own = self.authority.roots();
        let credentials = key.finish(issued.chain, own, &identity).expect("credentials");
        let roots: Roots = Authority::load(&mesh.home().ca()).expect("it has").roots().clone();
        Tls::new(credentials, roots).expect("usable")
    }
}

/// TLS with a proxy.
pub(crate) struct Tunnel;

impl Tunnel {
    /// Connects to an inbound listener as whoever `tls` is; `None` where the handshake fails
    /// (with TLS 1.3 a refused client learns it with the first bytes that it reads).
    pub(crate) fn open(tls: &Tls, to: SocketAddr, account: &str, alpn: &[u8]) -> Conn {
        let config = tls.client_config(&identity(account), &[alpn]);
        let name = ServerName::try_from("service.default").expect("a name");
        let session = ClientConnection::new(config, name).expect("a session");
        let stream = TcpStream::connect(to).expect("it listens");
        Conn::new(StreamOwned::new(session, stream))
    }

    /// Listens as whoever `tls` is, in the place of a proxy, for one connection; what came after
    /// the handshake, or why there was none.
    pub(crate) fn listen(
        tls: &Tls,
        at: SocketAddr,
    ) -> std::thread::JoinHandle<std::io::Result<Vec<u8>>> {
        let alpn: &[&[u8]] = &[b"meshctl/http1.1", b"meshctl/h2", b"meshctl/tcp"];
        let config = tls.server_config(alpn, ClientAuth::Required);
        let listener = TcpListener::bind(at).expect("the port is free");
        std::thread::spawn(move || {
            let (stream, _) = listener.accept()?;
            stream.set_read_timeout(Some(super::DEADLINE))?;
            let session = ServerConnection::new(config).map_err(std::io::Error::other)?;
            let mut stream = StreamOwned::new(session, stream);
            let mut room = vec![0; 1024];
            let count = std::io::Read::read(&mut stream, &mut room)?;
            room.truncate(count);
            Ok(room)
        })
    }
}

impl Socket for StreamOwned<ClientConnection, TcpStream> {
    fn finish(&mut self) {
        self.conn.send_close_notify();
        // The other side may have gone already.
        let _ = self.conn.complete_io(&mut self.sock);
    }

    fn patience(&mut self, limit: Duration) {
        self.sock.patience(limit);
    }
}

fn identity(account: &str) -> Identity {
    let text = format!("spiffe://cluster.local/ns/default/sa/{account}");
    text.parse().expect("an identity")
}
