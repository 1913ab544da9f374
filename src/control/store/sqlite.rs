//! The SQLite backing: one thread owns the connection, everyone else sends it requests.
//!
//! WAL and `synchronous=FULL`: when a batch is answered it is on the disk. Blocking work never
//! touches the async runtime. A full disk refuses the batch and leaves the store as it was.

use std::path::{Path, PathBuf};

use rusqlite::{Connection, OpenFlags, TransactionBehavior};
use tokio::sync::{mpsc, oneshot};

use super::kept::{self, KeepError};
use super::plan::{Plan, plan};
use super::private;
use super::schema::{self, LoadError, SCHEMA_VERSION};
use super::{Applied, Batch, Commit, Contents, Recovered, StoreError};
use crate::control::api::shapes::Action;
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
}

impl Handle {
    pub(super) async fn apply(&self, batch: Batch) -> Result<Applied, StoreError> {
        let (reply, answer) = oneshot::channel();
        self.send(Request::Apply(batch, reply)).await?;
        answer.await.map_err(|_| StoreError::Closed)?
    }

    pub(super) async fn register(
        &self,
        proxy: ProxyId,
        registration: Option<Registration>,
    ) -> Result<(), StoreError> {
        let (reply, answer) = oneshot::channel();
        self.send(Request::Register(proxy, registration, reply)).await?;
        answer.await.map_err(|_| StoreError::Closed)?
    }

    pub(super) async fn register_soon(&self, proxy: ProxyId, registration: Option<Registration>) {
        let (reply, _) = oneshot::channel();
        // The owner says what failed where nobody waits for it; without one all has ended.
        let _ = self.send(Request::Register(proxy, registration, reply)).await;
    }

    async fn send(&self, request: Request) -> Result<(), StoreError> {
        self.requests.send(request).await.map_err(|_| StoreError::Closed)
    }
}

/// Opens or creates the store, falling back to the kept generation, and starts its thread.
pub(super) fn open(
    path: &Path,
    trust_domain: &TrustDomain,
    commits: mpsc::Sender<Commit>,
) -> Result<(Handle, Contents, Option<Recovered>), StoreError> {
    let there = path.exists();
    if !there && !kept::path(path).exists() {
        create(path, trust_domain)?;
    }
    private::mend(path).map_err(|error| failed(path, &error))?;
    let (connection, contents, recovered) = match load(path, trust_domain) {
        Ok((connection, contents)) => (connection, contents, None),
        Err(Trouble::Refused(error)) => return Err(error),
        Err(Trouble::Damaged(reason)) => recover(path, trust_domain, reason)?,
    };
    if !kept::path(path).exists() {
        kept::keep(&connection, path).map_err(|error| keep_failed(path, &error))?;
    }
    let (sender, requests) = mpsc::channel(QUEUE);
    let owner = Owner { path: path.to_owned(), connection, contents: contents.clone(), commits };
    std::thread::Builder::new()
        .name("store".to_owned())
        .spawn(move || owner.run(requests))
        .map_err(|error| failed(path, &error))?;
    Ok((Handle { requests: sender }, contents, recovered))
}

/// Why a store was not loaded.
enum Trouble {
    Damaged(String),
    Refused(StoreError),
}

/// Made beside and renamed into place: an empty or half made store is never one of ours.
fn create(path: &Path, trust_domain: &TrustDomain) -> Result<(), StoreError> {
    let fresh = path.with_extension("new.db");
    match std::fs::remove_file(&fresh) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            return Err(failed(path, &error));
        }
        _ => {}
    }
    private::create(&fresh).map_err(|error| failed(path, &error))?;
    let mut connection = Connection::open(&fresh).map_err(|error| sqlite_failed(path, &error))?;
    schema::create(&mut connection, trust_domain.as_str())
        .map_err(|error| sqlite_failed(path, &error))?;
    connection.close().map_err(|(_, error)| sqlite_failed(path, &error))?;
    std::fs::File::open(&fresh)
        .and_then(|file| file.sync_all())
        .and_then(|()| std::fs::rename(&fresh, path))
        .and_then(|()| kept::sync_dir(path))
        .map_err(|error| failed(path, &error))
}

