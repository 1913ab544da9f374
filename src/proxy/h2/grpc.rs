//! What of gRPC a proxy reads: whether a request is one of its calls, and the code that it ended
//! with, which stands in the trailers, or in the head of an answer that is nothing else.

use http::{HeaderMap, StatusCode};

use crate::proxy::decide::Refusal;
use crate::proxy::head::Head;
use crate::resource::AbortHow;
use crate::telemetry::reason::Reason;

/// What a server says of repetitions (proposal A6).
pub(super) const PUSHBACK: &str = "grpc-retry-pushback-ms";

/// `UNKNOWN`: what clients make of an answer that ends without a code.
const UNKNOWN: u32 = 2;

/// Whether `head` begins a call.
pub(super) fn is_call(head: &impl Head) -> bool {
    let Some(kind) = head.header("content-type") else { return false };
    match kind.strip_prefix(b"application/grpc") {
        // `application/grpc-web` is another protocol.
        Some(rest) => matches!(rest.first(), None | Some(b'+' | b';')),
        None => false,
    }
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
pub(super) fn code_of(refusal: &Refusal) -> u32 {
    match (refusal.reason, refusal.abort, refusal.status()) {
        (_, Some(AbortHow::Grpc(code)), _) => code,
        (Reason::RequestTimeout | Reason::TryTimeout, ..) => 4,
        (_, _, 431) => 13,
        (_, _, status) => StatusCode::from_u16(status).map_or(UNKNOWN, code_of_status),
    }
}
