//! Signing: what the caller proved to be, never what its request asks for.
//!
//! On the join socket the proof is to be the same user: whoever can write into the home directory
//! could take the authority's key anyway, so the claim holds. Over TLS the proof is a still valid
//! certificate; for who has none a join token, on a cluster the token of a pod; the claim must equal it.
//! Every refusal leaves a line in the log for audits; who shows a bad token is told no more than that.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Instant, SystemTime};

use jiff::Timestamp;
use tonic::{Code, Status};

use crate::certs::SignError;
use crate::control::ground::Ground;
use crate::control::joins::{self, Joins, Refused};
use crate::control::plane::Plane;
use crate::control::refusals::What;
use crate::control::throttle::Throttle;
use crate::names::{Identity, Namespace, ObjectName, ProxyId, ServiceAccount, TrustDomain};
use crate::platform::kubernetes::tokens::{Bearer, PodId, TokenError, Tokens};
use crate::telemetry::limits::Limit;
use crate::xds::grpc::Peer;
use crate::xds::identity::{SignRequest, SignResponse};

#[cfg(test)]
mod tests;

/// The largest request for a certificate.
pub const CSR_BYTES: usize = Limit::SigningRequest.most();

/// What a cluster's control plane needs to judge who joins.
#[derive(Debug)]
pub(super) struct Joining {
    tokens: Tokens,
    throttle: Throttle,
}

impl Joining {
    /// By these tokens.
    pub(super) fn new(tokens: Tokens) -> Self {
        Self { tokens, throttle: Throttle::default() }
    }
}

/// What a control plane on machines needs to judge who joins from another one.
#[derive(Debug)]
pub(super) struct JoinTokens {
    /// Shared with what waits for the disk.
    pub(super) joins: Arc<Joins>,
    throttle: Throttle,
}

impl JoinTokens {
    /// By these tokens.
    pub(super) fn new(joins: Joins) -> Self {
        Self { joins: Arc::new(joins), throttle: Throttle::default() }
    }
}

/// Who asks, in its own words.
#[derive(Debug)]
struct Claim {
    identity: Identity,
    proxy: ProxyId,
}

/// A refusal: what the caller is told, and what the log is told beyond that.
#[derive(Debug)]
struct Denied {
    status: Box<Status>,
    why: Option<String>,
}

impl From<Status> for Denied {
    fn from(status: Status) -> Self {
        Self { status: Box::new(status), why: None }
    }
}

/// Signs for a caller, or says why not.
pub(super) async fn sign(
    plane: &Plane,
    peer: &Peer,
    request: &SignRequest,
) -> Result<SignResponse, Status> {
    if request.csr.len() > CSR_BYTES {
        plane.limits.hit(Limit::SigningRequest);
    }
    let proven = match claim(request, &plane.trust_domain) {
        Ok(claim) => proven(plane, peer, request, &claim).await.map(|()| claim.identity),
        Err(status) => Err(status.into()),
    };
    let result = proven.and_then(|identity| Ok(issue(plane, request, &identity)?));
    result.map_err(|Denied { status, why }| {
        tracing::warn!(
            target: "audit",
            namespace = %request.namespace.escape_debug(),
            account = %request.service_account.escape_debug(),
            proxy = %request.proxy.escape_debug(),
            peer = ?peer,
            why = why.as_deref().unwrap_or(status.message()),
            "certificate refused"
        );
        plane.refusals.count_status(What::Certificate, &status);
        if status.code() == Code::ResourceExhausted {
            plane.limits.hit(Limit::Joins);
        }
        *status
    })
}

/// What a request claims; its names are valid after this.
fn claim(request: &SignRequest, trust_domain: &TrustDomain) -> Result<Claim, Status> {
    if request.csr.len() > CSR_BYTES {
        let text = format!("the request has {} bytes, the limit is {CSR_BYTES}", request.csr.len());
        return Err(Status::invalid_argument(text));
    }
    let wrong = |error: &dyn std::fmt::Display| Status::invalid_argument(error.to_string());
    let namespace: Namespace = request.namespace.parse().map_err(|e| wrong(&e))?;
    let service_account: ServiceAccount = request.service_account.parse().map_err(|e| wrong(&e))?;
    let proxy: ObjectName = request.proxy.parse().map_err(|e| wrong(&e))?;
    Ok(Claim {
        proxy: ProxyId::new(namespace.clone(), proxy),
        identity: Identity { trust_domain: trust_domain.clone(), namespace, service_account },
    })
}

/// Whether the caller has proved its claim.
async fn proven(
    plane: &Plane,
    peer: &Peer,
    request: &SignRequest,
    claim: &Claim,
) -> Result<(), Denied> {
    match (&peer.identity, &plane.ground) {
        (Some(identity), _) => {
            by_certificate(identity, claim)?;
            // A certificate outlives its pod: it is not renewed for one that is gone.
            Ok(plane.is_workload(&claim.proxy, identity).await?)
        }
        (None, Ground::Local(tokens)) => match peer.unix_uid {
            Some(uid) => Ok(by_user(uid, rustix::process::getuid().as_raw(), claim)?),
            None => by_join_token(tokens, peer.address, &request.token, claim).await,
        },
        (None, Ground::Kubernetes(joining)) => {
            by_token(joining, peer.address, &request.token, claim).await
        }
    }
}

