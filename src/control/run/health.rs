//! What a pod's control plane tells anybody over plain HTTP: whether it lives, whether it serves and
//! if not why, and the mesh's metrics for Prometheus. Nothing else, and nothing secret.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use parking_lot::Mutex;
use tokio_util::sync::CancellationToken;

use crate::control::api;
use crate::control::plane::Plane;

#[cfg(test)]
mod tests;

/// How long it goes on serving when it is told to end: for so long others may be sent to its address,
/// because nodes learn only a moment later that it leaves, and would find nobody.
pub(super) const LAST_CALLS: Duration = Duration::from_secs(5);

/// How the control plane is.
#[derive(Debug)]
pub(super) struct Health {
    /// Why it does not serve; `None` while it does.
    waiting: Mutex<Option<String>>,
    plane: OnceLock<Arc<Plane>>,
}

impl Health {
    /// It does not serve yet.
    pub(super) fn starting() -> Arc<Self> {
        let waiting = Mutex::new(Some("starting".to_owned()));
        Arc::new(Self { waiting, plane: OnceLock::new() })
    }

    /// It does not serve, because of `why`; logged where that is new.
    pub(super) fn waits(&self, why: String) {
        let mut waiting = self.waiting.lock();
        if waiting.as_ref() != Some(&why) {
            tracing::warn!(why, "not ready");
            *waiting = Some(why);
        }
    }

    /// It serves.
    pub(super) fn serves(&self, plane: &Arc<Plane>) {
        let _ = self.plane.set(Arc::clone(plane));
        *self.waiting.lock() = None;
    }

    /// It serves only those who have not heard yet that it is about to end; whether it did serve.
    pub(super) fn leaves(&self) -> bool {
        let served = self.waiting.lock().is_none();
        self.waits("about to end".to_owned());
        served
    }

    /// All routes.
    pub(super) fn router(self: &Arc<Self>) -> Router {
        Router::new()
            .route("/healthz", get(async || "ok\n"))
            .route("/readyz", get(readyz))
            .route("/metrics", get(metrics))
            .with_state(Arc::clone(self))
    }
}

/// Cancels `stop` when `last_calls` have passed since `shutdown`, at once where it never served; from
/// the beginning says that it will.
pub(super) async fn leave(
    health: Arc<Health>,
    shutdown: CancellationToken,
    stop: CancellationToken,
    last_calls: Duration,
) {
    tokio::select! {
        () = shutdown.cancelled() => {}
        () = stop.cancelled() => return,
    }
    if health.leaves() {
        tokio::time::sleep(last_calls).await;
    }
    stop.cancel();
}

async fn readyz(State(health): State<Arc<Health>>) -> Response {
    match health.waiting.lock().as_ref() {
        None => "ready\n".into_response(),
        Some(why) => {
            (StatusCode::SERVICE_UNAVAILABLE, format!("not ready: {why}\n")).into_response()
        }
    }
}

async fn metrics(State(health): State<Arc<Health>>) -> Response {
    match health.plane.get() {
        Some(plane) => api::metrics(plane).await,
        None => StatusCode::SERVICE_UNAVAILABLE.into_response(),
    }
}
