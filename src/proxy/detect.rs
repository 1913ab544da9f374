//! What a connection speaks, from its first bytes, where nobody declared it.

use std::future::Future as _;
use std::task::Poll;
use std::time::Duration;

use crate::proxy::stream::Side;
use crate::proxy::worker::Worker;

#[cfg(test)]
mod tests;

/// How long silence may last before the client is held for one that waits for the server.
pub const SILENCE: Duration = Duration::from_millis(50);

/// How long an unfinished beginning may take.
const UNFINISHED: Duration = Duration::from_secs(10);

/// The connection preface of HTTP/2 (RFC 9113 §3.4).
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// The longest method that is taken for one.
const MAX_METHOD: usize = 20;

/// What a connection speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// HTTP/1.
    Http1,
    /// HTTP/2 by prior knowledge.
    Http2,
    /// Something else.
    Opaque,
    /// Nothing so far.
    Silent,
}

/// Reads until it is clear; what was read stays in the buffer. `None` where the client has gone.
pub async fn detect(worker: &Worker, side: &mut Side) -> Option<Kind> {
    let slot = worker.slots.take();
    slot.arm(UNFINISHED, false);
    let silence = tokio::time::sleep(SILENCE);
    tokio::pin!(silence);
    std::future::poll_fn(|cx| {
        loop {
            if let Some(kind) = judge(side.buffer.filled()) {
                return Poll::Ready(Some(kind));
            }
            match side.poll_fill(cx) {
                Poll::Ready(Ok(count)) if count > 0 => continue,
                // Whoever says so little and then listens speaks no HTTP.
                Poll::Ready(Ok(_)) if !side.buffer.is_empty() => {
                    return Poll::Ready(Some(Kind::Opaque));
                }
                Poll::Ready(_) => return Poll::Ready(None),
                Poll::Pending => {}
            }
            let quiet = side.buffer.is_empty();
            if quiet && silence.as_mut().poll(cx).is_ready() {
                return Poll::Ready(Some(Kind::Silent));
            }
            // An unfinished beginning that goes no further is not HTTP.
            return slot.poll_fired(cx).map(|_| Some(Kind::Opaque));
        }
    })
    .await
}

/// The kind that `bytes` begin; `None` where more are needed.
pub fn judge(bytes: &[u8]) -> Option<Kind> {
    if bytes.starts_with(PREFACE) {
        return Some(Kind::Http2);
    }
    if PREFACE.starts_with(bytes) {
        return None;
    }
    let method = bytes.iter().take_while(|b| b.is_ascii_uppercase() || **b == b'-').count();
    match (method, bytes.get(method), bytes.get(method + 1)) {
        (1..=MAX_METHOD, None, _) | (3..=MAX_METHOD, Some(b' '), None) => None,
        (3..=MAX_METHOD, Some(b' '), Some(target)) => {
            let connect = bytes.starts_with(b"CONNECT ") && target.is_ascii_alphanumeric();
            match matches!(target, b'/' | b'*' | b'h' | b'H') || connect {
                true => Some(Kind::Http1),
                false => Some(Kind::Opaque),
            }
        }
        _ => Some(Kind::Opaque),
    }
}
