//! Who is at the other end of an accepted stream, carried from the accept loop to the handlers.
//!
//! The accept loop does the TLS handshake (or asks the Unix socket) and wraps the stream; handlers
//! get the [`Peer`] with every call. It is found out once per connection and never from a message.

use std::fmt::{self, Debug, Formatter};
use std::io;
use std::net::IpAddr;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tonic::transport::server::Connected;

use crate::names::Identity;
use crate::net::any::{AnyStream, Transport};

/// What is proven about the other end of a connection.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Peer {
    /// The identity in its certificate, over mutual TLS.
    pub identity: Option<Identity>,
    /// The user id of its process, over a Unix socket.
    pub unix_uid: Option<u32>,
    /// Where it calls from, over TCP. No proof of anything.
    pub address: Option<IpAddr>,
    /// Whether that is another machine, as far as its address tells.
    pub elsewhere: bool,
}

/// An accepted stream and who is at its other end.
pub struct PeerStream {
    stream: AnyStream,
    peer: Peer,
    /// Given back when the connection ends.
    slots: Vec<Box<dyn Debug + Send + Sync>>,
}

impl PeerStream {
    /// Joins the two.
    pub fn new(stream: impl Transport + 'static, peer: Peer) -> Self {
        Self { stream: Box::new(stream), peer, slots: Vec::new() }
    }

    /// Whether the peer has shown a certificate.
    pub fn is_certified(&self) -> bool {
        self.peer.identity.is_some()
    }

    /// Takes a place among a limited number of connections, for as long as this one lasts.
    pub fn in_slot(mut self, slot: impl Debug + Send + Sync + 'static) -> Self {
        self.slots.push(Box::new(slot));
        self
    }
}

impl Debug for PeerStream {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.debug_struct("PeerStream").field("peer", &self.peer).finish_non_exhaustive()
    }
}

impl Connected for PeerStream {
    type ConnectInfo = Peer;

    fn connect_info(&self) -> Peer {
        self.peer.clone()
    }
}

impl AsyncRead for PeerStream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buf)
    }
}

impl AsyncWrite for PeerStream {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}