fn by_certificate(identity: &Identity, claim: &Claim) -> Result<(), Status> {
    match *identity == claim.identity {
        true => Ok(()),
        false => Err(Status::permission_denied(format!(
            "the certificate proves `{identity}`, not `{}`",
            claim.identity
        ))),
    }
}

/// The user of the process at the other end; `user` is who runs the control plane.
fn by_user(uid: u32, user: u32, claim: &Claim) -> Result<(), Status> {
    match uid == user {
        true => may_join(claim),
        false => Err(Status::permission_denied(format!(
            "user {uid} is not the user of this mesh, {user}"
        ))),
    }
}

/// Of a certificate in its name one that joins has no need: it would be the control plane.
fn may_join(claim: &Claim) -> Result<(), Status> {
    let claimed = &claim.identity;
    match claimed.namespace == Namespace::root() {
        true => Err(Status::permission_denied(format!(
            "`{claimed}` is the control plane's own namespace"
        ))),
        false => Ok(()),
    }
}

async fn by_token(
    joining: &Joining,
    from: Option<IpAddr>,
    token: &str,
    claim: &Claim,
) -> Result<(), Denied> {
    joining.throttle.admit(from, Instant::now())?;
    // Boxed: what asks an API server takes 15 KiB, on every path and for every certificate.
    let checked = Box::pin(joining.tokens.pod(token)).await;
    match checked.and_then(|(bearer, pod)| by_pod(&bearer, &pod, claim)) {
        Ok(()) => Ok(may_join(claim)?),
        Err(TokenError::Refused(why)) => {
            joining.throttle.refused(from, Instant::now());
            Err(proves_nothing(why))
        }
        Err(error @ TokenError::Away(_)) => Err(Status::unavailable(error.to_string()).into()),
    }
}

/// Spends the token that is shown. Where it proves nothing the answer is the same whatever the reason.
async fn by_join_token(
    tokens: &JoinTokens,
    from: Option<IpAddr>,
    token: &str,
    claim: &Claim,
) -> Result<(), Denied> {
    tokens.throttle.admit(from, Instant::now())?;
    may_join(claim)?;
    let (joins, proof) = (Arc::clone(&tokens.joins), token.to_owned());
    let of = joins::Claim { identity: claim.identity.clone(), proxy: claim.proxy.clone(), from };
    let spending = tokio::task::spawn_blocking(move || joins.spend(&proof, &of, Timestamp::now()));
    let spent = spending.await.map_err(|_| Status::internal("the tokens cannot be looked at"))?;
    match spent {
        Ok(id) => {
            let Claim { identity, proxy } = claim;
            tracing::info!(target: "audit", token = %id, %identity, %proxy, ?from, "join token used");
            Ok(())
        }
        Err(Refused::Proof(why)) => {
            tokens.throttle.refused(from, Instant::now());
            Err(proves_nothing(why.to_owned()))
        }
        Err(Refused::NotWritten(error)) => {
            tracing::error!(%error, "a join token cannot be spent");
            Err(Status::unavailable("the use of the token cannot be written down").into())
        }
    }
}

/// Alike for every reason: who shows another's token learns nothing of it.
fn proves_nothing(why: String) -> Denied {
    let status = Status::permission_denied(
        "the token does not prove that; the control plane's log says more",
    );
    Denied { status: Box::new(status), why: Some(why) }
}

/// Whether the pod of a token is the one that is claimed.
fn by_pod(bearer: &Bearer, pod: &PodId, claim: &Claim) -> Result<(), TokenError> {
    let Claim { identity, proxy } = claim;
    let same = bearer.namespace == identity.namespace
        && bearer.service_account == identity.service_account
        && pod.name == proxy.name;
    match same {
        true => Ok(()),
        false => Err(TokenError::Refused(format!(
            "it is of the pod `{}/{}` with the account `{}`",
            bearer.namespace, pod.name, bearer.service_account
        ))),
    }
}

fn issue(
    plane: &Plane,
    request: &SignRequest,
    identity: &Identity,
) -> Result<SignResponse, Status> {
    let lifetime = plane.view.load().snapshot.config.certificate_lifetime;
    let issued = plane
        .authority
        .sign(&request.csr, identity, lifetime, SystemTime::now())
        .map_err(|error| status(&error))?;
    tracing::info!(
        target: "audit", %identity, proxy = %request.proxy, serial = %issued.serial,
        "certificate issued"
    );
    Ok(SignResponse {
        chain: issued.chain.iter().map(|certificate| certificate.to_vec()).collect(),
        roots: plane.authority.roots().ders().map(|root| root.to_vec()).collect(),
        control_plane: plane.address.clone(),
        trust_domain: plane.trust_domain.to_string(),
    })
}

fn status(error: &SignError) -> Status {
    let text = error.to_string();
    match error {
        SignError::Malformed(_) => Status::invalid_argument(text),
        SignError::Refused(_) | SignError::TrustDomain { .. } => Status::permission_denied(text),
        SignError::RootExpired => Status::failed_precondition(text),
        SignError::Internal(_) => Status::internal(text),
    }
}
