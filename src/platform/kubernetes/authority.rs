//! The mesh's authority on a cluster: a Secret in the control plane's namespace, made at the first
//! start.
//!
//! Created, never replaced: of two control planes that start at once one makes it and both read
//! what is there, so they agree. Nothing of it is ever logged.

use std::collections::BTreeMap;
use std::time::SystemTime;

use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Secret;
use kube::api::{Api, ObjectMeta};
use kube::{Client, Error};

use super::made;
use crate::certs::ca::{CERTIFICATE_FILE, KEY_FILE};
use crate::certs::{Authority, AuthorityError, Flaw};
use crate::names::sidecar::AUTHORITY_SECRET;
use crate::names::{Namespace, TrustDomain};

/// Why there is no authority.
#[derive(Debug, thiserror::Error)]
pub enum KeptAuthorityError {
    /// The API server did not answer, or said no.
    #[error("cannot {what} the Secret `{AUTHORITY_SECRET}` in the namespace `{namespace}`")]
    Api {
        /// `read` or `create`.
        what: &'static str,
        /// Where.
        namespace: Namespace,
        /// Why.
        source: Box<Error>,
    },
    /// Making one failed.
    #[error(transparent)]
    Create(#[from] AuthorityError),
    /// It does not hold what it should.
    #[error(
        "the Secret `{AUTHORITY_SECRET}` in the namespace `{namespace}` cannot be used: {flaw}; restore it from a backup"
    )]
    Damaged {
        /// Where.
        namespace: Namespace,
        /// What is wrong.
        flaw: Flaw,
    },
    /// It is of another mesh.
    #[error("the mesh has the trust domain `{found}`, which is fixed; `{asked}` was asked for")]
    TrustDomain {
        /// What it has.
        found: TrustDomain,
        /// What was asked for.
        asked: TrustDomain,
    },
}

impl KeptAuthorityError {
    /// Whether the same may work later without anybody doing anything here.
    pub fn is_transient(&self) -> bool {
        matches!(self, Self::Api { .. })
    }
}

/// The authority that is kept in `namespace`; made where there is none yet.
///
/// # Errors
/// [`KeptAuthorityError`]; what is there is untouched.
pub async fn authority(
    client: &Client,
    namespace: &Namespace,
    trust_domain: &TrustDomain,
) -> Result<Authority, KeptAuthorityError> {
    let secrets: Api<Secret> = Api::namespaced(client.clone(), namespace.as_str());
    let failed = |what| {
        move |error| KeptAuthorityError::Api {
            what,
            namespace: namespace.clone(),
            source: Box::new(error),
        }
    };
    if let Some(secret) = secrets.get_opt(AUTHORITY_SECRET).await.map_err(failed("read"))? {
        return read(&secret, namespace, trust_domain);
    }
    let fresh = Authority::create(trust_domain, SystemTime::now())?;
    match secrets.create(&made::post(), &secret(&fresh)).await {
        Ok(_) => {
            tracing::info!(target: "audit", %trust_domain, "the mesh's authority was made");
            Ok(fresh)
        }
        // Another control plane was faster: its authority is the mesh's.
        Err(Error::Api(status)) if status.is_already_exists() => {
            let secret = secrets.get(AUTHORITY_SECRET).await.map_err(failed("read"))?;
            read(&secret, namespace, trust_domain)
        }
        Err(error) => Err(failed("create")(error)),
    }
}

fn secret(authority: &Authority) -> Secret {
    let parts = [(CERTIFICATE_FILE, authority.roots().pem()), (KEY_FILE, authority.key_pem())];
    Secret {
        metadata: ObjectMeta {
            name: Some(AUTHORITY_SECRET.to_owned()),
            labels: Some(made::labels()),
            ..ObjectMeta::default()
        },
        data: Some(parts.map(|(key, text)| (key.to_owned(), ByteString(text.into_bytes()))).into()),
        type_: Some("Opaque".to_owned()),
        ..Secret::default()
    }
}

fn read(
    secret: &Secret,
    namespace: &Namespace,
    asked: &TrustDomain,
) -> Result<Authority, KeptAuthorityError> {
    let none = BTreeMap::new();
    let data = secret.data.as_ref().unwrap_or(&none);
    let part = |key| data.get(key).map_or(&[][..], |value| value.0.as_slice());
    let authority = Authority::from_pem(part(CERTIFICATE_FILE), part(KEY_FILE))
        .map_err(|flaw| KeptAuthorityError::Damaged { namespace: namespace.clone(), flaw })?;
    match authority.trust_domain() == asked {
        true => Ok(authority),
        false => Err(KeptAuthorityError::TrustDomain {
            found: authority.trust_domain().clone(),
            asked: asked.clone(),
        }),
    }
}
