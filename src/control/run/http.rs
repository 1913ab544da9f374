//! HTTP over connections that were accepted elsewhere: bounded in number, and in the time that a
//! request's head may take, so that callers who say nothing keep nobody out for long; and by address,
//! so that one caller keeps nobody out at all.

use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use axum::{Extension, Router};
use futures_util::{Stream, StreamExt as _};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use hyper_util::service::TowerToHyperService;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tower::Layer as _;

use crate::control::callers::Caller;
use crate::net::any::{AnyStream, Transport};
use crate::net::shares::Shares;
use crate::telemetry::limits::{Limit, LimitCounts};

#[cfg(test)]
mod tests;

/// Connections at once; more wait.
const CONNECTIONS: usize = Limit::ApiConnections.most();

/// … from one address; further ones are closed.
const EACH: usize = CONNECTIONS / 4;

/// How long a head may take, the wait for it included.
const HEAD: Duration = Duration::from_secs(30);

/// Requests at once over one HTTP/2 connection.
const STREAMS: u32 = 64;

/// PINGs over idle HTTP/2 connections, and how long one may be unanswered.
const KEEPALIVE: Duration = Duration::from_secs(30);

/// The age at which a connection is to end, so that nobody keeps others out for ever.
const AGE: Duration = Duration::from_secs(600);

/// How long requests that are under way may then still take.
const LAST: Duration = Duration::from_secs(35);

/// Serves `router` to whoever comes, with where from, until `stop`; then requests that are under way are still answered.
pub(super) async fn serve<S>(
    incoming: impl Stream<Item = (S, SocketAddr)> + Send,
    router: Router,
    limits: Arc<LimitCounts>,
    stop: CancellationToken,
) where
    S: Transport + 'static,
{
    let mut builder = auto::Builder::new(TokioExecutor::new());
    builder.http1().timer(TokioTimer::new()).header_read_timeout(HEAD);
    builder
        .http2()
        .timer(TokioTimer::new())
        .keep_alive_interval(KEEPALIVE)
        .keep_alive_timeout(KEEPALIVE)
        .max_concurrent_streams(STREAMS);
    let mut incoming = pin!(incoming);
    let slots = Arc::new(Semaphore::new(CONNECTIONS));
    let shares = Shares::new(CONNECTIONS, EACH);
    let mut connections = JoinSet::new();
    loop {
        while connections.try_join_next().is_some() {}
        let next = async {
            let slot = Arc::clone(&slots).acquire_owned().await.ok()?;
            Some((slot, incoming.next().await?))
        };
        let Some(Some((slot, (stream, from)))) = stop.run_until_cancelled(next).await else {
            break;
        };
        let Some(share) = shares.take(from.ip()) else {
            limits.hit(Limit::ApiConnections);
            tracing::debug!(%from, "too many connections from one address; one was closed");
            continue;
        };
        let stream: AnyStream = Box::new(stream);
        let router = Extension(Caller(from.ip())).layer(router.clone());
        let service = TowerToHyperService::new(router);
        let connection = builder.serve_connection(TokioIo::new(stream), service).into_owned();
        let stop = stop.clone();
        connections.spawn(async move {
            let _held = (slot, share);
            let mut connection = pin!(connection);
            let ended = tokio::select! {
                ended = connection.as_mut() => Ok(ended),
                () = stop.cancelled() => Err(()),
                () = tokio::time::sleep(AGE) => Err(()),
            };
            if ended.is_err() {
                connection.as_mut().graceful_shutdown();
                let _ = tokio::time::timeout(LAST, connection).await;
            }
        });
    }
    while connections.join_next().await.is_some() {}
}
