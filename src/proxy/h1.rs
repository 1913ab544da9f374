//! HTTP/1.1, strict: our own codec on `httparse`, without I/O.
//!
//! A head is parsed once into byte ranges over the read buffer ([`RequestHead`], [`ResponseHead`]),
//! validated and normalized there (RFC 9112, and SECURITY's stricter rules), and written again by
//! [`mod@write`]; framing and hop-by-hop fields are never copied. Bodies are decoded by [`body`].

pub mod body;
pub mod buffer;
mod fields;
pub mod request;
pub mod response;
#[cfg(test)]
mod tests;
pub mod write;

pub use body::{BodyDecoder, Decoded, Framing};
pub use buffer::Buffer;
pub use fields::{FieldRange, Known};
pub use request::{RequestHead, RequestView, Target};
pub use response::ResponseHead;

use crate::telemetry::limits::Limit;
use crate::telemetry::reason::Reason;

/// The longest head, start line and fields together.
pub const MAX_HEAD: usize = Limit::Http1Head.most();

/// The most fields of a head.
pub const MAX_FIELDS: usize = Limit::HttpFields.most();

/// The longest head that is read at all.
const LONGEST: usize = MAX_HEAD + Headroom::SIDECAR.bytes;

/// The most fields that are read at all.
const ROOM: usize = MAX_FIELDS + Headroom::SIDECAR.fields;

/// How far a head may go over the limits, which depends on who wrote it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Headroom {
    /// Bytes.
    pub bytes: usize,
    /// Fields.
    pub fields: usize,
}

impl Headroom {
    /// Of an application.
    pub const NONE: Self = Self { bytes: 0, fields: 0 };

    /// Of another sidecar, which adds to what was just acceptable to it: the edits of a rule and of
    /// a backend (16 fields set and 16 added, each), trace, try, framing and connection.
    pub const SIDECAR: Self = Self { bytes: 3 * 1024, fields: 72 };

    /// Whether a head at the front of `bytes`, of this length and with so many fields, is allowed.
    fn check(self, bytes: &[u8], length: usize, fields: usize) -> Result<(), Malformed> {
        if length > MAX_HEAD + self.bytes {
            Err(too_large(bytes))
        } else if fields > MAX_FIELDS + self.fields {
            Err(malformed(httparse::Error::TooManyHeaders))
        } else {
            Ok(())
        }
    }
}

/// A message that is not acceptable.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Malformed {
    /// What the peer is told.
    pub reason: Reason,
    /// What exactly, for the log.
    pub detail: &'static str,
}

impl Malformed {
    /// 400 with the detail.
    pub(crate) fn bad(detail: &'static str) -> Self {
        Self { reason: Reason::BadRequest, detail }
    }
}

/// Bytes `start..end` of the head.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Range {
    start: u32,
    end: u32,
}

impl Range {
    /// The range of `part` inside `whole`; both must be of one buffer.
    fn of(part: &[u8], whole: &[u8]) -> Self {
        let start = (part.as_ptr() as usize).wrapping_sub(whole.as_ptr() as usize);
        debug_assert!(start + part.len() <= whole.len(), "a part of the head");
        Self { start: start as u32, end: (start + part.len()) as u32 }
    }

    /// The bytes.
    pub fn bytes<'a>(&self, whole: &'a [u8]) -> &'a [u8] {
        whole.get(self.start as usize..self.end as usize).unwrap_or_default()
    }

    /// The text; empty where it is not UTF-8.
    pub fn text<'a>(&self, whole: &'a [u8]) -> &'a str {
        std::str::from_utf8(self.bytes(whole)).unwrap_or_default()
    }
}

/// Where the head in `bytes` ends (behind the empty line), looking only at what follows `scanned`.
///
/// # Errors
/// A line that does not end in CR LF, or more bytes without an end than anybody may send.
pub fn head_end(bytes: &[u8], scanned: &mut usize) -> Result<Option<usize>, Malformed> {
    let from = *scanned;
    for at in memchr::memchr_iter(b'\n', bytes.get(from..).unwrap_or_default()) {
        let at = from + at;
        let line = bytes.get(..=at).unwrap_or_default();
        if !line.ends_with(b"\r\n") {
            return Err(Malformed::bad("a line ends without carriage return"));
        }
        if line.ends_with(b"\r\n\r\n") {
            return match at < LONGEST {
                true => Ok(Some(at + 1)),
                false => Err(too_large(bytes)),
            };
        }
    }
    *scanned = bytes.len();
    if bytes.len() >= LONGEST { Err(too_large(bytes)) } else { Ok(None) }
}

fn too_large(bytes: &[u8]) -> Malformed {
    let line = memchr::memchr(b'\n', bytes).unwrap_or(bytes.len());
    let reason = if line >= MAX_HEAD - 1024 { Reason::UriTooLong } else { Reason::HeadTooLarge };
    Malformed { reason, detail: "the head is over the limit" }
}

/// How `httparse`'s errors are answered.
fn malformed(error: httparse::Error) -> Malformed {
    use httparse::Error;
    let detail = match error {
        Error::HeaderName => "an invalid field name",
        Error::HeaderValue => "an invalid field value",
        Error::NewLine => "an invalid line ending",
        Error::Status => "an invalid status",
        Error::Token => "an invalid start line",
        Error::TooManyHeaders => {
            return Malformed { reason: Reason::HeadTooLarge, detail: "too many fields" };
        }
        Error::Version => {
            return Malformed { reason: Reason::VersionNotSupported, detail: "not HTTP/1" };
        }
    };
    Malformed::bad(detail)
}
