//! SPIFFE identities as this mesh issues them: `spiffe://TRUST-DOMAIN/ns/NAMESPACE/sa/ACCOUNT`.
//!
//! Parsing is exact (no case folding, no percent-decoding, no dot segments): what is not written
//! the way we write it is not an identity of this mesh. Source: SPIFFE-ID specification §2.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use super::{NameError, Namespace, ServiceAccount, check_subdomain, name};

name!(
    /// The trust domain of a mesh, fixed at install: a DNS-1123 subdomain such as `cluster.local`.
    TrustDomain, "trust domain", check_subdomain
);

/// Who a workload is.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Identity {
    /// The mesh that vouches for it.
    pub trust_domain: TrustDomain,
    /// The workload's namespace.
    pub namespace: Namespace,
    /// The workload's service account.
    pub service_account: ServiceAccount,
}

impl Identity {
    /// The service account of every control plane, in the root namespace.
    pub const CONTROL_PLANE_ACCOUNT: &str = "meshctl-control-plane";

    /// The identity of the control plane of a mesh.
    pub fn of_control_plane(trust_domain: TrustDomain) -> Self {
        let account = Self::CONTROL_PLANE_ACCOUNT.parse();
        Self {
            trust_domain,
            namespace: Namespace::root(),
            service_account: account.expect("the constant is a DNS-1123 subdomain"),
        }
    }
}

/// A URI that is not an identity of the form above.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum IdentityError {
    /// Not `spiffe://TRUST-DOMAIN/ns/NAMESPACE/sa/ACCOUNT`.
    #[error("not of the form `spiffe://TRUST-DOMAIN/ns/NAMESPACE/sa/ACCOUNT`")]
    Form,
    /// One of the parts is not a name.
    #[error(transparent)]
    Part(#[from] NameError),
}

impl FromStr for Identity {
    type Err = IdentityError;
    fn from_str(uri: &str) -> Result<Self, IdentityError> {
        let rest = uri.strip_prefix("spiffe://").ok_or(IdentityError::Form)?;
        let mut parts = rest.split('/');
        let mut next = || parts.next().ok_or(IdentityError::Form);
        let (domain, ns, namespace, sa, account) = (next()?, next()?, next()?, next()?, next()?);
        if ns != "ns" || sa != "sa" || parts.next().is_some() {
            return Err(IdentityError::Form);
        }
        Ok(Self {
            trust_domain: domain.parse()?,
            namespace: namespace.parse()?,
            service_account: account.parse()?,
        })
    }
}

impl fmt::Display for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { trust_domain, namespace, service_account } = self;
        write!(f, "spiffe://{trust_domain}/ns/{namespace}/sa/{service_account}")
    }
}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}
