//! Moves one body from one connection to another, with backpressure and without allocating.
//!
//! A pump begins with the message's head in its output, so that head and body leave in one write.
//! It reads only when everything before has been written: what is in memory is one block, and what
//! is kept so that it can be sent again.

use std::io;
use std::task::{Context, Poll, ready};

use crate::proxy::h1::write;
use crate::proxy::h1::{BodyDecoder, Decoded, Framing, Malformed};
use crate::proxy::stream::Side;

/// How much is gathered into one write.
const GATHER: usize = 16 * 1024;

/// Why a body did not arrive whole.
#[derive(Debug)]
pub enum PumpError {
    /// The sender's connection failed or ended too early.
    Read(io::Error),
    /// The sender's framing is wrong.
    Malformed(Malformed),
    /// The receiver's connection failed.
    Write(io::Error),
}

/// One message on its way.
#[derive(Debug)]
pub struct Pump {
    decoder: BodyDecoder,
    chunked: bool,
    out: Vec<u8>,
    written: usize,
    /// Bytes at the front of the sender's buffer that may be written as they are.
    pass: usize,
    ended: bool,
    rewindable: bool,
    /// How many bytes of the body may still be kept for a repetition; `None`: none is kept, or not
    /// all any more.
    keep: Option<usize>,
    moved: u64,
}

impl Pump {
    /// `head` goes out first; the body comes in as `framing` says and goes out in chunks where
    /// `chunked`, else as it is.
    pub fn new(head: Vec<u8>, framing: Framing, chunked: bool) -> Self {
        Self {
            decoder: BodyDecoder::new(framing),
            chunked: chunked && framing != Framing::None,
            out: head,
            written: 0,
            pass: 0,
            ended: false,
            rewindable: true,
            keep: None,
            moved: 0,
        }
    }

    /// Keeps the body for a repetition as long as it has at most `limit` bytes. To be said before
    /// anything is sent.
    pub fn keep(&mut self, limit: usize) {
        self.keep = Some(limit);
    }

    /// A message that is all there: `head`, without a body.
    pub fn again(head: &[u8]) -> Self {
        Self::new(head.to_vec(), Framing::None, false)
    }

    /// What goes out first: the head, and what has been kept behind it.
    pub fn message(&self) -> &[u8] {
        &self.out
    }

    /// Somebody else has sent [`Pump::message`].
    pub fn sent(&mut self) {
        self.written = self.out.len();
    }

    /// Puts `line` (with its end) behind the first line of the head instead of the `before` bytes
    /// that an earlier call put there. Nothing must be written, or all of it be begun again.
    pub fn put_line(&mut self, line: &[u8], before: usize) {
        let start = memchr::memchr(b'\n', &self.out).map_or(0, |at| at + 1);
        self.out.splice(start..start + before, line.iter().copied());
    }

    /// Gives the output's room back for reuse.
    pub fn into_room(self) -> Vec<u8> {
        self.out
    }

    /// Whether the whole message has been read from the sender; one without a body is from the
    /// beginning.
    pub fn is_complete(&self) -> bool {
        self.ended || (self.decoder.is_done() && self.pass == 0)
    }

    /// Whether all of the message has been written.
    pub fn is_sent(&self) -> bool {
        self.is_complete() && self.pending() == 0
    }

    /// Whether it waits for the sender: everything that has come is written.
    pub fn is_starved(&self) -> bool {
        !self.is_complete() && self.pending() == 0 && self.pass == 0
    }

    /// Whether nothing has been written.
    pub fn is_untouched(&self) -> bool {
        self.written == 0 && self.rewindable
    }

    /// Whether everything that was written could be written again.
    pub fn is_whole(&self) -> bool {
        self.rewindable
    }

    /// Begins again from the head; `false` where part of the message is gone already.
    pub fn rewind(&mut self) -> bool {
        if self.rewindable {
            self.written = 0;
        }
        self.rewindable
    }

    /// Bytes of the body taken from the sender.
    pub fn moved(&self) -> u64 {
        self.moved
    }

    /// Goes on until the message is written and flushed.
    pub fn poll(
        &mut self,
        cx: &mut Context<'_>,
        from: &mut Side,
        to: &mut Side,
    ) -> Poll<Result<(), PumpError>> {
        loop {
            self.gather(from).map_err(PumpError::Malformed)?;
            while self.written < self.out.len() {
                let rest = self.out.get(self.written..).unwrap_or_default();
                match ready!(to.poll_write(cx, rest)).map_err(PumpError::Write)? {
                    0 => return Poll::Ready(Err(PumpError::Write(closed()))),
                    count => self.written += count,
                }
            }
            if self.pass > 0 {
                self.rewindable = false;
                let ready = from.buffer.filled().get(..self.pass).unwrap_or_default();
                let count = ready!(to.poll_write(cx, ready)).map_err(PumpError::Write)?;
                if count == 0 {
                    return Poll::Ready(Err(PumpError::Write(closed())));
                }
                from.buffer.consume(count);
                self.pass -= count;
                continue;
            }
            if self.ended {
                return to.poll_flush(cx).map_err(PumpError::Write);
            }
            if to.poll_flush(cx).map_err(PumpError::Write)?.is_pending() {
                return Poll::Pending;
            }
            match ready!(from.poll_fill(cx)).map_err(PumpError::Read)? {
                0 if self.decoder.ends_with_connection() => self.end(),
                0 => return Poll::Ready(Err(PumpError::Read(closed()))),
                _ => {}
            }
        }
    }

    /// Takes what has arrived: into the output, or marked to be passed on where it lies.
    fn gather(&mut self, from: &mut Side) -> Result<(), Malformed> {
        while self.pass == 0 && !self.ended && self.pending() < GATHER {
            match self.decoder.decode(from.buffer.filled())? {
                Decoded::NeedMore => break,
                Decoded::Data { skip, len } => {
                    from.buffer.consume(skip);
                    self.moved += len as u64;
                    self.take(from, len);
                }
                Decoded::Done { skip } => {
                    from.buffer.consume(skip);
                    self.end();
                }
            }
        }
        Ok(())
    }

    fn take(&mut self, from: &mut Side, len: usize) {
        self.keep = self.keep.and_then(|left| left.checked_sub(len));
        if !self.chunked && self.pending() == 0 && self.keep.is_none() {
            self.pass = len;
            return;
        }
        self.make_room();
        let data = from.buffer.filled().get(..len).unwrap_or_default();
        if self.chunked {
            write::chunk(&mut self.out, data);
        } else {
            self.out.extend_from_slice(data);
        }
        from.buffer.consume(len);
    }

    fn end(&mut self) {
        self.ended = true;
        if self.chunked {
            self.make_room();
            write::last_chunk(&mut self.out, self.decoder.trailers());
        }
    }

    fn pending(&self) -> usize {
        self.out.len() - self.written
    }

    /// What has been written is forgotten only when its place is needed, and never while it is to
    /// be kept: until then the message can be sent again.
    fn make_room(&mut self) {
        if self.keep.is_none() && self.written > 0 && self.written == self.out.len() {
            self.out.clear();
            self.written = 0;
            self.rewindable = false;
        }
    }
}

fn closed() -> io::Error {
    io::ErrorKind::UnexpectedEof.into()
}
