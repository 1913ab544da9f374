//! Frames of a client that cost work and bring nothing: pings, settings, priorities, window updates
//! for nothing (CVE-2019-9512, -9515 and their like). The crate answers them one by one and holds
//! none back, so they take no memory, but all of a worker's time.
//!
//! Looks at the heads of frames as they arrive. Frames that bring something, and bytes that go to
//! the client, allow for others: libraries ping for each measure that they take of a download.
//! Counts the streams that were opened, too, because those that the crate refuses itself are told
//! to nobody.

use std::time::Duration;

use crate::telemetry::limits::Limit;

/// Frames without use that may come at once.
const BUDGET: u64 = Limit::Http2Floods.most() as u64;

/// Such frames per second that may come for good.
const PER_SECOND: u64 = 1_000;

/// Bytes to the client that allow for one of them: each DATA frame has nine at least around it,
/// and is answered by two window updates and a ping at most.
const BYTES_PER_FRAME: u64 = 4;

/// What the answer to one of them takes at most (a ping's), which allows for nothing.
const ANSWER: u64 = 17;

/// The client's connection preface (RFC 9113 §3.4).
const PREFACE: usize = 24;

/// The head of a frame (RFC 9113 §4.1).
const HEAD: usize = 9;

const DATA: u8 = 0x0;
const HEADERS: u8 = 0x1;
const SETTINGS: u8 = 0x4;
const PING: u8 = 0x6;
const CONTINUATION: u8 = 0x9;
const END_HEADERS: u8 = 0x4;

/// See the head of this file.
#[derive(Debug)]
pub(super) struct Meter {
    head: [u8; HEAD],
    /// How much of the next head has arrived.
    arrived: usize,
    /// What comes before the next head.
    skip: usize,
    /// Frames without use.
    idle: u64,
    /// Those of them that are answered.
    answered: u64,
    useful: u64,
    sent: u64,
    /// The client takes nothing at the moment.
    blocked: bool,
    /// The stream whose head is not complete yet, where it is a new one.
    opening: bool,
    newest: u32,
    opened: u64,
}

impl Meter {
    /// Nothing has arrived.
    pub(super) fn new() -> Self {
        Self {
            head: [0; HEAD],
            arrived: 0,
            skip: PREFACE,
            idle: 0,
            answered: 0,
            useful: 0,
            sent: 0,
            blocked: false,
            opening: false,
            newest: 0,
            opened: 0,
        }
    }

    /// `bytes` have arrived, behind those of the last call.
    pub(super) fn arrived(&mut self, mut bytes: &[u8]) {
        loop {
            let skipped = self.skip.min(bytes.len());
            self.skip -= skipped;
            bytes = bytes.get(skipped..).unwrap_or_default();
            let missing = HEAD - self.arrived;
            let taken = missing.min(bytes.len());
            let (now, rest) = bytes.split_at(taken);
            if let Some(room) = self.head.get_mut(self.arrived..self.arrived + taken) {
                room.copy_from_slice(now);
            }
            self.arrived += taken;
            bytes = rest;
            if self.arrived < HEAD {
                return;
            }
            self.arrived = 0;
            self.frame();
        }
    }

    /// So many bytes went to the client; `None`: it takes none at the moment.
    pub(super) fn sent(&mut self, count: Option<usize>) {
        self.blocked = count.is_none();
        self.sent += count.unwrap_or_default() as u64;
    }

    /// Whether the client takes nothing, for which the crate may wait before it reads on.
    pub(super) fn is_blocked(&self) -> bool {
        self.blocked
    }

    /// Streams whose head came whole.
    pub(super) fn opened(&self) -> u64 {
        self.opened
    }

    /// Whether there are too many frames without use, `since` the connection began.
    pub(super) fn is_flooded(&self, since: Duration) -> bool {
        let answers = self.answered.saturating_mul(ANSWER);
        let downloads = self.sent.saturating_sub(answers) / BYTES_PER_FRAME;
        let time = since.as_secs().saturating_mul(PER_SECOND);
        let allowed = BUDGET.saturating_add(time).saturating_add(downloads);
        self.idle > allowed.saturating_add(self.useful)
    }

    fn frame(&mut self) {
        let [high, middle, low, kind, flags, stream @ ..] = self.head;
        let length = u32::from_be_bytes([0, high, middle, low]);
        let stream = u32::from_be_bytes(stream) & (u32::MAX >> 1);
        self.skip = length as usize;
        match kind {
            // Of empty frames the crate takes care.
            DATA => self.useful += u64::from(length > 0),
            HEADERS => {
                self.useful += 1;
                self.opening = stream > self.newest;
                self.newest = self.newest.max(stream);
            }
            CONTINUATION => {}
            _ => {
                self.idle += 1;
                self.answered += u64::from(matches!(kind, SETTINGS | PING));
            }
        }
        if matches!(kind, HEADERS | CONTINUATION) && flags & END_HEADERS != 0 {
            self.opened += u64::from(std::mem::take(&mut self.opening));
        }
    }
}
