//! The hub: one task that owns the snapshot. Changes come in, resources go out to the board.
//!
//! Changes are taken from the store (on a cluster, pods and slices among them) and from agent
//! streams, in order; what they affect is compiled,
//! encoded once and published. The first change goes out at once, those that follow within
//! [`COALESCE`] together. Whoever registers is told when the mesh knows it.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use parking_lot::Mutex;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::compile;
use crate::control::board::{Board, Published};
use crate::control::ground::Ground;
use crate::control::plane::View;
use crate::control::store::{Commit, Contents, Stored};
use crate::mesh::{Change, Object, ObjectRef, RegistrationConflict, Snapshot, Workload};
use crate::names::{ProxyId, TrustDomain};
use crate::resource::Key;
use crate::xds::codec;

/// Changes that follow another within this time go out together.
pub const COALESCE: Duration = Duration::from_millis(20);

/// Changes of workloads that may wait.
const QUEUE: usize = 1_024;

/// Changes taken together at most, so that a flood of them cannot put off publishing.
const BATCH: usize = 1_024;

/// The way to the hub. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Hub {
    inputs: mpsc::Sender<Input>,
}

#[derive(Debug)]
struct Input {
    proxy: ProxyId,
    said: Said,
    done: Done,
}

/// What is said of a workload.
#[derive(Debug)]
enum Said {
    /// What it is now, by the agent stream of that number.
    Here(Arc<Workload>, u64),
    /// Its proxy has gone.
    Gone,
}

/// Whether it counted when its turn came.
type Done = oneshot::Sender<Result<bool, RegistrationConflict>>;

/// Why the mesh does not know a workload.
#[derive(Debug, thiserror::Error)]
pub enum HubError {
    /// It is in conflict with what is there.
    #[error(transparent)]
    Conflict(#[from] RegistrationConflict),
    /// The control plane is about to end.
    #[error("the control plane is about to end")]
    Closed,
}

impl Hub {
    /// Adds or changes a workload, as its agent stream of number `stream` says; returns when it is
    /// published. `false`: another stream speaks for it by now, and nothing was changed.
    ///
    /// # Errors
    /// [`HubError`]; nothing was changed.
    pub async fn set(
        &self,
        proxy: ProxyId,
        workload: Arc<Workload>,
        stream: u64,
    ) -> Result<bool, HubError> {
        self.say(proxy, Said::Here(workload, stream)).await
    }

    /// Removes a workload; returns when that is published. `false`: its proxy has an agent stream
    /// (again) when this is looked at, and it stays.
    ///
    /// # Errors
    /// [`HubError`]; nothing was changed.
    pub async fn withdraw(&self, proxy: ProxyId) -> Result<bool, HubError> {
        self.say(proxy, Said::Gone).await
    }

