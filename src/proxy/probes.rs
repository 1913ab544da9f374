//! What the kubelet asks: whether the sidecar is ready, and the application's own probes and
//! lifecycle handlers, which are rewritten to this server and asked of the application here. So they
//! work where nothing gets in without a certificate, and still prove the application.
//!
//! Plain HTTP/1.1 on a port that is not captured; serves only `GET /ready` and
//! `GET /app/CONTAINER/KIND` for what stands in the pod. Whatever else is asked: 404.

use std::convert::Infallible;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::{HeaderValue, USER_AGENT};
use http::{Method, Request, Response, StatusCode};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::task::JoinSet;

use super::handover::Listeners;
use super::view::Status;
use crate::net::accept::Acceptor;
use crate::net::shares::{Share, Shares};
use crate::telemetry::limits::{Limit, LimitCounts};
use ask::Asker;
use original::Original;

mod ask;
mod original;
#[cfg(test)]
mod tests;

pub use original::{Originals, read};

/// What its socket is called between two processes.
const ROLE: &str = "probes";

/// Connections at a time; the kubelet asks one question on each.
const MOST: usize = Limit::ProbeConnections.most();

/// … from one address, so that no other pod keeps the kubelet out; further ones are closed.
const EACH: usize = MOST / 4;

/// How long a question may take to arrive.
const HEAD: Duration = Duration::from_secs(5);

/// The kinds that are not probes: of those the kubelet does not look at the status.
const LIFECYCLE: [&str; 2] = ["poststart", "prestop"];

/// Where the kubelet asks, and what.
#[derive(Debug, Clone)]
pub struct Config {
    /// Where to listen.
    pub listen: SocketAddr,
    /// Where the applications are.
    pub pod: IpAddr,
    /// What the pod says about them.
    pub originals: Originals,
}

/// The server, bound.
#[derive(Debug)]
pub struct Probes {
    listener: std::net::TcpListener,
    config: Config,
}

/// What all connections share.
#[derive(Debug)]
struct Shared {
    status: watch::Receiver<Status>,
    waiting: watch::Receiver<Option<String>>,
    originals: Originals,
    asker: Asker,
}

/// A lifecycle handler that failed: the kubelet must not take an answer for success.
#[derive(Debug, thiserror::Error)]
#[error("a lifecycle handler failed")]
struct Unanswered;

impl Probes {
    /// Binds, where `inherited` does not have it.
    ///
    /// # Errors
    /// That of the system.
    pub fn bind(config: Config, inherited: &mut Listeners) -> io::Result<Self> {
        Ok(Self { listener: inherited.take_or_listen(ROLE, config.listen)?, config })
    }

    /// The same socket once more, by what it is for.
    ///
    /// # Errors
    /// Descriptors have run out.
    pub fn share(&self) -> io::Result<(String, OwnedFd)> {
        Ok((ROLE.to_owned(), self.listener.try_clone()?.into()))
    }

    /// Where it listens.
    ///
    /// # Errors
    /// That of the system.
    pub fn address(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }

    /// Serves until the future is dropped; `status` says how the sidecar is, `waiting` why the control
    /// plane has not taken it yet; in `limits` is counted who is turned away.
    ///
    /// # Errors
    /// That of the listener.
    pub async fn serve(
        self,
        status: watch::Receiver<Status>,
        waiting: watch::Receiver<Option<String>>,
        limits: Arc<LimitCounts>,
    ) -> io::Result<Infallible> {
        let Config { pod, originals, .. } = self.config;
        let asker = Asker::new(pod).map_err(io::Error::other)?;
        let shared = Arc::new(Shared { status, waiting, originals, asker });
        let mut acceptor = Acceptor::new(tokio::net::TcpListener::from_std(self.listener)?);
        let shares = Shares::new(MOST, EACH);
        let mut connections = JoinSet::new();
        loop {
            tokio::select! {
                accepted = acceptor.accept(), if connections.len() < MOST => {
                    let (stream, from) = accepted?;
                    match shares.take(from.ip()) {
                        Some(share) => {
                            connections.spawn(answer(stream, share, Arc::clone(&shared)));
                        }
                        None => limits.hit(Limit::ProbeConnections),
                    }
                }
                Some(_) = connections.join_next() => {}
            }
        }
    }
}

async fn answer(stream: TcpStream, _share: Share, shared: Arc<Shared>) {
    let service = service_fn(|request| respond(request, Arc::clone(&shared)));
    let mut server = http1::Builder::new();
    server.timer(TokioTimer::new()).header_read_timeout(HEAD).keep_alive(false);
    if let Err(error) = server.serve_connection(TokioIo::new(stream), service).await {
        tracing::debug!(%error, "a question of the kubelet was not answered");
    }
}

async fn respond(
    request: Request<Incoming>,
    shared: Arc<Shared>,
) -> Result<Response<Full<Bytes>>, Unanswered> {
    let path = request.uri().path();
    if request.method() != Method::GET {
        return Ok(reply(StatusCode::METHOD_NOT_ALLOWED, "only GET"));
    }
    if path == "/ready" {
        let Some(why) = why_not_ready(*shared.status.borrow()) else {
            return Ok(reply(StatusCode::OK, "ready"));
        };
        let waiting = shared.waiting.borrow().clone();
        let why = waiting.map_or(why.to_owned(), |waiting| format!("{why}: {waiting}"));
        return Ok(reply(StatusCode::SERVICE_UNAVAILABLE, &why));
    }
    let Some((name, original)) =
        path.strip_prefix("/app/").and_then(|name| shared.originals.get_key_value(name))
    else {
        return Ok(reply(StatusCode::NOT_FOUND, "no such probe"));
    };
    let is_lifecycle = LIFECYCLE.iter().any(|kind| name.rsplit('/').next() == Some(kind));
    let agent = request.headers().get(USER_AGENT);
    match ask(&shared.asker, original, is_lifecycle, agent).await {
        Ok(()) => Ok(reply(StatusCode::OK, "ok")),
        Err(why) => {
            tracing::debug!(probe = %name, why, "the application does not answer as it should");
            match is_lifecycle {
                true => Err(Unanswered),
                false => Ok(reply(StatusCode::SERVICE_UNAVAILABLE, &why)),
            }
        }
    }
}

async fn ask(
    asker: &Asker,
    original: &Original,
    is_lifecycle: bool,
    agent: Option<&HeaderValue>,
) -> Result<(), String> {
    let asked = asker.ask(&original.question, agent);
    let answer = match original.timeout(is_lifecycle) {
        None => asked.await,
        Some(limit) => tokio::time::timeout(limit, asked).await.unwrap_or_else(|_| {
            Err(format!("the application did not answer within {} s", limit.as_secs()))
        }),
    };
    match answer? {
        Some(status) if !is_lifecycle && !(200..400).contains(&status) => {
            Err(format!("the application answered {status}"))
        }
        _ => Ok(()),
    }
}

/// Why the application must not start yet, or get no more requests.
fn why_not_ready(status: Status) -> Option<&'static str> {
    match status {
        Status { draining: true, .. } => Some("draining"),
        Status { certified: false, .. } => Some("no certificate yet"),
        Status { configured: false, .. } => Some("no configuration from the control plane yet"),
        status => status.why_not_ready(),
    }
}

fn reply(status: StatusCode, text: &str) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::from(format!("{text}\n"))));
    *response.status_mut() = status;
    response
}
