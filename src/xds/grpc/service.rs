//! The serving side: a method and an async closure become a service for `tonic::transport::Server`.
//!
//! In goes `Fn(Peer, request)`, out comes something for `Server::add_service`. A call to another
//! method of the same service is answered UNIMPLEMENTED, one on a stream without a [`Peer`]
//! INTERNAL; neither reaches the closure.

use std::convert::Infallible;
use std::future::Future;
use std::marker::PhantomData;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use futures_util::Stream;
use tonic::body::Body;
use tonic::codec::Codec as _;
use tonic::codegen::{BoxFuture, Service, http};
use tonic::server::{Grpc, NamedService};
use tonic::{Request, Response, Status, Streaming};

use super::messages::Messages;
use super::{MESSAGE_BYTES, Method, Peer, outbound};

/// What a streaming handler answers with.
pub type Outbound<M> = Pin<Box<dyn Stream<Item = Result<M, Status>> + Send>>;

type StreamHandler<M> = dyn Fn(
        Peer,
        Streaming<<M as Method>::Request>,
    ) -> BoxFuture<Outbound<<M as Method>::Response>, Status>
    + Send
    + Sync;

type UnaryHandler<M> = dyn Fn(Peer, <M as Method>::Request) -> BoxFuture<<M as Method>::Response, Status>
    + Send
    + Sync;

/// Serves a method that streams both ways. The handler's future ends when it has decided whether
/// to accept the stream; what it returns is then sent until it ends.
pub fn serve_stream<M, H, F, S>(_: M, handler: H) -> StreamService<M>
where
    M: Method,
    H: Fn(Peer, Streaming<M::Request>) -> F + Send + Sync + 'static,
    F: Future<Output = Result<S, Status>> + Send + 'static,
    S: Stream<Item = Result<M::Response, Status>> + Send + 'static,
{
    let handler = move |peer, inbound| -> BoxFuture<Outbound<M::Response>, Status> {
        let accepted = handler(peer, inbound);
        Box::pin(async move { Ok(Box::pin(accepted.await?) as Outbound<M::Response>) })
    };
    StreamService { handler: Arc::new(handler), method: PhantomData }
}

/// Serves a method with one message each way.
pub fn serve_unary<M, H, F>(_: M, handler: H) -> UnaryService<M>
where
    M: Method,
    H: Fn(Peer, M::Request) -> F + Send + Sync + 'static,
    F: Future<Output = Result<M::Response, Status>> + Send + 'static,
{
    let handler =
        move |peer, request| -> BoxFuture<M::Response, Status> { Box::pin(handler(peer, request)) };
    UnaryService { handler: Arc::new(handler), method: PhantomData }
}

/// A served streaming method; made by [`serve_stream`].
pub struct StreamService<M: Method> {
    handler: Arc<StreamHandler<M>>,
    method: PhantomData<M>,
}

/// A served unary method; made by [`serve_unary`].
pub struct UnaryService<M: Method> {
    handler: Arc<UnaryHandler<M>>,
    method: PhantomData<M>,
}

impl<M: Method> Clone for StreamService<M> {
    fn clone(&self) -> Self {
        Self { handler: Arc::clone(&self.handler), method: PhantomData }
    }
}

impl<M: Method> Clone for UnaryService<M> {
    fn clone(&self) -> Self {
        Self { handler: Arc::clone(&self.handler), method: PhantomData }
    }
}

impl<M: Method> NamedService for StreamService<M> {
    const NAME: &'static str = M::SERVICE;
}

impl<M: Method> NamedService for UnaryService<M> {
    const NAME: &'static str = M::SERVICE;
}

impl<M: Method> Service<http::Request<Body>> for StreamService<M> {
    type Response = http::Response<Body>;
    type Error = Infallible;
    type Future = BoxFuture<Self::Response, Infallible>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        let handler = Arc::clone(&self.handler);
        Box::pin(async move {
            if request.uri().path() != M::PATH {
                return Ok(unimplemented());
            }
            let accepted = async {
                let (head, body) = request.into_parts();
                let peer = peer_of(&head.extensions)?;
                let decoder = Messages::<M::Response, M::Request>::new().decoder();
                let inbound = Streaming::new_request(decoder, body, None, Some(MESSAGE_BYTES));
                handler(peer, inbound).await
            };
            Ok(accepted.await.map_or_else(Status::into_http, outbound::response))
        })
    }
}

impl<M: Method> Service<http::Request<Body>> for UnaryService<M> {
    type Response = http::Response<Body>;
    type Error = Infallible;
    type Future = BoxFuture<Self::Response, Infallible>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        let call = UnaryCall::<M>(Arc::clone(&self.handler));
        Box::pin(async move {
            if request.uri().path() != M::PATH {
                return Ok(unimplemented());
            }
            Ok(bound::<M>().unary(call, request).await)
        })
    }
}

/// The codec of a method with its limits.
fn bound<M: Method>() -> Grpc<Messages<M::Response, M::Request>> {
    Grpc::new(Messages::new())
        .max_decoding_message_size(MESSAGE_BYTES)
        .max_encoding_message_size(MESSAGE_BYTES)
}

fn unimplemented() -> http::Response<Body> {
    Status::unimplemented("no such method").into_http()
}

/// A unary handler in the shape that tonic calls.
struct UnaryCall<M: Method>(Arc<UnaryHandler<M>>);

impl<M: Method> tonic::server::UnaryService<M::Request> for UnaryCall<M> {
    type Response = M::Response;
    type Future = BoxFuture<Response<M::Response>, Status>;

    fn call(&mut self, request: Request<M::Request>) -> Self::Future {
        let handler = Arc::clone(&self.0);
        Box::pin(async move {
            let peer = peer_of(request.extensions())?;
            handler(peer, request.into_inner()).await.map(Response::new)
        })
    }
}

fn peer_of(extensions: &http::Extensions) -> Result<Peer, Status> {
    let unknown = || Status::internal("the connection does not say who is at its other end");
    extensions.get::<Peer>().cloned().ok_or_else(unknown)
}
