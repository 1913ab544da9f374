//! Fields of a head as byte ranges, and the few names that the codec itself must know.

use super::{MAX_FIELDS, Malformed, Range};
use crate::proxy::tries::ATTEMPT_HEADER;

/// The most names in all `Connection` fields: each is looked for among the fields, and there are
/// not more of those.
const MAX_NAMED: usize = MAX_FIELDS;

/// A field: where its name and value are, and whether the codec treats it specially.
#[derive(Debug, Clone, Copy)]
pub struct FieldRange {
    /// The name, as sent.
    pub name: Range,
    /// The value, without surrounding white space.
    pub value: Range,
    /// What it is to the codec.
    pub known: Known,
}

/// The fields that are never simply copied.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Known {
    /// Copied.
    Other,
    /// `Host`: written from the canonical authority.
    Host,
    /// `Content-Length`: written from the framing.
    ContentLength,
    /// `Transfer-Encoding`: written from the framing.
    TransferEncoding,
    /// `Connection` and what it names, `Keep-Alive`, `Proxy-Connection`, `TE`, `Upgrade`,
    /// `Proxy-Authorization`: these end here.
    HopByHop,
    /// `Connection` itself.
    Connection,
    /// `Upgrade`: passed on with a `Connection` of our own where we take part.
    Upgrade,
    /// `Expect`.
    Expect,
    /// `TE`.
    Te,
    /// `traceparent`: written from the span where one is recorded, else copied.
    TraceParent,
    /// `X-Forwarded-Client-Cert`: never believed, replaced.
    ClientCert,
    /// `x-meshctl-attempt`: goes on where it says a repetition, which is somebody else's then.
    Attempt,
}

/// Recognizes the fields above, whatever their case.
pub(super) fn classify(name: &[u8]) -> Known {
    let is = |text: &str| name.eq_ignore_ascii_case(text.as_bytes());
    match name.len() {
        2 if is("te") => Known::Te,
        4 if is("host") => Known::Host,
        6 if is("expect") => Known::Expect,
        7 if is("upgrade") => Known::Upgrade,
        10 if is("connection") => Known::Connection,
        10 if is("keep-alive") => Known::HopByHop,
        11 if is("traceparent") => Known::TraceParent,
        14 if is("content-length") => Known::ContentLength,
        16 if is("proxy-connection") => Known::HopByHop,
        17 if is("transfer-encoding") => Known::TransferEncoding,
        17 if is(ATTEMPT_HEADER) => Known::Attempt,
        19 if is("proxy-authorization") => Known::HopByHop,
        23 if is("x-forwarded-client-cert") => Known::ClientCert,
        _ => Known::Other,
    }
}

/// What `Connection` says, for the codec.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct ConnectionOptions {
    pub(super) close: bool,
    pub(super) keep_alive: bool,
    pub(super) upgrade: bool,
}

/// Reads every `Connection` field; other fields that they name become [`Known::HopByHop`].
///
/// # Errors
/// More than [`MAX_NAMED`] names.
pub(super) fn connection_options(
    head: &[u8],
    fields: &mut [FieldRange],
) -> Result<ConnectionOptions, Malformed> {
    let mut options = ConnectionOptions::default();
    let mut named = 0;
    for index in 0..fields.len() {
        let Some(field) = fields.get(index).copied() else { break };
        if field.known != Known::Connection {
            continue;
        }
        for token in field.value.bytes(head).split(|&b| b == b',') {
            let token = token.trim_ascii();
            if token.eq_ignore_ascii_case(b"close") {
                options.close = true;
            } else if token.eq_ignore_ascii_case(b"keep-alive") {
                options.keep_alive = true;
            } else if token.eq_ignore_ascii_case(b"upgrade") {
                options.upgrade = true;
            } else if named == MAX_NAMED {
                return Err(Malformed::bad("too many connection options"));
            } else if !token.is_empty() {
                named += 1;
                drop_named(head, fields, token);
            }
        }
    }
    Ok(options)
}

/// A field that `Connection` names ends here; those with a meaning of their own keep it.
fn drop_named(head: &[u8], fields: &mut [FieldRange], name: &[u8]) {
    for field in fields.iter_mut() {
        let plain = matches!(field.known, Known::Other | Known::TraceParent | Known::Attempt);
        if plain && field.name.bytes(head).eq_ignore_ascii_case(name) {
            field.known = Known::HopByHop;
        }
    }
}
