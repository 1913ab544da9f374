//! Peers that are not ours: their own idea of certificates, and no judgement of others'.

use std::path::Path;
use std::sync::Arc;
use std::time::SystemTime;

use meshctl::certs::Authority;
use rcgen::{
    CertificateParams, DistinguishedName, ExtendedKeyUsagePurpose, Issuer, KeyPair, SanType,
};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::{CertificateDer, PrivatePkcs8KeyDer, ServerName, UnixTime};
use rustls::server::WebPkiClientVerifier;
use rustls::{
    ClientConfig, DigitallySignedStruct, Error, RootCertStore, ServerConfig, SignatureScheme,
};

use super::{ALPN, HOUR};

/// A chain and its key.
pub(crate) struct Foreign {
    pub(crate) chain: Vec<CertificateDer<'static>>,
    pub(crate) key: KeyPair,
}

/// The key of an authority, as somebody would have it who stole it: able to sign anything.
pub(crate) fn stolen(authority: &Authority) -> Issuer<'static, KeyPair> {
    let home = tempfile::tempdir().expect("a directory");
    authority.save(home.path()).expect("saves");
    let read = |name: &str| std::fs::read_to_string(Path::join(home.path(), name)).expect("reads");
    let key = KeyPair::from_pem(&read("root.key")).expect("a key");
    Issuer::from_ca_cert_pem(&read("root.pem"), key).expect("an issuer")
}

/// A leaf as ours, to be bent.
pub(crate) fn leaf(uris: &[&str]) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    params.subject_alt_names =
        uris.iter().map(|uri| SanType::URI((*uri).try_into().expect("ASCII"))).collect();
    params.not_before = (SystemTime::now() - HOUR).into();
    params.not_after = (SystemTime::now() + HOUR).into();
    params.extended_key_usages =
        vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
    params
}

impl Foreign {
    /// Signed by an issuer.
    pub(crate) fn signed(params: &CertificateParams, issuer: &Issuer<'static, KeyPair>) -> Self {
        let key = KeyPair::generate().expect("a key");
        let leaf = params.signed_by(&key, issuer).expect("signed");
        Self { chain: vec![leaf.into()], key }
    }

    /// Signed by itself.
    pub(crate) fn self_signed(params: &CertificateParams) -> Self {
        let key = KeyPair::generate().expect("a key");
        let leaf = params.self_signed(&key).expect("signed");
        Self { chain: vec![leaf.into()], key }
    }

    fn key(&self) -> rustls::pki_types::PrivateKeyDer<'static> {
        PrivatePkcs8KeyDer::from(self.key.serialize_der()).into()
    }

    /// Calls with this certificate and believes everything.
    pub(crate) fn client(&self) -> Arc<ClientConfig> {
        let config = client_builder().with_client_auth_cert(self.chain.clone(), self.key());
        with_alpn(config.expect("key and leaf match"))
    }

    /// Answers with this certificate, whatever is spoken between proxies, and asks for none.
    pub(crate) fn server(&self) -> Arc<ServerConfig> {
        let mut config = ServerConfig::builder_with_provider(provider())
            .with_safe_default_protocol_versions()
            .expect("versions")
            .with_client_cert_verifier(WebPkiClientVerifier::no_client_auth())
            .with_single_cert(self.chain.clone(), self.key())
            .expect("key and leaf match");
        let spoken = ALPN.iter().copied().chain([&b"meshctl/http1.1"[..], b"meshctl/h2"]);
        config.alpn_protocols = spoken.map(<[u8]>::to_vec).collect();
        Arc::new(config)
    }
}

/// Calls without a certificate and believes everything.
pub(crate) fn nobody() -> Arc<ClientConfig> {
    with_alpn(client_builder().with_no_client_auth())
}

/// Calls without a certificate and trusts public roots only.
pub(crate) fn browser() -> Arc<ClientConfig> {
    let config = ClientConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_root_certificates(RootCertStore::empty())
        .with_no_client_auth();
    with_alpn(config)
}

fn with_alpn(mut config: ClientConfig) -> Arc<ClientConfig> {
    config.alpn_protocols = ALPN.iter().map(|protocol| protocol.to_vec()).collect();
    Arc::new(config)
}

fn client_builder() -> rustls::ConfigBuilder<ClientConfig, rustls::client::WantsClientCert> {
    ClientConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .expect("versions")
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(Gullible))
}

fn provider() -> Arc<rustls::crypto::CryptoProvider> {
    Arc::new(aws_lc_rs::default_provider())
}

/// Believes everything.
#[derive(Debug)]
struct Gullible;

impl ServerCertVerifier for Gullible {
    fn verify_server_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _message: &[u8],
        _cert: &CertificateDer<'_>,
        _dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _message: &[u8],
        _cert: &CertificateDer<'_>,
        _dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        provider().signature_verification_algorithms.supported_schemes()
    }
}
