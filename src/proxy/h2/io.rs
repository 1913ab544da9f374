//! A connection as the `h2` crate wants it: what was read while the protocol was found out comes
//! first, then the stream. Counts arrivals, so that the keepalive sees a connection that lives, and
//! lets a client's frames be metered.

use std::cell::{Cell, RefCell};
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use bytes::{Buf as _, Bytes};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::meter::Meter;
use crate::proxy::stream::{Side, Stream};
use crate::proxy::worker::Worker;

/// See the head of this file.
#[derive(Debug)]
pub(super) struct Io {
    before: Bytes,
    stream: Stream,
    arrivals: Rc<Cell<u64>>,
    meter: Option<Rc<RefCell<Meter>>>,
}

impl Io {
    /// Takes over a connection; its read buffer goes back to the worker. Streams on it may be silent
    /// for as long as they like: where no pings are sent, the kernel sees to the other side.
    pub(super) fn new(worker: &Worker, side: Side) -> Self {
        if matches!(side.stream, Stream::Plain(_)) {
            side.stream.keep_alive();
        }
        let before = Bytes::copy_from_slice(side.buffer.filled());
        worker.give_block(side.buffer);
        Self { before, stream: side.stream, arrivals: Rc::default(), meter: None }
    }

    /// Meters what comes and goes.
    pub(super) fn metered(self, meter: &Rc<RefCell<Meter>>) -> Self {
        Self { meter: Some(Rc::clone(meter)), ..self }
    }

    /// How often something has arrived.
    pub(super) fn arrivals(&self) -> Rc<Cell<u64>> {
        Rc::clone(&self.arrivals)
    }
}

impl AsyncRead for Io {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let filled = buf.filled().len();
        if self.before.has_remaining() {
            let count = self.before.len().min(buf.remaining());
            buf.put_slice(&self.before.split_to(count));
        } else {
            ready!(Pin::new(&mut self.stream).poll_read(cx, buf))?;
            self.arrivals.set(self.arrivals.get().wrapping_add(1));
        }
        if let Some(meter) = &self.meter {
            meter.borrow_mut().arrived(buf.filled().get(filled..).unwrap_or_default());
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Io {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(cx, bytes);
        if let Some(meter) = &self.meter {
            meter.borrow_mut().sent(match &written {
                Poll::Ready(count) => Some(*count.as_ref().unwrap_or(&0)),
                Poll::Pending => None,
            });
        }
        written
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
