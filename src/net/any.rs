//! Streams and listeners of any kind behind one type, so that the machinery of HTTP is compiled once
//! and not for each kind. Not for the path of requests.

use std::fmt::{Debug, Formatter, Result};
use std::io;

use axum::serve::Listener;
use futures_util::future::BoxFuture;
use tokio::io::{AsyncRead, AsyncWrite};

/// What bytes go over.
pub trait Transport: AsyncRead + AsyncWrite + Unpin + Send {}

impl<S: AsyncRead + AsyncWrite + Unpin + Send> Transport for S {}

/// A stream of any kind.
pub type AnyStream = Box<dyn Transport>;

/// Accepts streams of any kind, without saying from where.
trait Accept: Send {
    fn next(&mut self) -> BoxFuture<'_, AnyStream>;
}

impl<L: Listener> Accept for L {
    fn next(&mut self) -> BoxFuture<'_, AnyStream> {
        Box::pin(async move { Box::new(self.accept().await.0) as AnyStream })
    }
}

/// A listener of any kind.
pub struct AnyListener(Box<dyn Accept>);

impl AnyListener {
    /// Of this one.
    pub fn new(listener: impl Listener) -> Self {
        Self(Box::new(listener))
    }
}

impl Debug for AnyListener {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        f.write_str("AnyListener")
    }
}

impl Listener for AnyListener {
    type Io = AnyStream;
    type Addr = ();

    async fn accept(&mut self) -> (AnyStream, ()) {
        (self.0.next().await, ())
    }

    fn local_addr(&self) -> io::Result<()> {
        Ok(())
    }
}
