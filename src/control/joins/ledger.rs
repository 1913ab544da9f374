//! What is kept of join tokens, and the verdicts on those who show one; no clock and no I/O.
//!
//! A verdict looks at everything that could be wrong, in the same way and order, before it says
//! anything, and an unknown id is held against a secret that nobody has.

use std::collections::{BTreeMap, BTreeSet};

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use super::{Claim, Wanted};
use crate::certs::token::{JoinToken, Secret, SecretHash, TokenId};
use crate::names::{Identity, Namespace, ServiceAccount, ServiceLabel};

/// Tokens that are remembered, used and expired ones among them.
pub(super) const TOKENS_MAX: usize = 1_000;

/// How long a token is listed after it was used or has expired.
pub(super) const REMEMBERED: SignedDuration = SignedDuration::from_hours(7 * 24);

/// All tokens, and who is bound to what.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(super) struct Ledger {
    tokens: BTreeMap<String, Kept>,
    bound: BTreeSet<Bound>,
}

/// A token as it is kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Kept {
    /// Its id, hexadecimal.
    pub id: String,
    secret_sha256: String,
    /// The namespace of the workload.
    pub namespace: Namespace,
    /// The service that it registers for.
    pub service: ServiceLabel,
    /// Its service account.
    pub service_account: ServiceAccount,
    /// When it was made.
    pub created: Timestamp,
    /// Until when it can be used.
    pub expires: Timestamp,
    /// By whom and when it was used.
    pub spent: Option<Spent>,
}

/// The use of a token.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Spent {
    /// When.
    pub at: Timestamp,
    /// The proxy, `namespace/name`.
    pub proxy: String,
    /// From where; empty where that is not known.
    pub from: String,
}

/// An identity that has joined from elsewhere, and the service that it was let in for.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Bound {
    namespace: Namespace,
    service_account: ServiceAccount,
    service: ServiceLabel,
}

/// Too many tokens wait to be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{TOKENS_MAX} tokens are remembered already; take back some with `meshctl token revoke`")]
pub struct Full;

/// Why a token was not taken back.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotRevoked {
    /// There is none of that id.
    #[error("there is no token `{0}`")]
    Unknown(TokenId),
    /// It is used up: taking it back would change nothing.
    #[error("token `{id}` was used by `{proxy}` at {at:.0}, there is nothing left to take back")]
    Used {
        /// Which.
        id: TokenId,
        /// By whom.
        proxy: String,
        /// When.
        at: Timestamp,
    },
}

impl Ledger {
    /// Adds a token, and forgets those that are of no interest any more.
    pub(super) fn add(
        &mut self,
        token: &JoinToken,
        wanted: Wanted,
        now: Timestamp,
    ) -> Result<Kept, Full> {
        self.tokens.retain(|_, kept| kept.is_remembered(now));
        if self.tokens.len() >= TOKENS_MAX {
            return Err(Full);
        }
        let Wanted { namespace, service, service_account, expires } = wanted;
        let kept = Kept {
            id: token.id.to_string(),
            secret_sha256: token.secret.hash().to_string(),
            namespace,
            service,
            service_account,
            created: now,
            expires,
            spent: None,
        };
        self.tokens.insert(kept.id.clone(), kept.clone());
        Ok(kept)
    }

    /// Whether what is shown proves a token that is good for the claim; else why not, for the log.
    pub(super) fn judge(
        &self,
        shown: Option<&(TokenId, Secret)>,
        claim: &Claim,
        now: Timestamp,
    ) -> Result<TokenId, &'static str> {
        let kept = shown.and_then(|(id, _)| self.tokens.get(&id.to_string()));
        let hash = kept.and_then(|kept| kept.secret_sha256.parse().ok());
        let given = shown.map_or(SecretHash::NONE, |(_, secret)| secret.hash());
        // Both are held against each other also where one of them is missing.
        let same = given.is(&hash.unwrap_or(SecretHash::NONE));
        let identity = &claim.identity;
        let faults = [
            (shown.is_none(), "it is not of the form of a join token"),
            (kept.is_none(), "there is no token of that id"),
            (!same, "the secret is another one"),
            (kept.is_none_or(|kept| kept.spent.is_some()), "it was used before"),
            (kept.is_none_or(|kept| kept.expires <= now), "it has expired"),
            (
                kept.is_none_or(|kept| kept.namespace != identity.namespace),
                "it is for another namespace",
            ),
            (
                kept.is_none_or(|kept| kept.service_account != identity.service_account),
                "it is for another service account",
            ),
        ];
        let fault = faults.iter().rev().fold(None, |found, (is, why)| is.then_some(*why).or(found));
        match (shown, fault) {
            (Some((id, _)), None) => Ok(*id),
            (_, why) => Err(why.unwrap_or("nothing was shown")),
        }
    }

    /// Notes the use of a token, and to what that binds the identity.
    pub(super) fn spend(&mut self, id: TokenId, claim: &Claim, now: Timestamp) {
        let Some(kept) = self.tokens.get_mut(&id.to_string()) else { return };
        let from = claim.from.map(|from| from.to_string()).unwrap_or_default();
        kept.spent = Some(Spent { at: now, proxy: claim.proxy.to_string(), from });
        self.bound.insert(Bound {
            namespace: kept.namespace.clone(),
            service_account: kept.service_account.clone(),
            service: kept.service.clone(),
        });
    }

    /// Forgets a token that was not used.
    pub(super) fn revoke(&mut self, id: TokenId) -> Result<Kept, NotRevoked> {
        let key = id.to_string();
        match self.tokens.get(&key).map(|kept| kept.spent.as_ref()) {
            None => Err(NotRevoked::Unknown(id)),
            Some(Some(Spent { at, proxy, .. })) => {
                Err(NotRevoked::Used { id, proxy: proxy.clone(), at: *at })
            }
            Some(None) => self.tokens.remove(&key).ok_or(NotRevoked::Unknown(id)),
        }
    }

    pub(super) fn list(&self) -> Vec<Kept> {
        let mut all: Vec<_> = self.tokens.values().cloned().collect();
        all.sort_by(|a, b| (b.created, &b.id).cmp(&(a.created, &a.id)));
        all
    }

    pub(super) fn bound(&self, identity: &Identity) -> Option<Vec<ServiceLabel>> {
        let its = |bound: &&Bound| {
            bound.namespace == identity.namespace
                && bound.service_account == identity.service_account
        };
        let services: Vec<_> =
            self.bound.iter().filter(its).map(|bound| bound.service.clone()).collect();
        (!services.is_empty()).then_some(services)
    }
}

impl Kept {
    fn is_remembered(&self, now: Timestamp) -> bool {
        let over = self.spent.as_ref().map_or(self.expires, |spent| spent.at);
        now.duration_since(over) < REMEMBERED
    }
}
