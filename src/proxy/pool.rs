//! Idle upstream connections of one worker, last in, first out.
//!
//! Keyed by endpoint, which stands for address and expected identity both; HTTP/1.1 only, because
//! HTTP/2 connections are shared and opaque ones never come back.

use std::collections::HashMap;
use std::pin::{Pin, pin};
use std::task::{Context, Waker, ready};
use std::time::Duration;

use tokio::io::{AsyncRead as _, ReadBuf};

use crate::proxy::circuit::Permit;
use crate::proxy::stream::Side;
use crate::telemetry::limits::Limit;

#[cfg(test)]
mod tests;

/// Idle connections kept per endpoint.
const MAX_IDLE_PER_ENDPOINT: usize = Limit::IdleConnections.most();

/// The longest life of a connection, so that renewed certificates and moved endpoints are seen.
pub const MAX_AGE: Duration = Duration::from_secs(3600);

/// A connection to an endpoint.
#[derive(Debug)]
pub struct Upstream {
    /// The connection.
    pub side: Side,
    /// The endpoint's id.
    pub endpoint: u64,
    /// When it must end, on the worker's clock.
    pub expires: Duration,
    /// How long it may lie idle.
    pub idle_limit: Duration,
    /// How many requests it has carried, with the one that it carries.
    pub carried: u32,
    /// It counts among the connections of its service, where those are limited.
    pub permit: Option<Permit>,
}

#[derive(Debug)]
struct Idle {
    upstream: Upstream,
    since: Duration,
}

/// See the head of this file.
#[derive(Debug, Default)]
pub struct Pool {
    idle: HashMap<u64, Vec<Idle>>,
}

impl Pool {
    /// The connection to `endpoint` that was used last, if one is alive.
    pub fn take(&mut self, endpoint: u64, now: Duration) -> Option<Upstream> {
        let list = self.idle.get_mut(&endpoint)?;
        while let Some(Idle { mut upstream, since }) = list.pop() {
            if upstream.is_usable(now, since) {
                upstream.carried += 1;
                return Some(upstream);
            }
        }
        None
    }

    /// Keeps a connection for the next request; `false`: there are too many already.
    pub fn give(&mut self, upstream: Upstream, now: Duration) -> bool {
        let list = self.idle.entry(upstream.endpoint).or_default();
        let has_room = list.len() < MAX_IDLE_PER_ENDPOINT;
        if has_room && upstream.expires > now {
            list.push(Idle { upstream, since: now });
        }
        has_room
    }

    /// Closes all of them: their descriptors, or their memory, are needed more.
    pub fn clear(&mut self) {
        self.idle.clear();
    }

    /// Closes connections that somebody waits for who cannot use them as they are.
    pub fn make_way(&mut self) {
        let waited_for =
            |idle: &Idle| idle.upstream.permit.as_ref().is_some_and(Permit::is_waited_for);
        // One by one: each that ends may be all that was waited for.
        for list in self.idle.values_mut() {
            list.retain(|idle| !waited_for(idle));
        }
        self.idle.retain(|_, list| !list.is_empty());
    }

    /// Closes what is too old, idle for too long, or closed by the other side.
    pub fn sweep(&mut self, now: Duration) {
        self.idle.retain(|_, list| {
            list.retain_mut(|idle| idle.upstream.is_usable(now, idle.since));
            !list.is_empty()
        });
    }
}

impl Upstream {
    /// Whether it has carried a request before.
    pub fn is_reused(&self) -> bool {
        self.carried > 1
    }

    /// Not too old, and nothing has arrived that nobody asked for (the end included). Costs no
    /// system call unless something has arrived.
    fn is_usable(&mut self, now: Duration, since: Duration) -> bool {
        if self.expires <= now || since + self.idle_limit <= now {
            return false;
        }
        let stream = &mut self.side.stream;
        let mut byte = [0; 1];
        let arrived = std::future::poll_fn(|cx| {
            ready!(stream.poll_readable(cx));
            // Perhaps only stale readiness: a read tells. Session tickets leave nothing to read.
            Pin::new(&mut *stream).poll_read(cx, &mut ReadBuf::new(&mut byte)).map(drop)
        });
        // A task that has used up its turn would be told that nothing has arrived.
        let arrived = pin!(tokio::task::coop::unconstrained(arrived));
        arrived.poll(&mut Context::from_waker(Waker::noop())).is_pending()
    }
}
