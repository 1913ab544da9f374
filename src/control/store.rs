//! The rule store: get, list, apply a batch, watch. What users wrote, exactly as they wrote it.
//!
//! A batch is all or nothing, and durable once `apply` has returned. Every commit is sent on, in
//! order, to the one watcher. A generation goes up only when the spec changes. The store knows
//! documents, not their meaning. Backings are forms of [`Store`].

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde_json::Value;
use tokio::sync::mpsc;

use crate::control::api::shapes::Action;
use crate::control::registration::Registration;
use crate::mesh::{Change, ObjectKind, ObjectRef};
use crate::names::{ProxyId, TrustDomain};
use crate::platform::kubernetes::discovery::Discovery;

mod cluster;
mod kept;
mod plan;
mod private;
mod schema;
mod sqlite;
#[cfg(test)]
mod tests;

/// Commits that may wait for the watcher; a writer waits when it is full.
const WATCH_QUEUE: usize = 64;

/// One object as it lies in the store.
#[derive(Debug, Clone, PartialEq)]
pub struct Stored {
    /// Which.
    pub reference: ObjectRef,
    /// The document as written.
    pub document: Value,
    /// Goes up when the spec changes; 1 when new.
    pub generation: u64,
    /// When it was first applied, milliseconds since the Unix epoch.
    pub created_ms: u64,
    /// The revision that wrote it last.
    pub revision: u64,
}

/// Objects by what they are.
pub type Objects = BTreeMap<ObjectRef, Arc<Stored>>;

/// One step of a batch.
#[derive(Debug, Clone)]
pub enum Write {
    /// Create or replace.
    Put(ObjectRef, Value),
    /// Delete; one that is not there is an error unless `ignore_missing`.
    Delete {
        /// Which.
        reference: ObjectRef,
        /// Its absence is no error.
        ignore_missing: bool,
    },
}

/// What is done together or not at all.
#[derive(Debug, Clone)]
pub struct Batch {
    /// Who does it, for the history.
    pub actor: String,
    /// When, milliseconds since the Unix epoch.
    pub at_ms: u64,
    /// In order.
    pub writes: Vec<Write>,
    /// Say what would be done, do nothing.
    pub dry_run: bool,
}

/// What a batch did to one object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outcome {
    /// Which.
    pub reference: ObjectRef,
    /// What.
    pub action: Action,
    /// Its generation now (or last).
    pub generation: u64,
}

/// What a batch did.
#[derive(Debug, Clone)]
pub struct Applied {
    /// The revision after it; a batch that changed nothing makes none.
    pub revision: u64,
    /// In the order of the writes.
    pub outcomes: Vec<Outcome>,
}

/// One commit, for the watcher: what changed at a revision.
#[derive(Debug, Clone)]
pub struct Commit {
    /// The revision.
    pub revision: u64,
    /// Objects as they are now; `None` for those that are gone.
    pub changes: Vec<(ObjectRef, Option<Arc<Stored>>)>,
    /// What the cluster told beside them, pods and slices; a commit of these alone has the revision
    /// of the one before.
    pub mesh: Vec<Change>,
    /// When it was durable.
    pub at: std::time::Instant,
}

/// Everything in the store at one revision.
#[derive(Debug, Clone, Default)]
pub struct Contents {
    /// The last revision.
    pub revision: u64,
    /// What users wrote.
    pub objects: Objects,
    /// Who registered and has not left.
    pub registrations: BTreeMap<ProxyId, Registration>,
    /// What the cluster tells beside objects: pods and slices.
    pub mesh: Vec<Change>,
}

/// The store was damaged, and the generation kept before it is used instead.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recovered {
    /// The revision that was kept.
    pub revision: u64,
    /// What was wrong.
    pub reason: String,
    /// Where the damaged store was put.
    pub damaged: PathBuf,
}

