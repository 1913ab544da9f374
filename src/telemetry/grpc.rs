//! The status codes of gRPC (`statuscodes.md` of its core documentation), as far as a mesh reads them.

/// Whether a code speaks against who answered, as a status of 500 and above does: `UNKNOWN`,
/// `DEADLINE_EXCEEDED`, `UNIMPLEMENTED`, `INTERNAL`, `UNAVAILABLE`, `DATA_LOSS` (what OpenTelemetry's
/// conventions for gRPC call an error of the server).
pub fn is_failure(code: u32) -> bool {
    matches!(code, 2 | 4 | 12 | 13 | 14 | 15)
}
