//! Why the store did not do what it was asked: each in words for a user, with the file and the remedy
//! where there is one. Where nothing else is said, nothing was changed.

use std::path::PathBuf;

use crate::mesh::ObjectRef;
use crate::names::TrustDomain;

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
    #[error("the store `{}` is damaged ({reason}) and no kept generation can replace it ({kept}); bring a backup back with `meshctl restore`, or remove it to start without rules", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        reason: String,
        /// Why the kept generation does not help.
        kept: String,
    },
    /// Somebody else's.
    #[error("`{}` belongs to user {owner}, not to user {user} who runs this; run as its owner, or: chown {user} {}", path.display(), path.display())]
    Owner {
        /// The file.
        path: PathBuf,
        /// Its owner.
        owner: u32,
        /// Who runs this.
        user: u32,
    },
    /// A symbolic link, which could lead anywhere.
    #[error("`{}` is a symbolic link; replace it by the file itself", .0.display())]
    Link(PathBuf),
    /// The rules are no longer what the change was worked out from.
    #[error(
        "the rules were changed meanwhile (revision {found}, not {expected}); nothing was changed"
    )]
    Moved {
        /// What was worked with.
        expected: u64,
        /// What there is.
        found: u64,
    },
    /// No such revision was ever made.
    #[error("there is no revision {revision}, the last is {last}")]
    NoRevision {
        /// Which.
        revision: u64,
        /// The last.
        last: u64,
    },
    /// What was changed after a revision is not known any more.
    #[error(
        "what the rules were at revision {revision} is no longer kept, the oldest that is known is {oldest}"
    )]
    Forgotten {
        /// Which.
        revision: u64,
        /// The oldest that can be gone back to.
        oldest: u64,
    },
    /// The history is damaged.
    #[error("the history in `{}` is damaged at revision {revision}; later revisions can still be gone back to", path.display())]
    History {
        /// The file.
        path: PathBuf,
        /// Where.
        revision: u64,
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
    /// The cluster keeps no history of them.
    #[error("the rules of this mesh are objects of its cluster, which keeps no revisions of them")]
    NoHistory,
    /// The store's thread has ended.
    #[error("the store is closed")]
    Closed,
}
