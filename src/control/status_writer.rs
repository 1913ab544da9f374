//! Writes what became of rules into their `status` on a cluster, and Events where somebody must act.
//!
//! Looks at the view and the board when they have changed, at most twice a second, and writes where
//! what stands in an object says something else (`status`, pure). The object is read anew before and
//! replaced with its `resourceVersion`, because `parents` is one list of several controllers;
//! whoever loses reads again. Nothing is remembered that a restart would lose.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::{StreamExt as _, stream};
use jiff::Timestamp;
use kube::api::{Api, DynamicObject, PostParams};
use kube::runtime::events::{Event, EventType, Recorder, Reporter};
use kube::{Client, Resource as _};

use crate::control::conditions::{Condition, Judge};
use crate::control::faults;
use crate::control::plane::{Plane, View};
use crate::control::store::Stored;
use crate::mesh::{ObjectKind, ObjectRef};
use crate::names::sidecar::{CONTROL_PLANE, CONTROLLER_NAME};
use crate::net::backoff::Backoff;
use crate::platform::kubernetes::discovery::resource;

mod status;
#[cfg(test)]
mod tests;

use status::{Wanted, merge};

/// How often it is looked; what changes in between is written together.
const PAUSE: Duration = Duration::from_millis(500);

/// How long a rule that proxies had may be on its way to some of them before that is written: pods
/// come and go.
const PATIENCE: Duration = Duration::from_secs(10);

/// The longest wait after a failure.
const LONGEST_RETRY: Duration = Duration::from_secs(60);

/// Objects written at once.
const AT_ONCE: usize = 8;

/// Tries of one object that others write too, in a row.
const TRIES: usize = 5;

/// The longest note of an Event, bytes (Kubernetes, `events.k8s.io/v1`).
const NOTE: usize = 1_024;

/// Keeps the status of every rule right until the control plane ends.
pub(super) async fn keep(plane: Arc<Plane>, client: Client) {
    let writer = Writer::new(client);
    let mut backoff = Backoff::new(PAUSE, LONGEST_RETRY);
    let mut looked: Option<(Arc<View>, u64, Timestamp)> = None;
    let mut held = Held::default();
    let mut pause = PAUSE;
    loop {
        tokio::select! {
            () = tokio::time::sleep(pause) => pause = PAUSE,
            () = plane.stop.cancelled() => return,
        }
        let view = plane.view.load_full();
        let changes = plane.board.lock().changes();
        let now = Timestamp::now();
        let same = |(old, seen, at): &(Arc<View>, u64, Timestamp)| {
            let changed = !Arc::ptr_eq(old, &view) || *seen != changes;
            !changed && !faults::ended_between(&view.snapshot, *at, now)
        };
        if looked.as_ref().is_some_and(same) && held.is_empty() {
            continue;
        }
        let due = held.without(due(&plane, &view, now), Instant::now());
        match writer.write_all(due).await {
            0 => {
                backoff.succeed();
                looked = Some((view, changes, now));
            }
            // The next look finds what is still different.
            failed => {
                pause += backoff.fail(fastrand::u64(..));
                tracing::warn!(failed, "the status of some rules could not be written");
                looked = None;
            }
        }
    }
}

/// A rule whose status does not say what it should.
#[derive(Debug)]
struct Due {
    reference: ObjectRef,
    generation: u64,
    wanted: Wanted,
    /// What stands there was right until some proxies have yet to acknowledge the rule.
    may_wait: bool,
}

/// Every rule whose status is to be written.
fn due(plane: &Plane, view: &View, now: Timestamp) -> Vec<Due> {
    // Judged without the board, which every proxy needs.
    let programmed = plane.board.lock().programmed();
    let judge = Judge::new(&view.snapshot, &view.unreadable, programmed, now);
    let wanted = view.objects.values().filter_map(|stored| {
        let wanted = wanted(&judge, stored)?;
        let live = &stored.document["status"];
        merge(live, &wanted, now)?;
        Some(Due {
            reference: stored.reference.clone(),
            generation: stored.generation,
            may_wait: wanted.is_pending() && wanted.was_told(live),
            wanted,
        })
    });
    wanted.collect()
}

