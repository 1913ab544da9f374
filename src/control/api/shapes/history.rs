//! Revisions of the rules over the admin API: listed, looked at, gone back to.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::Action;

/// The last revisions of the rules.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RevisionList {
    /// `meshctl.dev/v1alpha1`.
    pub api_version: String,
    /// `RevisionList`.
    pub kind: String,
    /// Newest first, without documents.
    pub revisions: Vec<Revision>,
}

/// One revision of the rules.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Revision {
    /// Its number.
    pub revision: u64,
    /// When it was made.
    pub at: Timestamp,
    /// Who made it: the name that the caller gave itself, and its user as the system knows it.
    pub by: String,
    /// What it was, where it was no plain change: `rollback to 3`.
    pub note: String,
    /// `Kept`; `Forgotten` where it is too old; `Damaged` where it is not what was written.
    pub state: RevisionState,
    /// What it changed, as far as that is kept.
    pub objects: Vec<RevisedObject>,
}

/// Whether what a revision changed is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum RevisionState {
    /// All of it.
    Kept,
    /// Too old, or made by a version that did not write it down.
    Forgotten,
    /// It is not what was written.
    Damaged,
}

/// What a revision did to one object.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RevisedObject {
    /// `HTTPRoute`, …
    pub kind: String,
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// What was done.
    pub action: Action,
    /// Its document before; `null` in lists, and where it was not there.
    #[serde(default, skip_serializing_if = "Value::is_null")]
    pub before: Value,
    /// Its document after; `null` in lists, and where it is gone.
    #[serde(default, skip_serializing_if = "Value::is_null")]
    pub after: Value,
}

/// Makes the rules what they were at a revision.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RollbackRequest {
    /// Which; 0 is before the first.
    pub revision: u64,
    /// The revision that was the last one when this was decided; at another one it is refused.
    #[serde(default)]
    pub expected: Option<u64>,
    /// Say what would change, change nothing.
    #[serde(default)]
    pub dry_run: bool,
    /// Who goes back, for the history.
    #[serde(default)]
    pub actor: String,
}
