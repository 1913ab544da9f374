//! One watch: lists, then follows, for as long as it is wanted, whatever fails meanwhile.

use std::fmt::Debug;
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt;
use kube::api::{Api, ApiResource};
use kube::runtime::watcher::{self, Event};
use kube::{Client, Error, Resource};
use serde::de::DeserializeOwned;
use tokio::sync::mpsc;
use tokio::time::Instant;

use super::Update;
use super::ledger::{Difference, Ledger, Listed};
use crate::net::backoff::Backoff;
use crate::net::causes::chain;

/// After a failure; it doubles from the first to the longest.
const FIRST_WAIT: Duration = Duration::from_millis(200);
const LONGEST_WAIT: Duration = Duration::from_secs(5);

/// How often a kind that is not there is looked for.
const LOOK: Duration = Duration::from_secs(5);

/// When a list is asked for again that was not believed.
const CONFIRM: Duration = Duration::from_secs(5);

/// Failures in a row after which a watch does not try to go on where it was, but lists again: the
/// server may have gone back to a state before it.
const FAILURES: u32 = 5;

/// What a watch tells.
#[derive(Debug)]
pub(super) enum Told {
    /// These became different, at once.
    Updates(Vec<Update>),
    /// Everything was told once.
    Synced,
}

/// What is watched and how it is read.
pub(super) struct Watch<K, I, T, R> {
    /// For people.
    pub(super) kind: &'static str,
    pub(super) api: Api<K>,
    pub(super) config: watcher::Config,
    /// The kind as the API server lists it, where its definition may be missing.
    pub(super) defined: Option<(Client, ApiResource)>,
    /// What an object means; `None` where its name cannot be one.
    pub(super) read: R,
    pub(super) update: fn(I, Option<Arc<T>>) -> Update,
}

/// Nobody listens any more.
struct Over;

/// How the stream goes on.
enum Next {
    /// As it is.
    Follow,
    /// From a list.
    List,
}

impl<K, I, T, R> Watch<K, I, T, R>
where
    K: Resource + Clone + DeserializeOwned + Debug + Send + 'static,
    I: Ord + Clone,
    T: PartialEq,
    R: FnMut(K) -> Option<(I, Option<T>)>,
{
    /// Watches until nobody listens.
    pub(super) async fn run(self, told: mpsc::Sender<Told>) {
        let (api, config) = (self.api.clone(), self.config.clone());
        let mut running = Running {
            watch: self,
            told,
            ledger: Ledger::default(),
            differences: Vec::new(),
            backoff: Backoff::new(FIRST_WAIT, LONGEST_WAIT),
            synced: false,
            absent: false,
            again: None,
        };
        loop {
            if running.defined().await.is_err() {
                return;
            }
            let mut events = std::pin::pin!(watcher::watcher(api.clone(), config.clone()));
            loop {
                let event = match running.again {
                    Some(at) => tokio::time::timeout_at(at, events.next()).await.ok().flatten(),
                    None => events.next().await,
                };
                let next = match event {
                    Some(Ok(event)) => running.event(event).await,
                    Some(Err(error)) => running.failure(&error).await,
                    None => Ok(Next::List),
                };
                match next {
                    Ok(Next::Follow) => {}
                    Ok(Next::List) => break,
                    Err(Over) => return,
                }
            }
            running.again = None;
        }
    }
}

/// A watch at work.
struct Running<K, I, T, R> {
    watch: Watch<K, I, T, R>,
    told: mpsc::Sender<Told>,
    ledger: Ledger<I, T>,
    /// Not told yet, because a list is not complete.
    differences: Vec<Difference<I, T>>,
    backoff: Backoff,
    synced: bool,
    absent: bool,
    /// When a list is needed, because the last one was not believed.
    again: Option<Instant>,
}