/// Why the store did not do what it was asked.
#[derive(Debug, Clone, thiserror::Error)]
pub enum StoreError {
    /// No space is left; nothing was changed.
    #[error("no space is left for the store `{}`; nothing was changed", .0.display())]
    NoSpace(PathBuf),
    /// An object to delete is not there; nothing was changed.
    #[error("there is no {} `{}` in the namespace `{}`; nothing was changed", .0.kind.as_str(), .0.name, .0.namespace)]
    NotFound(ObjectRef),
    /// Written by a newer version.
    #[error("the store `{}` has schema {found}, this version knows {known}; it was left untouched, use the version that wrote it", path.display())]
    Newer {
        /// The file.
        path: PathBuf,
        /// Its schema.
        found: i64,
        /// The schema of this version.
        known: i64,
    },
    /// Belongs to a mesh of another trust domain.
    #[error("the store `{}` belongs to the trust domain `{found}`, which is fixed at install; `{asked}` was asked for", path.display())]
    TrustDomain {
        /// The file.
        path: PathBuf,
        /// What it says.
        found: String,
        /// What was asked for.
        asked: TrustDomain,
    },
    /// Damaged, and nothing to fall back to.
    #[error("the store `{}` is damaged ({reason}) and no kept generation can replace it ({kept}); put a backup in its place, or remove it to start without rules", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        reason: String,
        /// Why the kept generation does not help.
        kept: String,
    },
    /// SQLite or the file system failed.
    #[error("the store `{}` failed: {reason}", path.display())]
    Failed {
        /// The file.
        path: PathBuf,
        /// Why.
        reason: String,
    },
    /// The rules are objects of a cluster.
    #[error("the rules of this mesh are objects of its cluster; nothing was changed")]
    Elsewhere,
    /// The store's thread has ended.
    #[error("the store is closed")]
    Closed,
}

/// The store, in one of its forms. Cheap to clone.
#[derive(Debug, Clone)]
pub enum Store {
    /// Local mode.
    Sqlite(sqlite::Handle),
    /// On a cluster the rules are its objects: users write them there, with their own rights, and
    /// who its workloads are it knows itself. Nothing is written here.
    Kubernetes,
}

/// A store that was opened.
#[derive(Debug)]
pub struct Opened {
    /// The store.
    pub store: Store,
    /// What was in it.
    pub contents: Contents,
    /// Every commit from now on, in order.
    pub commits: mpsc::Receiver<Commit>,
    /// Set where the kept generation had to be used.
    pub recovered: Option<Recovered>,
}

impl Store {
    /// Opens (or creates) the SQLite store at `path` and starts its thread. Blocks.
    ///
    /// # Errors
    /// [`StoreError`]; the store is untouched where it was not understood.
    pub fn open_sqlite(path: &Path, trust_domain: &TrustDomain) -> Result<Opened, StoreError> {
        let (sender, commits) = mpsc::channel(WATCH_QUEUE);
        let (handle, contents, recovered) = sqlite::open(path, trust_domain, sender)?;
        Ok(Opened { store: Self::Sqlite(handle), contents, commits, recovered })
    }

    /// The store of a mesh on a cluster: what `discovery` tells, from now on. Needs a runtime.
    pub fn follow(discovery: Discovery) -> Opened {
        let (sender, commits) = mpsc::channel(WATCH_QUEUE);
        let contents = cluster::follow(discovery, sender);
        Opened { store: Self::Kubernetes, contents, commits, recovered: None }
    }

    /// Does all of a batch or nothing; durable when it returns.
    ///
    /// # Errors
    /// [`StoreError`]; nothing was changed.
    pub async fn apply(&self, batch: Batch) -> Result<Applied, StoreError> {
        match self {
            Self::Sqlite(handle) => handle.apply(batch).await,
            Self::Kubernetes => Err(StoreError::Elsewhere),
        }
    }

    /// Keeps (or, with `None`, forgets) the registration of a proxy.
    ///
    /// # Errors
    /// [`StoreError`]; nothing was changed.
    pub async fn register(
        &self,
        proxy: ProxyId,
        registration: Option<Registration>,
    ) -> Result<(), StoreError> {
        match self {
            Self::Sqlite(handle) => handle.register(proxy, registration).await,
            Self::Kubernetes => Ok(()),
        }
    }

    /// As [`Store::register`], in order with it, but without waiting for the disk; what fails is
    /// logged.
    pub async fn register_soon(&self, proxy: ProxyId, registration: Option<Registration>) {
        match self {
            Self::Sqlite(handle) => handle.register_soon(proxy, registration).await,
            Self::Kubernetes => {}
        }
    }
}

/// The kind that users write as `text`.
pub(in crate::control) fn kind(text: &str) -> Option<ObjectKind> {
    ObjectKind::ALL.into_iter().find(|kind| kind.as_str() == text)
}
