//! The admin API: routes and refusals. Locally on the Unix socket of the home directory, on a cluster
//! over TLS with a token.
//!
//! Each file below `api` serves one group of calls; what they say is worked out in `status`,
//! `conditions` and `describe`. Who may call is decided at the socket, or by `callers`, before
//! anything is read.

use std::sync::Arc;

use axum::Json;
use axum::Router;
use axum::extract::rejection::{JsonRejection, QueryRejection};
use axum::extract::{DefaultBodyLimit, Request, State};
use axum::http::StatusCode;
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};

use crate::control::api::shapes::Failure;
use crate::control::plane::Plane;
use crate::control::store::{self, StoreError};
use crate::mesh::ObjectKind;
use crate::rules::Diagnostic;
use crate::telemetry::limits::Limit;

mod apply;
mod command;
mod endpoints;
mod history;
mod objects;
mod observe;
mod propagation;
mod resources;
pub mod shapes;
mod tokens;
mod validate;

/// The largest request: 64 MiB of rules, escaped as JSON.
const BODY_BYTES: usize = Limit::ApiBody.most();

/// Where the history of rules on a cluster is.
pub const NO_HISTORY: &str = "keep them in Git and apply an earlier commit of them; who wrote what last \
    is in `kubectl get KIND NAME -o yaml --show-managed-fields`";

/// All routes of a local control plane.
pub(super) fn router(plane: &Arc<Plane>) -> Router {
    let stop = Router::new().route("/v1/stop", post(command::stop));
    guarded(routes().merge(stop).merge(tokens::routes()), plane)
}

/// All routes of a control plane on a cluster: when it ends is decided there.
pub(super) fn cluster_router(plane: &Arc<Plane>) -> Router {
    guarded(routes(), plane)
}

/// The metrics, for those who may read nothing else.
pub(super) async fn metrics(plane: &Arc<Plane>) -> Response {
    observe::exposed(plane).await
}

/// A call that panics is answered, and ends alone; one that is too large is counted.
fn guarded(routes: Router<Arc<Plane>>, plane: &Arc<Plane>) -> Router {
    let routes = routes.layer(from_fn_with_state(Arc::clone(plane), guard));
    routes.with_state(Arc::clone(plane))
}

async fn guard(State(plane): State<Arc<Plane>>, request: Request, next: Next) -> Response {
    let answer = plane.panics.contain("a call of the admin API", next.run(request)).await;
    let answer = answer.unwrap_or_else(|| {
        let what = "a fault of the control plane; the call was given up";
        Refusal::new(StatusCode::INTERNAL_SERVER_ERROR, what).into_response()
    });
    if answer.status() == StatusCode::PAYLOAD_TOO_LARGE {
        plane.limits.hit(Limit::ApiBody);
    }
    answer
}

fn routes() -> Router<Arc<Plane>> {
    Router::new()
        .route("/v1/version", get(observe::version))
        .route("/v1/status", get(observe::status))
        .route("/v1/propagation", get(propagation::of_revision))
        .route("/v1/propagation/object", get(propagation::of_object))
        .route("/v1/certificates", get(observe::certificates))
        .route("/v1/traces", get(observe::traces))
        .route("/v1/traces/{id}", get(observe::trace))
        .route("/metrics", get(observe::metrics))
        .route("/v1/apply", post(apply::apply))
        .route("/v1/validate", post(validate::validate))
        .route("/v1/delete", post(apply::delete))
        .route("/v1/history", get(history::list))
        .route("/v1/history/{revision}", get(history::show))
        .route("/v1/rollback", post(history::rollback))
        .route("/v1/objects", get(objects::list))
        .route("/v1/describe", get(objects::describe))
        .route("/v1/endpoints", get(endpoints::list))
        .route("/v1/endpoints/eject", post(endpoints::eject))
        .route("/v1/endpoints/restore", post(endpoints::restore))
        .route("/v1/resources", get(resources::get))
        .route(shapes::EFFECT, post(resources::would_change))
        .route("/v1/rotate", post(command::rotate))
        .route("/v1/proxies/{namespace}/{name}/command", post(command::command))
        .fallback(async || Refusal::new(StatusCode::NOT_FOUND, "no such call"))
        .method_not_allowed_fallback(async || {
            Refusal::new(StatusCode::METHOD_NOT_ALLOWED, "not with this method")
        })
        .layer(DefaultBodyLimit::max(BODY_BYTES))
}

