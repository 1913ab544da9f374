//! A connection as bytes: plain TCP, or TLS in either role, with a read buffer beside it.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use socket2::TcpKeepalive;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

use crate::proxy::h1::{Buffer, Headroom};

/// A connection.
#[derive(Debug)]
pub enum Stream {
    /// Plaintext.
    Plain(TcpStream),
    /// TLS that we accepted.
    Accepted(Box<tokio_rustls::server::TlsStream<TcpStream>>),
    /// TLS that we dialed.
    Dialed(Box<tokio_rustls::client::TlsStream<TcpStream>>),
}

impl Stream {
    /// The socket underneath.
    pub fn tcp(&self) -> &TcpStream {
        match self {
            Self::Plain(tcp) => tcp,
            Self::Accepted(tls) => tls.get_ref().0,
            Self::Dialed(tls) => tls.get_ref().0,
        }
    }

    /// How far heads may go over the limits; TLS is spoken with sidecars alone.
    pub fn headroom(&self) -> Headroom {
        match self {
            Self::Plain(_) => Headroom::NONE,
            Self::Accepted(_) | Self::Dialed(_) => Headroom::SIDECAR,
        }
    }

    /// Whether decrypted bytes wait inside, which the socket would not tell.
    fn has_plaintext(&self) -> bool {
        match self {
            Self::Plain(_) => false,
            Self::Accepted(tls) => !tls.get_ref().1.wants_read(),
            Self::Dialed(tls) => !tls.get_ref().1.wants_read(),
        }
    }

    /// Makes the end a reset: for what was cut short where a plain end would look whole.
    pub fn abort(&self) {
        // A socket that refuses the option is closed all the same.
        let _ = socket2::SockRef::from(self.tcp()).set_linger(Some(Duration::ZERO));
    }

    /// Lets the kernel look after a connection that is silent, and end it when the machine at its
    /// other end has been gone for a minute and a half.
    pub fn keep_alive(&self) {
        let probes = TcpKeepalive::new()
            .with_time(Duration::from_secs(60))
            .with_interval(Duration::from_secs(10))
            .with_retries(3);
        // A socket that refuses the option ends when somebody writes to it.
        let _ = socket2::SockRef::from(self.tcp()).set_tcp_keepalive(&probes);
    }

    /// Waits until there is something to read (or the end), without a buffer.
    pub fn poll_readable(&self, cx: &mut Context<'_>) -> Poll<()> {
        if self.has_plaintext() {
            return Poll::Ready(());
        }
        // An error shows itself at the read that follows.
        self.tcp().poll_read_ready(cx).map(|_| ())
    }
}

/// Delegates to the connection inside.
macro_rules! each {
    ($stream:expr, $io:ident => $call:expr) => {
        match $stream.get_mut() {
            Stream::Plain(tcp) => {
                let $io = Pin::new(tcp);
                $call
            }
            Stream::Accepted(tls) => {
                let $io = Pin::new(&mut **tls);
                $call
            }
            Stream::Dialed(tls) => {
                let $io = Pin::new(&mut **tls);
                $call
            }
        }
    };
}

impl AsyncRead for Stream {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        each!(self, io => io.poll_read(cx, buf))
    }
}

impl AsyncWrite for Stream {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        each!(self, io => io.poll_write(cx, buf))
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        each!(self, io => io.poll_flush(cx))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        each!(self, io => io.poll_shutdown(cx))
    }
}

/// A connection and what was read from it and not yet used.
#[derive(Debug)]
pub struct Side {
    /// The connection.
    pub stream: Stream,
    /// What was read.
    pub buffer: Buffer,
}

impl Side {
    /// A connection from which nothing was read.
    pub fn new(stream: Stream) -> Self {
        Self { stream, buffer: Buffer::empty() }
    }

    /// Gives up the room for what is read, where nothing is in it.
    pub fn let_go(&mut self) {
        if self.buffer.is_empty() {
            self.buffer = Buffer::empty();
        }
    }

    /// Reads once into the buffer; 0 is the end. Without a room one is taken when there is something
    /// to read: whoever waits holds none.
    pub fn poll_fill(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        if !self.buffer.has_block() {
            ready!(self.stream.poll_readable(cx));
        }
        let space = self.buffer.space();
        if space.is_empty() {
            return Poll::Ready(Err(io::ErrorKind::OutOfMemory.into()));
        }
        let mut buf = ReadBuf::new(space);
        ready!(Pin::new(&mut self.stream).poll_read(cx, &mut buf))?;
        let count = buf.filled().len();
        self.buffer.advance(count);
        Poll::Ready(Ok(count))
    }

    /// Reads once into the buffer; 0 is the end.
    pub async fn fill(&mut self) -> io::Result<usize> {
        std::future::poll_fn(|cx| self.poll_fill(cx)).await
    }

    /// Whether something (the end included) can be read at once.
    pub async fn has_more(&mut self) -> bool {
        std::future::poll_fn(|cx| Poll::Ready(self.poll_fill(cx).is_ready())).await
    }

    /// Writes once.
    pub fn poll_write(&mut self, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    /// Writes out what TLS holds back.
    pub fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }
}