    async fn say(&self, proxy: ProxyId, said: Said) -> Result<bool, HubError> {
        let (done, answer) = oneshot::channel();
        let input = Input { proxy, said, done };
        self.inputs.send(input).await.map_err(|_| HubError::Closed)?;
        Ok(answer.await.map_err(|_| HubError::Closed)??)
    }
}

/// The task, before it runs.
#[derive(Debug)]
pub(super) struct Owner {
    inputs: mpsc::Receiver<Input>,
    commits: mpsc::Receiver<Commit>,
    view: Arc<ArcSwap<View>>,
    board: Arc<Mutex<Board>>,
    revision: watch::Sender<u64>,
}

/// Builds the first snapshot from what is in the store, and publishes all of it.
pub(super) fn start(
    contents: Contents,
    commits: mpsc::Receiver<Commit>,
    trust_domain: TrustDomain,
    roots: Arc<Vec<Vec<u8>>>,
    ground: &Ground,
) -> (Hub, Owner) {
    let mut unreadable = BTreeMap::new();
    let objects = contents.objects.values().filter_map(|stored| {
        let change = read(&stored.reference, Some(stored), &mut unreadable);
        change.map(|object| Change::Object(stored.reference.clone(), Some(object)))
    });
    let mut changes: Vec<_> = objects.collect();
    changes.extend(contents.registrations.values().map(|registration| {
        let bound = ground.bound(&registration.identity(&trust_domain));
        let workload = Arc::new(registration.workload(&trust_domain, bound));
        Change::Workload(registration.proxy(), Some(workload))
    }));
    changes.extend(contents.mesh);
    let mut snapshot = Snapshot::new(trust_domain, roots);
    snapshot.advance(&changes);
    let mut board = Board::new(contents.revision);
    let now = std::time::Instant::now();
    board.publish(compiled(&snapshot, compile::keys(&snapshot)), &[], now, now);
    let revision = contents.revision;
    let objects = Arc::new(contents.objects);
    let view = View { revision, objects, snapshot, unreadable };
    let (sender, inputs) = mpsc::channel(QUEUE);
    let (view, board) = (Arc::new(ArcSwap::from_pointee(view)), Arc::new(Mutex::new(board)));
    let revision = watch::Sender::new(revision);
    (Hub { inputs: sender }, Owner { inputs, commits, view, board, revision })
}

/// Changes taken from the queues, not yet published.
#[derive(Debug)]
struct Pending {
    snapshot: Snapshot,
    changes: Vec<Change>,
    commits: Vec<Commit>,
    unreadable: BTreeMap<ObjectRef, String>,
    done: Vec<Done>,
    /// When the first of it came.
    since: Option<std::time::Instant>,
}

impl Owner {
    /// What everyone reads.
    pub(super) fn view(&self) -> Arc<ArcSwap<View>> {
        Arc::clone(&self.view)
    }

    /// Where everything is published.
    pub(super) fn board(&self) -> Arc<Mutex<Board>> {
        Arc::clone(&self.board)
    }

    /// The last revision of the rules that is published.
    pub(super) fn revision(&self) -> watch::Receiver<u64> {
        self.revision.subscribe()
    }

    /// Runs until `stop`.
    pub(super) async fn run(mut self, stop: CancellationToken) {
        let mut published: Option<Instant> = None;
        loop {
            let mut pending = Pending::new(&self.view.load());
            tokio::select! {
                () = stop.cancelled() => return,
                Some(input) = self.inputs.recv() => pending.input(input, &self.board),
                commit = self.commits.recv() => match commit {
                    Some(commit) => pending.commit(commit),
                    // The store's thread is gone: nothing can be applied any more.
                    None => return,
                },
            }
            let until = published.map(|at| at + COALESCE);
            while pending.changes.len() < BATCH {
                let enough = async {
                    match until.filter(|until| *until > Instant::now()) {
                        Some(until) => tokio::time::sleep_until(until).await,
                        // What is there already is still taken along: the queues come first.
                        None => tokio::task::yield_now().await,
                    }
                };
                tokio::select! {
                    biased;
                    Some(input) = self.inputs.recv() => pending.input(input, &self.board),
                    Some(commit) = self.commits.recv() => pending.commit(commit),
                    () = enough => break,
                }
            }
            if self.publish(pending) {
                published = Some(Instant::now());
            }
        }
    }

    fn publish(&self, pending: Pending) -> bool {
        let Pending { snapshot, changes, commits, unreadable, done, since } = pending;
        let old = self.view.load_full();
        let busy = !changes.is_empty() || !commits.is_empty();
        if busy {
            let fresh = compiled(&snapshot, compile::affected(&old.snapshot, &snapshot, &changes));
            let revisions: Vec<_> =
                commits.iter().map(|commit| (commit.revision, commit.at)).collect();
            let mut objects = Arc::clone(&old.objects);
            let revision = commits.last().map_or(old.revision, |commit| commit.revision);
            for (reference, stored) in commits.into_iter().flat_map(|commit| commit.changes) {
                // Copied once, and only where rules changed.
                let objects = Arc::make_mut(&mut objects);
                match stored {
                    Some(stored) => drop(objects.insert(reference, stored)),
                    None => drop(objects.remove(&reference)),
                }
            }
            let gone: Vec<_> = gone(&old.snapshot, &snapshot, &changes).cloned().collect();
            // Seen before it is announced: who hears of a revision finds it in the view.
            self.view.store(Arc::new(View { revision, objects, snapshot, unreadable }));
            {
                let mut board = self.board.lock();
                let now = std::time::Instant::now();
                board.publish(fresh, &revisions, since.unwrap_or(now), now);
                gone.iter().for_each(|proxy| board.leave(proxy));
            }
            self.revision.send_replace(revision);
        }
        for done in done {
            // Who asked may have gone.
            let _ = done.send(Ok(true));
        }
        busy
    }
}

impl Pending {
    fn new(view: &View) -> Self {
        Self {
            snapshot: view.snapshot.clone(),
            changes: Vec::new(),
            commits: Vec::new(),
            unreadable: view.unreadable.clone(),
            done: Vec::new(),
            since: None,
        }
    }

