//! The proxy's own HTTP server, for its machine alone: readiness, configuration, counters, log
//! level.
//!
//! Listens on loopback or a Unix socket. A request whose `Host` is not a loopback address or
//! `localhost` is refused, so that no web page can reach it by a name of its own (DNS rebinding);
//! so is one that a browser sent from another site. Shows no secret: see [`View`].

use std::fs::Permissions;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::{AsFd as _, OwnedFd};
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::path::Path;

use axum::Router;
use axum::extract::{Query, Request, State};
use axum::http::{StatusCode, Uri, header};
use axum::middleware::{Next, from_fn};
use axum::response::{IntoResponse, Json, Response};
use axum::routing::{get, put};
use serde::Deserialize;
use tokio::net::{TcpListener, UnixListener};
use tokio_util::sync::CancellationToken;

use crate::net::any::AnyListener;
use crate::telemetry::prometheus;

use super::handover::Listeners;
use super::run::AdminAddress;
use super::view::View;

#[cfg(test)]
mod tests;

/// What its socket is called between two processes.
const ROLE: &str = "admin";

/// The admin server, bound.
#[derive(Debug)]
pub struct Admin {
    listener: Listener,
}

#[derive(Debug)]
enum Listener {
    Tcp(TcpListener),
    Unix(UnixListener),
}

impl Admin {
    /// Binds, where `inherited` does not have it; a socket that a proxy left behind is replaced,
    /// anything else is not.
    ///
    /// # Errors
    /// That of the system.
    pub fn bind(address: &AdminAddress, inherited: &mut Listeners) -> io::Result<Self> {
        let listener = match address {
            AdminAddress::Tcp(address) => Listener::Tcp(match inherited.take(ROLE, *address) {
                Some(listener) => TcpListener::from_std(listener)?,
                None => TcpListener::from_std(bind_tcp(*address)?)?,
            }),
            AdminAddress::Unix(path) => Listener::Unix(match inherited.take_unix(ROLE, path) {
                Some(listener) => UnixListener::from_std(listener)?,
                None => bind_unix(path)?,
            }),
        };
        Ok(Self { listener })
    }

    /// The same socket once more, by what it is for.
    ///
    /// # Errors
    /// Descriptors have run out.
    pub fn share(&self) -> io::Result<(String, OwnedFd)> {
        let socket = match &self.listener {
            Listener::Tcp(listener) => listener.as_fd(),
            Listener::Unix(listener) => listener.as_fd(),
        };
        Ok((ROLE.to_owned(), socket.try_clone_to_owned()?))
    }

    /// Where it listens, where that is an address.
    ///
    /// # Errors
    /// That of the system.
    pub fn address(&self) -> io::Result<Option<SocketAddr>> {
        match &self.listener {
            Listener::Tcp(listener) => listener.local_addr().map(Some),
            Listener::Unix(_) => Ok(None),
        }
    }

    /// Serves until the future is dropped; from `stop` on only those who are connected already, and
    /// their last request.
    ///
    /// # Errors
    /// That of the listener.
    pub async fn serve(self, view: View, stop: CancellationToken) -> io::Result<()> {
        let router = router(view);
        let listener = match self.listener {
            Listener::Tcp(listener) => AnyListener::new(listener),
            Listener::Unix(listener) => AnyListener::new(listener),
        };
        axum::serve(listener, router).with_graceful_shutdown(stop.cancelled_owned()).await
    }
}

fn bind_tcp(address: SocketAddr) -> io::Result<std::net::TcpListener> {
    let listener = std::net::TcpListener::bind(address)?;
    listener.set_nonblocking(true)?;
    Ok(listener)
}

fn bind_unix(path: &Path) -> io::Result<UnixListener> {
    if let Ok(metadata) = std::fs::symlink_metadata(path)
        && metadata.file_type().is_socket()
        && std::os::unix::net::UnixStream::connect(path).is_err()
    {
        std::fs::remove_file(path)?;
    }
    let listener = UnixListener::bind(path)?;
    std::fs::set_permissions(path, Permissions::from_mode(0o600))?;
    Ok(listener)
}

/// All paths of the admin server.
fn router(view: View) -> Router {
    Router::new()
        .route("/live", get(|| async { "live\n" }))
        .route("/ready", get(ready))
        .route("/config", get(|State(view): State<View>| async move { Json(view.config()) }))
        .route("/stats", get(|State(view): State<View>| async move { Json(view.stats()) }))
        .route("/metrics", get(metrics))
        .route("/log", put(log))
        .layer(from_fn(local_only))
        .with_state(view)
}

async fn ready(State(view): State<View>) -> Response {
    match view.status_now().why_not_ready() {
        None => "ready\n".into_response(),
        Some(why) => {
            (StatusCode::SERVICE_UNAVAILABLE, format!("not ready: {why}\n")).into_response()
        }
    }
}

async fn metrics(State(view): State<View>) -> Response {
    ([(header::CONTENT_TYPE, prometheus::CONTENT_TYPE)], view.metrics()).into_response()
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Log {
    filter: String,
}

async fn log(State(view): State<View>, Query(log): Query<Log>) -> Response {
    match view.set_log(&log.filter) {
        Ok(()) => "done\n".into_response(),
        Err(error) => (StatusCode::BAD_REQUEST, format!("{error}\n")).into_response(),
    }
}

async fn local_only(request: Request, next: Next) -> Response {
    let headers = request.headers();
    let host = headers.get(header::HOST).map(|host| host.to_str().unwrap_or("?"));
    let host = request.uri().host().map(ToOwned::to_owned).or_else(|| host.map(ToOwned::to_owned));
    let is_local = host.as_deref().is_some_and(is_local_host);
    let origin = headers.get(header::ORIGIN).map(|origin| origin.to_str().unwrap_or("?"));
    if is_local && origin.is_none_or(is_local_origin) {
        return next.run(request).await;
    }
    (StatusCode::FORBIDDEN, "only for this machine, by a loopback address\n").into_response()
}

/// Whether a `Host` names this machine by itself: an address of loopback, or `localhost`.
fn is_local_host(host: &str) -> bool {
    let Ok(authority) = host.parse::<axum::http::uri::Authority>() else { return false };
    let name = authority.host();
    let bare = name.strip_prefix('[').and_then(|name| name.strip_suffix(']')).unwrap_or(name);
    let by_address = bare.parse::<IpAddr>().is_ok_and(|address| address.is_loopback());
    !authority.as_str().contains('@') && (by_address || bare.eq_ignore_ascii_case("localhost"))
}

fn is_local_origin(origin: &str) -> bool {
    let uri: Option<Uri> = origin.parse().ok();
    uri.as_ref().and_then(Uri::authority).is_some_and(|host| is_local_host(host.as_str()))
}
