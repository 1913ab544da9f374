//! One stream with one proxy, driven in a task of its own until it, the proxy or the control plane
//! ends. Who is at the other end comes from the certificate alone.

use std::future::Future;
use std::sync::Arc;

use futures_util::{Stream, StreamExt as _};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Status, Streaming};

use crate::control::plane::Plane;
use crate::control::refusals::What;
use crate::names::Identity;
use crate::xds::grpc::Peer;

/// Where the messages to the proxy go. A channel has room for 32 of whatever it carries, from its
/// beginning and for every proxy: so boxes.
pub(super) type Out<R> = mpsc::Sender<Box<Result<R, Status>>>;

/// What a stream is for, and how many messages to the proxy may wait on it, so that a slow proxy
/// holds up its own stream only.
pub(super) struct Kind {
    pub(super) what: What,
    pub(super) queue: usize,
}

/// Accepts a stream, which `drive` serves; what it ends with is the last that the proxy hears.
pub(super) fn serve<Q, R, D, F>(
    plane: &Arc<Plane>,
    peer: Peer,
    inbound: Streaming<Q>,
    Kind { what, queue }: Kind,
    drive: D,
) -> Result<impl Stream<Item = Result<R, Status>> + use<Q, R, D, F>, Status>
where
    Q: Send + 'static,
    R: Send + 'static,
    D: FnOnce(Arc<Plane>, Identity, Streaming<Q>, Out<R>) -> F,
    F: Future<Output = Result<(), Status>> + Send + 'static,
{
    let identity = peer
        .identity
        .ok_or_else(|| Status::unauthenticated("proxies are served over mutual TLS alone"))?;
    let (out, outbound) = mpsc::channel(queue);
    let stop = plane.stop.clone();
    // Once in memory, and not once more in each future that it is handed on to.
    let driven = Box::pin(drive(Arc::clone(plane), identity, inbound, out.clone()));
    let plane = Arc::clone(plane);
    tokio::spawn(async move {
        let ended = tokio::select! {
            ended = plane.panics.contain("a stream with a proxy", driven) => ended
                .unwrap_or_else(|| Err(Status::internal("a fault of the control plane"))),
            () = stop.cancelled() => Err(Status::unavailable("the control plane is about to end")),
        };
        if let Err(status) = ended {
            plane.refusals.count_status(what, &status);
            // The proxy may have gone already.
            let _ = out.try_send(Box::new(Err(status)));
        }
    });
    Ok(ReceiverStream::new(outbound).map(|message| *message))
}
