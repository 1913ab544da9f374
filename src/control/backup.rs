//! A backup: the store with its history, the authority and the remembered address as one sealed file.
//!
//! Making one reads only, whether the control plane runs or not: the store is copied at one moment
//! and checked, never copied damaged. Bringing one back ([`restore`]) checks all of it first, in a
//! directory beside, and puts it into place in steps that are finished at the next start if they
//! were cut off (`staged`). Proxies' own directories are not part of it: they are their owners'.
//! Nor are join tokens: one that was spent since would be good a second time.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{Cursor, Read as _, Write as _};
use std::path::Path;

use flate2::Compression;
use flate2::read::GzDecoder;
use flate2::write::GzEncoder;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::certs::{Authority, AuthorityError};
use crate::control::home::{Home, HomeError};
use crate::control::store::{self, StoreError};
use crate::names::TrustDomain;
use crate::net::file::{PrivateFileError, read_private, write_atomic};

mod sealed;
mod staged;
#[cfg(test)]
mod tests;

pub use sealed::SealError;
pub(super) use staged::finish;

/// The largest content that is written or read.
const LONGEST: u64 = 1 << 30;

/// The largest file beside the store.
const SMALL: u64 = 1 << 20;

/// What a backup says about itself.
const MANIFEST: &str = "manifest.json";
const STORE: &str = "store.db";
const ROOT: &str = "ca/root.pem";
const KEY: &str = "ca/root.key";
const ADDRESS: &str = "address";

/// What is in a backup.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Manifest {
    /// The version that made it.
    pub version: String,
    /// When.
    pub made: Timestamp,
    /// The trust domain of its authority.
    pub trust_domain: TrustDomain,
    /// The version of the store's tables.
    pub schema: i64,
    /// The last revision of the rules.
    pub revision: u64,
    /// How many rules there are.
    pub rules: usize,
}

/// A backup that was opened and is whole.
#[derive(Debug)]
pub struct Backup {
    /// What it says about itself.
    pub manifest: Manifest,
    files: BTreeMap<String, Vec<u8>>,
}

