//! The history: who changed which rules when, and what each was before, so that it can be undone.
//!
//! Each revision has a line and, for each object that it changed, the document from before. Going
//! back is taking changes back, newest first. How it lies in the store is in `rows`; what exceeds
//! `REVISIONS` or `BYTES` is forgotten there, lines by their number, documents by their size,
//! oldest first.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::Value;

use super::{Batch, Objects, Stored};
use crate::control::api::shapes::Action;
use crate::mesh::ObjectRef;

mod rows;
#[cfg(test)]
mod tests;

pub(super) use rows::{TABLES, from_lines, last, read, save};

/// Revisions whose line is kept.
pub(in crate::control) const REVISIONS: u64 = 1_000;

/// Bytes of documents from before that are kept. The store is copied at each change, so that much
/// is written each time.
pub(in crate::control) const BYTES: u64 = 4 << 20;

/// What an object was: its document, and when it was first applied.
pub(in crate::control) type Was = (Value, u64);

/// One revision of the rules.
#[derive(Debug, Clone, PartialEq)]
pub struct Entry {
    /// Its number.
    pub revision: u64,
    /// Who made it.
    pub actor: String,
    /// When, milliseconds since the Unix epoch.
    pub at_ms: u64,
    /// What it was, where it was no plain change.
    pub note: String,
    /// What it did.
    pub changes: Changes,
}

/// What a revision changed, as far as it is known.
#[derive(Debug, Clone, PartialEq)]
pub enum Changes {
    /// All of it.
    Kept(Vec<Changed>),
    /// Too old, or made by a version that did not write them down.
    Forgotten,
    /// Not what was written.
    Damaged,
}

/// What a revision did to one object.
#[derive(Debug, Clone, PartialEq)]
pub struct Changed {
    /// To which.
    pub reference: ObjectRef,
    /// What.
    pub action: Action,
    /// Its document before and since when it was there; `None` where it was not there.
    pub before: Option<(Value, u64)>,
}

/// The rules as they were after a revision.
#[derive(Debug, Clone, PartialEq)]
pub struct Past {
    /// The last revision, which all this was worked out from.
    pub now: u64,
    /// What made it; `None` of revision 0, which nobody made.
    pub entry: Option<Entry>,
    /// Documents, and since when each was there.
    pub objects: BTreeMap<ObjectRef, (Value, u64)>,
}

impl Entry {
    /// What `batch` does, whose `changes` were worked out from `objects`.
    pub(super) fn new(
        revision: u64,
        batch: &Batch,
        objects: &Objects,
        changes: &BTreeMap<ObjectRef, Option<Arc<Stored>>>,
    ) -> Self {
        let changed = |(reference, after): (&ObjectRef, &Option<Arc<Stored>>)| {
            let before = objects.get(reference).map(|it| (it.document.clone(), it.created_ms));
            let action = match (&before, after) {
                (None, Some(_)) => Action::Created,
                (Some(_), Some(_)) => Action::Configured,
                (Some(_), None) => Action::Deleted,
                // Made and deleted in one batch.
                (None, None) => return None,
            };
            Some(Changed { reference: reference.clone(), action, before })
        };
        Self {
            revision,
            actor: batch.actor.clone(),
            at_ms: batch.at_ms,
            note: batch.note.clone(),
            changes: Changes::Kept(changes.iter().filter_map(changed).collect()),
        }
    }
}

/// Takes `changes` back from what there was after them.
pub(super) fn undo(objects: &mut BTreeMap<ObjectRef, Was>, changes: Vec<Changed>) {
    for Changed { reference, before, .. } in changes {
        match before {
            Some(was) => drop(objects.insert(reference, was)),
            None => drop(objects.remove(&reference)),
        }
    }
}

/// What there is now, as something to take changes back from.
pub(super) fn present(objects: &Objects) -> BTreeMap<ObjectRef, Was> {
    let was = |it: &Stored| (it.document.clone(), it.created_ms);
    objects.iter().map(|(reference, it)| (reference.clone(), was(it))).collect()
}
