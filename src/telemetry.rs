//! Names, counters, spans and logs: what is measured, and in which words.
//!
//! A worker counts in slots of its own (`metrics`, `histogram`) and any thread adds them up; sampled
//! requests leave spans in a bounded queue (`span`); `prometheus` shows sums as text, `logging`
//! writes lines. Nothing here knows how any of it is sent. `reason` is the one table of reasons,
//! `limits` that of limits, with how often each was reached; `panics` keeps a panic in its task.

use std::borrow::Cow;
use std::fmt::Write as _;

pub mod collector;
pub mod faults;
pub mod grpc;
pub mod histogram;
pub mod limits;
pub mod logging;
pub mod metrics;
pub mod panics;
pub mod prometheus;
pub mod reason;
pub mod span;

#[cfg(test)]
mod tests;

/// A value from the network is cut at this many bytes before it is logged or kept.
pub const LONGEST_VALUE: usize = 1_024;

/// A value from the network, fit for a log line: what is not printable ASCII is escaped, so that
/// it can neither begin a line nor drive a terminal, and it is cut at [`LONGEST_VALUE`].
pub fn escape(value: &[u8]) -> Cow<'_, str> {
    let plain = |byte: &u8| (b' '..=b'~').contains(byte) && *byte != b'\\' && *byte != b'"';
    match std::str::from_utf8(value) {
        Ok(text) if value.len() <= LONGEST_VALUE && value.iter().all(plain) => text.into(),
        _ => escape_each(value).into(),
    }
}

fn escape_each(value: &[u8]) -> String {
    const CUT: &str = "...";
    let mut text = String::new();
    for byte in value {
        let end = text.len();
        // Writing to a `String` cannot fail.
        let _ = write!(text, "{}", byte.escape_ascii());
        if text.len() > LONGEST_VALUE - CUT.len() {
            text.truncate(end);
            text.push_str(CUT);
            break;
        }
    }
    text
}
