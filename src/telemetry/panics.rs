//! A panic stays in its task: caught where the task's work begins, counted, and said in the log.
//!
//! Who contains a panic answers for what is left: the one connection or request ends, and nothing
//! that others use may depend on the code that was cut off.

use std::any::Any;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use futures_util::FutureExt as _;

/// How many panics were contained; clones count together.
#[derive(Debug, Default, Clone)]
pub struct Panics(Arc<AtomicU64>);

impl Panics {
    /// What `work` comes to; `None` where it panicked. `what` is what ends with it, for the log.
    pub fn contain<T, W: Future<Output = T>>(
        &self,
        what: &'static str,
        work: W,
    ) -> impl Future<Output = Option<T>> + use<T, W> {
        let panics = self.clone();
        // Not an `async fn`, which would have room for `work` twice.
        AssertUnwindSafe(work)
            .catch_unwind()
            .map(move |ended| ended.map_err(|payload| panics.note(what, &*payload)).ok())
    }

    /// Counts a panic that was caught elsewhere.
    pub fn note(&self, what: &'static str, payload: &(dyn Any + Send)) {
        self.0.fetch_add(1, Ordering::Relaxed);
        tracing::error!(what, panic = message(payload), "a fault of this program ended one task");
    }

    /// How many there were.
    pub fn total(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// What a panic says, where that is text.
fn message(payload: &(dyn Any + Send)) -> &str {
    let text = payload.downcast_ref::<&str>().copied();
    text.or_else(|| payload.downcast_ref::<String>().map(String::as_str)).unwrap_or("no message")
}
