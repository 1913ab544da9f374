//! PEM text of DER certificates and keys (RFC 7468), and back.
//!
//! Reading is bounded in the number of certificates; everything that is not a certificate or a
//! PKCS #8 key is passed over, as other tools do.

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivatePkcs8KeyDer};

/// More certificates than this are never read from one text.
pub(super) const MAX_CERTIFICATES: usize = 16;

const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/// `CERTIFICATE` sections, in order.
pub(super) fn of_certificates(certificates: &[CertificateDer<'_>]) -> String {
    certificates.iter().map(|certificate| encode("CERTIFICATE", certificate)).collect()
}

/// A `PRIVATE KEY` section.
pub(super) fn of_key(key: &PrivatePkcs8KeyDer<'_>) -> String {
    encode("PRIVATE KEY", key.secret_pkcs8_der())
}

/// The certificates of a text; `None` where there is none, too many, or broken PEM.
pub(super) fn certificates(text: &[u8]) -> Option<Vec<CertificateDer<'static>>> {
    let found: Vec<_> = CertificateDer::pem_slice_iter(text)
        .take(MAX_CERTIFICATES + 1)
        .collect::<Result<_, _>>()
        .ok()?;
    (!found.is_empty() && found.len() <= MAX_CERTIFICATES).then_some(found)
}

/// The first key of a text.
pub(super) fn key(text: &[u8]) -> Option<PrivatePkcs8KeyDer<'static>> {
    PrivatePkcs8KeyDer::from_pem_slice(text).ok()
}

fn encode(label: &str, der: &[u8]) -> String {
    let mut text = format!("-----BEGIN {label}-----\n");
    // 48 bytes make a line of 64 characters.
    for line in der.chunks(48) {
        for group in line.chunks(3) {
            encode_group(group, &mut text);
        }
        text.push('\n');
    }
    text.push_str(&format!("-----END {label}-----\n"));
    text
}

/// One to three bytes to four characters (RFC 4648 §4).
fn encode_group(group: &[u8], text: &mut String) {
    let byte = |at: usize| u32::from(group.get(at).copied().unwrap_or(0));
    let bits = byte(0) << 16 | byte(1) << 8 | byte(2);
    for position in 0..4 {
        let index = (bits >> (18 - 6 * position)) & 0x3f;
        let letter = ALPHABET.get(index as usize).copied().unwrap_or(b'=');
        text.push(if position > group.len() { '=' } else { char::from(letter) });
    }
}
