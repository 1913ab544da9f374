//! One proxy's part in a request: W3C Trace Context in and out, and the spans that wait to be sent.
//!
//! Parsing follows the recommendation to the letter: anything malformed is as if it were not there,
//! and a new trace begins. Randomness is an argument. The queue is bounded and drops what comes when
//! it is full, counted; it is touched for sampled requests only. `tracestate` is not read here: it
//! goes with the request as it came.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::Mutex;
use tokio::sync::Notify;

/// The length of a `traceparent` of version 00.
pub const TRACEPARENT_BYTES: usize = 55;

/// One million of a million: every request.
pub const ALWAYS_PPM: u32 = 1_000_000;

/// Spans that wait at most; about 2 MiB.
pub const MAX_SPANS: usize = 4_096;

/// Events of one span at most; what happens after them is left out.
pub const MAX_EVENTS: usize = 16;

/// The sampled flag (Trace Context §3.2.2.5.1).
const SAMPLED: u8 = 0x01;

/// Where a request stands in its trace.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TraceContext {
    /// Never all zero.
    pub trace_id: [u8; 16],
    /// The span that calls; never 0.
    pub span_id: u64,
    /// Whether spans are kept.
    pub sampled: bool,
}

impl TraceContext {
    /// Begins a trace; `trace` and `span` are random.
    pub fn root(trace: u128, span: u64, sampled: bool) -> Self {
        // A zero is invalid, and as likely as any other number.
        let (trace, span_id) = (trace.max(1), span.max(1));
        Self { trace_id: trace.to_be_bytes(), span_id, sampled }
    }

    /// The same trace, called from span `span` (random).
    #[must_use]
    pub fn child(&self, span: u64) -> Self {
        Self { span_id: span.max(1), ..*self }
    }

    /// Reads a `traceparent`; `None` where it must be ignored.
    pub fn parse(header: &[u8]) -> Option<Self> {
        let (known, rest) = header.split_at_checked(TRACEPARENT_BYTES)?;
        let (version, known) = field(known, 2)?;
        let (trace, known) = field(known, 32)?;
        let (span, known) = field(known, 16)?;
        let (flags, _) = field(known, 2)?;
        match version {
            // Version 00 ends here; a later one may go on after a dash (§3.2.4).
            0 if !rest.is_empty() => return None,
            0xff => return None,
            _ if !rest.is_empty() && rest.first() != Some(&b'-') => return None,
            _ => {}
        }
        let span_id = u64::try_from(span).ok()?;
        let sampled = u8::try_from(flags).ok()? & SAMPLED != 0;
        (trace != 0 && span_id != 0).then_some(Self {
            trace_id: trace.to_be_bytes(),
            span_id,
            sampled,
        })
    }

    /// The `traceparent` to send, version 00.
    pub fn format(&self) -> [u8; TRACEPARENT_BYTES] {
        let trace = u128::from_be_bytes(self.trace_id);
        let flags = if self.sampled { SAMPLED } else { 0 };
        let mut header = [b'-'; TRACEPARENT_BYTES];
        let (version, rest) = header.split_at_mut(3);
        let (trace_part, rest) = rest.split_at_mut(33);
        let (span_part, flags_part) = rest.split_at_mut(17);
        write_hex(0, 2, version);
        write_hex(trace, 32, trace_part);
        write_hex(u128::from(self.span_id), 16, span_part);
        write_hex(u128::from(flags), 2, flags_part);
        header
    }
}

/// Whether a request is sampled: as its caller decided, else by chance, `ppm` in a million.
pub fn decide(parent: Option<&TraceContext>, ppm: u32, random: u64) -> bool {
    match parent {
        Some(parent) => parent.sampled,
        None => (u128::from(random) * u128::from(ALWAYS_PPM)) >> 64 < u128::from(ppm),
    }
}

