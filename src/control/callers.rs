//! Who may call the admin API of a control plane on a cluster: who shows a token of one of its two
//! service accounts, which the API server gives to those whom RBAC lets ask for one.
//!
//! The viewer's token reads, the operator's changes; every change leaves a line in the log. A good
//! token is remembered for [`REMEMBERED`], by its hash, so that `status --watch` does not ask the
//! API server at each look; an address that shows bad ones has to wait ([`Throttle`]).

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use aws_lc_rs::digest::{SHA256, digest};
use axum::extract::{Request, State};
use axum::http::header::{AUTHORIZATION, HeaderMap, WWW_AUTHENTICATE};
use axum::http::{HeaderValue, Method, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use parking_lot::Mutex;

use crate::control::api::Refusal;
use crate::control::api::shapes::LOOKS;
use crate::control::throttle::Throttle;
use crate::names::Namespace;
use crate::names::sidecar::{OPERATOR, VIEWER};
use crate::platform::kubernetes::tokens::{Bearer, TokenError, Tokens};
use crate::telemetry::limits::{Limit, LimitCounts};

#[cfg(test)]
mod tests;

/// How long a good token needs no further question.
const REMEMBERED: Duration = Duration::from_secs(5);

/// Tokens remembered.
const MOST: usize = 256;

/// From where somebody calls, as an extension of each request.
#[derive(Debug, Clone, Copy)]
pub(super) struct Caller(pub(super) IpAddr);

/// What somebody may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Role {
    /// Look.
    Viewer,
    /// Look and change.
    Operator,
}

impl Role {
    /// The role of a bearer in the control plane's namespace.
    fn of(bearer: &Bearer, namespace: &Namespace) -> Option<Self> {
        match bearer.service_account.as_str() {
            _ if bearer.namespace != *namespace => None,
            VIEWER => Some(Self::Viewer),
            OPERATOR => Some(Self::Operator),
            _ => None,
        }
    }

    fn account(self) -> &'static str {
        match self {
            Self::Viewer => VIEWER,
            Self::Operator => OPERATOR,
        }
    }

    fn may(self, method: &Method, path: &str) -> bool {
        let looks = [Method::GET, Method::HEAD].contains(method) || LOOKS.contains(&path);
        self == Self::Operator || looks
    }
}

/// Judges callers.
#[derive(Debug)]
pub(super) struct Callers {
    tokens: Tokens,
    namespace: Namespace,
    remembered: Mutex<Remembered>,
    throttle: Throttle,
    limits: Arc<LimitCounts>,
}

/// Good tokens by hash.
#[derive(Debug, Default)]
struct Remembered(HashMap<[u8; 32], (Role, Instant)>);

impl Remembered {
    fn get(&self, hash: &[u8; 32], now: Instant) -> Option<Role> {
        let (role, since) = self.0.get(hash)?;
        (now.saturating_duration_since(*since) < REMEMBERED).then_some(*role)
    }

    fn put(&mut self, hash: [u8; 32], role: Role, now: Instant) {
        self.0.retain(|_, (_, since)| now.saturating_duration_since(*since) < REMEMBERED);
        if self.0.len() < MOST {
            self.0.insert(hash, (role, now));
        }
    }
}

impl Callers {
    /// Takes the tokens of the service accounts in `namespace`; who has to wait is counted in `limits`.
    pub(super) fn new(tokens: Tokens, namespace: Namespace, limits: Arc<LimitCounts>) -> Self {
        Self {
            tokens,
            namespace,
            remembered: Mutex::default(),
            throttle: Throttle::default(),
            limits,
        }
    }

    async fn role(&self, from: Option<IpAddr>, headers: &HeaderMap) -> Result<Role, Refusal> {
        let token = bearer_token(headers).ok_or_else(unauthorized)?;
        let hash = hash(token);
        let remembered = self.remembered.lock().get(&hash, Instant::now());
        if let Some(role) = remembered {
            return Ok(role);
        }
        if self.throttle.is_shut(from, Instant::now()) {
            self.limits.hit(Limit::Joins);
            let text = "too many refused tokens came from this address";
            return Err(
                Refusal::new(StatusCode::TOO_MANY_REQUESTS, text).help("wait half a minute")
            );
        }
        let bearer = match self.tokens.bearer(token).await {
            Ok(bearer) => bearer,
            Err(TokenError::Refused(why)) => {
                self.throttle.refused(from, Instant::now());
                tracing::warn!(target: "audit", ?from, %why, "call refused: bad token");
                return Err(unauthorized());
            }
            Err(error @ TokenError::Away(_)) => {
                return Err(Refusal::new(StatusCode::SERVICE_UNAVAILABLE, error.to_string()));
            }
        };
        let Some(role) = Role::of(&bearer, &self.namespace) else {
            self.throttle.refused(from, Instant::now());
            let Bearer { namespace, service_account, .. } = &bearer;
            tracing::warn!(target: "audit", ?from, %namespace, %service_account, "call refused: not its account");
            return Err(Refusal::new(
                StatusCode::FORBIDDEN,
                format!(
                    "the token is of `{namespace}/{service_account}`, only those of `{VIEWER}` and `{OPERATOR}` in `{}` are taken",
                    self.namespace
                ),
            ));
        };
        self.remembered.lock().put(hash, role, Instant::now());
        Ok(role)
    }
}

/// Lets a call through, or answers it.
pub(super) async fn judge(
    State(callers): State<Arc<Callers>>,
    request: Request,
    next: Next,
) -> Response {
    let from = request.extensions().get().map(|&Caller(from)| from);
    let role = match callers.role(from, request.headers()).await {
        Ok(role) => role,
        Err(refusal) => {
            let mut response = refusal.into_response();
            if response.status() == StatusCode::UNAUTHORIZED {
                response.headers_mut().insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
            }
            return response;
        }
    };
    let (method, path) = (request.method().clone(), request.uri().path().to_owned());
    let (account, changes) = (role.account(), !Role::Viewer.may(&method, &path));
    if !role.may(&method, &path) {
        tracing::warn!(target: "audit", account, %method, %path, "call refused: only for operators");
        let text = format!("`{account}` may only look");
        return Refusal::new(StatusCode::FORBIDDEN, text)
            .help(&format!("this needs a token of `{OPERATOR}`"))
            .into_response();
    }
    let response = next.run(request).await;
    if changes {
        let status = response.status().as_u16();
        tracing::info!(target: "audit", account, %method, %path, status, "change by the admin API");
    }
    response
}

fn unauthorized() -> Refusal {
    Refusal::new(StatusCode::UNAUTHORIZED, "the token is missing or not valid")
}

/// The one bearer token of a call (RFC 6750 §2.1); `None` where there is none, or several.
fn bearer_token(headers: &HeaderMap) -> Option<&str> {
    let mut all = headers.get_all(AUTHORIZATION).iter();
    let (value, None) = (all.next()?.to_str().ok()?, all.next()) else { return None };
    let (scheme, token) = value.split_once(' ')?;
    (scheme.eq_ignore_ascii_case("bearer") && !token.is_empty()).then(|| token.trim())
}

fn hash(token: &str) -> [u8; 32] {
    let digest = digest(&SHA256, token.as_bytes());
    digest.as_ref().try_into().expect("SHA-256 has 32 bytes")
}
