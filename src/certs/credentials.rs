//! What a workload proves itself with: its chain, its key, and what the leaf says.
//!
//! Made by [`PendingKey::finish`](super::PendingKey::finish) or read from `identity.pem`, one file
//! of mode 0600 with key and chain, so that a crash cannot leave one without the other. Whatever
//! way they came, the chain leads to a trusted root. Whether they have expired is another question,
//! asked with a clock: [`Credentials::is_valid`].

use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use rustls::pki_types::{CertificateDer, PrivatePkcs8KeyDer, UnixTime};
use webpki::KeyUsage;

use super::failure::VerifyFailure;
use super::leaf::Leaf;
use super::roots::{MAX_FILE, Roots};
use super::{BACKDATE, pem};
use crate::names::Identity;
use crate::net::file::{PrivateFileError, read_private, write_atomic};

/// The file name of saved credentials.
const FILE: &str = "identity.pem";

/// A workload's certificate and key.
pub struct Credentials {
    leaf: Leaf,
    chain: Vec<CertificateDer<'static>>,
    key: PrivatePkcs8KeyDer<'static>,
    root: String,
}

/// Why credentials or roots are not usable.
#[derive(Debug, thiserror::Error)]
pub enum CredentialError {
    /// No certificate came.
    #[error("there is no certificate in the answer")]
    Empty,
    /// The key cannot be made or used, or is not that of the certificate.
    #[error("the key is not usable with the certificate")]
    Key,
    /// The certificate is somebody else's.
    #[error("the certificate is for another identity")]
    Identity,
    /// None, too many, or unreadable roots.
    #[error("the root certificates are missing, too many or unreadable")]
    Roots,
    /// The chain proves nothing.
    #[error("the certificate is not valid here")]
    Chain(#[from] VerifyFailure),
    /// A file cannot be read, or others could.
    #[error(transparent)]
    File(#[from] PrivateFileError),
    /// A file does not hold what it should.
    #[error("`{0}` is damaged; remove it to get a new certificate")]
    Content(PathBuf),
    /// A file cannot be written.
    #[error("`{0}` cannot be written")]
    Write(PathBuf, #[source] std::io::Error),
}

impl Credentials {
    /// Holds a chain against the roots and keeps it with its key.
    pub(super) fn new(
        chain: Vec<CertificateDer<'static>>,
        key: PrivatePkcs8KeyDer<'static>,
        roots: &Roots,
    ) -> Result<Self, CredentialError> {
        let leaf = Leaf::read(chain.first().ok_or(CredentialError::Empty)?)?;
        // As of its last second, so that clocks and expiry play no part here.
        let since = leaf.not_after.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        let moment = UnixTime::since_unix_epoch(since);
        let root = roots.prove(&chain, KeyUsage::client_auth(), moment)?.to_owned();
        Ok(Self { leaf, chain, key, root })
    }

    /// Who they prove.
    pub fn identity(&self) -> &Identity {
        &self.leaf.identity
    }

    /// Serial number of the leaf, hexadecimal.
    pub fn serial(&self) -> &str {
        &self.leaf.serial
    }

    /// Valid from.
    pub fn not_before(&self) -> SystemTime {
        self.leaf.not_before
    }

    /// Valid until.
    pub fn not_after(&self) -> SystemTime {
        self.leaf.not_after
    }

    /// When the leaf was signed, by the clock of the control plane.
    pub fn issued(&self) -> SystemTime {
        self.leaf.not_before + BACKDATE
    }

    /// Whether `now` is within their life.
    pub fn is_valid(&self, now: SystemTime) -> bool {
        self.leaf.not_before <= now && now < self.leaf.not_after
    }

    /// What is left of their life.
    pub fn remaining(&self, now: SystemTime) -> Duration {
        self.leaf.not_after.duration_since(now).unwrap_or_default()
    }

    /// SHA-256 of the root that they chain to, hexadecimal.
    pub fn root(&self) -> &str {
        &self.root
    }

    /// The certificates, leaf first, without the root.
    pub fn chain(&self) -> &[CertificateDer<'static>] {
        &self.chain
    }

    pub(super) fn key(&self) -> &PrivatePkcs8KeyDer<'static> {
        &self.key
    }

    /// Writes `identity.pem` into a directory, whole or not at all.
    ///
    /// # Errors
    /// [`CredentialError::Write`].
    pub fn save(&self, directory: &Path) -> Result<(), CredentialError> {
        let path = directory.join(FILE);
        let text = pem::of_key(&self.key) + &pem::of_certificates(&self.chain);
        write_atomic(&path, text.as_bytes(), 0o600)
            .map_err(|error| CredentialError::Write(path, error))
    }

    /// Reads `identity.pem` from a directory; expired ones too.
    ///
    /// # Errors
    /// [`CredentialError`]; [`PrivateFileError::Missing`] inside where there are none.
    pub fn load(directory: &Path, roots: &Roots) -> Result<Self, CredentialError> {
        let path = directory.join(FILE);
        let text = read_private(&path, MAX_FILE)?;
        match (pem::key(&text), pem::certificates(&text)) {
            (Some(key), Some(chain)) => Self::new(chain, key, roots),
            _ => Err(CredentialError::Content(path)),
        }
    }
}

/// Without the key.
impl std::fmt::Debug for Credentials {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Credentials").field("leaf", &self.leaf).finish_non_exhaustive()
    }
}
