//! A chain, for people: what `certs inspect` and `certs list` show.
//!
//! Reads without judging: an expired or foreign certificate is shown as what it says it is.

use std::time::SystemTime;

use rustls::pki_types::CertificateDer;

use super::credentials::Credentials;
use super::failure::VerifyFailure;
use super::leaf::Leaf;
use super::pem;
use super::roots::fingerprint;
use crate::names::Identity;

/// What a chain says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Inspection {
    /// Whom it names.
    pub identity: Identity,
    /// Serial number of the leaf, hexadecimal.
    pub serial: String,
    /// Valid from.
    pub not_before: SystemTime,
    /// Valid until.
    pub not_after: SystemTime,
    /// SHA-256 of the leaf, hexadecimal.
    pub fingerprint: String,
    /// SHA-256 of the root that it chains to, hexadecimal; empty where that is not known.
    pub root: String,
    /// The chain, leaf first.
    pub pem: String,
}

/// Reads a chain, leaf first.
///
/// # Errors
/// [`VerifyFailure`] where there is no leaf or it names no identity.
pub fn inspect(chain: &[CertificateDer<'_>]) -> Result<Inspection, VerifyFailure> {
    let der = chain.first().ok_or(VerifyFailure::NoCertificate)?;
    let Leaf { identity, serial, not_before, not_after, .. } = Leaf::read(der)?;
    Ok(Inspection {
        identity,
        serial,
        not_before,
        not_after,
        fingerprint: fingerprint(der),
        root: String::new(),
        pem: pem::of_certificates(chain),
    })
}

/// Shows credentials in use.
pub fn of_credentials(credentials: &Credentials) -> Inspection {
    let leaf = credentials.chain().first();
    Inspection {
        identity: credentials.identity().clone(),
        serial: credentials.serial().to_owned(),
        not_before: credentials.not_before(),
        not_after: credentials.not_after(),
        fingerprint: leaf.map(fingerprint).unwrap_or_default(),
        root: credentials.root().to_owned(),
        pem: pem::of_certificates(credentials.chain()),
    }
}
