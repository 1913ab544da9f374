//! The SQLite backing: one thread owns the connection, everyone else sends it requests.
//!
//! WAL and `synchronous=FULL`: when a batch is answered it is on the disk. Blocking work never
//! touches the async runtime. A full disk refuses the batch and leaves the store as it was.

use std::path::{Path, PathBuf};

use rusqlite::{Connection, TransactionBehavior};
use tokio::sync::{mpsc, oneshot};

use super::history::{self, Changes, Entry, Past};
use super::kept;
use super::opening::{self, Loaded, acknowledge, failed, keep_failed, sqlite_failed};
use super::plan::{Plan, plan};
use super::schema;
use super::{Applied, Batch, Commit, Contents, Recovered, StoreError};
use crate::control::registration::Registration;
use crate::names::{ProxyId, TrustDomain};

/// Requests that may wait for the thread.
const QUEUE: usize = 256;

/// The way to the thread.
#[derive(Debug, Clone)]
pub struct Handle {
    requests: mpsc::Sender<Request>,
}

#[derive(Debug)]
enum Request {
    Apply(Batch, oneshot::Sender<Result<Applied, StoreError>>),
    Register(ProxyId, Option<Registration>, oneshot::Sender<Result<(), StoreError>>),
    History(u64, oneshot::Sender<Result<Vec<Entry>, StoreError>>),
    Past(u64, oneshot::Sender<Result<Past, StoreError>>),
}

impl Handle {
    pub(super) async fn apply(&self, batch: Batch) -> Result<Applied, StoreError> {
        let (reply, answer) = oneshot::channel();
        self.send(Request::Apply(batch, reply)).await?;
        answer.await.map_err(|_| StoreError::Closed)?
    }

    /// A place in the line of requests.
    pub(super) async fn turn(&self) -> Result<Place<'_>, StoreError> {
        self.requests.reserve().await.map(Place).map_err(|_| StoreError::Closed)
    }

    pub(super) async fn history(&self, limit: u64) -> Result<Vec<Entry>, StoreError> {
        let (reply, answer) = oneshot::channel();
        self.send(Request::History(limit, reply)).await?;
        answer.await.map_err(|_| StoreError::Closed)?
    }

    pub(super) async fn past(&self, revision: u64) -> Result<Past, StoreError> {
        let (reply, answer) = oneshot::channel();
        self.send(Request::Past(revision, reply)).await?;
        answer.await.map_err(|_| StoreError::Closed)?
    }

    async fn send(&self, request: Request) -> Result<(), StoreError> {
        self.requests.send(request).await.map_err(|_| StoreError::Closed)
    }
}

/// A place in the line of requests, kept free until it is used.
#[derive(Debug)]
pub(super) struct Place<'h>(mpsc::Permit<'h, Request>);

impl Place<'_> {
    /// Asks for a registration; a failure that nobody waits for the owner logs.
    pub(super) fn register(
        self,
        proxy: ProxyId,
        registration: Option<Registration>,
        reply: oneshot::Sender<Result<(), StoreError>>,
    ) {
        self.0.send(Request::Register(proxy, registration, reply));
    }
}

/// Opens or creates the store and starts its thread.
pub(super) fn open(
    path: &Path,
    trust_domain: &TrustDomain,
    commits: mpsc::Sender<Commit>,
) -> Result<(Handle, Contents, Option<Recovered>), StoreError> {
    let Loaded { connection, contents, recovered, .. } = opening::open(path, trust_domain)?;
    let (sender, requests) = mpsc::channel(QUEUE);
    let owner = Owner { path: path.to_owned(), connection, contents: contents.clone(), commits };
    std::thread::Builder::new()
        .name("store".to_owned())
        .spawn(move || owner.run(requests))
        .map_err(|error| failed(path, &error))?;
    Ok((Handle { requests: sender }, contents, recovered))
}

/// What the thread owns.
struct Owner {
    path: PathBuf,
    connection: Connection,
    contents: Contents,
    commits: mpsc::Sender<Commit>,
}

