//! The webhooks of a control plane on a cluster, served over TLS with a certificate of the mesh's own
//! authority: for the DNS names by which the API server calls, renewed at half of its life.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use arc_swap::ArcSwap;
use axum::Router;
use axum::body::{Bytes, to_bytes};
use axum::extract::{DefaultBodyLimit, Request, State};
use axum::http::header::{CONTENT_LENGTH, CONTENT_TYPE};
use axum::http::{StatusCode, Uri};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use parking_lot::Mutex;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, SemaphorePermit};
use tokio::time::timeout;

use crate::certs::{ServerCertificate, SignError, renewal};
use crate::control::callers::Caller;
use crate::control::plane::Plane;
use crate::names::Namespace;
use crate::names::sidecar::WEBHOOK_SERVICE;
use crate::platform::kubernetes::inject::Settings;
use crate::platform::kubernetes::inject::selectors::PATH;
use crate::platform::kubernetes::inject::webhook::{Answer, MAX_BYTES, review, too_large};

#[cfg(test)]
mod tests;

/// How long a review may take; the API server has given up by then.
const PATIENCE: Duration = Duration::from_secs(10);

/// How long a body may take once there is room for it.
const ARRIVAL: Duration = Duration::from_secs(2);

/// Bytes of reviews that are held at once, whoever sends them; more wait.
const HELD: usize = 2 * MAX_BYTES;

/// … from one address.
const SHARE: usize = HELD / 2;

/// Stands for who has no address.
const NOBODY: IpAddr = IpAddr::V4(Ipv4Addr::UNSPECIFIED);

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
    let answer = async move |uri: Uri, body: Bytes| answered(review(uri.path(), &body, &settings));
    Router::new()
        .route(&format!("{PATH}/{{entry}}"), post(answer))
        .layer(DefaultBodyLimit::max(MAX_BYTES))
        .layer(from_fn_with_state(Arc::new(Room::new()), hold))
}

fn answered(Answer { status, body }: Answer) -> Response {
    let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    (status, [(CONTENT_TYPE, "application/json")], body).into_response()
}

/// Lets a review in where there is room for all of it: anybody who reaches the port can send one. It
/// says how large it is, as those of an API server do, and comes at once.
async fn hold(State(room): State<Arc<Room>>, request: Request, next: Next) -> Response {
    let length = request.headers().get(CONTENT_LENGTH);
    let length: Option<usize> = length.and_then(|it| it.to_str().ok()?.parse().ok());
    let Some(length) = length else { return StatusCode::LENGTH_REQUIRED.into_response() };
    if length > MAX_BYTES {
        return answered(too_large());
    }
    let caller = request.extensions().get().map(|&Caller(from)| from);
    let held = async {
        let _place = room.take(caller.unwrap_or(NOBODY), length).await;
        let (head, body) = request.into_parts();
        match timeout(ARRIVAL, to_bytes(body, length)).await {
            Ok(Ok(body)) => next.run(Request::from_parts(head, body.into())).await,
            Ok(Err(_)) => StatusCode::BAD_REQUEST.into_response(),
            Err(_) => StatusCode::REQUEST_TIMEOUT.into_response(),
        }
    };
    let late = |_| StatusCode::SERVICE_UNAVAILABLE.into_response();
    timeout(PATIENCE, held).await.unwrap_or_else(late)
}

/// Room for reviews in memory, in bytes, of which one address takes no more than its share: who waits
/// for room of its own keeps nobody else waiting.
struct Room {
    all: Semaphore,
    /// By address; of those that have some or wait for it.
    shares: Mutex<HashMap<IpAddr, Arc<Semaphore>>>,
}

impl Room {
    fn new() -> Self {
        Self { all: Semaphore::new(HELD), shares: Mutex::default() }
    }

    /// Waits for room for `bytes`, at most [`SHARE`]. It is given back when what comes back is dropped.
    async fn take(&self, of: IpAddr, bytes: usize) -> (SemaphorePermit<'_>, OwnedSemaphorePermit) {
        let bytes = u32::try_from(bytes.min(SHARE)).unwrap_or(u32::MAX);
        let never = "the semaphore is never closed";
        let own = self.share(of).acquire_many_owned(bytes).await.expect(never);
        (self.all.acquire_many(bytes).await.expect(never), own)
    }

    fn share(&self, of: IpAddr) -> Arc<Semaphore> {
        let mut shares = self.shares.lock();
        shares.retain(|_, share| Arc::strong_count(share) > 1);
        let share = shares.entry(of.to_canonical());
        Arc::clone(share.or_insert_with(|| Arc::new(Semaphore::new(SHARE))))
    }
}
