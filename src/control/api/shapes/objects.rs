//! Objects over the admin API: apply, delete, read, describe, and how far a change has come.

use serde::{Deserialize, Serialize};

use crate::rules::Diagnostic;

/// Documents to apply, all or none.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ApplyRequest {
    /// In the order given.
    pub sources: Vec<Source>,
    /// Check and say what would change, change nothing.
    #[serde(default)]
    pub dry_run: bool,
    /// The namespace of documents that name none.
    pub namespace: String,
    /// Who applies, for the log.
    #[serde(default)]
    pub actor: String,
    /// The set that the documents belong to, written on each as a label; empty for none.
    #[serde(default)]
    pub apply_set: String,
    /// What goes together with it; one that is gone already is no error.
    #[serde(default)]
    pub prune: Vec<ObjectId>,
}

/// Documents to hold against the mesh as it is, as if they were applied.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ValidateRequest {
    /// In the order given. Documents of other products, and those with errors, are left out.
    pub sources: Vec<Source>,
    /// The namespace of documents that name none.
    pub namespace: String,
}

/// What only shows against the mesh, and of the documents together; not what is wrong with each.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ValidateResult {
    /// By file and place.
    pub diagnostics: Vec<Diagnostic>,
}

/// One file.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Source {
    /// As the user named it, for diagnostics.
    pub name: String,
    /// Its text.
    pub text: String,
}

/// What was done to one object.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Action {
    /// It is new.
    Created,
    /// It changed.
    Configured,
    /// It was like this already.
    Unchanged,
    /// It is gone.
    Deleted,
}

impl Action {
    const ALL: [Self; 4] = [Self::Created, Self::Configured, Self::Unchanged, Self::Deleted];

    /// The word for it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Created => "created",
            Self::Configured => "configured",
            Self::Unchanged => "unchanged",
            Self::Deleted => "deleted",
        }
    }

    /// The action that a word means.
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|action| action.as_str() == word)
    }
}

/// What `apply`, `delete` or a rollback did.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ApplyResult {
    /// The revision of the rules after it.
    pub revision: u64,
    /// In the order of the documents.
    pub objects: Vec<AppliedObject>,
    /// Warnings (errors are a [`Failure`](super::Failure)).
    pub warnings: Vec<Diagnostic>,
}

/// One object of an [`ApplyResult`].
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct AppliedObject {
    /// `HTTPRoute`, …
    pub kind: String,
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// What was done.
    pub action: Action,
    /// Its generation now.
    pub generation: u64,
}

/// Objects to delete; one that is not there is a 404 and nothing is deleted.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct DeleteRequest {
    /// Which.
    pub objects: Vec<ObjectId>,
    /// Say what would go, delete nothing.
    #[serde(default)]
    pub dry_run: bool,
    /// Objects that are not there are no error.
    #[serde(default)]
    pub ignore_not_found: bool,
    /// Who deletes, for the log.
    #[serde(default)]
    pub actor: String,
}

/// Names one object.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ObjectId {
    /// As users write it, `HTTPRoute`.
    pub kind: String,
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
}

/// How far a revision has come; `apply --wait` asks until it is settled.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Propagation {
    /// The revision asked for.
    pub revision: u64,
    /// The control plane has compiled and sent it.
    pub compiled: bool,
    /// Proxies that subscribe to what it changed and have acknowledged it.
    pub acknowledged: Vec<String>,
    /// Proxies that subscribe to what it changed and have not answered.
    pub pending: Vec<String>,
    /// Proxies that subscribe to what it changed and are away.
    pub disconnected: Vec<String>,
    /// Proxies that refused.
    pub rejected: Vec<Rejection>,
    /// From the commit to the last acknowledgement, milliseconds; `null` until settled.
    pub settled_ms: Option<f64>,
}

/// A refusal by a proxy.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Rejection {
    /// `namespace/name`.
    pub proxy: String,
    /// `Service default/reviews`.
    pub resource: String,
    /// The rules that it came from, `HTTPRoute/default/reviews`.
    pub rules: Vec<String>,
    /// The field and what is wrong with it.
    pub reason: String,
}

/// Objects with their status.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ObjectList {
    /// `meshctl.dev/v1alpha1`.
    pub api_version: String,
    /// `List`.
    pub kind: String,
    /// Each as it was applied, with `metadata.generation`, `metadata.creationTimestamp` and
    /// `status` added; under `resolved=true` with its defaults too.
    pub items: Vec<serde_json::Value>,
}

/// An object or service with everything that applies to it.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Description {
    /// `HTTPRoute/default/reviews`.
    pub title: String,
    /// Sections in order; each has a heading and lines of key and value.
    pub sections: Vec<Section>,
}

/// One part of a [`Description`].
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Section {
    /// `Ports`, `Routes`, `Policy`, `Endpoints`, `Status`, …
    pub heading: String,
    /// Key and value; an empty key continues the line above.
    pub lines: Vec<(String, String)>,
}
