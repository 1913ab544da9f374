//! The seal: a passphrase made into a key by Argon2id, the content under AES-256-GCM.
//!
//! In the clear stand what kind of file it is, how the key is made, a value that tells a wrong
//! passphrase from damage, and a sum of all that. All of it is authenticated with the content. Each
//! file has a salt of its own, and thereby a key of its own.
//!
//! | bytes | what |
//! |---|---|
//! | 17 | `meshctl backup 1` and a newline |
//! | 3 × 4 | memory in KiB, passes, lanes; big-endian |
//! | 16 | salt |
//! | 12 | nonce |
//! | 32 | what the key derivation gives beside the key |
//! | 32 | SHA-256 of everything above |
//! | rest | content, and a tag of 16 bytes |

use argon2::{Algorithm, Argon2, Params, Version};
use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use aws_lc_rs::digest::{SHA256, digest};

const MAGIC: &[u8] = b"meshctl backup 1\n";

/// How every backup begins, of whatever version.
const FAMILY: &[u8] = b"meshctl backup ";

/// RFC 9106, section 4, the second choice: 64 MiB and three passes.
const MEMORY_KIB: u32 = 64 * 1024;
const PASSES: u32 = 3;
const LANES: u32 = 4;

/// What is not worked on, whatever a file asks for.
const MOST_MEMORY_KIB: u32 = 1024 * 1024;
const MOST_PASSES: u32 = 16;

const SALT: usize = 16;
const CHECK: usize = 32;
const SUM: usize = 32;

/// Everything before the content.
const HEADER: usize = MAGIC.len() + 12 + SALT + NONCE_LEN + CHECK + SUM;

/// Why a file was not sealed or opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SealError {
    /// Another kind of file.
    #[error("it is not a backup of meshctl")]
    Foreign,
    /// Made by a later version.
    #[error("it was made by a later version of meshctl")]
    Newer,
    /// It was cut or changed.
    #[error("it is damaged")]
    Damaged,
    /// Not the passphrase that it was made with.
    #[error("the passphrase is wrong")]
    Passphrase,
    /// No key, no random numbers.
    #[error("the system gives no memory or no random numbers for the key")]
    System,
}

/// What the key is made with.
struct Recipe {
    memory_kib: u32,
    passes: u32,
    lanes: u32,
    salt: [u8; SALT],
}

impl Recipe {
    /// The key, and the value that tells whether it is the right one.
    fn derive(&self, passphrase: &str) -> Result<([u8; 32], [u8; CHECK]), SealError> {
        let mut out = [0; 32 + CHECK];
        let length = Some(out.len());
        let params = Params::new(self.memory_kib, self.passes, self.lanes, length);
        let params = params.map_err(|_| SealError::Damaged)?;
        Argon2::new(Algorithm::Argon2id, Version::V0x13, params)
            .hash_password_into(passphrase.as_bytes(), &self.salt, &mut out)
            .map_err(|_| SealError::System)?;
        let (mut key, mut check) = ([0; 32], [0; CHECK]);
        let (first, second) = out.split_at(32);
        key.copy_from_slice(first);
        check.copy_from_slice(second);
        Ok((key, check))
    }
}

/// Seals `content`.
pub(super) fn seal(content: Vec<u8>, passphrase: &str) -> Result<Vec<u8>, SealError> {
    let mut random = [0; SALT + NONCE_LEN];
    aws_lc_rs::rand::fill(&mut random).map_err(|_| SealError::System)?;
    let (mut salt, mut nonce) = ([0; SALT], [0; NONCE_LEN]);
    salt.copy_from_slice(&random[..SALT]);
    nonce.copy_from_slice(&random[SALT..]);
    let recipe = Recipe { memory_kib: MEMORY_KIB, passes: PASSES, lanes: LANES, salt };
    let (key, check) = recipe.derive(passphrase)?;
    let mut sealed = Vec::with_capacity(HEADER + content.len() + AES_256_GCM.tag_len());
    sealed.extend_from_slice(MAGIC);
    for number in [recipe.memory_kib, recipe.passes, recipe.lanes] {
        sealed.extend_from_slice(&number.to_be_bytes());
    }
    sealed.extend_from_slice(&salt);
    sealed.extend_from_slice(&nonce);
    sealed.extend_from_slice(&check);
    sealed.extend_from_slice(digest(&SHA256, &sealed).as_ref());
    let mut body = content;
    cipher(&key)?
        .seal_in_place_append_tag(
            Nonce::assume_unique_for_key(nonce),
            Aad::from(&sealed),
            &mut body,
        )
        .map_err(|_| SealError::System)?;
    sealed.append(&mut body);
    Ok(sealed)
}

/// Opens what [`seal`] has made.
pub(super) fn open(mut sealed: Vec<u8>, passphrase: &str) -> Result<Vec<u8>, SealError> {
    if !sealed.starts_with(MAGIC) {
        let cut = MAGIC.starts_with(&sealed) && !sealed.is_empty();
        return Err(match sealed.starts_with(FAMILY) {
            _ if cut => SealError::Damaged,
            true => SealError::Newer,
            false => SealError::Foreign,
        });
    }
    if sealed.len() < HEADER {
        return Err(SealError::Damaged);
    }
    let mut body = sealed.split_off(HEADER);
    let header = sealed;
    let (clear, sum) = header.split_at(HEADER - SUM);
    if digest(&SHA256, clear).as_ref() != sum {
        return Err(SealError::Damaged);
    }
    let mut rest = clear.get(MAGIC.len()..).unwrap_or_default();
    let mut number = || take::<4>(&mut rest).map(u32::from_be_bytes);
    let (memory_kib, passes, lanes) = (number()?, number()?, number()?);
    let (salt, nonce, check) = (take(&mut rest)?, take(&mut rest)?, take::<CHECK>(&mut rest)?);
    if memory_kib > MOST_MEMORY_KIB || passes > MOST_PASSES {
        return Err(SealError::Damaged);
    }
    let (key, found) = Recipe { memory_kib, passes, lanes, salt }.derive(passphrase)?;
    if aws_lc_rs::constant_time::verify_slices_are_equal(&found, &check).is_err() {
        return Err(SealError::Passphrase);
    }
    let nonce = Nonce::assume_unique_for_key(nonce);
    let content = cipher(&key)?
        .open_in_place(nonce, Aad::from(&header), &mut body)
        .map_err(|_| SealError::Damaged)?;
    Ok(content.to_vec())
}

fn cipher(key: &[u8]) -> Result<LessSafeKey, SealError> {
    UnboundKey::new(&AES_256_GCM, key).map(LessSafeKey::new).map_err(|_| SealError::System)
}

/// The next bytes.
fn take<const N: usize>(rest: &mut &[u8]) -> Result<[u8; N], SealError> {
    let (taken, left) = rest.split_first_chunk::<N>().ok_or(SealError::Damaged)?;
    *rest = left;
    Ok(*taken)
}
