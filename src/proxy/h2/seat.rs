//! How a stream comes to a connection: one of the pool's that has room, or a new one, opened by one
//! attempt that all streams to the endpoint wait for. Where connections are limited it may have to
//! wait in line, for a permit or for a seat, whichever comes first.

use std::rc::Rc;
use std::sync::Arc;

use tokio::sync::watch;
use tokio::time::{Instant, timeout_at};

use super::pool::{Attempt, Found, Seat};
use super::upstream;
use crate::proxy::circuit::{Circuit, Grant, Permit};
use crate::proxy::cluster::Endpoint;
use crate::proxy::decide::{Decision, Endpoints};
use crate::proxy::vitals::Standing;
use crate::proxy::worker::Worker;
use crate::telemetry::limits::Limit;
use crate::telemetry::reason::Reason;

/// A seat on a connection to `endpoint` (by id) that has room now.
pub(super) fn free(worker: &Rc<Worker>, endpoint: u64) -> Option<Seat> {
    let found = worker.http2.borrow_mut().find(endpoint, worker.slots.now());
    match found {
        Found::Seat(line) => Some(Seat::take(worker, line)),
        Found::Wait(_) | Found::Open | Found::Full => None,
    }
}

/// The endpoint to use instead of `chosen`, where no connection to that one is there and none may be
/// opened: another one, not of `tried`, to which there is a connection with room.
pub(super) fn within_limit(
    worker: &Rc<Worker>,
    decision: &Decision,
    chosen: Arc<Endpoint>,
    tried: &[u64],
) -> Arc<Endpoint> {
    let Endpoints::Mesh(cluster, port) = &decision.pool else { return chosen };
    if !cluster.circuit.has_no_room() || worker.http2.borrow().knows(chosen.id) {
        return chosen;
    }
    let all = cluster.port(*port).map(|port| &*port.endpoints).unwrap_or_default();
    let other = worker.http2.borrow().roomy(worker.slots.now(), |endpoint| {
        !tried.contains(&endpoint.id)
            && endpoint.vitals.standing(crate::proxy::clock::now_ms()) != Standing::Out
            && all.iter().any(|one| Arc::ptr_eq(one, endpoint))
    });
    other.unwrap_or(chosen)
}

/// A seat on a connection to `endpoint`, opened if need be.
///
/// # Errors
/// Why there is no connection; [`Reason::Overloaded`] where there are too many.
pub(super) async fn acquire(
    worker: &Rc<Worker>,
    decision: &Decision,
    endpoint: Arc<Endpoint>,
) -> Result<Seat, Reason> {
    let until = Instant::now() + decision.pool.connect_timeout();
    let mut turn = Turn::default();
    loop {
        let found = worker.http2.borrow_mut().find(endpoint.id, worker.slots.now());
        let mut attempt = match found {
            Found::Seat(line) => return Ok(Seat::take(worker, line)),
            Found::Wait(attempt) => attempt,
            Found::Full => {
                worker.hit(Limit::Http2Connections);
                return Err(Reason::Overloaded);
            }
            Found::Open if turn.come => begin(worker, decision, &endpoint, turn.permit.take()),
            Found::Open => {
                match decision.pool.circuit() {
                    Some(circuit) => turn.wait(worker, circuit, (&endpoint, until)).await?,
                    None => turn.come = true,
                }
                continue;
            }
        };
        // A turn that has come stays: its permit would be lacking while another is waited for.
        turn.come = turn.permit.is_some();
        // The attempt ends by dropping its sender, whose last word says whether it failed.
        while attempt.changed().await.is_ok() {}
        if let Some(reason) = *attempt.borrow() {
            return Err(reason);
        }
    }
}

/// A stream's turn to open a connection.
#[derive(Debug, Default)]
struct Turn {
    /// It may.
    come: bool,
    /// By this, where connections are limited.
    permit: Option<Permit>,
    /// It was told of a seat, and came too late.
    again: bool,
}

impl Turn {
    /// Waits for a permit, or for a seat; looking for one again says which it was.
    async fn wait(
        &mut self,
        worker: &Rc<Worker>,
        circuit: &Arc<Circuit>,
        (endpoint, until): (&Endpoint, Instant),
    ) -> Result<(), Reason> {
        let place = Some(worker.place(endpoint.id));
        let grant = circuit.connection_or_pooled(place, self.again);
        match timeout_at(until, grant).await {
            Err(_) => return Err(circuit.gave_up()),
            Ok(Err(reason)) => return Err(reason),
            Ok(Ok(Grant::Pooled)) => self.again = true,
            Ok(Ok(Grant::Unlimited)) => self.come = true,
            Ok(Ok(Grant::Open(permit))) => {
                self.permit = Some(permit);
                self.come = true;
            }
        }
        Ok(())
    }
}

/// Begins an attempt in a task of its own, so that it outlives the stream that asked for it.
fn begin(
    worker: &Rc<Worker>,
    decision: &Decision,
    endpoint: &Arc<Endpoint>,
    permit: Option<Permit>,
) -> Attempt {
    let (answer, attempt) = watch::channel(None);
    worker.http2.borrow_mut().begin(endpoint.id, attempt.clone());
    let ticket = Ticket { worker: Rc::clone(worker), endpoint: endpoint.id, answer };
    let terms = upstream::Terms {
        timeout: decision.pool.connect_timeout(),
        idle_limit: decision.pool.http_idle(),
        service: decision.target().clone(),
        most: decision.pool.circuit().and_then(|it| it.max_requests_per_connection()),
        permit: permit.map(Rc::new),
    };
    let endpoint = Arc::clone(endpoint);
    tokio::task::spawn_local(async move {
        let worker = Rc::clone(&ticket.worker);
        let driver = match upstream::connect(&worker, &endpoint, &terms).await {
            Ok((line, driver)) => {
                worker.http2.borrow_mut().put(Rc::clone(&line));
                // Others may wait in line for what is here now.
                line.offer(&worker, u32::MAX);
                driver
            }
            Err(reason) => {
                ticket.answer.send_replace(Some(reason));
                return;
            }
        };
        drop(ticket);
        driver.run().await;
        worker.http2.borrow_mut().purge(endpoint.id, worker.slots.now());
    });
    attempt
}

/// Ends an attempt, however it ends.
struct Ticket {
    worker: Rc<Worker>,
    endpoint: u64,
    answer: watch::Sender<Option<Reason>>,
}

impl Drop for Ticket {
    fn drop(&mut self) {
        self.worker.http2.borrow_mut().ended(self.endpoint);
    }
}
