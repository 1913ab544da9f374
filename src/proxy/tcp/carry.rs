//! Bytes both ways between two connections, each direction closed on its own.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::AsyncWrite as _;

use crate::proxy::h1::Framing;
use crate::proxy::pump::{Pump, PumpError};
use crate::proxy::slots::{SWEEP, Slot};
use crate::proxy::stream::Side;

/// After so long a silent tunnel gives its rooms back: one sweep at least, two at most.
pub(super) const QUIET: Duration = SWEEP.saturating_mul(2);

/// Carries bytes both ways until both have ended, one has failed, or both were silent for `idle`.
/// How many bytes went to the endpoint, and to the client. A silent one holds no room: databases are
/// called over pools of them.
pub(super) async fn carry(
    slot: &Slot,
    idle: Duration,
    client: &mut Side,
    upstream: &mut Side,
) -> (u64, u64) {
    let mut up = Direction::new();
    let mut down = Direction::new();
    let quiet = QUIET.min(idle);
    slot.arm(quiet, false);
    let (mut seen, mut silent) = ((0, 0), false);
    std::future::poll_fn(|cx| {
        let results = [up.poll(cx, client, upstream), down.poll(cx, upstream, client)];
        let moved = (up.pump.moved(), down.pump.moved());
        if moved != seen {
            (seen, silent) = (moved, false);
            slot.arm(quiet, false);
        }
        let failed = results.iter().any(|result| matches!(result, Poll::Ready(Err(_))));
        let ended = results.iter().all(Poll::is_ready);
        if failed {
            // Whoever still reads must not take what was cut off for the end.
            client.stream.abort();
            upstream.stream.abort();
        }
        if failed || ended {
            return Poll::Ready(());
        }
        ready!(slot.poll_fired(cx));
        if silent || quiet == idle {
            return Poll::Ready(());
        }
        silent = true;
        slot.arm(idle - quiet, false);
        client.let_go();
        upstream.let_go();
        slot.poll_fired(cx).map(|_| ())
    })
    .await;
    seen
}

/// One direction of a tunnel.
struct Direction {
    pump: Pump,
    ended: bool,
    closed: bool,
}

impl Direction {
    fn new() -> Self {
        Self {
            pump: Pump::new(Vec::new(), Framing::UntilClose, false),
            ended: false,
            closed: false,
        }
    }

    fn poll(
        &mut self,
        cx: &mut Context<'_>,
        from: &mut Side,
        to: &mut Side,
    ) -> Poll<Result<(), io::Error>> {
        if !self.ended {
            match self.pump.poll(cx, from, to) {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(Ok(())) => self.ended = true,
                Poll::Ready(Err(PumpError::Read(error) | PumpError::Write(error))) => {
                    return Poll::Ready(Err(error));
                }
                Poll::Ready(Err(PumpError::Malformed(_))) => {
                    return Poll::Ready(Err(io::ErrorKind::InvalidData.into()));
                }
            }
        }
        if !self.closed {
            match Pin::new(&mut to.stream).poll_shutdown(cx) {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(Ok(())) => self.closed = true,
                Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
            }
        }
        Poll::Ready(Ok(()))
    }
}
