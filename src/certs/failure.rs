//! Why a peer was refused: one word each, the same in logs, metrics and answers.
//!
//! The verifier packs the reason into a rustls error (as one of rustls' own kinds where the alert
//! that the peer sees depends on it), and [`failure_of`] gets it back from whatever I/O error the
//! handshake ended with.

use std::io;
use std::sync::Arc;

use rustls::{AlertDescription, CertificateError, Error, OtherError};

/// Declares the failures: variant, word, meaning.
macro_rules! failures {
    ($($variant:ident, $word:literal, $meaning:literal;)*) => {
        /// Why a handshake between proxies failed.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
        pub enum VerifyFailure {
            $(#[doc = $meaning] #[error($meaning)] $variant,)*
        }

        impl VerifyFailure {
            /// Every failure.
            pub const ALL: &[Self] = &[$(Self::$variant,)*];

            /// The word in logs and metrics.
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $word,)* }
            }
        }
    };
}

failures! {
    BadSpiffeId, "bad_spiffe_id", "the certificate does not name exactly one identity of the mesh's form";
    WrongIdentity, "wrong_identity", "the peer is not the workload that was expected";
    WrongTrustDomain, "wrong_trust_domain", "the peer belongs to another mesh";
    CertExpired, "cert_expired", "a certificate has expired";
    CertNotYetValid, "cert_not_yet_valid", "a certificate is not valid yet; the clocks differ";
    UnknownRoot, "unknown_root", "the certificate does not chain to a root of this mesh";
    SelfSigned, "self_signed", "the certificate is signed by itself";
    CaAsLeaf, "ca_as_leaf", "the certificate of an authority was presented as a workload's";
    WrongUsage, "wrong_usage", "the certificate is not meant for this side of a connection";
    ChainTooLong, "chain_too_long", "the chain has too many certificates or bytes";
    NameConstraints, "name_constraints", "an authority in the chain has name constraints, which URI names cannot be held against";
    BadCertificate, "bad_certificate", "the certificate is malformed or its signature is wrong";
    NoCertificate, "no_certificate", "the peer presented no certificate";
    NoAlpn, "no_alpn", "the peer offered no protocol that is spoken here";
    TlsVersion, "tls_version", "the peer does not speak TLS 1.3 as it is spoken here";
    NotTls, "not_tls", "what came is no TLS";
    PeerRefused, "peer_refused", "the peer refused our certificate";
}

impl VerifyFailure {
    /// The rustls error that carries it.
    pub(super) fn into_rustls(self) -> Error {
        match self {
            // The alerts certificate_expired and unknown_ca tell the peer what to mend.
            Self::CertExpired => CertificateError::Expired.into(),
            Self::CertNotYetValid => CertificateError::NotValidYet.into(),
            Self::UnknownRoot => CertificateError::UnknownIssuer.into(),
            other => CertificateError::Other(OtherError(Arc::new(other))).into(),
        }
    }

    /// What a rustls error says; `None` where it has nothing to do with who the peer is.
    pub fn of_rustls(error: &Error) -> Option<Self> {
        match error {
            Error::InvalidCertificate(certificate) => Some(of_certificate(certificate)),
            Error::NoCertificatesPresented => Some(Self::NoCertificate),
            Error::NoApplicationProtocol => Some(Self::NoAlpn),
            Error::PeerIncompatible(_) => Some(Self::TlsVersion),
            Error::InvalidMessage(_) => Some(Self::NotTls),
            Error::AlertReceived(alert) => of_alert(*alert),
            _ => None,
        }
    }
}

/// Why the handshake behind `error` was refused; `None` where something else went wrong.
pub fn failure_of(error: &io::Error) -> Option<VerifyFailure> {
    let mut cause = error.get_ref().map(|inner| inner as &(dyn std::error::Error + 'static));
    while let Some(inner) = cause {
        if let Some(rustls) = inner.downcast_ref::<Error>() {
            return VerifyFailure::of_rustls(rustls);
        }
        if let Some(nested) = inner.downcast_ref::<io::Error>() {
            return failure_of(nested);
        }
        cause = inner.source();
    }
    None
}

fn of_certificate(error: &CertificateError) -> VerifyFailure {
    match error {
        CertificateError::Other(OtherError(inner)) => {
            inner.downcast_ref().copied().unwrap_or(VerifyFailure::BadCertificate)
        }
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => {
            VerifyFailure::CertExpired
        }
        CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
            VerifyFailure::CertNotYetValid
        }
        CertificateError::UnknownIssuer => VerifyFailure::UnknownRoot,
        _ => VerifyFailure::BadCertificate,
    }
}

/// What the peer's alert says about us (RFC 8446 §6.2).
fn of_alert(alert: AlertDescription) -> Option<VerifyFailure> {
    match alert {
        AlertDescription::CertificateExpired => Some(VerifyFailure::CertExpired),
        AlertDescription::CertificateRequired => Some(VerifyFailure::NoCertificate),
        AlertDescription::NoApplicationProtocol => Some(VerifyFailure::NoAlpn),
        AlertDescription::ProtocolVersion => Some(VerifyFailure::TlsVersion),
        AlertDescription::BadCertificate
        | AlertDescription::CertificateUnknown
        | AlertDescription::CertificateRevoked
        | AlertDescription::UnsupportedCertificate
        | AlertDescription::UnknownCA
        | AlertDescription::AccessDenied => Some(VerifyFailure::PeerRefused),
        _ => None,
    }
}