impl<K, I, T, R> Running<K, I, T, R>
where
    I: Ord + Clone,
    T: PartialEq,
    R: FnMut(K) -> Option<(I, Option<T>)>,
{
    async fn event(&mut self, event: Event<K>) -> Result<Next, Over> {
        // A list that is only about to begin has not succeeded.
        if !matches!(event, Event::Init) {
            self.recovered();
        }
        match event {
            Event::Init => self.ledger.begin(),
            Event::InitApply(object) => self.put(object),
            Event::InitDone => {
                self.listed();
                self.tell().await?;
                self.synced().await?;
            }
            Event::Apply(object) => {
                self.put(object);
                self.tell().await?;
            }
            Event::Delete(object) => {
                if let Some((id, _)) = (self.watch.read)(object) {
                    self.differences.extend(self.ledger.delete(id));
                }
                self.tell().await?;
            }
        }
        Ok(Next::Follow)
    }

    fn put(&mut self, object: K) {
        if let Some((id, item)) = (self.watch.read)(object) {
            self.differences.extend(self.ledger.put(id, item));
        }
    }

    fn listed(&mut self) {
        let kind = self.watch.kind;
        match self.ledger.done() {
            Listed::Believed(gone) => {
                self.again = None;
                self.differences.extend(gone);
            }
            Listed::Doubted { missing, known } => {
                tracing::warn!(
                    kind,
                    missing,
                    known,
                    "a list lacks most of what was there; nothing is removed until another one says the same"
                );
                self.again = Some(Instant::now() + CONFIRM);
            }
        }
    }

    async fn failure(&mut self, error: &watcher::Error) -> Result<Next, Over> {
        // What a broken list has named is true all the same.
        self.tell().await?;
        let kind = self.watch.kind;
        if is_absent(error) {
            tokio::time::sleep(LOOK).await;
            return Ok(Next::List);
        }
        let wait = self.backoff.fail(fastrand::u64(..));
        let failures = self.backoff.failures();
        match failures {
            // The server has forgotten where this watch was, or ended it: nothing out of the way.
            1 if matches!(error, watcher::Error::WatchError(_)) => {
                tracing::debug!(kind, error = chain(error), "a watch begins anew");
            }
            1 | FAILURES => {
                tracing::warn!(kind, error = chain(error), "cannot watch; what is known holds");
            }
            _ => tracing::debug!(kind, failures, error = chain(error), "cannot watch"),
        }
        tokio::time::sleep(wait).await;
        Ok(if failures.is_multiple_of(FAILURES) { Next::List } else { Next::Follow })
    }

    /// Waits until the kind is there. What cannot be found out now the list will tell.
    async fn defined(&mut self) -> Result<(), Over> {
        let Some((client, resource)) = self.watch.defined.clone() else { return Ok(()) };
        while let Ok(false) = is_defined(&client, &resource).await {
            self.missing();
            self.synced().await?;
            tokio::time::sleep(LOOK).await;
        }
        Ok(())
    }

    fn missing(&mut self) {
        let kind = self.watch.kind;
        if std::mem::replace(&mut self.absent, true) {
            return;
        }
        match self.ledger.count() {
            0 => tracing::info!(kind, "the cluster has no such kind (yet)"),
            known => tracing::warn!(
                kind,
                known,
                "the cluster has this kind no more; what is known holds until it is back"
            ),
        }
    }

    fn recovered(&mut self) {
        let kind = self.watch.kind;
        if std::mem::take(&mut self.absent) {
            tracing::info!(kind, "the cluster has this kind now");
        }
        if self.backoff.failures() >= FAILURES {
            tracing::info!(kind, "watched again");
        }
        self.backoff.succeed();
    }

    async fn tell(&mut self) -> Result<(), Over> {
        if self.differences.is_empty() {
            return Ok(());
        }
        let update = self.watch.update;
        let differences = std::mem::take(&mut self.differences).into_iter();
        let updates = differences.map(|(id, item)| update(id, item)).collect();
        self.told.send(Told::Updates(updates)).await.map_err(|_| Over)
    }

    async fn synced(&mut self) -> Result<(), Over> {
        if std::mem::replace(&mut self.synced, true) {
            return Ok(());
        }
        self.told.send(Told::Synced).await.map_err(|_| Over)
    }
}

/// Whether the API server has the kind, asked in a way that is no error where it has not.
async fn is_defined(client: &Client, resource: &ApiResource) -> Result<bool, Error> {
    let groups = client.list_api_groups().await?;
    let versions = groups.groups.into_iter().flat_map(|group| group.versions);
    if !versions.into_iter().any(|version| version.group_version == resource.api_version) {
        return Ok(false);
    }
    let kinds = client.list_api_group_resources(&resource.api_version).await?;
    Ok(kinds.resources.iter().any(|kind| kind.name == resource.plural))
}

/// Whether the kind is not there at all.
fn is_absent(error: &watcher::Error) -> bool {
    let (watcher::Error::InitialListFailed(cause) | watcher::Error::WatchStartFailed(cause)) =
        error
    else {
        return false;
    };
    matches!(cause, Error::Api(status) if status.code == 404)
}
