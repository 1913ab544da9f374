//! What a leaf certificate says: exactly one identity, its serial number, its validity.
//!
//! webpki skips URI names that it cannot read, so the names are read here once more, strictly: one
//! URI, of the exact form of an [`Identity`]. Nothing here is proof; `verifier` proves the chain.

use std::time::{Duration, SystemTime};

use rustls::pki_types::CertificateDer;
use x509_parser::certificate::X509Certificate;
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::FromDer;

use super::failure::VerifyFailure;
use crate::names::Identity;

/// The context-specific tag of a URI among the alternative names (RFC 5280 §4.2.1.6).
const URI_TAG: u32 = 6;

/// What is read from a leaf.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Leaf {
    pub(super) identity: Identity,
    /// Hexadecimal, lower case.
    pub(super) serial: String,
    pub(super) not_before: SystemTime,
    pub(super) not_after: SystemTime,
    pub(super) self_signed: bool,
}

impl Leaf {
    /// Reads a certificate.
    pub(super) fn read(der: &CertificateDer<'_>) -> Result<Self, VerifyFailure> {
        let (rest, certificate) =
            X509Certificate::from_der(der).map_err(|_| VerifyFailure::BadCertificate)?;
        if !rest.is_empty() {
            return Err(VerifyFailure::BadCertificate);
        }
        let validity = certificate.validity();
        Ok(Self {
            identity: identity(&certificate)?,
            serial: hex(certificate.raw_serial()),
            not_before: moment(validity.not_before.timestamp()),
            not_after: moment(validity.not_after.timestamp()),
            self_signed: certificate.subject() == certificate.issuer(),
        })
    }
}

/// The one URI among the alternative names, parsed.
fn identity(certificate: &X509Certificate<'_>) -> Result<Identity, VerifyFailure> {
    let names = certificate
        .subject_alternative_name()
        .map_err(|_| VerifyFailure::BadSpiffeId)?
        .ok_or(VerifyFailure::BadSpiffeId)?;
    let mut uris = names.value.general_names.iter().filter_map(|name| match name {
        GeneralName::URI(uri) => Some(Some(*uri)),
        GeneralName::Invalid(tag, _) if tag.0 == URI_TAG => Some(None),
        _ => None,
    });
    match (uris.next().flatten(), uris.next()) {
        (Some(uri), None) => uri.parse().map_err(|_| VerifyFailure::BadSpiffeId),
        _ => Err(VerifyFailure::BadSpiffeId),
    }
}

/// Seconds since the Unix epoch as a moment; before the epoch is the epoch.
pub(super) fn moment(seconds: i64) -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(u64::try_from(seconds).unwrap_or(0))
}

/// Lower case hexadecimal.
pub(super) fn hex(bytes: &[u8]) -> String {
    const DIGITS: [char; 16] =
        ['0', '1', '2', '3', '4', '5', '6', '7', '8', '9', 'a', 'b', 'c', 'd', 'e', 'f'];
    let digit = |nibble: u8| DIGITS.get(usize::from(nibble)).copied().unwrap_or('?');
    bytes.iter().flat_map(|byte| [digit(byte >> 4), digit(byte & 0x0f)]).collect()
}
