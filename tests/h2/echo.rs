//! A gRPC application on tonic. Every method streams; on the wire that is all four kinds.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::task::{Context, Poll};

use futures_util::{Stream, StreamExt as _, future, stream};
use tonic::body::Body;
use tonic::codegen::{BoxFuture, Service, http};
use tonic::server::{Grpc, NamedService, StreamingService};
use tonic::transport::server::TcpIncoming;
use tonic::{Request, Response, Status, Streaming};
use tonic_prost::ProstCodec;

/// A message: `google.protobuf.BytesValue`.
pub(super) type Message = Vec<u8>;

/// What `Count` and `Firehose` send.
pub(super) const COUNT: usize = 10_000;
/// Messages of `Firehose`.
pub(super) const DROPS: usize = 1_024;
/// The size of each.
pub(super) const DROP_BYTES: usize = 64 * 1024;

/// What the tests may look at.
#[derive(Debug, Default)]
pub(super) struct Seen {
    /// Messages that `Firehose` has made.
    pub(super) drops: AtomicUsize,
    /// Calls of `Hang` that run.
    pub(super) hanging: AtomicUsize,
    /// Calls of `Hang` that were cancelled.
    pub(super) cancelled: AtomicUsize,
    /// Calls of `Frail` and `Break`.
    pub(super) calls: AtomicUsize,
    /// Those two end with `unavailable`, `Break` after its first message.
    pub(super) sick: AtomicBool,
}

/// Starts the application.
pub(super) async fn start() -> (SocketAddr, Arc<Seen>) {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let seen = Arc::<Seen>::default();
    let incoming = TcpIncoming::from(listener).with_nodelay(Some(true));
    let server = tonic::transport::Server::builder().add_service(Echo(Arc::clone(&seen)));
    tokio::spawn(server.serve_with_incoming(incoming));
    (address, seen)
}

type Answers = Pin<Box<dyn Stream<Item = Result<Message, Status>> + Send>>;

#[derive(Clone)]
struct Echo(Arc<Seen>);

impl NamedService for Echo {
    const NAME: &'static str = "test.Echo";
}

impl Service<http::Request<Body>> for Echo {
    type Response = http::Response<Body>;
    type Error = Infallible;
    type Future = BoxFuture<Self::Response, Infallible>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        let call = Call { path: request.uri().path().to_owned(), seen: Arc::clone(&self.0) };
        let mut grpc = Grpc::new(ProstCodec::<Message, Message>::default());
        Box::pin(async move { Ok(grpc.streaming(call, request).await) })
    }
}

struct Call {
    path: String,
    seen: Arc<Seen>,
}

impl StreamingService<Message> for Call {
    type Response = Message;
    type ResponseStream = Answers;
    type Future = BoxFuture<Response<Answers>, Status>;

    fn call(&mut self, request: Request<Streaming<Message>>) -> Self::Future {
        let seen = Arc::clone(&self.seen);
        let caller = request.metadata().get("x-forwarded-client-cert").cloned();
        let mut messages = request.into_inner();
        let method = self.path.rsplit('/').next().unwrap_or_default().to_owned();
        Box::pin(async move {
            let answers: Answers = match &*method {
                "Chat" => Box::pin(messages),
                "Count" => Box::pin(stream::iter((0..COUNT).map(|n| Ok(vec![n as u8])))),
                "Sum" => {
                    let mut sum = 0;
                    while let Some(message) = messages.message().await? {
                        sum += message.len();
                    }
                    one(sum.to_string().into_bytes())
                }
                "Caller" => one(caller.map_or_else(Vec::new, |c| c.as_bytes().to_vec())),
                "Firehose" => Box::pin(stream::iter(0..DROPS).map(move |_| {
                    seen.drops.fetch_add(1, Ordering::Relaxed);
                    Ok(vec![7; DROP_BYTES])
                })),
                "Frail" => {
                    seen.calls.fetch_add(1, Ordering::Relaxed);
                    if seen.sick.load(Ordering::Relaxed) {
                        return Err(Status::unavailable("sick"));
                    }
                    let message = messages.message().await?.unwrap_or_default();
                    one(message.len().to_string().into_bytes())
                }
                "Break" => {
                    seen.calls.fetch_add(1, Ordering::Relaxed);
                    let end = seen.sick.load(Ordering::Relaxed);
                    let end = end.then(|| Err(Status::unavailable("sick")));
                    Box::pin(stream::iter([Ok(b"first".to_vec())].into_iter().chain(end)))
                }
                "Hang" => {
                    seen.hanging.fetch_add(1, Ordering::Relaxed);
                    let _guard = Cancelled(seen);
                    future::pending().await
                }
                _ => {
                    let mut status = Status::resource_exhausted("too much of it");
                    status.metadata_mut().insert("x-why", "because".parse().unwrap());
                    return Err(status);
                }
            };
            Ok(Response::new(answers))
        })
    }
}

fn one(message: Message) -> Answers {
    Box::pin(stream::iter([Ok(message)]))
}

/// Counts that a call was dropped before its end.
struct Cancelled(Arc<Seen>);

impl Drop for Cancelled {
    fn drop(&mut self) {
        self.0.cancelled.fetch_add(1, Ordering::Relaxed);
    }
}