/// A [`Failure`] with its status.
#[derive(Debug)]
pub(super) struct Refusal {
    status: StatusCode,
    failure: Box<Failure>,
}

impl Refusal {
    pub(super) fn new(status: StatusCode, error: impl Into<String>) -> Self {
        let (error, help) = (error.into(), String::new());
        let failure = Box::new(Failure { error, help, diagnostics: Vec::new() });
        Self { status, failure }
    }

    pub(super) fn wrong(error: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, error)
    }

    pub(super) fn absent(error: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, error)
    }

    pub(super) fn help(mut self, help: &str) -> Self {
        help.clone_into(&mut self.failure.help);
        self
    }

    pub(super) fn diagnostics(mut self, diagnostics: Vec<Diagnostic>) -> Self {
        self.failure.diagnostics = diagnostics;
        self
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        (self.status, Json(self.failure)).into_response()
    }
}

impl From<StoreError> for Refusal {
    fn from(error: StoreError) -> Self {
        let status = match &error {
            StoreError::NoSpace(_) => StatusCode::INSUFFICIENT_STORAGE,
            StoreError::NotFound(_)
            | StoreError::NoRevision { .. }
            | StoreError::Forgotten { .. } => StatusCode::NOT_FOUND,
            StoreError::Elsewhere | StoreError::NoHistory | StoreError::Moved { .. } => {
                StatusCode::CONFLICT
            }
            StoreError::Closed => StatusCode::SERVICE_UNAVAILABLE,
            _ => StatusCode::INTERNAL_SERVER_ERROR,
        };
        let refusal = Self::new(status, error.to_string());
        match error {
            StoreError::NoSpace(_) => refusal.help("make room on that file system and try again"),
            StoreError::NotFound(it) => {
                refusal.help(&format!("{}, or pass `--ignore-not-found`", where_seen(it.kind)))
            }
            StoreError::Elsewhere => {
                refusal.help("write them with `meshctl apply` or `kubectl apply`")
            }
            StoreError::NoHistory => refusal.help(NO_HISTORY),
            StoreError::Moved { .. } => refusal.help("look at what there is now, and try again"),
            StoreError::NoRevision { .. } | StoreError::Forgotten { .. } => {
                refusal.help("see which there are with `meshctl history`")
            }
            _ => refusal,
        }
    }
}

/// Where objects of a kind are seen.
fn where_seen(kind: ObjectKind) -> String {
    format!("see what there is with `meshctl get {} -A`", kind.as_str().to_ascii_lowercase())
}

impl From<JsonRejection> for Refusal {
    fn from(rejection: JsonRejection) -> Self {
        Self::new(rejection.status(), rejection.body_text())
    }
}

impl From<QueryRejection> for Refusal {
    fn from(rejection: QueryRejection) -> Self {
        Self::new(rejection.status(), rejection.body_text())
    }
}

/// The kind that `text` names, as users write it or in lower case, also in the plural.
fn kind(text: &str) -> Result<ObjectKind, Refusal> {
    let lower = text.to_ascii_lowercase();
    let named = |kind: &ObjectKind| {
        let word = kind.as_str().to_ascii_lowercase();
        let plural = word.strip_suffix('y').map_or(format!("{word}s"), |stem| format!("{stem}ies"));
        lower == word || lower == plural
    };
    store::kind(text).or_else(|| ObjectKind::ALL.into_iter().find(named)).ok_or_else(|| {
        let known: Vec<_> = ObjectKind::ALL.iter().map(|kind| kind.as_str()).collect();
        Refusal::wrong(format!("`{}` is not a kind of rule", text.escape_debug()))
            .help(&format!("kinds: {}", known.join(", ")))
    })
}
