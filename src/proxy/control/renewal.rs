//! When the certificate is renewed, and who waits for it; a machine without I/O.
//!
//! At half of the life, give or take a percent; after a failure again with back-off, more often as
//! the end comes near; at once when somebody asks. One request at a time.

use std::time::{Duration, Instant, SystemTime};

use crate::certs::{Credentials, renewal};
use crate::net::backoff::Backoff;

/// The longest wait after a failure, while there is enough of the life left.
const LONGEST_WAIT: Duration = Duration::from_secs(60);

/// When the certificate has expired nothing works: then it is tried as often as a connection.
const LONGEST_WAIT_EXPIRED: Duration = Duration::from_secs(1);

/// The same where the control plane has said no: a token that it does not take is not shown over and
/// over.
const LONGEST_WAIT_REFUSED: Duration = Duration::from_secs(30);

/// Commands that may wait for one renewal.
const MOST_WAITING: usize = 64;

/// The renewal of one certificate after another.
#[derive(Debug)]
pub(super) struct Renewal {
    moment: SystemTime,
    not_after: SystemTime,
    retry: Option<Instant>,
    backoff: Backoff,
    running: bool,
    asked: bool,
    waiting: Vec<u64>,
}

impl Renewal {
    pub(super) fn new(credentials: &Credentials, random: u64) -> Self {
        let (issued, not_after) = (credentials.issued(), credentials.not_after());
        Self {
            moment: issued + renewal::due(issued, not_after, random),
            not_after,
            retry: None,
            backoff: Backoff::new(Duration::from_secs(1), LONGEST_WAIT),
            running: false,
            asked: false,
            waiting: Vec::new(),
        }
    }

    /// Somebody asks for a new certificate now; `command` is answered when it is in use.
    pub(super) fn ask(&mut self, command: u64) -> Result<(), String> {
        if self.waiting.len() >= MOST_WAITING {
            return Err(format!("{MOST_WAITING} commands wait for a new certificate already"));
        }
        self.waiting.push(command);
        self.asked = true;
        Ok(())
    }

    /// Whether a request is to be made at this moment (wall clock for the certificate's life,
    /// monotonic for the waits); [`Renewal::done`] or [`Renewal::failed`] must follow.
    pub(super) fn begin(&mut self, wall: SystemTime, now: Instant) -> bool {
        let waits = self.retry.is_some_and(|retry| now < retry);
        let due = wall >= self.moment && !waits;
        if self.running || !(due || self.asked) {
            return false;
        }
        self.running = true;
        self.asked = false;
        true
    }

    /// A new certificate is in use, whose renewal is `next`; the commands that waited for it.
    pub(super) fn done(&mut self, next: Self) -> Vec<u64> {
        let waiting = std::mem::take(&mut self.waiting);
        *self = next;
        waiting
    }

    /// There is none, and `refused` for good where nobody does anything; the commands that waited.
    pub(super) fn failed(
        &mut self,
        refused: bool,
        (wall, now): (SystemTime, Instant),
        random: u64,
    ) -> Vec<u64> {
        self.running = false;
        let left = self.not_after.duration_since(wall).unwrap_or_default();
        let bound = match (left.is_zero(), refused) {
            (true, true) => LONGEST_WAIT_REFUSED,
            (true, false) => LONGEST_WAIT_EXPIRED,
            (false, _) => (left / 10).max(LONGEST_WAIT_EXPIRED),
        };
        self.retry = Some(now + self.backoff.fail(random).min(bound));
        std::mem::take(&mut self.waiting)
    }

    /// Whether the certificate in use has expired.
    pub(super) fn is_expired(&self, wall: SystemTime) -> bool {
        wall >= self.not_after
    }
}