/// Why there is no backup, or none was brought back.
#[derive(Debug, thiserror::Error)]
pub enum BackupError {
    /// The store.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The authority.
    #[error(transparent)]
    Authority(#[from] AuthorityError),
    /// A file of the authority.
    #[error(transparent)]
    Private(#[from] PrivateFileError),
    /// The home directory, or who is at work in it.
    #[error(transparent)]
    Home(#[from] HomeError),
    /// The seal.
    #[error(transparent)]
    Seal(#[from] SealError),
    /// What was sealed is no backup.
    #[error("the content of the backup is not whole: {0}")]
    Content(&'static str),
    /// It is too large.
    #[error("a backup may have {LONGEST} bytes at most")]
    TooLong,
    /// The file system.
    #[error("cannot write in `{0}`")]
    Io(std::path::PathBuf, #[source] std::io::Error),
}

/// Makes a backup of what lies in `home`, sealed by `passphrase`. Blocks for about a second: that is
/// what makes guessing passphrases expensive.
///
/// # Errors
/// [`BackupError`]; nothing is left behind.
pub fn make(
    home: &Home,
    passphrase: &str,
    at: Timestamp,
) -> Result<(Vec<u8>, Manifest), BackupError> {
    let authority = Authority::load(&home.ca())?;
    let failed = |error| BackupError::Io(home.dir().to_owned(), error);
    let mut builder = tempfile::Builder::new();
    let dir = builder.prefix(".backup-").tempdir_in(home.dir()).map_err(failed)?;
    let copy = dir.path().join(STORE);
    let trust_domain = authority.trust_domain().clone();
    let (contents, schema) = store::copy(&home.store(), &trust_domain, &copy)?;
    let manifest = Manifest {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        made: at,
        trust_domain,
        schema,
        revision: contents.revision,
        rules: contents.objects.len(),
    };
    let told = serde_json::to_vec_pretty(&manifest).expect("a struct of strings and numbers");
    let mut files = vec![
        (MANIFEST, told),
        (STORE, std::fs::read(&copy).map_err(failed)?),
        (ROOT, read_private(&home.ca().join("root.pem"), SMALL)?),
        (KEY, read_private(&home.ca().join("root.key"), SMALL)?),
    ];
    if let Some(address) = home.remembered_address() {
        files.push((ADDRESS, address.to_string().into_bytes()));
    }
    let packed = pack(&files, at).map_err(failed)?;
    if packed.len() as u64 > LONGEST {
        return Err(BackupError::TooLong);
    }
    Ok((sealed::seal(packed, passphrase)?, manifest))
}

/// Opens a backup.
///
/// # Errors
/// [`BackupError`]: a wrong passphrase, damage, or another file altogether.
pub fn open(bytes: Vec<u8>, passphrase: &str) -> Result<Backup, BackupError> {
    let files = unpack(&sealed::open(bytes, passphrase)?)?;
    let manifest = files.get(MANIFEST).ok_or(BackupError::Content("it has no manifest"))?;
    let manifest = serde_json::from_slice(manifest)
        .map_err(|_| BackupError::Content("its manifest cannot be read"))?;
    for wanted in [STORE, ROOT, KEY] {
        if !files.contains_key(wanted) {
            return Err(BackupError::Content("a file is missing"));
        }
    }
    Ok(Backup { manifest, files })
}

/// Puts `backup` in place of what lies in `home`, which is put aside; returns where, if there was
/// anything. Nobody may be at work in `home`. All of it is checked before anything is touched.
///
/// # Errors
/// [`BackupError`]; `home` is as it was, or is finished by the next start.
pub fn restore(home: &Home, backup: &Backup) -> Result<Option<std::path::PathBuf>, BackupError> {
    home.prepare()?;
    let _lock = home.lock()?;
    let failed = |error| BackupError::Io(home.dir().to_owned(), error);
    // One that was cut off is finished first, so that what it put aside is not lost.
    staged::finish(home).map_err(failed)?;
    let mut builder = tempfile::Builder::new();
    let dir = builder.prefix(".restore-").tempdir_in(home.dir()).map_err(failed)?;
    lay_out(dir.path(), &backup.files).map_err(failed)?;
    let authority = Authority::load(&dir.path().join("ca"))?;
    store::verify(&dir.path().join(STORE), authority.trust_domain())?;
    staged::commit(home, dir).map_err(failed)?;
    staged::finish(home).map_err(failed)
}

/// Puts a copy of the store in place of the store, as [`restore`] does it with a whole backup.
///
/// # Errors
/// [`BackupError`]; `home` is as it was, or is finished by the next start.
pub fn put_back(home: &Home, copy: &Path) -> Result<Option<std::path::PathBuf>, BackupError> {
    let _lock = home.lock()?;
    let failed = |error| BackupError::Io(home.dir().to_owned(), error);
    staged::finish(home).map_err(failed)?;
    let mut builder = tempfile::Builder::new();
    let dir = builder.prefix(".restore-").tempdir_in(home.dir()).map_err(failed)?;
    let content = std::fs::read(copy).map_err(|error| BackupError::Io(copy.to_owned(), error))?;
    write_atomic(&dir.path().join(STORE), &content, 0o600).map_err(failed)?;
    let authority = Authority::load(&home.ca())?;
    store::verify(&dir.path().join(STORE), authority.trust_domain())?;
    staged::commit(home, dir).map_err(failed)?;
    staged::finish(home).map_err(failed)
}

/// Whether something lies in `home` that a backup would replace.
pub fn would_replace(home: &Home) -> bool {
    home.store().exists() || Authority::exists(&home.ca())
}

fn lay_out(dir: &Path, files: &BTreeMap<String, Vec<u8>>) -> std::io::Result<()> {
    std::fs::create_dir(dir.join("ca"))?;
    for (name, content) in files.iter().filter(|(name, _)| *name != MANIFEST) {
        write_atomic(&dir.join(name), content, 0o600)?;
    }
    File::open(dir)?.sync_all()
}

fn pack(files: &[(&str, Vec<u8>)], at: Timestamp) -> std::io::Result<Vec<u8>> {
    let mut archive = tar::Builder::new(GzEncoder::new(Vec::new(), Compression::default()));
    for (name, content) in files {
        let mut header = tar::Header::new_gnu();
        header.set_size(content.len() as u64);
        header.set_mode(0o600);
        header.set_mtime(u64::try_from(at.as_second()).unwrap_or(0));
        archive.append_data(&mut header, name, content.as_slice())?;
    }
    let mut packed = archive.into_inner()?.finish()?;
    packed.flush()?;
    Ok(packed)
}

/// The files by name; of others than those that a backup has none is looked at.
fn unpack(packed: &[u8]) -> Result<BTreeMap<String, Vec<u8>>, BackupError> {
    let broken = |_| BackupError::Content("it is no archive");
    let mut archive = tar::Archive::new(GzDecoder::new(Cursor::new(packed)).take(LONGEST));
    let mut files = BTreeMap::new();
    for entry in archive.entries().map_err(broken)? {
        let mut entry = entry.map_err(broken)?;
        let name = String::from_utf8_lossy(&entry.path_bytes()).into_owned();
        if ![MANIFEST, STORE, ROOT, KEY, ADDRESS].contains(&name.as_str()) {
            continue;
        }
        let mut content = Vec::new();
        entry.read_to_end(&mut content).map_err(broken)?;
        files.insert(name, content);
    }
    Ok(files)
}
