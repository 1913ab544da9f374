//! The authority of a mesh: one self-signed P-256 root that signs leaves.
//!
//! In go a request and the identity that its sender has *proved* to have; out comes a leaf with
//! exactly that identity, or a refusal. The request contributes its public key and nothing else.
//! Lives are clamped, serial numbers are 128 random bits, and no leaf outlives the root. The root's
//! key stays in memory and in `root.key` (0600).

use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa,
    Issuer, KeyPair, KeyUsagePurpose, PKCS_ECDSA_P256_SHA256, PublicKeyData, SanType, SerialNumber,
};
use rustls::pki_types::CertificateDer;
use time::OffsetDateTime;
use x509_parser::certificate::X509Certificate;
use x509_parser::prelude::FromDer;

use super::BACKDATE;
use super::credentials::CredentialError;
use super::leaf::{hex, moment};
use super::request::ProvedKey;
use super::roots::{MAX_FILE, Roots};
use super::{csr, pem};
use crate::names::{Identity, TrustDomain};
use crate::net::file::{PrivateFileError, read_private, write_atomic};

pub use super::request::MAX_CSR_BYTES;

/// Shorter lives are lengthened to this: below it renewal could not keep up.
pub const SHORTEST_LIFE: Duration = Duration::from_secs(10);

/// Longer lives are cut to this: there is no revocation.
pub const LONGEST_LIFE: Duration = Duration::from_secs(30 * 24 * 3600);

/// The life of a root.
pub const ROOT_LIFE: Duration = Duration::from_secs(3650 * 24 * 3600);

/// The attribute `serialNumber` of a name (X.520).
const SERIAL_NUMBER_OID: [u64; 4] = [2, 5, 4, 5];

/// The name under which the root's certificate is kept.
pub const CERTIFICATE_FILE: &str = "root.pem";

/// The name under which the root's key is kept.
pub const KEY_FILE: &str = "root.key";

/// Signs leaves.
pub struct Authority {
    issuer: Issuer<'static, KeyPair>,
    roots: Roots,
    certificate: CertificateDer<'static>,
    trust_domain: TrustDomain,
    not_after: SystemTime,
}

/// A signed leaf.
#[derive(Debug, Clone)]
pub struct Issued {
    /// Leaf first; the root is not part of it.
    pub chain: Vec<CertificateDer<'static>>,
    /// Hexadecimal, lower case.
    pub serial: String,
    /// Valid from, dated back by [`BACKDATE`].
    pub not_before: SystemTime,
    /// Valid until.
    pub not_after: SystemTime,
}

