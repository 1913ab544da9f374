//! One direction of a stream: DATA and trailers from one side to the other. What is taken is given
//! back to the sender's window only when the receiver's window has room for it, so that a slow
//! reader holds back a fast sender and no more than the windows lies here.

use std::task::{Context, Poll, ready};

use bytes::Bytes;
use h2::{RecvStream, SendStream};
use http::HeaderMap;

use super::grpc;
use super::head::CLIENT_CERT;

/// Where a direction comes from.
pub(super) trait Source {
    /// What follows the first `at` bytes; `None` where only trailers can.
    fn poll_data(
        &mut self,
        cx: &mut Context<'_>,
        at: u64,
    ) -> Poll<Option<Result<Bytes, h2::Error>>>;

    /// What follows all bytes.
    fn poll_trailers(&mut self, cx: &mut Context<'_>)
    -> Poll<Result<Option<HeaderMap>, h2::Error>>;

    /// Whether it is known that nothing follows the first `at` bytes, trailers neither.
    fn is_over(&self, at: u64) -> bool;

    /// So many bytes more were passed on, all of the first `until` by now.
    fn written(&mut self, until: u64, count: usize);
}

impl Source for RecvStream {
    fn poll_data(
        &mut self,
        cx: &mut Context<'_>,
        _at: u64,
    ) -> Poll<Option<Result<Bytes, h2::Error>>> {
        Self::poll_data(self, cx)
    }

    fn poll_trailers(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Result<Option<HeaderMap>, h2::Error>> {
        Self::poll_trailers(self, cx)
    }

    fn is_over(&self, _at: u64) -> bool {
        self.is_end_stream()
    }

    fn written(&mut self, _until: u64, count: usize) {
        // Only a stream that has ended refuses, and then no window is missing.
        let _ = self.flow_control().release_capacity(count);
    }
}

/// A direction that runs.
#[derive(Debug)]
pub(super) struct Copy {
    to: SendStream<Bytes>,
    pending: Bytes,
    moved: u64,
    /// It has ended, well or not.
    done: bool,
    /// The status of gRPC that its trailers said.
    grpc_code: Option<u32>,
    /// It must end with such a status, and does so in any case.
    owes_code: bool,
    /// The sender left that out.
    supplied: bool,
}

/// Which side ended a direction.
#[derive(Debug)]
pub(super) enum CopyError {
    /// The side that sends.
    From(h2::Error),
    /// The side that receives.
    To(h2::Reason),
}

impl Copy {
    /// Nothing moved yet.
    pub(super) fn new(to: SendStream<Bytes>) -> Self {
        Self {
            to,
            pending: Bytes::new(),
            moved: 0,
            done: false,
            grpc_code: None,
            owes_code: false,
            supplied: false,
        }
    }

    /// Ends with a status of gRPC, be it one of the proxy's.
    pub(super) fn owing_code(self, owes_code: bool) -> Self {
        Self { owes_code, ..self }
    }

    /// Whether the status of gRPC is the proxy's, because the sender said none.
    pub(super) fn has_supplied(&self) -> bool {
        self.supplied
    }

    /// Bytes that went through.
    pub(super) fn moved(&self) -> u64 {
        self.moved
    }

    /// Whether it waits for the side that sends.
    pub(super) fn is_starved(&self) -> bool {
        !self.done && self.pending.is_empty()
    }

    /// Whether the side that receives has no room for what there is.
    pub(super) fn is_stalled(&self) -> bool {
        !self.done && !self.pending.is_empty()
    }

    /// The status of gRPC that the trailers said.
    pub(super) fn grpc_code(&self) -> Option<u32> {
        self.grpc_code
    }

    /// Ends the receiver's stream.
    pub(super) fn reset(&mut self, reason: h2::Reason) {
        self.to.send_reset(reason);
    }

    /// Ready when the receiver gave the stream up.
    fn poll_reset(&mut self, cx: &mut Context<'_>) -> Poll<h2::Reason> {
        self.to.poll_reset(cx).map(|reset| reset.unwrap_or(h2::Reason::CANCEL))
    }