impl Owner {
    fn run(mut self, mut requests: mpsc::Receiver<Request>) {
        while let Some(request) = requests.blocking_recv() {
            // Whoever asked may have gone; what was done stays done.
            match request {
                Request::Apply(batch, reply) => drop(reply.send(self.apply(&batch))),
                Request::Register(proxy, registration, reply) => {
                    if let Err(Err(error)) = reply.send(self.register(&proxy, registration)) {
                        tracing::warn!(%proxy, %error, "the registration is not written down");
                    }
                }
                Request::History(limit, reply) => drop(reply.send(self.history(limit))),
                Request::Past(revision, reply) => drop(reply.send(self.past(revision))),
            }
        }
    }

    fn apply(&mut self, batch: &Batch) -> Result<Applied, StoreError> {
        let found = self.contents.revision;
        if let Some(expected) = batch.expected.filter(|expected| *expected != found) {
            return Err(StoreError::Moved { expected, found });
        }
        let revision = self.contents.revision + 1;
        let Plan { outcomes, changes } = plan(&self.contents.objects, batch, revision)?;
        if batch.dry_run || changes.is_empty() {
            return Ok(Applied { revision: self.contents.revision, outcomes });
        }
        let mut objects = self.contents.objects.clone();
        for (reference, object) in &changes {
            match object {
                Some(object) => drop(objects.insert(reference.clone(), object.clone())),
                None => drop(objects.remove(reference)),
            }
        }
        let entry = Entry::new(revision, batch, &self.contents.objects, &changes);
        kept::keep(&self.connection, &self.path)
            .map_err(|error| keep_failed(&self.path, &error))?;
        let written = (|| {
            let transaction =
                self.connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
            for (reference, object) in &changes {
                schema::save_object(&transaction, reference, object.as_deref())?;
            }
            history::save(&transaction, &entry)?;
            schema::save_revision(&transaction, &objects, revision)?;
            transaction.commit()
        })();
        written.map_err(|error| sqlite_failed(&self.path, &error))?;
        acknowledge(&self.path, revision);
        self.contents.objects = objects;
        self.contents.revision = revision;
        let changes = changes.into_iter().collect();
        let commit = Commit { revision, changes, mesh: Vec::new(), at: std::time::Instant::now() };
        // Without a watcher the control plane is about to end.
        drop(self.commits.blocking_send(commit));
        Ok(Applied { revision, outcomes })
    }

    fn register(
        &mut self,
        proxy: &ProxyId,
        registration: Option<Registration>,
    ) -> Result<(), StoreError> {
        if self.contents.registrations.get(proxy) == registration.as_ref() {
            return Ok(());
        }
        schema::save_registration(&self.connection, proxy, registration.as_ref())
            .map_err(|error| sqlite_failed(&self.path, &error))?;
        match registration {
            Some(registration) => {
                drop(self.contents.registrations.insert(proxy.clone(), registration));
            }
            None => drop(self.contents.registrations.remove(proxy)),
        }
        Ok(())
    }

    fn history(&self, limit: u64) -> Result<Vec<Entry>, StoreError> {
        history::last(&self.connection, limit).map_err(|error| sqlite_failed(&self.path, &error))
    }

    /// Takes back what came after `revision`, newest first.
    fn past(&self, revision: u64) -> Result<Past, StoreError> {
        let now = self.contents.revision;
        if revision > now {
            return Err(StoreError::NoRevision { revision, last: now });
        }
        let read = |revision| {
            history::read(&self.connection, revision)
                .map_err(|error| sqlite_failed(&self.path, &error))
        };
        let mut objects = history::present(&self.contents.objects);
        for later in (revision + 1..=now).rev() {
            match read(later)?.map(|entry| entry.changes) {
                Some(Changes::Kept(changes)) => history::undo(&mut objects, changes),
                Some(Changes::Damaged) => {
                    let path = self.path.clone();
                    return Err(StoreError::History { path, revision: later });
                }
                Some(Changes::Forgotten) | None => {
                    return Err(StoreError::Forgotten { revision, oldest: later });
                }
            }
        }
        Ok(Past { now, entry: read(revision)?, objects })
    }
}
