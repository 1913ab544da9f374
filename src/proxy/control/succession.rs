//! Two processes of one proxy: which of them the control plane hears, and which one keeps what lies in the
//! directory.
//!
//! From the offer of its listeners on the older process leaves both to the newer one. It keeps its link, if
//! it has one: what it still measures goes up, what changes comes down, and the control plane takes no word
//! of it about how the proxy is. It opens no further link, unless the newer process is gone.

use super::{Control, ProcessId, Registration};

/// Which of two processes this one is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Standing {
    /// The proxy.
    Own,
    /// On its way to be; another process still takes the connections.
    Candidate,
    /// It was; another process is about to be, or is.
    Yielded,
}

impl Standing {
    /// That of a process which begins.
    pub(super) fn of(registration: &Registration) -> Self {
        match registration.succeeds {
            Some(_) => Self::Candidate,
            None => Self::Own,
        }
    }
}

impl Control {
    /// It takes requests. A process that is the proxy no more stays so: its application may have come late.
    pub(super) fn serve(&mut self) {
        if self.standing == Standing::Candidate {
            self.standing = Standing::Own;
        }
        self.status.send_modify(|status| status.serving = true);
    }

    /// Leaves the proxy to a newer process.
    pub(super) fn yield_to(&mut self, newer: ProcessId) {
        tracing::debug!(pid = newer.pid, "a newer process registers");
        self.standing = Standing::Yielded;
    }

    /// The newer process is gone: registers again, in its place where it had registered.
    pub(super) fn resume_from(&mut self, newer: ProcessId) {
        self.standing = Standing::Own;
        self.registration.succeeds = Some(newer);
        if self.link.take().is_some() {
            self.subscription.end();
            self.status.send_modify(|status| status.connected = false);
        }
        self.backoff.succeed();
        self.retry_at = tokio::time::Instant::now();
    }
}