    /// Moves what can be moved; ready at the end of the stream, and from then on.
    pub(super) fn poll(
        &mut self,
        cx: &mut Context<'_>,
        from: &mut impl Source,
    ) -> Poll<Result<(), CopyError>> {
        if self.done {
            return Poll::Ready(Ok(()));
        }
        let moved = self.poll_move(cx, from);
        self.done = moved.is_ready();
        moved
    }

    fn poll_move(
        &mut self,
        cx: &mut Context<'_>,
        from: &mut impl Source,
    ) -> Poll<Result<(), CopyError>> {
        if let Poll::Ready(reason) = self.poll_reset(cx) {
            return Poll::Ready(Err(CopyError::To(reason)));
        }
        loop {
            if !self.pending.is_empty() {
                ready!(self.poll_send(cx, from))?;
                if self.pending.is_empty() && from.is_over(self.moved) {
                    return Poll::Ready(if self.owes_code { self.end() } else { Ok(()) });
                }
                continue;
            }
            match ready!(from.poll_data(cx, self.moved)) {
                // Empty frames carry nothing, and too many of them end a connection.
                Some(Ok(data)) => self.pending = data,
                Some(Err(error)) => return Poll::Ready(ended(error).and_then(|()| self.end())),
                None => return self.poll_trailers(cx, from),
            }
        }
    }

    fn poll_send(
        &mut self,
        cx: &mut Context<'_>,
        from: &mut impl Source,
    ) -> Poll<Result<(), CopyError>> {
        self.to.reserve_capacity(self.pending.len());
        while self.to.capacity() == 0 {
            match ready!(self.to.poll_capacity(cx)) {
                Some(Ok(_)) => {}
                Some(Err(error)) => return Poll::Ready(Err(gone(&error))),
                None => return Poll::Ready(Err(CopyError::To(h2::Reason::CANCEL))),
            }
        }
        let count = self.pending.len().min(self.to.capacity());
        let data = self.pending.split_to(count);
        self.moved += count as u64;
        from.written(self.moved, count);
        let last = self.pending.is_empty() && from.is_over(self.moved) && !self.owes_code;
        Poll::Ready(self.to.send_data(data, last).map_err(|error| gone(&error)))
    }

    fn poll_trailers(
        &mut self,
        cx: &mut Context<'_>,
        from: &mut impl Source,
    ) -> Poll<Result<(), CopyError>> {
        match ready!(from.poll_trailers(cx)) {
            Ok(Some(mut trailers)) => {
                trailers.remove(CLIENT_CERT);
                if self.owes_code && grpc::code(&trailers).is_none() {
                    self.supplied = true;
                    trailers.extend(grpc::in_place_of_code());
                }
                self.grpc_code = grpc::code(&trailers);
                Poll::Ready(self.to.send_trailers(trailers).map_err(|error| gone(&error)))
            }
            Ok(None) => Poll::Ready(self.end()),
            Err(error) => Poll::Ready(ended(error).and_then(|()| self.end())),
        }
    }

    fn end(&mut self) -> Result<(), CopyError> {
        if self.owes_code {
            let trailers = grpc::in_place_of_code();
            (self.supplied, self.grpc_code) = (true, grpc::code(&trailers));
            return self.to.send_trailers(trailers).map_err(|error| gone(&error));
        }
        self.to.send_data(Bytes::new(), true).map_err(|error| gone(&error))
    }
}

/// A reset without an error behind everything that was to say is an end (RFC 9113 §8.1).
fn ended(error: h2::Error) -> Result<(), CopyError> {
    match error.reason() {
        Some(h2::Reason::NO_ERROR) if error.is_reset() && error.is_remote() => Ok(()),
        _ => Err(CopyError::From(error)),
    }
}

fn gone(error: &h2::Error) -> CopyError {
    CopyError::To(error.reason().unwrap_or(h2::Reason::CANCEL))
}
