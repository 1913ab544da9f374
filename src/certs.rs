//! Identity on the wire: the authority, CSRs, credentials, and rustls configurations that know SPIFFE.
//!
//! A workload makes a key (`csr`), the control plane signs what the caller proved to be (`ca`), the
//! chain becomes [`Credentials`], and [`Tls`] turns credentials and roots into configurations whose
//! content can be exchanged while connections go on. `verifier` is the only judge of certificates
//! between workloads, `first` the one where somebody without a certificate calls the control plane
//! (by roots, or by a `token` that pins one); why it refused can be had back from any I/O error by [`failure_of`]. Keys leave memory only for
//! files of mode 0600. Revocation is by short lives: there are no CRLs and no OCSP.

pub mod ca;
pub mod credentials;
pub mod csr;
mod failure;
mod first;
pub mod inspect;
mod leaf;
mod pem;
pub mod renewal;
mod request;
mod roots;
mod server;
pub mod tls;
pub mod token;
mod verifier;

#[cfg(test)]
mod tests;

pub use ca::{Authority, AuthorityError, Flaw, Issued, SignError};
pub use credentials::{CredentialError, Credentials};
pub use csr::PendingKey;
pub use failure::{VerifyFailure, failure_of};
pub use first::{to_control_plane, to_pinned_control_plane};
pub use roots::Roots;
pub use server::ServerCertificate;
pub use tls::{ClientAuth, Tls, peer_identity, peer_not_after};
pub use token::{JoinToken, RootPin};

/// How far certificates are dated back, so that a clock that is behind by less still takes them.
pub const BACKDATE: std::time::Duration = std::time::Duration::from_secs(120);
