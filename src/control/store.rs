//! The rule store: get, list, apply a batch, watch. What users wrote, exactly as they wrote it.
//!
//! A batch is all or nothing, and durable once `apply` has returned. Every commit is sent on, in
//! order, to the one watcher. A generation goes up only when the spec changes. The store knows
//! documents, not their meaning. Backings are forms of [`Store`].

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde_json::Value;
use tokio::sync::{mpsc, oneshot};

use crate::control::api::shapes::Action;
use crate::control::registration::Registration;
use crate::mesh::{Change, ObjectKind, ObjectRef};
use crate::names::{ProxyId, TrustDomain};
use crate::platform::kubernetes::discovery::Discovery;

pub use error::StoreError;
use history::{Entry, Past};

mod cluster;
mod error;
pub mod history;
mod kept;
mod mark;
mod migration;
mod opening;
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
    /// Create or replace by what it was once, with the age that it had.
    Back {
        /// Which.
        reference: ObjectRef,
        /// Its document.
        document: Value,
        /// When it was first applied.
        created_ms: u64,
    },
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
    /// What it is, for the history, where it is no plain change.
    pub note: String,
    /// The revision that it was worked out from; at another one nothing is done.
    pub expected: Option<u64>,
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

    /// The last revisions, newest first.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn history(&self, limit: u64) -> Result<Vec<Entry>, StoreError> {
        match self {
            Self::Sqlite(handle) => handle.history(limit).await,
            Self::Kubernetes => Err(StoreError::NoHistory),
        }
    }

    /// The rules as they were after a revision; 0 is before the first.
    ///
    /// # Errors
    /// [`StoreError`], also where that is no longer known.
    pub async fn past(&self, revision: u64) -> Result<Past, StoreError> {
        match self {
            Self::Sqlite(handle) => handle.past(revision).await,
            Self::Kubernetes => Err(StoreError::NoHistory),
        }
    }

    /// Waits for a place in the line of what is written down.
    ///
    /// # Errors
    /// [`StoreError::Closed`].
    pub async fn turn(&self) -> Result<Turn<'_>, StoreError> {
        match self {
            Self::Sqlite(handle) => Ok(Turn(Some(handle.turn().await?))),
            Self::Kubernetes => Ok(Turn(None)),
        }
    }
}

/// A place in the line of what is written down, so that what it is can be looked up and handed in under one
/// lock: what is written last is then what held last.
#[derive(Debug)]
pub struct Turn<'s>(Option<sqlite::Place<'s>>);

impl Turn<'_> {
    /// Keeps (or, with `None`, forgets) the registration of a proxy. What comes back waits for the disk.
    pub fn register(
        self,
        proxy: ProxyId,
        registration: Option<Registration>,
    ) -> impl Future<Output = Result<(), StoreError>> + use<> {
        let (reply, answer) = oneshot::channel();
        match self.0 {
            Some(place) => place.register(proxy, registration, reply),
            // A cluster knows its pods.
            None => drop(reply.send(Ok(()))),
        }
        async move { answer.await.map_err(|_| StoreError::Closed)? }
    }

    /// As [`Turn::register`], where nobody waits; what fails is logged.
    pub fn register_soon(self, proxy: ProxyId, registration: Option<Registration>) {
        let (reply, _) = oneshot::channel();
        if let Some(place) = self.0 {
            place.register(proxy, registration, reply);
        }
    }
}

/// Copies the store at `path`, whether a control plane has it open or not, to `target`: all of it at
/// one moment, checked and durable. Says what is in the copy, and the version of its tables. Blocks.
///
/// # Errors
/// [`StoreError`]; a store that is damaged is not copied.
pub fn copy(
    path: &Path,
    trust_domain: &TrustDomain,
    target: &Path,
) -> Result<(Contents, i64), StoreError> {
    opening::copy(path, trust_domain, target)
}

/// Reads the store at `path` and changes nothing: what is in it, and the version of its tables.
/// Blocks.
///
/// # Errors
/// [`StoreError`].
pub fn verify(path: &Path, trust_domain: &TrustDomain) -> Result<(Contents, i64), StoreError> {
    opening::verify(path, trust_domain)
}

/// The version of the tables that this program writes.
pub const SCHEMA: i64 = schema::SCHEMA_VERSION;

/// The version of the tables of the store at `path`, and [`SCHEMA`]; nothing is changed. Blocks.
///
/// # Errors
/// [`StoreError`]: it is damaged, or cannot be read.
pub fn schema(path: &Path) -> Result<(i64, i64), StoreError> {
    Ok((opening::version(path)?, SCHEMA))
}

/// Where the store at `path` was copied to before its tables were changed from `version`.
pub fn before(path: &Path, version: i64) -> PathBuf {
    migration::copy_path(path, version)
}

/// The kind that users write as `text`.
pub(in crate::control) fn kind(text: &str) -> Option<ObjectKind> {
    ObjectKind::ALL.into_iter().find(|kind| kind.as_str() == text)
}