fn load(path: &Path, trust_domain: &TrustDomain) -> Result<(Connection, Contents), Trouble> {
    match std::fs::metadata(path) {
        Ok(meta) if meta.len() == 0 => return Err(Trouble::Damaged("it is empty".to_owned())),
        Ok(_) => {}
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            return Err(Trouble::Damaged("it is gone".to_owned()));
        }
        Err(error) => return Err(Trouble::Refused(failed(path, &error))),
    }
    let trouble = |error: rusqlite::Error| match LoadError::from(error) {
        LoadError::Damaged(reason) => Trouble::Damaged(reason),
        LoadError::Sqlite(error) => Trouble::Refused(sqlite_failed(path, &error)),
    };
    // Looked at read-only first: a store of a newer version must be left untouched.
    let probe =
        Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_ONLY).map_err(trouble)?;
    let found: i64 =
        probe.query_row("PRAGMA user_version", [], |row| row.get(0)).map_err(trouble)?;
    if found > SCHEMA_VERSION {
        let path = path.to_owned();
        let newer = StoreError::Newer { path, found, known: SCHEMA_VERSION };
        return Err(Trouble::Refused(newer));
    }
    drop(probe);
    let connection = connect(path).map_err(trouble)?;
    match schema::meta(&connection, "trust_domain").map_err(trouble)? {
        Some(found) if found == trust_domain.as_str() => {}
        Some(found) => {
            let (path, asked) = (path.to_owned(), trust_domain.clone());
            return Err(Trouble::Refused(StoreError::TrustDomain { path, found, asked }));
        }
        None => return Err(Trouble::Damaged("`meta` is incomplete".to_owned())),
    }
    let contents = schema::load(&connection).map_err(|error| match error {
        LoadError::Damaged(reason) => Trouble::Damaged(reason),
        LoadError::Sqlite(error) => Trouble::Refused(sqlite_failed(path, &error)),
    })?;
    Ok((connection, contents))
}

fn connect(path: &Path) -> rusqlite::Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags)?;
    connection.pragma_update(None, "journal_mode", "WAL")?;
    connection.pragma_update(None, "synchronous", "FULL")?;
    connection.busy_timeout(std::time::Duration::from_secs(5))?;
    Ok(connection)
}

fn recover(
    path: &Path,
    trust_domain: &TrustDomain,
    reason: String,
) -> Result<(Connection, Contents, Option<Recovered>), StoreError> {
    let hopeless = |reason: String, kept: String| {
        let path = path.to_owned();
        StoreError::Damaged { path, reason, kept }
    };
    let kept = kept::path(path);
    if !kept.exists() {
        return Err(hopeless(reason, format!("`{}` is not there", kept.display())));
    }
    // Tried where it lies, before the damaged one is moved.
    match load(&kept, trust_domain) {
        Ok((connection, _)) => drop(connection),
        Err(Trouble::Refused(error)) => return Err(error),
        Err(Trouble::Damaged(why)) => {
            return Err(hopeless(reason, format!("`{}` is damaged too: {why}", kept.display())));
        }
    }
    let damaged = kept::restore(path).map_err(|error| failed(path, &error))?;
    match load(path, trust_domain) {
        Ok((connection, contents)) => {
            let revision = contents.revision;
            Ok((connection, contents, Some(Recovered { revision, reason, damaged })))
        }
        Err(Trouble::Refused(error)) => Err(error),
        Err(Trouble::Damaged(why)) => Err(hopeless(reason, why)),
    }
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
            }
        }
    }

    fn apply(&mut self, batch: &Batch) -> Result<Applied, StoreError> {
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
        kept::keep(&self.connection, &self.path)
            .map_err(|error| keep_failed(&self.path, &error))?;
        let written = (|| {
            let transaction =
                self.connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
            for (reference, object) in &changes {
                schema::save_object(&transaction, reference, object.as_deref())?;
            }
            let summary = summary(&outcomes);
            let line = (batch.actor.as_str(), batch.at_ms, summary.as_str());
            schema::save_history(&transaction, revision, line)?;
            schema::save_revision(&transaction, &objects, revision)?;
            transaction.commit()
        })();
        written.map_err(|error| sqlite_failed(&self.path, &error))?;
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
}

/// `2 created, 1 configured`, for the history.
fn summary(outcomes: &[super::Outcome]) -> String {
    let count = |action, word| {
        let count = outcomes.iter().filter(|outcome| outcome.action == action).count();
        (count > 0).then(|| format!("{count} {word}"))
    };
    let parts = [
        count(Action::Created, "created"),
        count(Action::Configured, "configured"),
        count(Action::Deleted, "deleted"),
    ];
    parts.into_iter().flatten().collect::<Vec<_>>().join(", ")
}

fn sqlite_failed(path: &Path, error: &rusqlite::Error) -> StoreError {
    match error.sqlite_error_code() {
        Some(rusqlite::ErrorCode::DiskFull) => StoreError::NoSpace(path.to_owned()),
        _ => StoreError::Failed { path: path.to_owned(), reason: error.to_string() },
    }
}

fn failed(path: &Path, error: &std::io::Error) -> StoreError {
    match error.kind() {
        std::io::ErrorKind::StorageFull | std::io::ErrorKind::QuotaExceeded => {
            StoreError::NoSpace(path.to_owned())
        }
        _ => StoreError::Failed { path: path.to_owned(), reason: error.to_string() },
    }
}

fn keep_failed(path: &Path, error: &KeepError) -> StoreError {
    match error {
        KeepError::Sqlite(error) => sqlite_failed(path, error),
        KeepError::Io(error) => failed(path, error),
    }
}
