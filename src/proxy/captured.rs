//! Captured connections: the kernel redirected them here, and still knows where they were going.
//!
//! Outbound, the original destination decides, never a `Host` that the application chose. Inbound,
//! it is the application's own address and port. What was not redirected, or was going to one of
//! the proxy's own listeners, is closed; a call of the own pod is the exception, which comes in
//! over loopback with a note beside it (see [`OwnPod`]).

use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, SocketAddrV6};
use std::rc::Rc;

use parking_lot::Mutex;
use socket2::SockRef;
use tokio::net::{TcpSocket, TcpStream};

use crate::proxy::serve::Connection;
use crate::proxy::stream::{Side, Stream};
use crate::proxy::worker::Worker;
use crate::proxy::{inbound, outbound, tcp};

/// Takes in a connection of our application that was going anywhere; as [`outbound::arrive`].
pub async fn arrive_outbound(worker: Rc<Worker>, tcp: TcpStream) -> Option<Box<Connection>> {
    let Some(address) = original(&tcp).filter(|address| !outbound::is_own(&worker, *address))
    else {
        tracing::debug!("a connection to the proxy itself was closed");
        return None;
    };
    // Boxed: what is over soon must not make what follows larger.
    let called = Box::pin(outbound::called_at(&worker, address)).await;
    tcp::arrive_called(worker, Side::new(Stream::Plain(tcp)), called).await
}

/// Takes in a connection that was going to an application of this pod; as [`inbound::arrive`].
pub async fn arrive_inbound(worker: Rc<Worker>, tcp: TcpStream) -> Option<Box<Connection>> {
    let address = original(&tcp).or_else(|| {
        let own_pod = worker.duties.own_pod.as_ref()?;
        own_pod.take(plain(tcp.peer_addr().ok()?))
    });
    // A packet for another machine may be routed through this one, but is not to be answered here.
    let ours = |address: &SocketAddr| {
        worker.is_local(address.ip()) && !outbound::is_own(&worker, *address)
    };
    let Some(address) = address.filter(ours) else {
        tracing::debug!("a connection that is for no application was closed");
        return None;
    };
    let app = worker.app_endpoint(address);
    inbound::arrive(worker, tcp, Some(app)).await
}

/// Whether an address is this machine's: only to those can a socket be bound.
pub fn is_local(ip: IpAddr) -> bool {
    std::net::UdpSocket::bind((ip, 0)).is_ok()
}

/// Where a redirected connection was going; `None` where it was not redirected.
fn original(tcp: &TcpStream) -> Option<SocketAddr> {
    let local = plain(tcp.local_addr().ok()?);
    let socket = SockRef::from(tcp);
    let found = match local {
        SocketAddr::V4(_) => socket.original_dst_v4(),
        SocketAddr::V6(_) => socket.original_dst_v6(),
    };
    let found = plain(found.ok()?.as_socket()?);
    (found != local).then_some(found)
}

/// An address in the one form in which addresses are compared.
fn plain(address: SocketAddr) -> SocketAddr {
    match (address.ip().to_canonical(), address) {
        // The scope says which link an address of that link is on; the flow says nothing.
        (IpAddr::V6(ip), SocketAddr::V6(of)) => {
            SocketAddrV6::new(ip, of.port(), 0, of.scope_id()).into()
        }
        (ip, _) => SocketAddr::new(ip, address.port()),
    }
}

/// The way from the outbound to the inbound side of one proxy: a call of the own pod goes in like
/// any other, with mutual TLS, although no packet leaves and nothing captures it.
///
/// The one side notes where a connection is going before it dials, the other looks it up.
#[derive(Debug)]
pub struct OwnPod {
    inbound: SocketAddr,
    notes: Mutex<HashMap<SocketAddr, SocketAddr>>,
}

impl OwnPod {
    /// The captured inbound listener is on this port.
    pub fn new(port: u16) -> Self {
        Self { inbound: (Ipv4Addr::LOCALHOST, port).into(), notes: Mutex::default() }
    }

    /// Connects to the inbound side on the way to `destination`; the note is to be kept until that
    /// side has shown that it took the connection.
    ///
    /// # Errors
    /// That of the system.
    pub async fn connect(&self, destination: SocketAddr) -> io::Result<(TcpStream, Note<'_>)> {
        let socket = TcpSocket::new_v4()?;
        socket.bind((Ipv4Addr::LOCALHOST, 0).into())?;
        let from = socket.local_addr()?;
        self.notes.lock().insert(from, destination);
        let note = Note { own_pod: self, from };
        Ok((socket.connect(self.inbound).await?, note))
    }

    /// Where the connection from `peer` is going.
    fn take(&self, peer: SocketAddr) -> Option<SocketAddr> {
        self.notes.lock().remove(&peer)
    }
}

/// Says where one connection is going; gone when this is dropped.
#[derive(Debug)]
pub struct Note<'a> {
    own_pod: &'a OwnPod,
    from: SocketAddr,
}

impl Drop for Note<'_> {
    fn drop(&mut self) {
        self.own_pod.take(self.from);
    }
}