/// A finished span.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Span {
    /// The trace.
    pub trace_id: [u8; 16],
    /// Never 0.
    pub span_id: u64,
    /// 0 for a root.
    pub parent_id: u64,
    /// The inbound side rather than the outbound one.
    pub server: bool,
    /// Nanoseconds since the Unix epoch.
    pub start_ns: u64,
    /// Nanoseconds.
    pub duration_ns: u64,
    /// Method and path, escaped and cut.
    pub name: String,
    /// The proxy's own service, `namespace/service`.
    pub service: String,
    /// The other end: the service called, or the caller's identity.
    pub peer: String,
    /// HTTP status; 0 for none.
    pub status: u16,
    /// The proxy's own reason, where it answered itself; else empty.
    pub reason: &'static str,
    /// How often it was sent to an endpoint; 0 where it was not.
    pub attempts: u32,
    /// The rule that decided; empty where none.
    pub rule: String,
    /// The endpoint that was chosen; empty where none.
    pub endpoint: String,
    /// What happened on the way, in order; at most [`MAX_EVENTS`].
    pub events: Vec<SpanEvent>,
}

/// Something that happened to a request on its way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SpanEvent {
    /// Nanoseconds after the span's start.
    pub offset_ns: u64,
    /// What.
    pub what: Happening,
    /// The number of the try that it is about; 0 where it is about none.
    pub attempt: u32,
    /// The endpoint that it is about; empty where it is about none.
    pub endpoint: String,
    /// Why, for people; of what was refused the reason.
    pub why: String,
}

/// See [`SpanEvent`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Happening {
    /// The request was sent again.
    Retry,
    /// It was sent a second time beside the first.
    Hedge,
    /// A circuit breaker or a budget refused it, or a repetition of it.
    Refused,
    /// The endpoint was ejected for what it came to.
    Ejected,
    /// A fault was put in.
    Fault,
}

impl Happening {
    /// The word for it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Retry => "retry",
            Self::Hedge => "hedge",
            Self::Refused => "refused",
            Self::Ejected => "ejected",
            Self::Fault => "fault",
        }
    }
}

/// Spans on their way out: many writers, one reader.
#[derive(Debug)]
pub struct SpanQueue {
    waiting: Mutex<VecDeque<Span>>,
    capacity: usize,
    dropped: AtomicU64,
    arrived: Notify,
}

impl Default for SpanQueue {
    fn default() -> Self {
        Self::new(MAX_SPANS)
    }
}

impl SpanQueue {
    /// Holds at most `capacity` spans.
    pub fn new(capacity: usize) -> Self {
        Self {
            waiting: Mutex::default(),
            capacity,
            dropped: AtomicU64::new(0),
            arrived: Notify::new(),
        }
    }

    /// Adds a span, or counts it as dropped.
    pub fn push(&self, span: Span) {
        let mut waiting = self.waiting.lock();
        if waiting.len() < self.capacity {
            waiting.push_back(span);
            if waiting.len() == 1 {
                self.arrived.notify_one();
            }
        } else {
            self.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Returns when a span has come into the empty queue since the last call; for one reader.
    pub async fn arrived(&self) {
        self.arrived.notified().await;
    }

    /// Takes the oldest, at most `most`.
    pub fn drain(&self, most: usize) -> Vec<Span> {
        let mut waiting = self.waiting.lock();
        let count = waiting.len().min(most);
        waiting.drain(..count).collect()
    }

    /// How many were dropped since the start.
    pub fn dropped(&self) -> u64 {
        self.dropped.load(Ordering::Relaxed)
    }
}

/// `digits` lower case hexadecimal digits and, unless the text ends there, a dash.
fn field(text: &[u8], digits: usize) -> Option<(u128, &[u8])> {
    let (number, rest) = text.split_at_checked(digits)?;
    let mut value = 0_u128;
    for byte in number {
        let digit = match byte {
            b'0'..=b'9' => byte - b'0',
            b'a'..=b'f' => byte - b'a' + 10,
            _ => return None,
        };
        value = value << 4 | u128::from(digit);
    }
    match rest.split_first() {
        None => Some((value, rest)),
        Some((b'-', rest)) => Some((value, rest)),
        Some(_) => None,
    }
}

fn write_hex(value: u128, digits: usize, into: &mut [u8]) {
    for (place, byte) in into.iter_mut().take(digits).enumerate() {
        let nibble = u8::try_from((value >> (4 * (digits - 1 - place))) & 0xf).unwrap_or(0);
        *byte = if nibble < 10 { b'0' + nibble } else { b'a' + nibble - 10 };
    }
}
