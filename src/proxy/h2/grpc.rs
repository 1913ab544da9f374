//! What of gRPC a proxy reads: whether a request is one of its calls, and the code that it ended
//! with, which stands in the trailers, or in the head of an answer that is nothing else.

use http::header::CONTENT_TYPE;
use http::{HeaderMap, HeaderValue, StatusCode};

use crate::proxy::decide::Refusal;
use crate::proxy::head::Head;
use crate::resource::AbortHow;
use crate::telemetry::reason::{REASON_HEADER, Reason};

/// What a server says of repetitions (proposal A6).
pub(super) const PUSHBACK: &str = "grpc-retry-pushback-ms";

/// `UNKNOWN`: what clients make of an answer that ends without a code.
const UNKNOWN: u32 = 2;

/// Whether `head` begins a call.
pub(super) fn is_call(head: &impl Head) -> bool {
    head.header("content-type").is_some_and(is_own_type)
}

fn is_own_type(kind: &[u8]) -> bool {
    match kind.strip_prefix(b"application/grpc") {
        // `application/grpc-web` is another protocol.
        Some(rest) => matches!(rest.first(), None | Some(b'+' | b';')),
        None => false,
    }
}

/// Whether an answer to a call, by its head, is one of something else than gRPC.
pub(super) fn is_foreign(status: StatusCode, fields: &HeaderMap) -> bool {
    let kind = fields.get(CONTENT_TYPE).map(HeaderValue::as_bytes);
    // One with another status is read by that alone, one without a type taken at its word.
    status == StatusCode::OK && kind.is_some_and(|kind| !is_own_type(kind))
}

/// What ends an answer that came without a code: a client is not to take it for whole.
pub(super) fn in_place_of_code() -> HeaderMap {
    let mut fields = HeaderMap::new();
    fields.insert("grpc-status", HeaderValue::from(UNKNOWN));
    let message = HeaderValue::from_static("the answer ended without a status");
    fields.insert("grpc-message", message);
    let reason = HeaderValue::from_static(Reason::UpstreamProtocol.as_str());
    fields.insert(REASON_HEADER, reason);
    fields
}

/// `grpc-status` among trailers, or in the head of an answer without a body.
pub(super) fn code(fields: &HeaderMap) -> Option<u32> {
    let value = fields.get("grpc-status")?.to_str().ok()?;
    Some(value.trim().parse().unwrap_or(UNKNOWN))
}

/// What a client makes of an answer that ended without a code (gRPC's
/// `http-grpc-status-mapping.md`).
pub(super) fn code_of_status(status: StatusCode) -> u32 {
    match status.as_u16() {
        400 => 13,
        401 => 16,
        403 => 7,
        404 => 12,
        429 | 502 | 503 | 504 => 14,
        _ => UNKNOWN,
    }
}

/// The code of an answer that the proxy makes itself: as for its status, but for what gRPC has a
/// word of its own for, and for a fault that names one.
pub fn code_of(refusal: &Refusal) -> u32 {
    match (refusal.reason, refusal.abort, refusal.status()) {
        (_, Some(AbortHow::Grpc(code)), _) => code,
        (Reason::RequestTimeout | Reason::TryTimeout, ..) => 4,
        // What breaks HTTP is no passing trouble, which clients would try again.
        (Reason::UpstreamProtocol, ..) => 13,
        (_, _, 431) => 13,
        (_, _, status) => StatusCode::from_u16(status).map_or(UNKNOWN, code_of_status),
    }
}
