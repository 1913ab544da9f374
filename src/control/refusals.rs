//! How often the control plane said no, and to what: for the metrics. Who it was stands in the log,
//! under `audit`. Both labels are words of ours, so their number is bounded.

use std::collections::BTreeMap;

use parking_lot::Mutex;
use tonic::{Code, Status};

use crate::telemetry::prometheus::Refusal;

/// What was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum What {
    /// A TLS handshake.
    Handshake,
    /// A certificate.
    Certificate,
    /// An agent stream, which registers a workload.
    Registration,
    /// A discovery stream.
    Discovery,
}

impl What {
    fn as_str(self) -> &'static str {
        match self {
            Self::Handshake => "handshake",
            Self::Certificate => "certificate",
            Self::Registration => "registration",
            Self::Discovery => "discovery",
        }
    }
}

/// Counts since the start.
#[derive(Debug, Default)]
pub(super) struct Refusals(Mutex<BTreeMap<(What, &'static str), u64>>);

impl Refusals {
    /// One more, for a reason that is a word of ours.
    pub(super) fn count(&self, what: What, reason: &'static str) {
        *self.0.lock().entry((what, reason)).or_default() += 1;
    }

    /// One more where this is a refusal, and not a stream or a machine that went away.
    pub(super) fn count_status(&self, what: What, status: &Status) {
        let reason = match status.code() {
            Code::InvalidArgument => "invalid_argument",
            Code::PermissionDenied => "permission_denied",
            Code::ResourceExhausted => "resource_exhausted",
            Code::Unauthenticated => "unauthenticated",
            Code::AlreadyExists => "already_exists",
            Code::FailedPrecondition => "failed_precondition",
            Code::DeadlineExceeded => "deadline_exceeded",
            _ => return,
        };
        self.count(what, reason);
    }

    /// All that there were.
    pub(super) fn totals(&self) -> Vec<Refusal> {
        let all = self.0.lock();
        let each = all.iter().map(|((what, reason), count)| Refusal {
            what: what.as_str(),
            reason,
            count: *count,
        });
        each.collect()
    }
}
