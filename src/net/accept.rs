//! Accepting connections without ever giving up on the listener.
//!
//! `accept` fails for reasons that are the peer's (it left again) or the machine's (descriptors or
//! memory run out). The first kind is skipped at once; for the second the loop waits, up to
//! [`LONGEST_PAUSE`], because a ready listener that cannot be accepted from would spin.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use rustix::io::Errno;
use tokio::net::{TcpListener, TcpStream};
use tokio::time::Instant;

use super::backoff::Backoff;

/// The first pause when descriptors have run out.
const FIRST_PAUSE: Duration = Duration::from_millis(10);

/// No pause is longer: what was closed meanwhile is used within this time.
pub const LONGEST_PAUSE: Duration = Duration::from_millis(250);

/// A listener and its patience.
#[derive(Debug)]
pub struct Acceptor {
    listener: TcpListener,
    backoff: Backoff,
    exhausted: u64,
    /// Until then it waits, because descriptors or memory had run out.
    pause: Option<Instant>,
}

/// What a failed `accept` calls for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AcceptFailure {
    /// This one connection is gone; the next may be fine.
    Connection,
    /// The process or the machine has nothing left; wait.
    Exhausted,
    /// The listener itself is broken.
    Listener,
}

impl Acceptor {
    /// Takes a bound listener.
    pub fn new(listener: TcpListener) -> Self {
        Self {
            listener,
            backoff: Backoff::new(FIRST_PAUSE, LONGEST_PAUSE),
            exhausted: 0,
            pause: None,
        }
    }

    /// The next connection. Cancel safe.
    ///
    /// # Errors
    /// Only where the listener itself is broken.
    pub async fn accept(&mut self) -> io::Result<(TcpStream, SocketAddr)> {
        loop {
            if let Some(accepted) = self.attempt().await? {
                return Ok(accepted);
            }
        }
    }

    /// As [`Acceptor::accept`], but `None` as soon as descriptors or memory have run out, for whoever
    /// can make room; the next attempt waits first. Cancel safe.
    ///
    /// # Errors
    /// As [`Acceptor::accept`].
    pub async fn attempt(&mut self) -> io::Result<Option<(TcpStream, SocketAddr)>> {
        if let Some(pause) = self.pause {
            tokio::time::sleep_until(pause).await;
            self.pause = None;
        }
        loop {
            let error = match self.listener.accept().await {
                Ok(accepted) => {
                    self.backoff.succeed();
                    return Ok(Some(accepted));
                }
                Err(error) => error,
            };
            match classify(&error) {
                AcceptFailure::Connection => {}
                AcceptFailure::Exhausted => {
                    self.exhausted += 1;
                    if self.backoff.failures() == 0 {
                        tracing::warn!(%error, "cannot accept connections for now");
                    }
                    // Never zero: an even draw may be, and the listener is still ready.
                    let pause = self.backoff.fail(fastrand::u64(..)).max(FIRST_PAUSE);
                    self.pause = Some(Instant::now() + pause);
                    return Ok(None);
                }
                AcceptFailure::Listener => return Err(error),
            }
        }
    }

    /// How often it had to wait because descriptors or memory had run out.
    pub fn exhausted(&self) -> u64 {
        self.exhausted
    }

    /// The listener's own address.
    ///
    /// # Errors
    /// That of `getsockname`.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }
}

/// Whose fault a failed `accept` is (accept(2): network errors of the new socket are passed on).
pub fn classify(error: &io::Error) -> AcceptFailure {
    let Some(errno) = error.raw_os_error().map(Errno::from_raw_os_error) else {
        return AcceptFailure::Connection;
    };
    match errno {
        Errno::MFILE | Errno::NFILE | Errno::NOBUFS | Errno::NOMEM => AcceptFailure::Exhausted,
        Errno::BADF | Errno::INVAL | Errno::NOTSOCK | Errno::OPNOTSUPP | Errno::FAULT => {
            AcceptFailure::Listener
        }
        _ => AcceptFailure::Connection,
    }
}
