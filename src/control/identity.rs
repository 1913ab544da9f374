//! Signing: what the caller proved to be, never what its request asks for.
//!
//! On the join socket the proof is to be the same user: whoever can write into the home directory
//! could take the authority's key anyway, so the claim holds. Over TCP the proof is a still valid
//! certificate, and the claim must equal it. Every refusal leaves a line in the log for audits.

use std::time::SystemTime;

use tonic::Status;

use crate::certs::SignError;
use crate::control::plane::Plane;
use crate::names::{Identity, Namespace, ObjectName, ServiceAccount, TrustDomain};
use crate::xds::grpc::Peer;
use crate::xds::identity::{SignRequest, SignResponse};

#[cfg(test)]
mod tests;

/// The largest request for a certificate.
pub const CSR_BYTES: usize = 16 * 1024;

/// Signs for a caller, or says why not.
pub(super) fn sign(
    plane: &Plane,
    peer: &Peer,
    request: &SignRequest,
) -> Result<SignResponse, Status> {
    let user = rustix::process::getuid().as_raw();
    let result = proven(peer, request, &plane.trust_domain, user)
        .and_then(|identity| issue(plane, request, &identity));
    if let Err(status) = &result {
        tracing::warn!(
            target: "audit",
            namespace = %request.namespace.escape_debug(),
            account = %request.service_account.escape_debug(),
            proxy = %request.proxy.escape_debug(),
            peer = ?peer,
            why = status.message(),
            "certificate refused"
        );
    }
    result
}

/// Who the caller has proved to be; `user` is who runs the control plane.
fn proven(
    peer: &Peer,
    request: &SignRequest,
    trust_domain: &TrustDomain,
    user: u32,
) -> Result<Identity, Status> {
    if request.csr.len() > CSR_BYTES {
        let text = format!("the request has {} bytes, the limit is {CSR_BYTES}", request.csr.len());
        return Err(Status::invalid_argument(text));
    }
    let wrong = |error: &dyn std::fmt::Display| Status::invalid_argument(error.to_string());
    let namespace: Namespace = request.namespace.parse().map_err(|e| wrong(&e))?;
    let service_account: ServiceAccount = request.service_account.parse().map_err(|e| wrong(&e))?;
    let _: ObjectName = request.proxy.parse().map_err(|e| wrong(&e))?;
    let claimed = Identity { trust_domain: trust_domain.clone(), namespace, service_account };
    match (&peer.identity, peer.unix_uid) {
        (Some(identity), _) if *identity == claimed => Ok(claimed),
        (Some(identity), _) => Err(Status::permission_denied(format!(
            "the certificate proves `{identity}`, not `{claimed}`"
        ))),
        // Of a certificate in its name one that joins has no need: it would be the control plane.
        (None, Some(uid)) if uid == user && claimed.namespace == Namespace::root() => Err(
            Status::permission_denied(format!("`{claimed}` is the control plane's own namespace")),
        ),
        (None, Some(uid)) if uid == user => Ok(claimed),
        (None, Some(uid)) => Err(Status::permission_denied(format!(
            "user {uid} is not the user of this mesh, {user}"
        ))),
        (None, None) => Err(Status::unauthenticated("nothing proves who asks")),
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
        control_plane: plane.address.to_string(),
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
