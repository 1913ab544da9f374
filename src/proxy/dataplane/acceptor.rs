//! The acceptor: one thread for all listeners, each new connection to the least loaded worker.

use std::io;
use std::net::TcpListener;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::JoinHandle;

use tokio::runtime::LocalRuntime;
use tokio::sync::mpsc::error::TrySendError;
use tokio::sync::watch;

use super::{Arrival, Phase, Role, Seat, Shared};
use crate::net::accept::Acceptor;
use crate::net::descriptors;
use crate::proxy::overload::Level;
use crate::telemetry::limits::Limit;

#[cfg(test)]
mod tests;

/// Descriptors that are kept free for everything but connections: files, listeners, the streams to
/// the control plane, the admin server.
const RESERVE: usize = 64;

/// Descriptors of a worker's runtime.
const OF_WORKER: usize = 4;

/// How many connections of clients so many workers take together: as many as fit into the limit of
/// descriptors, where each may need one to its endpoint too.
fn most_connections(workers: usize) -> usize {
    let limit = usize::try_from(descriptors::limit()).unwrap_or(usize::MAX);
    let reserve = RESERVE + OF_WORKER.saturating_mul(workers);
    (limit.saturating_sub(reserve) / 2).max(1)
}

/// Starts a named thread.
pub(super) fn thread(
    name: &str,
    run: impl FnOnce() + Send + 'static,
) -> io::Result<JoinHandle<()>> {
    std::thread::Builder::new().name(name.to_owned()).spawn(run)
}

/// The life of the acceptor's thread.
pub(super) fn run(
    listeners: Vec<(TcpListener, Role)>,
    (seats, calls): (Vec<Seat>, Arc<AtomicUsize>),
    shared: Arc<Shared>,
    mut phases: watch::Receiver<Phase>,
) {
    let runtime = match LocalRuntime::new() {
        Ok(runtime) => runtime,
        Err(error) => return tracing::error!(%error, "the acceptor cannot run"),
    };
    runtime.block_on(async move {
        if phases.wait_for(|phase| *phase != Phase::Waiting).await.is_err() {
            return;
        }
        let most = most_connections(seats.len());
        let seats = Rc::new(Seats { seats, calls, most, shared });
        for (listener, role) in listeners {
            tokio::task::spawn_local(accept(listener, role, Rc::clone(&seats)));
        }
        // The listeners close with the runtime.
        let over = |phase: &Phase| matches!(phase, Phase::Succeeded | Phase::Closed | Phase::Over);
        let _ = phases.wait_for(over).await;
    });
}

async fn accept(listener: TcpListener, role: Role, seats: Rc<Seats>) {
    let listener = match tokio::net::TcpListener::from_std(listener) {
        Ok(listener) => listener,
        Err(error) => return tracing::error!(%error, "a listener cannot run"),
    };
    let metrics = &seats.shared.metrics;
    let mut acceptor = Acceptor::new(listener);
    loop {
        let turn = metrics.panics.contain("the taking of a connection", async {
            match acceptor.attempt().await? {
                Some((stream, _)) => hand_over(stream, role.clone(), &seats).await,
                None => {
                    metrics.limits.hit(Limit::Descriptors);
                    seats.shared.overload.run_dry(seats.shared.directory.bell());
                }
            }
            io::Result::Ok(())
        });
        if let Some(Err(error)) = turn.await {
            return tracing::error!(%error, "a listener has failed");
        }
    }
}

/// The places of all workers, and how many connections they take together.
struct Seats {
    seats: Vec<Seat>,
    /// Connections of callers so far.
    calls: Arc<AtomicUsize>,
    most: usize,
    shared: Arc<Shared>,
}

async fn hand_over(stream: tokio::net::TcpStream, role: Role, seats: &Seats) {
    if matches!(role, Role::Inbound | Role::CapturedInbound) {
        seats.calls.fetch_add(1, Ordering::Relaxed);
    }
    let load = |seat: &Seat| seat.load.load(Ordering::Relaxed);
    seats.shared.overload.arrives(seats.shared.directory.bell());
    if seats.shared.overload.level() == Level::Cut {
        return seats.shared.metrics.limits.hit(Limit::Memory);
    }
    if seats.seats.iter().map(load).sum::<usize>() >= seats.most {
        // Closed at once: whoever is connected already is served.
        seats.shared.metrics.limits.hit(Limit::Connections);
        return tracing::debug!(most = seats.most, "a connection over the limit was closed");
    }
    // A socket that refuses the option still works, only slower.
    let _ = stream.set_nodelay(true);
    let Ok(stream) = stream.into_std() else { return };
    // A worker that could not run, or has ended, has no load and takes nothing.
    let running = seats.seats.iter().filter(|seat| !seat.sender.is_closed());
    let Some(seat) = running.min_by_key(|seat| load(seat)) else { return };
    // Counted here, so that a burst is spread before the workers wake up.
    seat.load.fetch_add(1, Ordering::Relaxed);
    // At once where there is room: a connection that was taken is not to be in between when the
    // acceptor ends.
    let sent = match seat.sender.try_send(Arrival { stream, role }) {
        Err(TrySendError::Full(arrival)) => seat.sender.send(arrival).await.is_ok(),
        sent => sent.is_ok(),
    };
    if !sent {
        seat.load.fetch_sub(1, Ordering::Relaxed);
    }
}
