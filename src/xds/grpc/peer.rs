//! Who is at the other end of an accepted stream, carried from the accept loop to the handlers.
//!
//! The accept loop does the TLS handshake (or asks the Unix socket) and wraps the stream; handlers
//! get the [`Peer`] with every call. It is found out once per connection and never from a message.

use std::fmt::Debug;
use std::io;
use std::net::IpAddr;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tonic::transport::server::Connected;

use crate::names::Identity;

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
#[derive(Debug)]
pub struct PeerStream<S> {
    stream: S,
    peer: Peer,
    /// Given back when the connection ends.
    _slot: Option<Box<dyn Debug + Send + Sync>>,
}

impl<S> PeerStream<S> {
    /// Joins the two.
    pub fn new(stream: S, peer: Peer) -> Self {
        Self { stream, peer, _slot: None }
    }

    /// Whether the peer has shown a certificate.
    pub fn is_certified(&self) -> bool {
        self.peer.identity.is_some()
    }

    /// Takes a place among a limited number of connections, for as long as this one lasts.
    pub fn in_slot(self, slot: impl Debug + Send + Sync + 'static) -> Self {
        Self { _slot: Some(Box::new(slot)), ..self }
    }
}

impl<S> Connected for PeerStream<S> {
    type ConnectInfo = Peer;

    fn connect_info(&self) -> Peer {
        self.peer.clone()
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for PeerStream<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buf)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for PeerStream<S> {
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