/// What the status of an object should say; `None` for what is not ours to judge.
fn wanted(judge: &Judge<'_>, stored: &Stored) -> Option<Wanted> {
    let Stored { reference, document, generation, .. } = stored;
    match reference.kind {
        ObjectKind::Service => None,
        ObjectKind::HttpRoute => {
            Some(Wanted::Parents(judge.parents(reference, document, *generation)))
        }
        ObjectKind::TrafficPolicy | ObjectKind::FaultPolicy | ObjectKind::MeshConfig => {
            Some(Wanted::Conditions(judge.standing(reference, *generation)))
        }
    }
}

/// Rules that are on their way to some proxies, since when.
#[derive(Debug, Default)]
struct Held(HashMap<ObjectRef, Instant>);

impl Held {
    fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// `due` without those that had better wait a moment.
    fn without(&mut self, due: Vec<Due>, now: Instant) -> Vec<Due> {
        let before = std::mem::take(&mut self.0);
        let mut ready = Vec::new();
        for due in due {
            let since = before.get(&due.reference).copied().unwrap_or(now);
            if due.may_wait && now.duration_since(since) < PATIENCE {
                self.0.insert(due.reference, since);
            } else {
                ready.push(due);
            }
        }
        ready
    }
}

/// The way to the objects.
struct Writer {
    client: Client,
    recorder: Recorder,
}

impl Writer {
    fn new(client: Client) -> Self {
        let reporter = Reporter { controller: CONTROLLER_NAME.to_owned(), instance: None };
        Self { recorder: Recorder::new(client.clone(), reporter), client }
    }

    /// Writes each; how many failed.
    async fn write_all(&self, due: Vec<Due>) -> usize {
        let each = stream::iter(due).map(|due| async move {
            match self.write(&due).await {
                Ok(()) => 0,
                Err(error) => {
                    tracing::debug!(rule = %due.reference, %error, "no status written");
                    1
                }
            }
        });
        each.buffer_unordered(AT_ONCE).fold(0, |sum, failed| async move { sum + failed }).await
    }

    /// Writes one, where it is still there in that generation.
    async fn write(&self, due: &Due) -> Result<(), kube::Error> {
        let ObjectRef { kind, namespace, name } = &due.reference;
        let resource = resource(*kind);
        let api: Api<DynamicObject> = match kind {
            ObjectKind::MeshConfig => Api::all_with(self.client.clone(), &resource),
            _ => Api::namespaced_with(self.client.clone(), namespace.as_str(), &resource),
        };
        let parameters =
            PostParams { field_manager: Some(CONTROL_PLANE.to_owned()), dry_run: false };
        let mut tries = 0;
        loop {
            let Some(mut live) = api.get_opt(name.as_str()).await? else { return Ok(()) };
            if live.metadata.generation.is_some_and(|it| u64::try_from(it) != Ok(due.generation)) {
                // The view will know of it in a moment.
                return Ok(());
            }
            let Some((status, news)) = merge(&live.data["status"], &due.wanted, Timestamp::now())
            else {
                return Ok(());
            };
            live.data["status"] = status;
            tries += 1;
            match api.replace_status(name.as_str(), &parameters, &live).await {
                Ok(written) => {
                    let object = written.object_ref(&resource);
                    for condition in news {
                        self.tell(&condition, &object).await;
                    }
                    return Ok(());
                }
                Err(kube::Error::Api(status)) if status.is_conflict() && tries < TRIES => {}
                Err(kube::Error::Api(status)) if status.is_not_found() => return Ok(()),
                Err(error) => return Err(error),
            }
        }
    }

    /// An Event, where a condition is one that somebody must do something about.
    async fn tell(
        &self,
        condition: &Condition,
        object: &k8s_openapi::api::core::v1::ObjectReference,
    ) {
        if !is_alarming(condition) {
            return;
        }
        let mut note = condition.message.clone();
        note.truncate(note.floor_char_boundary(NOTE));
        let event = Event {
            type_: EventType::Warning,
            reason: condition.reason.to_owned(),
            note: Some(note),
            action: condition.kind.to_owned(),
            secondary: None,
        };
        if let Err(error) = self.recorder.publish(&event, object).await {
            tracing::debug!(%error, "no event written");
        }
    }
}

/// A rule that cannot be read, that another one outdoes, or that a proxy refused.
fn is_alarming(condition: &Condition) -> bool {
    let alarming = ["UnsupportedValue", "Invalid", "Conflicted", "Rejected"];
    condition.status == "False" && alarming.contains(&condition.reason)
}
