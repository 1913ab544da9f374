//! Join tokens, on one machine or a few alone: on a cluster pods show what the kubelet gives them.

use std::sync::Arc;

use axum::extract::State;
use axum::extract::rejection::JsonRejection;
use axum::http::StatusCode;
use axum::routing::{get, post};
use axum::{Json, Router};
use jiff::{SignedDuration, Timestamp};

use super::Refusal;
use super::shapes::{
    API_VERSION, JoinToken, RevokeRequest, TokenList, TokenRequest, TokenState, TokenStatus,
};
use crate::certs::RootPin;
use crate::control::ground::Ground;
use crate::control::identity::JoinTokens;
use crate::control::joins::{Joins, JoinsError, Kept, NotRevoked, Wanted};
use crate::control::plane::Plane;
use crate::names::Namespace;

/// The longest that a token may wait to be used.
const LONGEST: SignedDuration = SignedDuration::from_hours(7 * 24);

/// The calls, for a control plane that serves them.
pub(super) fn routes() -> Router<Arc<Plane>> {
    Router::new()
        .route("/v1/tokens", get(list).post(create))
        .route("/v1/tokens/revoke", post(revoke))
}

async fn list(State(plane): State<Arc<Plane>>) -> Result<Json<TokenList>, Refusal> {
    let (kept, now) = (joins(&plane)?.list(), Timestamp::now());
    let tokens = kept.into_iter().map(|kept| status(kept, now)).collect();
    let (api_version, kind) = (API_VERSION.to_owned(), "TokenList".to_owned());
    Ok(Json(TokenList { api_version, kind, tokens }))
}

async fn create(
    State(plane): State<Arc<Plane>>,
    request: Result<Json<TokenRequest>, JsonRejection>,
) -> Result<Json<JoinToken>, Refusal> {
    let (Json(request), joins, now) = (request?, joins(&plane)?, Timestamp::now());
    let wanted = wanted(&request, now)?;
    let root = RootPin::of(plane.authority.certificate());
    let root = root.ok_or_else(|| broken("the root certificate cannot be read"))?;
    let made = blocking(move || joins.create(wanted, root, now)).await?;
    let (token, kept) = made?;
    tracing::info!(
        target: "audit", token = %token.id, namespace = %kept.namespace, service = %kept.service,
        account = %kept.service_account, expires = %kept.expires, "join token made by the admin API"
    );
    Ok(Json(JoinToken {
        api_version: API_VERSION.to_owned(),
        kind: "JoinToken".to_owned(),
        token: token.reveal(),
        control_plane: plane.address.clone(),
        status: status(kept, now),
    }))
}

async fn revoke(
    State(plane): State<Arc<Plane>>,
    request: Result<Json<RevokeRequest>, JsonRejection>,
) -> Result<Json<TokenStatus>, Refusal> {
    let (Json(RevokeRequest { id }), joins) = (request?, joins(&plane)?);
    let shown: String = id.chars().take(80).flat_map(char::escape_debug).collect();
    let wrong = |_| {
        Refusal::wrong(format!("`{shown}` is not the id of a token"))
            .help("see which there are with `meshctl token list`")
    };
    let id = id.parse().map_err(wrong)?;
    let kept = blocking(move || joins.revoke(id)).await??;
    tracing::info!(target: "audit", token = %id, "join token taken back by the admin API");
    Ok(Json(status(kept, Timestamp::now())))
}

fn joins(plane: &Plane) -> Result<Arc<Joins>, Refusal> {
    match &plane.ground {
        Ground::Local(JoinTokens { joins, .. }) => Ok(Arc::clone(joins)),
        Ground::Kubernetes(_) => Err(Refusal::absent("no such call")),
    }
}

/// Waits for the disk elsewhere than on the runtime.
async fn blocking<T: Send + 'static>(
    task: impl FnOnce() -> T + Send + 'static,
) -> Result<T, Refusal> {
    tokio::task::spawn_blocking(task).await.map_err(|_| broken("the tokens cannot be looked at"))
}

fn broken(what: &str) -> Refusal {
    Refusal::new(StatusCode::INTERNAL_SERVER_ERROR, what)
}

fn wanted(request: &TokenRequest, now: Timestamp) -> Result<Wanted, Refusal> {
    let wrong = |error: &dyn std::fmt::Display| Refusal::wrong(error.to_string());
    let namespace: Namespace = request.namespace.parse().map_err(|error| wrong(&error))?;
    if namespace == Namespace::root() {
        return Err(Refusal::wrong(format!("`{namespace}` is the control plane's own namespace")));
    }
    let life =
        i64::try_from(request.seconds).map_or(SignedDuration::MAX, SignedDuration::from_secs);
    if life.is_zero() || life > LONGEST {
        return Err(Refusal::wrong("a token can be used for at least a second and at most a week"));
    }
    Ok(Wanted {
        namespace,
        service: request.service.parse().map_err(|error| wrong(&error))?,
        service_account: request.service_account.parse().map_err(|error| wrong(&error))?,
        expires: now + life,
    })
}

fn status(kept: Kept, now: Timestamp) -> TokenStatus {
    let state = match kept.spent {
        Some(_) => TokenState::Used,
        None if kept.expires <= now => TokenState::Expired,
        None => TokenState::Unused,
    };
    let (used, used_by, used_from) = match kept.spent {
        Some(spent) => (Some(spent.at), spent.proxy, spent.from),
        None => Default::default(),
    };
    TokenStatus {
        id: kept.id,
        namespace: kept.namespace.to_string(),
        service: kept.service.to_string(),
        service_account: kept.service_account.to_string(),
        state,
        created: kept.created,
        expires: kept.expires,
        used,
        used_by,
        used_from,
    }
}

impl From<JoinsError> for Refusal {
    fn from(error: JoinsError) -> Self {
        let status = match &error {
            JoinsError::Full(_) | JoinsError::NotRevoked(NotRevoked::Used { .. }) => {
                StatusCode::CONFLICT
            }
            JoinsError::NotRevoked(NotRevoked::Unknown(_)) => StatusCode::NOT_FOUND,
            JoinsError::Write(..) => StatusCode::INSUFFICIENT_STORAGE,
            JoinsError::File(_) | JoinsError::Damaged(_) => StatusCode::INTERNAL_SERVER_ERROR,
        };
        let refusal = Self::new(status, format!("{:#}", anyhow::Error::from(error)));
        match status {
            StatusCode::NOT_FOUND => refusal.help("see which there are with `meshctl token list`"),
            _ => refusal,
        }
    }
}
