//! The roots that a mesh trusts: usually one, two while the root is rotated.
//!
//! Parsed once when they arrive, so that a handshake has nothing to parse. Never empty, at most
//! `MAX_ROOTS`. Saved as `roots.pem`, which holds nothing secret.

use std::path::Path;

use aws_lc_rs::digest::{SHA256, digest};
use rustls::pki_types::{CertificateDer, TrustAnchor, UnixTime};
use webpki::{EndEntityCert, KeyUsage, anchor_from_trusted_cert};

use super::credentials::CredentialError;
use super::failure::VerifyFailure;
use super::leaf::hex;
use super::pem;

/// More roots than this are refused.
pub(super) const MAX_ROOTS: usize = 8;

/// The file name of saved roots.
const FILE: &str = "roots.pem";

/// No saved file is longer.
pub(super) const MAX_FILE: u64 = 256 * 1024;

/// Trusted roots.
#[derive(Debug, Clone)]
pub struct Roots {
    roots: Vec<Root>,
    anchors: Vec<TrustAnchor<'static>>,
}

#[derive(Debug, Clone)]
struct Root {
    der: CertificateDer<'static>,
    fingerprint: String,
}

impl Roots {
    /// Takes roots as DER.
    ///
    /// # Errors
    /// [`CredentialError::Roots`] where there is none, too many, or one that is no certificate.
    pub fn new(ders: Vec<CertificateDer<'static>>) -> Result<Self, CredentialError> {
        if ders.is_empty() || ders.len() > MAX_ROOTS {
            return Err(CredentialError::Roots);
        }
        let anchors = ders
            .iter()
            .map(|der| anchor_from_trusted_cert(der).map(|anchor| anchor.to_owned()))
            .collect::<Result<_, _>>()
            .map_err(|_| CredentialError::Roots)?;
        let roots =
            ders.into_iter().map(|der| Root { fingerprint: fingerprint(&der), der }).collect();
        Ok(Self { roots, anchors })
    }

    /// Takes roots as PEM.
    ///
    /// # Errors
    /// [`CredentialError::Roots`] where there is none, too many, or one that is no certificate.
    pub fn from_pem(text: &[u8]) -> Result<Self, CredentialError> {
        Self::new(pem::certificates(text).ok_or(CredentialError::Roots)?)
    }

    /// The certificates, DER.
    pub fn ders(&self) -> impl Iterator<Item = &CertificateDer<'static>> {
        self.roots.iter().map(|root| &root.der)
    }

    /// SHA-256 of each root's DER, hexadecimal, in order.
    pub fn fingerprints(&self) -> impl Iterator<Item = &str> {
        self.roots.iter().map(|root| root.fingerprint.as_str())
    }

    /// The certificate of that fingerprint.
    pub(super) fn of_fingerprint(&self, wanted: &str) -> Option<&CertificateDer<'static>> {
        self.roots.iter().find(|root| root.fingerprint == wanted).map(|root| &root.der)
    }

    /// The certificates, PEM.
    pub fn pem(&self) -> String {
        self.roots
            .iter()
            .map(|root| pem::of_certificates(std::slice::from_ref(&root.der)))
            .collect()
    }

    /// Writes `roots.pem` into a directory, whole or not at all.
    ///
    /// # Errors
    /// [`CredentialError::Write`].
    pub fn save(&self, directory: &Path) -> Result<(), CredentialError> {
        let path = directory.join(FILE);
        crate::net::file::write_atomic(&path, self.pem().as_bytes(), 0o600)
            .map_err(|error| CredentialError::Write(path, error))
    }

    /// Reads `roots.pem` from a directory.
    ///
    /// # Errors
    /// [`CredentialError`]; who may write that file decides whom we trust, so it must be private.
    pub fn load(directory: &Path) -> Result<Self, CredentialError> {
        let path = directory.join(FILE);
        let text = crate::net::file::read_private(&path, MAX_FILE)?;
        let ders = pem::certificates(&text).ok_or(CredentialError::Content(path))?;
        Self::new(ders)
    }

    /// Proves that `chain` (leaf first) leads to one of the roots; the fingerprint of that root.
    pub(super) fn prove(
        &self,
        chain: &[CertificateDer<'_>],
        usage: KeyUsage,
        now: UnixTime,
    ) -> Result<&str, VerifyFailure> {
        let (leaf, intermediates) = chain.split_first().ok_or(VerifyFailure::NoCertificate)?;
        let leaf = EndEntityCert::try_from(leaf).map_err(|error| of_webpki(&error))?;
        let path = leaf
            .verify_for_usage(
                webpki::ALL_VERIFICATION_ALGS,
                &self.anchors,
                intermediates,
                now,
                usage,
                None,
                None,
            )
            .map_err(|error| of_webpki(&error))?;
        let position = self.anchors.iter().position(|anchor| anchor == path.anchor());
        let root = position.and_then(|position| self.roots.get(position));
        root.map(|root| root.fingerprint.as_str()).ok_or(VerifyFailure::UnknownRoot)
    }
}

/// SHA-256 of a certificate, hexadecimal.
pub(super) fn fingerprint(der: &CertificateDer<'_>) -> String {
    hex(digest(&SHA256, der).as_ref())
}

fn of_webpki(error: &webpki::Error) -> VerifyFailure {
    use webpki::Error;
    match error {
        Error::CertExpired { .. } => VerifyFailure::CertExpired,
        Error::CertNotValidYet { .. } => VerifyFailure::CertNotYetValid,
        Error::UnknownIssuer => VerifyFailure::UnknownRoot,
        Error::CaUsedAsEndEntity => VerifyFailure::CaAsLeaf,
        Error::RequiredEkuNotFoundContext(_) => VerifyFailure::WrongUsage,
        Error::NameConstraintViolation => VerifyFailure::NameConstraints,
        Error::MaximumPathBuildCallsExceeded
        | Error::MaximumPathDepthExceeded
        | Error::MaximumSignatureChecksExceeded => VerifyFailure::ChainTooLong,
        _ => VerifyFailure::BadCertificate,
    }
}
