//! All three methods over streams in memory, the peer carried along, and what is refused.

use std::convert::Infallible;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use futures_util::{StreamExt, stream};
use tokio::io::{AsyncRead, AsyncWrite, DuplexStream, ReadBuf, duplex};
use tokio::sync::mpsc;
use tokio_stream::wrappers::UnboundedReceiverStream;
use tonic::transport::Server;
use tonic::{Code, Status, Streaming};

use super::*;
use crate::xds::agent::{Down, Up};
use crate::xds::discovery::{DeltaRequest, DeltaResponse};
use crate::xds::identity::{SignRequest, SignResponse};

/// Serves all three methods; returns a client whose connections come from user 7.
fn served() -> Client {
    served_over(Keepalive::default(), |stream| stream)
}

/// The same, the client's end of each stream in a cover.
fn served_over<S>(
    keepalive: Keepalive,
    cover: impl Fn(DuplexStream) -> S + Send + 'static,
) -> Client
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let (sender, receiver) = mpsc::unbounded_channel::<DuplexStream>();
    let incoming = UnboundedReceiverStream::new(receiver).map(|stream| {
        let peer = Peer { unix_uid: Some(7), ..Peer::default() };
        Ok::<_, Infallible>(PeerStream::new(stream, peer))
    });
    let delta = serve_stream(Delta, async |_: Peer, inbound: Streaming<DeltaRequest>| {
        Ok(inbound.map(|request| {
            request.map(|request| DeltaResponse { nonce: request.type_url, ..Default::default() })
        }))
    });
    let connect = serve_stream(Connect, async |_: Peer, _: Streaming<Up>| {
        Err::<stream::Empty<Result<Down, Status>>, _>(Status::permission_denied("not you"))
    });
    let sign = serve_unary(Sign, async |peer: Peer, request: SignRequest| {
        let trust_domain = format!("{:?}", peer.unix_uid);
        Ok(SignResponse { trust_domain, chain: vec![request.csr; 2], ..Default::default() })
    });
    let mut server = Server::builder();
    let router = server.add_service(delta).add_service(connect).add_service(sign);
    tokio::spawn(router.serve_with_incoming(incoming));
    let connector = move || {
        let (near, far) = duplex(64 * 1024);
        let sent = sender.send(far).map_err(|_| std::io::ErrorKind::NotConnected.into());
        let near = cover(near);
        async move { sent.map(|()| near) }
    };
    Client::new(channel_over(connector, keepalive))
}

#[tokio::test]
async fn discovery_streams_both_ways() {
    let mut client = served();
    let (sender, receiver) = mpsc::unbounded_channel();
    let mut answers = client.delta(UnboundedReceiverStream::new(receiver)).await.unwrap();
    for url in ["one", "two"] {
        sender.send(DeltaRequest { type_url: url.into(), ..Default::default() }).unwrap();
        assert_eq!(answers.message().await.unwrap().unwrap().nonce, url);
    }
    drop(sender);
    assert_eq!(answers.message().await.unwrap(), None);
}

#[tokio::test]
async fn a_handler_sees_the_peer_and_may_refuse() {
    let mut client = served();
    let signed = client.sign(SignRequest { csr: vec![1, 2], ..Default::default() }).await.unwrap();
    assert_eq!(signed.trust_domain, "Some(7)");
    assert_eq!(signed.chain, [[1, 2], [1, 2]]);
    let refused = client.connect(stream::empty()).await.unwrap_err();
    assert_eq!(refused.code(), Code::PermissionDenied);
}

#[tokio::test]
async fn a_message_beyond_the_limit_is_refused() {
    let mut client = served();
    let csr = vec![0; MESSAGE_BYTES / 2];
    let refused = client.sign(SignRequest { csr, ..Default::default() }).await.unwrap_err();
    assert!(matches!(refused.code(), Code::OutOfRange | Code::ResourceExhausted), "{refused}");
}

#[tokio::test]
async fn an_unreachable_server_is_unavailable() {
    let connector =
        || async { Err::<DuplexStream, _>(std::io::ErrorKind::ConnectionRefused.into()) };
    let mut client = Client::new(channel_over(connector, Keepalive::default()));
    let refused = client.sign(SignRequest::default()).await.unwrap_err();
    assert_eq!(refused.code(), Code::Unavailable, "{refused}");
}

#[test]
fn each_path_begins_with_its_service() {
    fn check<M: Method>() {
        let rest = M::PATH.strip_prefix('/').and_then(|path| path.strip_prefix(M::SERVICE));
        assert!(rest.is_some_and(|method| method.starts_with('/')), "{}", M::PATH);
    }
    check::<Delta>();
    check::<Connect>();
    check::<Sign>();
}

/// A stream whose other end is frozen from some moment on: nothing comes, and what is sent is not
/// taken, but the connection stands.
struct Freezing {
    stream: DuplexStream,
    frozen: Arc<AtomicBool>,
}

impl AsyncRead for Freezing {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match self.frozen.load(Ordering::Relaxed) {
            true => Poll::Pending,
            false => Pin::new(&mut self.stream).poll_read(cx, buf),
        }
    }
}

impl AsyncWrite for Freezing {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        match self.frozen.load(Ordering::Relaxed) {
            true => Poll::Pending,
            false => Pin::new(&mut self.stream).poll_write(cx, buf),
        }
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

/// Within both times of [`Keepalive`] together; those that proxies use are half a minute.
#[tokio::test]
async fn a_frozen_control_plane_is_found_out_by_pings() {
    let usual = Keepalive::default();
    assert!(usual.interval + usual.timeout <= Duration::from_secs(30), "{usual:?}");
    let frozen = Arc::new(AtomicBool::new(false));
    let short = Duration::from_millis(50);
    let keepalive = Keepalive { interval: short, timeout: short };
    let mut client = served_over(keepalive, {
        let frozen = Arc::clone(&frozen);
        move |stream| Freezing { stream, frozen: Arc::clone(&frozen) }
    });
    let (sender, receiver) = mpsc::unbounded_channel();
    let mut answers = client.delta(UnboundedReceiverStream::new(receiver)).await.unwrap();
    sender.send(DeltaRequest::default()).unwrap();
    answers.message().await.unwrap();
    frozen.store(true, Ordering::Relaxed);
    let ended = tokio::time::timeout(Duration::from_secs(20), answers.message()).await;
    assert!(ended.expect("it is found out").is_err());
}
