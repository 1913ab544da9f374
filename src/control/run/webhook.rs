//! The webhooks of a control plane on a cluster, served over TLS with a certificate of the mesh's own
//! authority: for the DNS names by which the API server calls, renewed at half of its life.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use arc_swap::ArcSwap;
use axum::Router;
use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, Request, State};
use axum::http::header::{CONTENT_LENGTH, CONTENT_TYPE};
use axum::http::{StatusCode, Uri};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use tokio::sync::Semaphore;

use crate::certs::{ServerCertificate, SignError, renewal};
use crate::control::plane::Plane;
use crate::names::Namespace;
use crate::names::sidecar::WEBHOOK_SERVICE;
use crate::platform::kubernetes::inject::Settings;
use crate::platform::kubernetes::inject::selectors::PATH;
use crate::platform::kubernetes::inject::webhook::{Answer, MAX_BYTES, review};

#[cfg(test)]
mod tests;

/// How long a review may take; the API server has given up by then.
const PATIENCE: Duration = Duration::from_secs(10);

/// Bytes of reviews that are held at once, whoever sends them; more wait.
const HELD: usize = 2 * MAX_BYTES;

/// Its certificate, as it changes.
pub(super) struct Certificate {
    current: Arc<ArcSwap<ServerCertificate>>,
    names: Vec<String>,
    life: Duration,
}

impl Certificate {
    /// The first one, for the webhook Service in `namespace`.
    pub(super) fn issue(
        plane: &Plane,
        namespace: &Namespace,
        life: Duration,
    ) -> Result<Self, SignError> {
        let service = format!("{WEBHOOK_SERVICE}.{namespace}.svc");
        let names = vec![format!("{service}.cluster.local"), service];
        let first = ServerCertificate::issue(&plane.authority, &names, life, SystemTime::now())?;
        Ok(Self { current: Arc::new(ArcSwap::from_pointee(first)), names, life })
    }

    /// What listeners serve with.
    pub(super) fn current(&self) -> Arc<ArcSwap<ServerCertificate>> {
        Arc::clone(&self.current)
    }

    /// Renews it until the plane stops.
    pub(super) async fn keep(self, plane: Arc<Plane>) {
        loop {
            let held = self.current.load();
            let (issued, not_after) = (held.issued(), held.not_after());
            drop(held);
            let due = renewal::due(issued, not_after, fastrand::u64(..));
            tokio::select! {
                () = super::until(issued + due) => {}
                () = plane.stop.cancelled() => return,
            }
            let now = SystemTime::now();
            match ServerCertificate::issue(&plane.authority, &self.names, self.life, now) {
                Ok(fresh) => {
                    tracing::info!(
                        serial = fresh.serial(),
                        "the webhooks' certificate was renewed"
                    );
                    self.current.store(Arc::new(fresh));
                }
                Err(error) => {
                    tracing::error!(%error, "the webhooks' certificate cannot be renewed");
                }
            }
        }
    }
}

/// All routes.
pub(super) fn router(settings: Settings) -> Router {
    let settings = Arc::new(settings);
    let answer = async move |uri: Uri, body: Bytes| -> Response {
        let Answer { status, body } = review(uri.path(), &body, &settings);
        let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        (status, [(CONTENT_TYPE, "application/json")], body).into_response()
    };
    let room = Arc::new(Semaphore::new(HELD));
    Router::new()
        .route(&format!("{PATH}/{{entry}}"), post(answer))
        // What is larger is answered in a review of its own, in words for who made the pod.
        .layer(DefaultBodyLimit::max(HELD))
        .layer(from_fn_with_state(room, hold))
}

/// Lets a review in where there is room for all of it: anybody who reaches the port can send one.
async fn hold(State(room): State<Arc<Semaphore>>, request: Request, next: Next) -> Response {
    let length =
        request.headers().get(CONTENT_LENGTH).and_then(|it| it.to_str().ok()?.parse().ok());
    let bytes = u32::try_from(length.unwrap_or(HELD).min(HELD)).unwrap_or(u32::MAX);
    let held = async {
        let _room = room.acquire_many(bytes).await;
        next.run(request).await
    };
    let late = |_| StatusCode::SERVICE_UNAVAILABLE.into_response();
    tokio::time::timeout(PATIENCE, held).await.unwrap_or_else(late)
}
