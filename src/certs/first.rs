//! Calling the control plane without a certificate of one's own: a workload that joins, or the
//! command line. All that is known is the roots, or the hash of a root's key.
//!
//! The chain must lead to one of them now, and its leaf must name the control plane of a mesh. Which
//! mesh that is follows from the roots: an authority signs for one trust domain alone. Where only a
//! hash is known, the control plane shows the root behind its leaf (as in DANE-TA, RFC 7671 §5.2).

use std::sync::Arc;

use rustls::client::Resumption;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{WebPkiSupportedAlgorithms, aws_lc_rs, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::version::TLS13;
use rustls::{ClientConfig, DigitallySignedStruct, Error, PeerIncompatible, SignatureScheme};
use webpki::KeyUsage;

use super::failure::VerifyFailure;
use super::leaf::Leaf;
use super::roots::Roots;
use super::token::RootPin;
use super::verifier;
use crate::names::Identity;

/// A configuration that connects to the control plane of the mesh of `roots` and to nobody else,
/// and shows no certificate. Whom it found is told by [`peer_identity`](super::peer_identity).
pub fn to_control_plane(roots: Roots, alpn: &[&[u8]]) -> Arc<ClientConfig> {
    without_certificate(Known::Roots(roots), alpn)
}

/// As [`to_control_plane`], where all that is known of the mesh is the hash of its root's key.
pub fn to_pinned_control_plane(root: RootPin, alpn: &[&[u8]]) -> Arc<ClientConfig> {
    without_certificate(Known::Pin(root), alpn)
}

fn without_certificate(known: Known, alpn: &[&[u8]]) -> Arc<ClientConfig> {
    let provider = Arc::new(aws_lc_rs::default_provider());
    let algorithms = provider.signature_verification_algorithms;
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&TLS13])
        .expect("the provider has suites of TLS 1.3")
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(FirstContact { known, algorithms }))
        .with_no_client_auth();
    config.alpn_protocols = alpn.iter().map(|protocol| protocol.to_vec()).collect();
    config.resumption = Resumption::disabled();
    Arc::new(config)
}

/// By what the control plane is known.
#[derive(Debug)]
enum Known {
    Roots(Roots),
    Pin(RootPin),
}

#[derive(Debug)]
struct FirstContact {
    known: Known,
    algorithms: WebPkiSupportedAlgorithms,
}

impl FirstContact {
    fn judge(
        &self,
        leaf: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<(), VerifyFailure> {
        let chain = verifier::chain(leaf, intermediates)?;
        match &self.known {
            Known::Roots(roots) => prove(roots, &chain, now)?,
            Known::Pin(pin) => prove(&pinned(pin, intermediates)?, &chain, now)?,
        }
        let found = Leaf::read(leaf)?.identity;
        match found == Identity::of_control_plane(found.trust_domain.clone()) {
            true => Ok(()),
            false => Err(VerifyFailure::WrongIdentity),
        }
    }
}

fn prove(roots: &Roots, chain: &[CertificateDer<'_>], now: UnixTime) -> Result<(), VerifyFailure> {
    roots.prove(chain, KeyUsage::server_auth(), now).map(|_| ())
}

/// The root of that key among what the peer has shown. Whatever else it says of itself, only who has
/// the key could sign the leaf.
fn pinned(pin: &RootPin, shown: &[CertificateDer<'_>]) -> Result<Roots, VerifyFailure> {
    let root = shown.iter().find(|der| RootPin::of(der).as_ref() == Some(pin));
    let root = root.ok_or(VerifyFailure::UnknownRoot)?.clone().into_owned();
    Roots::new(vec![root]).map_err(|_| VerifyFailure::BadCertificate)
}

impl ServerCertVerifier for FirstContact {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        self.judge(end_entity, intermediates, now)
            .map(|()| ServerCertVerified::assertion())
            .map_err(VerifyFailure::into_rustls)
    }

    fn verify_tls12_signature(
        &self,
        _message: &[u8],
        _certificate: &CertificateDer<'_>,
        _signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Err(PeerIncompatible::Tls12NotOfferedOrEnabled.into())
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, certificate, signed, &self.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}
