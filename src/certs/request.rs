//! Reading a certificate signing request (PKCS #10, RFC 2986) as what it is: hostile input.
//!
//! In goes DER, out comes a P-256 public key whose owner has proved to hold it. Nothing else of a
//! request is ever signed; what it asks for beyond that must be harmless or it is refused, so that
//! nobody believes to have got it. Cost is bounded: size first, then structure, then one signature.

use aws_lc_rs::signature::{ECDSA_P256_SHA256_ASN1, UnparsedPublicKey};
use rcgen::{PKCS_ECDSA_P256_SHA256, PublicKeyData, SignatureAlgorithm};
use x509_parser::certification_request::X509CertificationRequest;
use x509_parser::cri_attributes::ParsedCriAttribute;
use x509_parser::extensions::{GeneralName, ParsedExtension};
use x509_parser::oid_registry::{
    OID_EC_P256, OID_KEY_TYPE_EC_PUBLIC_KEY, OID_SIG_ECDSA_WITH_SHA256,
};
use x509_parser::prelude::FromDer;

use super::ca::SignError;
use crate::names::Identity;

/// Longer requests are refused unread; ours have about 300 bytes.
pub const MAX_CSR_BYTES: usize = 16 * 1024;

/// An uncompressed point of P-256 (SEC 1 §2.3.3).
const POINT_BYTES: usize = 65;

/// A public key with proof of possession.
#[derive(Debug)]
pub(super) struct ProvedKey(Vec<u8>);

impl PublicKeyData for ProvedKey {
    fn der_bytes(&self) -> &[u8] {
        &self.0
    }

    fn algorithm(&self) -> &'static SignatureAlgorithm {
        &PKCS_ECDSA_P256_SHA256
    }
}

impl ProvedKey {
    /// Reads a request of somebody who has proved to be `identity`.
    pub(super) fn read(der: &[u8], identity: &Identity) -> Result<Self, SignError> {
        if der.len() > MAX_CSR_BYTES {
            return Err(SignError::Malformed("longer than 16 KiB"));
        }
        let (rest, request) = X509CertificationRequest::from_der(der)
            .map_err(|_| SignError::Malformed("not a PKCS #10 request in DER"))?;
        if !rest.is_empty() {
            return Err(SignError::Malformed("bytes after the request"));
        }
        let key = key(&request)?;
        check_signature(&request, key)?;
        check_wishes(&request, identity)?;
        Ok(Self(key.to_vec()))
    }
}

fn key<'a>(request: &'a X509CertificationRequest<'_>) -> Result<&'a [u8], SignError> {
    const WRONG: SignError = SignError::Malformed("the key is not an ECDSA key on P-256");
    let spki = &request.certification_request_info.subject_pki;
    let curve = spki.algorithm.parameters.as_ref().and_then(|any| any.as_oid().ok());
    if spki.algorithm.algorithm != OID_KEY_TYPE_EC_PUBLIC_KEY || curve != Some(OID_EC_P256) {
        return Err(WRONG);
    }
    let point: &[u8] = &spki.subject_public_key.data;
    let whole = spki.subject_public_key.unused_bits == 0;
    let uncompressed = point.len() == POINT_BYTES && point.first() == Some(&4);
    if whole && uncompressed { Ok(point) } else { Err(WRONG) }
}

fn check_signature(request: &X509CertificationRequest<'_>, key: &[u8]) -> Result<(), SignError> {
    // ecdsa-with-SHA256 has no parameters (RFC 5758 §3.2).
    let algorithm = &request.signature_algorithm;
    let plain = algorithm.parameters.is_none() && request.signature_value.unused_bits == 0;
    if algorithm.algorithm != OID_SIG_ECDSA_WITH_SHA256 || !plain {
        return Err(SignError::Malformed("not signed with ECDSA and SHA-256"));
    }
    UnparsedPublicKey::new(&ECDSA_P256_SHA256_ASN1, key)
        .verify(request.certification_request_info.raw, &request.signature_value.data)
        .map_err(|_| SignError::Malformed("its signature does not match its key"))
}

/// What is asked for besides the key: nothing, or the very identity that will be signed.
fn check_wishes(
    request: &X509CertificationRequest<'_>,
    identity: &Identity,
) -> Result<(), SignError> {
    let info = &request.certification_request_info;
    if info.subject.iter().next().is_some() {
        return Err(SignError::Refused("a subject; a workload's name is its URI alone"));
    }
    for attribute in info.iter_attributes() {
        let ParsedCriAttribute::ExtensionRequest(requested) = attribute.parsed_attribute() else {
            return Err(SignError::Refused("an attribute other than extensions"));
        };
        for extension in &requested.extensions {
            check_extension(extension.parsed_extension(), identity)?;
        }
    }
    Ok(())
}

fn check_extension(extension: &ParsedExtension<'_>, identity: &Identity) -> Result<(), SignError> {
    match extension {
        ParsedExtension::SubjectAlternativeName(names) => match names.general_names.as_slice() {
            [GeneralName::URI(uri)] if *uri == identity.to_string() => Ok(()),
            [GeneralName::URI(_)] => Err(SignError::Refused("the name of another workload")),
            _ => Err(SignError::Refused("names other than one URI")),
        },
        ParsedExtension::BasicConstraints(constraints) if constraints.ca => {
            Err(SignError::Refused("to be an authority"))
        }
        ParsedExtension::KeyUsage(usage) if usage.key_cert_sign() || usage.crl_sign() => {
            Err(SignError::Refused("the right to sign certificates"))
        }
        ParsedExtension::BasicConstraints(_)
        | ParsedExtension::KeyUsage(_)
        | ParsedExtension::ExtendedKeyUsage(_) => Ok(()),
        _ => Err(SignError::Refused("an extension that is not given to workloads")),
    }
}
