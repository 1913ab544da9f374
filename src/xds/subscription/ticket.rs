//! What a response offered, kept by the caller until it knows what it could use of it.

use std::collections::HashSet;

use super::{Held, Refusal};
use crate::resource::Key;

/// One response that is not settled yet.
#[derive(Debug)]
#[must_use = "the control plane waits until the ticket is settled"]
pub struct Ticket {
    stream: u64,
    at: u64,
    type_url: String,
    nonce: String,
    offered: Vec<(Key, Held)>,
    refusals: Vec<Refusal>,
}

/// A ticket with the caller's verdict.
pub(super) struct Verdict {
    pub(super) type_url: String,
    pub(super) nonce: String,
    /// `None` where it was refused.
    pub(super) offered: Vec<(Key, Option<Held>)>,
    pub(super) refusals: Vec<Refusal>,
}

impl Ticket {
    pub(super) fn new(stream: u64, at: u64, type_url: String, nonce: String) -> Self {
        Self { stream, at, type_url, nonce, offered: Vec::new(), refusals: Vec::new() }
    }

    /// The type URL of the response.
    pub fn type_url(&self) -> &str {
        &self.type_url
    }

    /// The nonce of the response.
    pub fn nonce(&self) -> &str {
        &self.nonce
    }

    /// Which stream it came over.
    pub(super) fn stream(&self) -> u64 {
        self.stream
    }

    /// When it came, by the subscription's count.
    pub(super) fn at(&self) -> u64 {
        self.at
    }

    pub(super) fn offer(&mut self, key: Key, held: Held) {
        self.offered.push((key, held));
    }

    pub(super) fn refuse(&mut self, refusal: Refusal) {
        self.refusals.push(refusal);
    }

    /// Parts what was offered by whether a refusal names it.
    pub(super) fn judge(self, refusals: Vec<Refusal>) -> Verdict {
        let Self { type_url, nonce, offered, refusals: mut all, .. } = self;
        all.extend(refusals);
        let names: HashSet<&str> = all.iter().map(|refusal| refusal.name.as_str()).collect();
        let whole = names.contains("");
        let judge = |(key, held): (Key, Held)| {
            let refused = whole || names.contains(&*key.name);
            (key, (!refused).then_some(held))
        };
        let offered = offered.into_iter().map(judge).collect();
        Verdict { type_url, nonce, offered, refusals: all }
    }
}
