//! The text that a workload on another machine joins by: who it is to the control plane (an id and a
//! secret), and by what it knows the control plane (the hash of the root's key).
//!
//! `meshctl1.ID.SECRET.ROOT`, lower case hexadecimal, read exactly: no other text is the same token.
//! Only [`JoinToken::proof`] goes over the wire. The control plane keeps [`Secret::hash`] alone;
//! the secret is random and long, so that a plain SHA-256 of it cannot be turned back.

use std::fmt;
use std::str::FromStr;

use aws_lc_rs::constant_time::verify_slices_are_equal;
use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::rand;
use rustls::pki_types::CertificateDer;
use x509_parser::certificate::X509Certificate;
use x509_parser::prelude::FromDer;

use super::leaf::hex;

/// What a token of this form begins with.
const PREFIX: &str = "meshctl1";

/// Bytes of an id: enough that two are never alike by chance.
const ID_BYTES: usize = 8;

/// Bytes of a secret, and of a hash.
const SECRET_BYTES: usize = 32;

/// Names a token, and is no secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TokenId([u8; ID_BYTES]);

/// What proves a token.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret([u8; SECRET_BYTES]);

/// SHA-256 of a [`Secret`].
#[derive(Debug, Clone, Copy)]
pub struct SecretHash([u8; SECRET_BYTES]);

/// SHA-256 of a root's public key (its SubjectPublicKeyInfo, DER).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RootPin([u8; SECRET_BYTES]);

/// A join token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JoinToken {
    /// Names it.
    pub id: TokenId,
    /// Proves it.
    pub secret: Secret,
    /// The root that the control plane must prove.
    pub root: RootPin,
}

/// A text that is no join token. It is not repeated: it may be nearly one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("it is not of the form `{PREFIX}.ID.SECRET.ROOT`, as `meshctl token create` prints it")]
pub struct NoToken;

impl JoinToken {
    /// A new one, for a mesh of that root.
    pub fn generate(root: RootPin) -> Self {
        let mut secret = [0; SECRET_BYTES];
        let mut id = [0; ID_BYTES];
        for bytes in [&mut secret[..], &mut id[..]] {
            rand::fill(bytes).expect("the system's source of randomness never fails once it began");
        }
        Self { id: TokenId(id), secret: Secret(secret), root }
    }

    /// What is shown to the control plane: `ID.SECRET`.
    pub fn proof(&self) -> String {
        format!("{}.{}", self.id, hex(&self.secret.0))
    }

    /// Reads what [`JoinToken::proof`] wrote; `None` where it is nothing of the kind.
    pub fn read_proof(text: &str) -> Option<(TokenId, Secret)> {
        let (id, secret) = text.split_once('.')?;
        Some((id.parse().ok()?, Secret(bytes(secret)?)))
    }

    /// The whole token, for whoever is to join. Printed once, kept nowhere.
    pub fn reveal(&self) -> String {
        format!("{PREFIX}.{}.{}", self.proof(), hex(&self.root.0))
    }
}

impl FromStr for JoinToken {
    type Err = NoToken;
    fn from_str(text: &str) -> Result<Self, NoToken> {
        let rest = text.strip_prefix(PREFIX).and_then(|rest| rest.strip_prefix('.'));
        let (proof, root) = rest.and_then(|rest| rest.rsplit_once('.')).ok_or(NoToken)?;
        let (id, secret) = Self::read_proof(proof).ok_or(NoToken)?;
        Ok(Self { id, secret, root: RootPin(bytes(root).ok_or(NoToken)?) })
    }
}

impl Secret {
    /// What is kept of it.
    pub fn hash(&self) -> SecretHash {
        SecretHash(sha256(&self.0))
    }
}

/// Without the secret.
impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret")
    }
}

impl SecretHash {
    /// That of no secret that anybody has: what a proof is held against where nothing else is there.
    pub const NONE: Self = Self([0; SECRET_BYTES]);

    /// Whether both are of the same secret; takes as long for any two.
    pub fn is(&self, other: &Self) -> bool {
        verify_slices_are_equal(&self.0, &other.0).is_ok()
    }
}

impl RootPin {
    /// That of a certificate; `None` where it is not readable.
    pub fn of(certificate: &CertificateDer<'_>) -> Option<Self> {
        let (_, parsed) = X509Certificate::from_der(certificate).ok()?;
        Some(Self(sha256(parsed.public_key().raw)))
    }
}

impl fmt::Display for TokenId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex(&self.0))
    }
}

impl FromStr for TokenId {
    type Err = NoToken;
    fn from_str(text: &str) -> Result<Self, NoToken> {
        bytes(text).map(Self).ok_or(NoToken)
    }
}

impl fmt::Display for SecretHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex(&self.0))
    }
}

impl FromStr for SecretHash {
    type Err = NoToken;
    fn from_str(text: &str) -> Result<Self, NoToken> {
        bytes(text).map(Self).ok_or(NoToken)
    }
}

fn sha256(of: &[u8]) -> [u8; SECRET_BYTES] {
    let mut sum = [0; SECRET_BYTES];
    sum.copy_from_slice(digest(&SHA256, of).as_ref());
    sum
}

/// Exactly so many bytes, in lower case.
fn bytes<const N: usize>(text: &str) -> Option<[u8; N]> {
    let digit = |c: u8| match c {
        b'0'..=b'9' => Some(c - b'0'),
        b'a'..=b'f' => Some(c - b'a' + 10),
        _ => None,
    };
    let digits = text.as_bytes();
    let mut all = [0; N];
    if digits.len() != 2 * N {
        return None;
    }
    for (byte, pair) in all.iter_mut().zip(digits.chunks_exact(2)) {
        let [high, low] = pair else { return None };
        *byte = digit(*high)? << 4 | digit(*low)?;
    }
    Some(all)
}
