//! The workload's side of getting a certificate: a fresh key, a request, and taking what comes back.
//!
//! A key is made for each request and never used for another. What comes back is believed only
//! after it was checked: our key, the identity that was asked for, a chain to the roots given.

use rcgen::{
    CertificateParams, DistinguishedName, KeyPair, PKCS_ECDSA_P256_SHA256, PublicKeyData, SanType,
};
use rustls::pki_types::{CertificateDer, PrivatePkcs8KeyDer};
use x509_parser::certificate::X509Certificate;
use x509_parser::prelude::FromDer;

use super::credentials::{CredentialError, Credentials};
use super::roots::Roots;
use crate::names::Identity;

/// A key that waits for its certificate.
#[derive(Debug)]
pub struct PendingKey(KeyPair);

impl PendingKey {
    /// Makes a P-256 key.
    ///
    /// # Errors
    /// [`CredentialError::Key`] where the system has no randomness.
    pub fn generate() -> Result<Self, CredentialError> {
        let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256);
        key.map(Self).map_err(|_| CredentialError::Key)
    }

    /// A request for a certificate of `identity`: PKCS #10, DER.
    ///
    /// # Errors
    /// [`CredentialError::Key`] where signing fails.
    pub fn csr(&self, identity: &Identity) -> Result<Vec<u8>, CredentialError> {
        let uri = identity.to_string().try_into().map_err(|_| CredentialError::Identity)?;
        self.request(vec![SanType::URI(uri)])
    }

    /// A request that names nobody, for a first join: the trust domain is not known before it.
    ///
    /// # Errors
    /// [`CredentialError::Key`] where signing fails.
    pub fn anonymous_csr(&self) -> Result<Vec<u8>, CredentialError> {
        self.request(Vec::new())
    }

    fn request(&self, names: Vec<SanType>) -> Result<Vec<u8>, CredentialError> {
        let mut params = CertificateParams::default();
        params.distinguished_name = DistinguishedName::new();
        params.subject_alt_names = names;
        let request = params.serialize_request(&self.0).map_err(|_| CredentialError::Key)?;
        Ok(request.der().to_vec())
    }

    /// Takes the chain (leaf first) that came back, with the roots to hold it against.
    ///
    /// # Errors
    /// [`CredentialError`] where it is not for this key and identity, or does not lead to a root.
    pub fn finish(
        self,
        chain: Vec<CertificateDer<'static>>,
        roots: &Roots,
        expected: &Identity,
    ) -> Result<Credentials, CredentialError> {
        let leaf = chain.first().ok_or(CredentialError::Empty)?;
        let (_, parsed) = X509Certificate::from_der(leaf).map_err(|_| CredentialError::Empty)?;
        if parsed.public_key().raw != self.0.subject_public_key_info() {
            return Err(CredentialError::Key);
        }
        let key = PrivatePkcs8KeyDer::from(self.0.serialize_der());
        let credentials = Credentials::new(chain, key, roots)?;
        match credentials.identity() == expected {
            true => Ok(credentials),
            false => Err(CredentialError::Identity),
        }
    }
}

/// 16 random bytes that make a positive number of DER without padding (RFC 5280 §4.1.2.2).
pub(super) fn serial() -> [u8; 16] {
    let mut serial = [0; 16];
    aws_lc_rs::rand::fill(&mut serial).expect("the system's random generator does not fail");
    if let Some(first) = serial.first_mut() {
        *first = (*first & 0x7f) | 0x40;
    }
    serial
}