    /// Something has come, which was there at `at`.
    fn began(&mut self, at: std::time::Instant) {
        self.since = Some(self.since.map_or(at, |since| since.min(at)));
    }

    /// Who speaks for a proxy the board says: a place is taken there before anything is said in here,
    /// so that what an earlier stream or a departure has said too late changes nothing.
    fn input(&mut self, input: Input, board: &Mutex<Board>) {
        let Input { proxy, said, done } = input;
        let speaks = board.lock().proxies.agent_stream(&proxy);
        let (workload, counts) = match said {
            Said::Here(workload, stream) => (Some(workload), speaks == Some(stream)),
            Said::Gone => (None, speaks.is_none()),
        };
        if !counts {
            let _ = done.send(Ok(false));
            return;
        }
        if let Some(workload) = &workload
            && let Err(conflict) = self.snapshot.check_registration(workload)
        {
            let _ = done.send(Err(conflict));
            return;
        }
        self.done.push(done);
        self.began(std::time::Instant::now());
        if self.snapshot.workloads.get(&proxy) != workload.as_ref() {
            self.change(vec![Change::Workload(proxy, workload)]);
        }
    }

    fn commit(&mut self, commit: Commit) {
        self.began(commit.at);
        let mut changes = commit.mesh.clone();
        for (reference, stored) in &commit.changes {
            let object = read(reference, stored.as_ref(), &mut self.unreadable);
            changes.push(Change::Object(reference.clone(), object));
        }
        self.change(changes);
        if !commit.changes.is_empty() {
            self.commits.push(commit);
        }
    }

    fn change(&mut self, changes: Vec<Change>) {
        self.snapshot.advance(&changes);
        self.changes.extend(changes);
    }
}

/// What a stored document means; one that cannot be read is left out and said so.
fn read(
    reference: &ObjectRef,
    stored: Option<&Arc<Stored>>,
    unreadable: &mut BTreeMap<ObjectRef, String>,
) -> Option<Object> {
    unreadable.remove(reference);
    let stored = stored?;
    match crate::rules::from_value(&stored.document, stored.generation, stored.created_ms) {
        Ok(object) => Some(object),
        Err(diagnostics) => {
            let why = diagnostics.first().map_or_else(String::new, |it| it.message.clone());
            tracing::error!(object = %reference, %why, "a stored object cannot be read; left out");
            unreadable.insert(reference.clone(), why);
            None
        }
    }
}

/// The pods that are gone: their proxies do not come back. What registered says goodbye itself.
fn gone<'c>(
    old: &Snapshot,
    new: &Snapshot,
    changes: &'c [Change],
) -> impl Iterator<Item = &'c ProxyId> {
    let pod = |id: &ProxyId| old.workloads.get(id).is_some_and(|it| it.service.is_none());
    changes.iter().filter_map(move |change| match change {
        Change::Workload(id, None) if pod(id) && !new.workloads.contains_key(id) => Some(id),
        _ => None,
    })
}

fn compiled(
    snapshot: &Snapshot,
    keys: impl IntoIterator<Item = Key>,
) -> Vec<(Key, Option<Published>)> {
    let each = keys.into_iter().map(|key| {
        let published = compile::compile(snapshot, &key).map(|compiled| Published {
            encoded: Arc::new(codec::encode(&compiled.resource)),
            origins: compiled.origins,
        });
        (key, published)
    });
    each.collect()
}
