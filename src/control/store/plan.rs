//! What a batch would do: pure, from the objects that there are and the writes asked for.
//!
//! Decides actions and generations; the backing only carries out. Writes of one batch see each
//! other in order. Nothing in here touches a disk.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::Value;

use super::{Batch, Objects, Outcome, StoreError, Stored, Write};
use crate::control::api::shapes::Action;
use crate::mesh::ObjectRef;

/// What a batch does, worked out.
#[derive(Debug, Default)]
pub(super) struct Plan {
    /// In the order of the writes.
    pub(super) outcomes: Vec<Outcome>,
    /// What has to be written; empty when everything is as it was.
    pub(super) changes: BTreeMap<ObjectRef, Option<Arc<Stored>>>,
}

/// Works out a batch that becomes `revision` if it changes anything.
pub(super) fn plan(objects: &Objects, batch: &Batch, revision: u64) -> Result<Plan, StoreError> {
    let mut plan = Plan::default();
    for write in &batch.writes {
        let outcome = match write {
            Write::Put(reference, document) => {
                let before = current(objects, &plan, reference);
                let created_ms = before.as_ref().map_or(batch.at_ms, |before| before.created_ms);
                Some(put(&mut plan, reference, (document, created_ms), (before, revision)))
            }
            Write::Back { reference, document, created_ms } => {
                let before = current(objects, &plan, reference);
                Some(put(&mut plan, reference, (document, *created_ms), (before, revision)))
            }
            Write::Delete { reference, ignore_missing } => {
                let deleted = delete(objects, &mut plan, reference);
                if deleted.is_none() && !ignore_missing {
                    return Err(StoreError::NotFound(reference.clone()));
                }
                deleted
            }
        };
        plan.outcomes.extend(outcome);
    }
    Ok(plan)
}

fn current(objects: &Objects, plan: &Plan, reference: &ObjectRef) -> Option<Arc<Stored>> {
    match plan.changes.get(reference) {
        Some(planned) => planned.clone(),
        None => objects.get(reference).cloned(),
    }
}

fn put(
    plan: &mut Plan,
    reference: &ObjectRef,
    (document, created_ms): (&Value, u64),
    (before, revision): (Option<Arc<Stored>>, u64),
) -> Outcome {
    let reference = reference.clone();
    let (action, generation) = match before {
        None => (Action::Created, 1),
        Some(before) if before.document == *document && before.created_ms == created_ms => {
            let generation = before.generation;
            return Outcome { reference, action: Action::Unchanged, generation };
        }
        Some(before) => {
            let respecified = before.document.get("spec") != document.get("spec");
            (Action::Configured, before.generation + u64::from(respecified))
        }
    };
    let document = document.clone();
    let stored =
        Stored { reference: reference.clone(), document, generation, created_ms, revision };
    plan.changes.insert(reference.clone(), Some(Arc::new(stored)));
    Outcome { reference, action, generation }
}

fn delete(objects: &Objects, plan: &mut Plan, reference: &ObjectRef) -> Option<Outcome> {
    let before = current(objects, plan, reference)?;
    plan.changes.insert(reference.clone(), None);
    Some(Outcome {
        reference: reference.clone(),
        action: Action::Deleted,
        generation: before.generation,
    })
}
