//! The one judge of certificates, for both sides of a connection.
//!
//! A chain must lead to one of the mesh's roots now, its leaf must name exactly one identity of our
//! own trust domain, and, where this side knows whom it calls, that very identity. Names of hosts
//! play no part. Roots are read when a handshake needs them, so replacing them needs no new
//! configuration.

use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{WebPkiSupportedAlgorithms, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::{DigitallySignedStruct, DistinguishedName, Error, PeerIncompatible, SignatureScheme};
use webpki::KeyUsage;

use super::failure::VerifyFailure;
use super::leaf::Leaf;
use super::tls::Shared;
use crate::names::Identity;

/// Longer chains are refused before anything is computed: leaf and three authorities.
const MAX_CHAIN: usize = 4;

/// Larger chains are refused: ours are below 2 KiB.
const MAX_CHAIN_BYTES: usize = 16 * 1024;

/// What a peer showed as one chain, leaf first; refused where it is longer than any of ours.
pub(super) fn chain<'c>(
    leaf: &'c CertificateDer<'_>,
    intermediates: &'c [CertificateDer<'_>],
) -> Result<Vec<CertificateDer<'c>>, VerifyFailure> {
    let bytes: usize = intermediates.iter().map(|der| der.len()).sum::<usize>() + leaf.len();
    if intermediates.len() >= MAX_CHAIN || bytes > MAX_CHAIN_BYTES {
        return Err(VerifyFailure::ChainTooLong);
    }
    let all = std::iter::once(leaf).chain(intermediates);
    Ok(all.map(|der| CertificateDer::from(der.as_ref())).collect())
}

/// Judges peers.
#[derive(Debug)]
pub(super) struct Verifier {
    shared: Arc<Shared>,
    expected: Option<Identity>,
    mandatory: bool,
    algorithms: WebPkiSupportedAlgorithms,
}

impl Verifier {
    /// Accepts `expected` alone.
    pub(super) fn of_server(
        shared: Arc<Shared>,
        expected: Identity,
        algorithms: WebPkiSupportedAlgorithms,
    ) -> Self {
        Self { shared, expected: Some(expected), mandatory: true, algorithms }
    }

    /// Accepts every identity of our trust domain, and callers without one unless `mandatory`.
    pub(super) fn of_clients(
        shared: Arc<Shared>,
        mandatory: bool,
        algorithms: WebPkiSupportedAlgorithms,
    ) -> Self {
        Self { shared, expected: None, mandatory, algorithms }
    }

    fn judge(
        &self,
        leaf: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        usage: KeyUsage,
        now: UnixTime,
    ) -> Result<(), VerifyFailure> {
        let chain = chain(leaf, intermediates)?;
        let proved = self.shared.roots().prove(&chain, usage, now).map(|_| ());
        self.judge_identity(proved, Leaf::read(leaf))
    }

    /// An unproved leaf is looked at only to say more exactly what is wrong with it.
    fn judge_identity(
        &self,
        proved: Result<(), VerifyFailure>,
        leaf: Result<Leaf, VerifyFailure>,
    ) -> Result<(), VerifyFailure> {
        let trust_domain = self.shared.trust_domain();
        match (proved, leaf) {
            (Err(VerifyFailure::UnknownRoot), Ok(leaf)) if leaf.self_signed => {
                Err(VerifyFailure::SelfSigned)
            }
            (Err(VerifyFailure::UnknownRoot), Ok(leaf))
                if leaf.identity.trust_domain != trust_domain =>
            {
                Err(VerifyFailure::WrongTrustDomain)
            }
            (Err(failure), _) | (Ok(()), Err(failure)) => Err(failure),
            (Ok(()), Ok(leaf)) if leaf.identity.trust_domain != trust_domain => {
                Err(VerifyFailure::WrongTrustDomain)
            }
            (Ok(()), Ok(leaf)) => match &self.expected {
                Some(expected) if *expected != leaf.identity => Err(VerifyFailure::WrongIdentity),
                _ => Ok(()),
            },
        }
    }

    fn signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, certificate, signed, &self.algorithms)
    }
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        self.judge(end_entity, intermediates, KeyUsage::server_auth(), now)
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
        self.signature(message, certificate, signed)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}

impl ClientCertVerifier for Verifier {
    fn client_auth_mandatory(&self) -> bool {
        self.mandatory
    }

    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        // Hints would be wrong after the roots are replaced; TLS 1.3 does not need them.
        &[]
    }

    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        self.judge(end_entity, intermediates, KeyUsage::client_auth(), now)
            .map(|()| ClientCertVerified::assertion())
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
        self.signature(message, certificate, signed)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}
