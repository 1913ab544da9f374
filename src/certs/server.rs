//! Certificates for those who know host names and no SPIFFE: the API server calls our webhooks.
//!
//! Signed by the mesh's own authority, for serving alone, with DNS names and no URI: no proxy takes
//! one for a workload's. The key is made here and stays in memory.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use arc_swap::ArcSwap;
use rcgen::{ExtendedKeyUsagePurpose, KeyPair, PKCS_ECDSA_P256_SHA256, SanType};
use rustls::ServerConfig;
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::PrivatePkcs8KeyDer;
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use rustls::version::TLS13;

use super::ca::{Authority, SignError};

/// A certificate to serve with, and until when.
#[derive(Debug)]
pub struct ServerCertificate {
    key: Arc<CertifiedKey>,
    serial: String,
    issued: SystemTime,
    not_after: SystemTime,
}

impl ServerCertificate {
    /// Makes a key and has it signed for these DNS names.
    ///
    /// # Errors
    /// [`SignError`].
    pub fn issue(
        authority: &Authority,
        names: &[String],
        lifetime: Duration,
        now: SystemTime,
    ) -> Result<Self, SignError> {
        let pair = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).map_err(SignError::Internal)?;
        let names = names.iter().map(|name| name.as_str().try_into().map(SanType::DnsName));
        let names = names.collect::<Result<_, _>>().map_err(SignError::Internal)?;
        let usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        let issued = authority.issue(&pair, names, usages, lifetime, now)?;
        let der = PrivatePkcs8KeyDer::from(pair.serialize_der());
        let key = aws_lc_rs::default_provider()
            .key_provider
            .load_private_key(der.into())
            .map_err(|_| SignError::Internal(rcgen::Error::KeyGenerationUnavailable))?;
        let key = Arc::new(CertifiedKey::new(issued.chain, key));
        Ok(Self { key, serial: issued.serial, issued: now, not_after: issued.not_after })
    }

    /// Hexadecimal, lower case.
    pub fn serial(&self) -> &str {
        &self.serial
    }

    /// When it was signed.
    pub fn issued(&self) -> SystemTime {
        self.issued
    }

    /// Valid until.
    pub fn not_after(&self) -> SystemTime {
        self.not_after
    }

    /// A configuration that serves with whatever `current` holds at each handshake, and asks nobody
    /// for a certificate.
    pub fn server_config(current: Arc<ArcSwap<Self>>, alpn: &[&[u8]]) -> Arc<ServerConfig> {
        let mut config =
            ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
                .with_protocol_versions(&[&TLS13])
                .expect("the provider has suites of TLS 1.3")
                .with_no_client_auth()
                .with_cert_resolver(Arc::new(Current(current)));
        config.alpn_protocols = alpn.iter().map(|protocol| protocol.to_vec()).collect();
        Arc::new(config)
    }
}

#[derive(Debug)]
struct Current(Arc<ArcSwap<ServerCertificate>>);

impl ResolvesServerCert for Current {
    fn resolve(&self, _hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(Arc::clone(&self.0.load().key))
    }
}
