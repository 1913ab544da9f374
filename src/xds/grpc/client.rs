//! The calling side: a channel over streams that the caller opens, and the three calls.
//!
//! A channel opens its stream at the first call and again after it broke, so the caller's closure
//! runs once per connection; back-off between the calls is the caller's business.

use std::future::Future;
use std::io;
use std::time::Duration;

use futures_util::Stream;
use futures_util::future::BoxFuture;
use hyper_util::rt::TokioIo;
use parking_lot::Mutex;
use tokio::io::{AsyncRead, AsyncWrite};
use tonic::client::Grpc;
use tonic::codegen::http::uri::PathAndQuery;
use tonic::transport::{Channel, Endpoint};
use tonic::{Request, Status, Streaming};

use super::messages::Messages;
use super::{Connect, Delta, MESSAGE_BYTES, Method, Sign};
use crate::net::any::AnyStream;
use crate::xds::agent::{Down, Up};
use crate::xds::discovery::{DeltaRequest, DeltaResponse};
use crate::xds::identity::{SignRequest, SignResponse};

/// How a dead peer is found out: HTTP/2 PINGs, also while no call is open.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Keepalive {
    /// Between two PINGs.
    pub interval: Duration,
    /// Until an unanswered PING ends the connection.
    pub timeout: Duration,
}

impl Default for Keepalive {
    /// A PING every 10 s, answered within 20 s.
    fn default() -> Self {
        Self { interval: Duration::from_secs(10), timeout: Duration::from_secs(20) }
    }
}

/// A stream that is being opened.
type Opening = BoxFuture<'static, io::Result<TokioIo<AnyStream>>>;

/// A channel over the streams that `connect` opens: each must be ready for HTTP/2 (TLS done).
pub fn channel_over<C, F, S>(connect: C, keepalive: Keepalive) -> Channel
where
    C: Fn() -> F + Send + 'static,
    F: Future<Output = io::Result<S>> + Send + 'static,
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let open = move || -> Opening {
        let opened = connect();
        Box::pin(async move { Ok(TokioIo::new(Box::new(opened.await?) as AnyStream)) })
    };
    channel(Box::new(open), keepalive)
}

/// A client over one stream that is open: once that has ended, so has the client.
pub fn client_over<S>(stream: S) -> Client
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let stream = Mutex::new(Some(stream));
    let once = move || {
        let stream = stream.lock().take();
        async move { stream.ok_or_else(|| io::Error::from(io::ErrorKind::NotConnected)) }
    };
    Client::new(channel_over(once, Keepalive::default()))
}

/// Compiled once, for all kinds of streams.
fn channel(open: Box<dyn Fn() -> Opening + Send>, keepalive: Keepalive) -> Channel {
    // The authority is never looked up: the connector knows where to go.
    Endpoint::from_static("http://control-plane.meshctl")
        .http2_keep_alive_interval(keepalive.interval)
        .keep_alive_timeout(keepalive.timeout)
        .keep_alive_while_idle(true)
        .connect_with_connector_lazy(tower::service_fn(move |_| open()))
}

/// Calls the control plane.
#[derive(Debug, Clone)]
pub struct Client {
    grpc: Grpc<Channel>,
}

impl Client {
    /// Calls over `channel`.
    pub fn new(channel: Channel) -> Self {
        let grpc = Grpc::new(channel)
            .max_decoding_message_size(MESSAGE_BYTES)
            .max_encoding_message_size(MESSAGE_BYTES);
        Self { grpc }
    }

    /// Opens a discovery stream; it lives as long as `outbound` and what is returned.
    ///
    /// # Errors
    /// What the server refuses with; UNAVAILABLE where it cannot be reached.
    pub async fn delta(
        &mut self,
        outbound: impl Stream<Item = DeltaRequest> + Send + 'static,
    ) -> Result<Streaming<DeltaResponse>, Status> {
        self.stream::<Delta>(outbound).await
    }

    /// Opens an agent stream; it lives as long as `outbound` and what is returned.
    ///
    /// # Errors
    /// What the server refuses with; UNAVAILABLE where it cannot be reached.
    pub async fn connect(
        &mut self,
        outbound: impl Stream<Item = Up> + Send + 'static,
    ) -> Result<Streaming<Down>, Status> {
        self.stream::<Connect>(outbound).await
    }

    /// Asks for a certificate.
    ///
    /// # Errors
    /// What the server refuses with; UNAVAILABLE where it cannot be reached.
    pub async fn sign(&mut self, request: SignRequest) -> Result<SignResponse, Status> {
        self.ready().await?;
        let path = PathAndQuery::from_static(Sign::PATH);
        let codec = Messages::<SignRequest, SignResponse>::new();
        let answer = self.grpc.unary(Request::new(request), path, codec).await?;
        Ok(answer.into_inner())
    }

    async fn stream<M: Method>(
        &mut self,
        outbound: impl Stream<Item = M::Request> + Send + 'static,
    ) -> Result<Streaming<M::Response>, Status> {
        self.ready().await?;
        let path = PathAndQuery::from_static(M::PATH);
        let codec = Messages::<M::Request, M::Response>::new();
        let answer = self.grpc.streaming(Request::new(outbound), path, codec).await?;
        Ok(answer.into_inner())
    }

    async fn ready(&mut self) -> Result<(), Status> {
        self.grpc.ready().await.map_err(|error| Status::unavailable(error.to_string()))
    }
}
