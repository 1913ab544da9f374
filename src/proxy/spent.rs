//! Repetitions must not multiply along a chain of services: only the caller nearest to a failure
//! repeats. A proxy whose own repetitions did not help says so in the failures that its application
//! answers meanwhile, and callers do not repeat these ("overloaded; don't retry": Beyer et al.,
//! "Site Reliability Engineering", 2016, ch. 21). No application has to pass anything on.

use std::sync::LazyLock;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::proxy::clock;
use crate::proxy::decide::Endpoints;
use crate::resource::{Field, HeaderEdit};

#[cfg(test)]
mod tests;

/// What an answer carries that is not to be repeated, with the value `no`. Applications may say it
/// themselves.
pub const RETRY_HEADER: &str = "x-meshctl-retry";

/// How long after its own repetitions were in vain a proxy warns its callers, milliseconds.
const LATELY_MS: u64 = 1_000;

static WARNING: LazyLock<HeaderEdit> = LazyLock::new(|| HeaderEdit {
    set: vec![Field { name: RETRY_HEADER.to_owned(), value: "no".to_owned() }],
    ..HeaderEdit::default()
});

/// When repetitions of this proxy were last in vain.
#[derive(Debug, Default)]
pub struct Spent {
    /// On the proxy's clock, plus one; 0 for never.
    last: AtomicU64,
}

impl Spent {
    /// A call that may be repeated has failed for good.
    pub fn mark(&self) {
        self.mark_at(clock::now_ms());
    }

    fn mark_at(&self, now_ms: u64) {
        self.last.store(now_ms + 1, Ordering::Relaxed);
    }

    /// What an answer of `pool` gets beside its own header: where our application fails, with a
    /// `status` or gRPC `code`, while its own calls do. Costs a comparison where it does not.
    pub fn warning(
        &self,
        pool: &Endpoints,
        status: u16,
        code: Option<u32>,
    ) -> Option<&'static HeaderEdit> {
        let failed = status >= 500 || code.is_some_and(|code| code != 0);
        let ours = failed && matches!(pool, Endpoints::App(_));
        (ours && self.is_recent(clock::now_ms())).then(|| &*WARNING)
    }

    fn is_recent(&self, now_ms: u64) -> bool {
        let last = self.last.load(Ordering::Relaxed);
        last > 0 && now_ms.saturating_sub(last - 1) <= LATELY_MS
    }
}

/// Whether an answer with this [`RETRY_HEADER`] is not to be repeated.
pub fn forbids(value: Option<&[u8]>) -> bool {
    value.is_some_and(|value| value.trim_ascii().eq_ignore_ascii_case(b"no"))
}
