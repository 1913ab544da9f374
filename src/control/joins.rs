//! Join tokens: what lets a workload on another machine in, once, and what it may be after that.
//!
//! In go orders for tokens and the proofs that callers show; out come tokens and verdicts. A proof is
//! judged the same way whatever is wrong with it. A token is spent on the disk before anything is
//! signed for it, and stays spent whatever becomes of the store of the rules: that is why it lies in
//! a file of its own (`joins.json`), without its secret. Who once joined from elsewhere registers for
//! the service of the token and for no other: callers trust whoever stands behind a service's name.

use std::net::IpAddr;
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use parking_lot::Mutex;

use crate::certs::token::{JoinToken, RootPin, Secret, TokenId};
use crate::names::{Identity, Namespace, ProxyId, ServiceAccount, ServiceLabel};

mod file;
mod ledger;
#[cfg(test)]
mod tests;

pub use file::JoinsError;
use ledger::Ledger;
pub use ledger::{Full, Kept, NotRevoked, Spent};

/// What a token is to be good for.
#[derive(Debug, Clone)]
pub struct Wanted {
    /// The namespace of the workload.
    pub namespace: Namespace,
    /// The service that it registers for.
    pub service: ServiceLabel,
    /// Its service account.
    pub service_account: ServiceAccount,
    /// Until when it can be used.
    pub expires: Timestamp,
}

/// Who shows a proof, and for what.
#[derive(Debug, Clone)]
pub struct Claim {
    /// Who it is to become.
    pub identity: Identity,
    /// The proxy.
    pub proxy: ProxyId,
    /// From where.
    pub from: Option<IpAddr>,
}

/// Why a proof was not taken.
#[derive(Debug)]
pub enum Refused {
    /// It proves nothing; the reason is for the log alone.
    Proof(&'static str),
    /// It is right, and could not be spent: it can be shown again.
    NotWritten(JoinsError),
}

/// All tokens, as they lie in their file.
#[derive(Debug)]
pub struct Joins {
    path: PathBuf,
    ledger: Mutex<Ledger>,
    /// Held while a change is on its way to the disk, so that who only looks need not wait for it.
    writing: Mutex<()>,
}

impl Joins {
    /// Reads the file, which need not be there.
    ///
    /// # Errors
    /// [`JoinsError`], with the fix in its text: what was spent is not forgotten silently.
    pub fn open(path: &Path) -> Result<Self, JoinsError> {
        let ledger = file::read(path)?;
        let ledger = Mutex::new(ledger);
        Ok(Self { path: path.to_owned(), ledger, writing: Mutex::default() })
    }

    /// Makes a token. Blocks until it is on the disk.
    ///
    /// # Errors
    /// [`Full`] inside where there are too many; that it cannot be written.
    pub fn create(
        &self,
        wanted: Wanted,
        root: RootPin,
        now: Timestamp,
    ) -> Result<(JoinToken, Kept), JoinsError> {
        let token = JoinToken::generate(root);
        let kept =
            self.change(|ledger| ledger.add(&token, wanted, now).map_err(JoinsError::Full))?;
        Ok((token, kept))
    }

    /// Spends a token, if this proves one that is good for the claim. Blocks until it is on the disk.
    ///
    /// # Errors
    /// [`Refused`]; nothing is spent then.
    pub fn spend(&self, proof: &str, claim: &Claim, now: Timestamp) -> Result<TokenId, Refused> {
        let shown: Option<(TokenId, Secret)> = JoinToken::read_proof(proof);
        let id = self.ledger.lock().judge(shown.as_ref(), claim, now).map_err(Refused::Proof)?;
        // Judged again with the change: another may have spent it in between.
        self.change(|ledger| {
            let judged = ledger.judge(shown.as_ref(), claim, now).map_err(Refused::Proof)?;
            ledger.spend(judged, claim, now);
            Ok(id)
        })
    }

    /// Takes a token back that was not used. Blocks until that is on the disk.
    ///
    /// # Errors
    /// [`NotRevoked`] inside; that it cannot be written.
    pub fn revoke(&self, id: TokenId) -> Result<Kept, JoinsError> {
        self.change(|ledger| ledger.revoke(id).map_err(JoinsError::NotRevoked))
    }

    /// Every token that is remembered, the newest first.
    pub fn list(&self) -> Vec<Kept> {
        self.ledger.lock().list()
    }

    /// The services that an identity is bound to; `None` where it never joined by a token.
    pub fn bound(&self, identity: &Identity) -> Option<Vec<ServiceLabel>> {
        self.ledger.lock().bound(identity)
    }

    /// Changes what is kept: on the disk first, then here.
    fn change<T, E: From<JoinsError>>(
        &self,
        change: impl FnOnce(&mut Ledger) -> Result<T, E>,
    ) -> Result<T, E> {
        let _turn = self.writing.lock();
        let mut next = self.ledger.lock().clone();
        let done = change(&mut next)?;
        file::write(&self.path, &next)?;
        *self.ledger.lock() = next;
        Ok(done)
    }
}

impl From<JoinsError> for Refused {
    fn from(error: JoinsError) -> Self {
        Self::NotWritten(error)
    }
}
