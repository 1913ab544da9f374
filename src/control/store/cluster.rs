//! The store on a cluster: the API server's objects, followed. Nothing is written here.
//!
//! What discovery tells becomes commits, in its order. Revisions count the changes of objects seen
//! by this process; they mean nothing to another one.

use std::sync::Arc;
use std::time::Instant;

use tokio::sync::mpsc;

use super::{Commit, Contents, Stored};
use crate::mesh::ObjectRef;
use crate::platform::kubernetes::discovery::{Discovery, Seen, Update};

/// What there is now; everything later goes to `commits`, until either end is gone.
pub(super) fn follow(mut discovery: Discovery, commits: mpsc::Sender<Commit>) -> Contents {
    let first = commit(std::mem::take(&mut discovery.first), 0);
    let mut contents = Contents { revision: first.revision, ..Contents::default() };
    for (reference, stored) in first.changes {
        match stored {
            Some(stored) => drop(contents.objects.insert(reference, stored)),
            None => drop(contents.objects.remove(&reference)),
        }
    }
    contents.mesh = first.mesh;
    let mut revision = contents.revision;
    tokio::spawn(async move {
        while let Some(updates) = discovery.next().await {
            let commit = commit(updates, revision);
            revision = commit.revision;
            if commits.send(commit).await.is_err() {
                return;
            }
        }
    });
    contents
}

/// The commit that `updates` make after `revision`.
fn commit(updates: Vec<Update>, revision: u64) -> Commit {
    let objects = updates.iter().any(|update| matches!(update, Update::Object(..)));
    let revision = revision + u64::from(objects);
    let mut commit = Commit { revision, changes: Vec::new(), mesh: Vec::new(), at: Instant::now() };
    for update in updates {
        match update {
            Update::Mesh(change) => commit.mesh.push(change),
            Update::Object(reference, seen) => {
                let stored = seen.map(|seen| stored(&reference, &seen, revision));
                commit.changes.push((reference, stored));
            }
        }
    }
    commit
}

fn stored(reference: &ObjectRef, seen: &Seen, revision: u64) -> Arc<Stored> {
    Arc::new(Stored {
        reference: reference.clone(),
        document: seen.document.clone(),
        generation: seen.generation,
        created_ms: seen.created_ms,
        revision,
    })
}