/// Why nothing was signed.
#[derive(Debug, thiserror::Error)]
pub enum SignError {
    /// The request is no request, or proves nothing (gRPC: INVALID_ARGUMENT).
    #[error("bad certificate request: {0}")]
    Malformed(&'static str),
    /// The request asks for what its sender does not get (gRPC: PERMISSION_DENIED).
    #[error("certificate request refused: it asks for {0}")]
    Refused(&'static str),
    /// The identity is of another mesh (gRPC: PERMISSION_DENIED).
    #[error("the authority of `{authority}` does not sign for `{asked}`")]
    TrustDomain {
        /// Ours.
        authority: TrustDomain,
        /// Theirs.
        asked: TrustDomain,
    },
    /// The root has expired (gRPC: FAILED_PRECONDITION).
    #[error("the root certificate has expired")]
    RootExpired,
    /// Encoding or signing failed (gRPC: INTERNAL).
    #[error("signing failed")]
    Internal(#[source] rcgen::Error),
}

/// Why there is no authority.
#[derive(Debug, thiserror::Error)]
pub enum AuthorityError {
    /// Making or signing the root failed.
    #[error("the root cannot be made")]
    Create(#[source] rcgen::Error),
    /// A file cannot be read, or others could.
    #[error(transparent)]
    File(#[from] PrivateFileError),
    /// A file cannot be written.
    #[error("`{0}` cannot be written")]
    Write(PathBuf, #[source] std::io::Error),
    /// A file does not hold what it should.
    #[error("`{0}` is damaged: {1}; restore it from a backup")]
    Damaged(PathBuf, &'static str),
}

/// Why a text is no authority: which part ([`CERTIFICATE_FILE`] or [`KEY_FILE`]), and what is wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("`{part}` is damaged: {why}")]
pub struct Flaw {
    /// Under which name it is kept.
    pub part: &'static str,
    /// What is wrong with it.
    pub why: &'static str,
}

impl Authority {
    /// Makes a new root for a trust domain, valid for [`ROOT_LIFE`] from `now`.
    ///
    /// # Errors
    /// [`AuthorityError::Create`].
    pub fn create(trust_domain: &TrustDomain, now: SystemTime) -> Result<Self, AuthorityError> {
        let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).map_err(AuthorityError::Create)?;
        let certificate =
            root_params(trust_domain, now).self_signed(&key).map_err(AuthorityError::Create)?;
        let damaged = |why| AuthorityError::Damaged(PathBuf::from(CERTIFICATE_FILE), why);
        Self::assemble(certificate.der().clone(), key).map_err(damaged)
    }

    /// Reads `root.pem` and `root.key` from a directory.
    ///
    /// # Errors
    /// [`AuthorityError`] naming the file and, where its mode or owner is wrong, the remedy.
    pub fn load(directory: &Path) -> Result<Self, AuthorityError> {
        let (certificate_path, key_path) = paths(directory);
        let key = read_private(&key_path, MAX_FILE)?;
        let certificate = read_private(&certificate_path, MAX_FILE)?;
        Self::from_pem(&certificate, &key)
            .map_err(|flaw| AuthorityError::Damaged(directory.join(flaw.part), flaw.why))
    }

    /// Reads an authority from PEM: the root's certificate, and its key.
    ///
    /// # Errors
    /// [`Flaw`].
    pub fn from_pem(certificate: &[u8], key: &[u8]) -> Result<Self, Flaw> {
        let flaw = |part| move |why| Flaw { part, why };
        let key = pem::key(key)
            .and_then(|der| {
                KeyPair::from_pkcs8_der_and_sign_algo(&der, &PKCS_ECDSA_P256_SHA256).ok()
            })
            .ok_or("no P-256 key")
            .map_err(flaw(KEY_FILE))?;
        pem::certificates(certificate)
            .and_then(|found| found.into_iter().next())
            .ok_or("no certificate")
            .and_then(|certificate| Self::assemble(certificate, key))
            .map_err(flaw(CERTIFICATE_FILE))
    }

    /// The root's key as PEM: whoever has it is the mesh.
    pub fn key_pem(&self) -> String {
        pem::of_key(&self.issuer.key().serialize_der().into())
    }

    /// Writes `root.pem` and `root.key` into a directory, each whole or not at all; both private,
    /// because whoever may write the certificate decides whom the mesh trusts.
    ///
    /// # Errors
    /// [`AuthorityError::Write`].
    pub fn save(&self, directory: &Path) -> Result<(), AuthorityError> {
        let (certificate_path, key_path) = paths(directory);
        // The key first: a certificate without its key would look like a finished installation.
        for (path, text) in [(key_path, self.key_pem()), (certificate_path, self.roots.pem())] {
            write_atomic(&path, text.as_bytes(), 0o600)
                .map_err(|error| AuthorityError::Write(path, error))?;
        }
        Ok(())
    }

    /// Whether a directory holds an authority, whole or damaged.
    pub fn exists(directory: &Path) -> bool {
        let (certificate_path, key_path) = paths(directory);
        certificate_path.exists() || key_path.exists()
    }

    /// Signs the key of `csr` for `identity`, which the sender has proved to have.
    ///
    /// # Errors
    /// [`SignError`]; nothing is signed then.
    pub fn sign(
        &self,
        csr: &[u8],
        identity: &Identity,
        lifetime: Duration,
        now: SystemTime,
    ) -> Result<Issued, SignError> {
        if identity.trust_domain != self.trust_domain {
            let authority = self.trust_domain.clone();
            return Err(SignError::TrustDomain { authority, asked: identity.trust_domain.clone() });
        }
        let key = ProvedKey::read(csr, identity)?;
        let uri = identity.to_string().try_into().map_err(SignError::Internal)?;
        let usages = vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
        self.issue(&key, vec![SanType::URI(uri)], usages, lifetime, now)
    }

    /// Signs a leaf with these names and uses.
    pub(super) fn issue(
        &self,
        key: &impl PublicKeyData,
        names: Vec<SanType>,
        usages: Vec<ExtendedKeyUsagePurpose>,
        lifetime: Duration,
        now: SystemTime,
    ) -> Result<Issued, SignError> {
        if now >= self.not_after {
            return Err(SignError::RootExpired);
        }
        let now = whole_seconds(now);
        let not_before = now.checked_sub(BACKDATE).unwrap_or(SystemTime::UNIX_EPOCH);
        let not_after = (now + lifetime.clamp(SHORTEST_LIFE, LONGEST_LIFE)).min(self.not_after);
        let serial = csr::serial();
        let mut params = leaf_params(&serial, not_before, not_after);
        params.subject_alt_names = names;
        params.extended_key_usages = usages;
        let leaf = params.signed_by(key, &self.issuer).map_err(SignError::Internal)?;
        Ok(Issued { chain: vec![leaf.into()], serial: hex(&serial), not_before, not_after })
    }

    /// The roots that leaves of this authority chain to.
    pub fn roots(&self) -> &Roots {
        &self.roots
    }

    /// For whom it signs.
    pub fn trust_domain(&self) -> &TrustDomain {
        &self.trust_domain
    }

    /// Until when the root is valid.
    pub fn not_after(&self) -> SystemTime {
        self.not_after
    }

    /// The root's certificate, DER.
    pub fn certificate(&self) -> &CertificateDer<'static> {
        &self.certificate
    }

    fn assemble(certificate: CertificateDer<'static>, key: KeyPair) -> Result<Self, &'static str> {
        let (_, parsed) =
            X509Certificate::from_der(&certificate).map_err(|_| "not a certificate")?;
        if !parsed.is_ca() {
            return Err("not the certificate of an authority");
        }
        if parsed.public_key().raw != key.subject_public_key_info() {
            return Err("the key is not that of the certificate");
        }
        let name = parsed.subject().iter_common_name().next().and_then(|name| name.as_str().ok());
        let trust_domain = name
            .and_then(|name| name.parse().ok())
            .ok_or("its common name is not a trust domain")?;
        let not_after = moment(parsed.validity().not_after.timestamp());
        let roots = Roots::new(vec![certificate.clone()])
            .map_err(|_: CredentialError| "not usable as a root")?;
        let issuer = Issuer::from_ca_cert_der(&certificate, key).map_err(|_| "not an issuer")?;
        Ok(Self { issuer, roots, certificate, trust_domain, not_after })
    }
}

impl std::fmt::Debug for Authority {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Authority")
            .field("trust_domain", &self.trust_domain)
            .finish_non_exhaustive()
    }
}

fn paths(directory: &Path) -> (PathBuf, PathBuf) {
    (directory.join(CERTIFICATE_FILE), directory.join(KEY_FILE))
}

fn root_params(trust_domain: &TrustDomain, now: SystemTime) -> CertificateParams {
    let now = whole_seconds(now);
    let serial = csr::serial();
    let mut name = DistinguishedName::new();
    name.push(DnType::OrganizationName, "meshctl");
    name.push(DnType::CommonName, trust_domain.as_str());
    // Two roots of one trust domain must not share a name: a chain to the wrong one would look
    // forged rather than foreign.
    name.push(DnType::CustomDnType(SERIAL_NUMBER_OID.to_vec()), hex(&serial));
    let mut params = CertificateParams::default();
    params.distinguished_name = name;
    params.not_before = OffsetDateTime::from(now.checked_sub(BACKDATE).unwrap_or(now));
    params.not_after = OffsetDateTime::from(now + ROOT_LIFE);
    params.serial_number = Some(SerialNumber::from_slice(&serial));
    // One level below is left for intermediates.
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(1));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params.use_authority_key_identifier_extension = true;
    params
}

/// What all leaves have in common.
fn leaf_params(serial: &[u8], not_before: SystemTime, not_after: SystemTime) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    params.not_before = not_before.into();
    params.not_after = not_after.into();
    params.serial_number = Some(SerialNumber::from_slice(serial));
    params.is_ca = IsCa::ExplicitNoCa;
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.use_authority_key_identifier_extension = true;
    params
}

/// Certificates count in seconds; a fraction would make `Issued` differ from what is signed.
fn whole_seconds(moment: SystemTime) -> SystemTime {
    let since = moment.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    SystemTime::UNIX_EPOCH + Duration::from_secs(since.as_secs())
}
