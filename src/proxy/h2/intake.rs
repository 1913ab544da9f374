//! The body of a request as it comes from the client, kept as far as a repetition may need it.

use std::task::{Context, Poll, ready};

use bytes::Bytes;
use h2::RecvStream;
use http::HeaderMap;

use super::body::Source;

/// What is sent at once of what was kept.
const CHUNK: usize = 16 * 1024;

/// See the head of this file.
#[derive(Debug)]
pub(super) struct Intake {
    body: RecvStream,
    /// The most that is kept, bytes.
    limit: usize,
    /// The body so far, as long as it is not too large.
    kept: Vec<u8>,
    /// Bytes that came out of the client's stream.
    taken: u64,
    /// Bytes that the client may send again, for they were written to an endpoint.
    released: u64,
    end: End,
}

/// What followed the last byte.
#[derive(Debug)]
enum End {
    /// Not known yet.
    Open,
    Trailers(HeaderMap),
    Nothing,
}

impl Intake {
    /// A body of which nothing was taken yet, and nothing is kept.
    pub(super) fn new(body: RecvStream) -> Self {
        Self { body, limit: 0, kept: Vec::new(), taken: 0, released: 0, end: End::Open }
    }

    /// Keeps a body of up to so many bytes.
    pub(super) fn keep(&mut self, limit: usize) {
        self.limit = limit;
    }

    /// Bytes that went to an endpoint, each counted once.
    pub(super) fn sent(&self) -> u64 {
        self.released
    }

    /// Bytes that came from the client.
    pub(super) fn taken(&self) -> u64 {
        self.taken
    }

    /// Whether all of it can be there, sooner or later, to be sent again.
    pub(super) fn may_be_whole(&self) -> bool {
        self.limit > 0 || self.is_complete() && self.is_whole()
    }

    /// Whether every byte that was taken can be sent again.
    pub(super) fn is_whole(&self) -> bool {
        self.kept.len() as u64 == self.taken
    }

    /// Whether all that the client will say was taken.
    pub(super) fn is_complete(&self) -> bool {
        self.body.is_end_stream() || !matches!(self.end, End::Open)
    }

    /// Takes all of it, as far as it can be kept, before anybody asks for it; ready when no more is
    /// to be taken.
    pub(super) fn poll_ahead(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        while self.limit > 0 && !self.is_complete() {
            match ready!(self.body.poll_data(cx)) {
                Some(Ok(data)) => {
                    self.taken += data.len() as u64;
                    // What nobody has sent yet must not be lost, be it too much.
                    self.kept.extend_from_slice(&data);
                    if self.kept.len() > self.limit {
                        self.limit = 0;
                    }
                }
                // Whoever sends it hears of an error.
                Some(Err(_)) => return Poll::Ready(()),
                None => return self.poll_trailers(cx).map(drop),
            }
        }
        Poll::Ready(())
    }

    fn hold(&mut self, data: &[u8]) {
        if self.limit == 0 {
            return;
        }
        if self.kept.len() + data.len() > self.limit {
            (self.limit, self.kept) = (0, Vec::new());
        } else {
            self.kept.extend_from_slice(data);
        }
    }
}

impl Source for Intake {
    fn poll_data(
        &mut self,
        cx: &mut Context<'_>,
        at: u64,
    ) -> Poll<Option<Result<Bytes, h2::Error>>> {
        let rest = usize::try_from(at).ok().and_then(|at| self.kept.get(at..)).unwrap_or_default();
        if let Some(again) = rest.chunks(CHUNK).next() {
            return Poll::Ready(Some(Ok(Bytes::copy_from_slice(again))));
        }
        if !matches!(self.end, End::Open) {
            return Poll::Ready(None);
        }
        let data = ready!(self.body.poll_data(cx));
        if let Some(Ok(data)) = &data {
            self.hold(data);
            self.taken += data.len() as u64;
        }
        Poll::Ready(data)
    }

    fn poll_trailers(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Result<Option<HeaderMap>, h2::Error>> {
        if matches!(self.end, End::Open) {
            self.end = match ready!(self.body.poll_trailers(cx))? {
                Some(trailers) => End::Trailers(trailers),
                None => End::Nothing,
            };
        }
        Poll::Ready(Ok(match &self.end {
            End::Trailers(trailers) => Some(trailers.clone()),
            End::Open | End::Nothing => None,
        }))
    }

    fn is_over(&self, at: u64) -> bool {
        at == self.taken && (self.body.is_end_stream() || matches!(self.end, End::Nothing))
    }

    fn written(&mut self, until: u64, _count: usize) {
        let count = until.saturating_sub(self.released);
        self.released += count;
        // Only a stream that has ended refuses, and then no window is missing.
        let _ = self.body.flow_control().release_capacity(usize::try_from(count).unwrap_or(0));
    }
}
