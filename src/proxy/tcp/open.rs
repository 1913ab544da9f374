//! How an opaque connection comes to its endpoint: as much as the circuit lets through, and to
//! another endpoint where one does not answer. Once it is made nothing is repeated.

use std::rc::Rc;
use std::sync::Arc;

use tokio::time::timeout;

use crate::names::ServiceName;
use crate::proxy::admission::{Admission, Sequel};
use crate::proxy::circuit::Permit;
use crate::proxy::cluster::Endpoint;
use crate::proxy::connect::{self, Alpn};
use crate::proxy::decide::{Decision, Endpoints};
use crate::proxy::flight::{Flight, Verdict};
use crate::proxy::pool::Upstream;
use crate::proxy::tries::{Ended, Tries};
use crate::proxy::worker::Worker;
use crate::telemetry::reason::Reason;

/// What a connection that was made says of its endpoint: as much as a good answer.
const CONNECTED: Verdict = Verdict::Answered(200, None);

/// A connection to an endpoint.
#[derive(Debug)]
pub struct Opened {
    pub(super) upstream: Upstream,
    pub(super) flight: Flight,
    /// As a request, and as a connection.
    _permits: [Option<Permit>; 2],
}

/// Connects to an endpoint, and to others as the rule says if it does not answer.
///
/// # Errors
/// What the last try, or the circuit, says.
pub(super) async fn open(worker: &Rc<Worker>, decision: &Decision) -> Result<Opened, Reason> {
    let mut admission = Admission::new(decision, Tries::of(decision, "", 1));
    admission.enter()?;
    let mut endpoint = decision.pick(&[]).ok_or(Reason::NoEndpoints)?;
    loop {
        admission.tries.begin(endpoint.id);
        let mut flight = Flight::begin(&decision.pool, endpoint);
        let reason = match connect(worker, &decision.pool, &flight, decision.target()).await {
            Ok((upstream, connection)) => {
                flight.tell(CONNECTED);
                return Ok(Opened { upstream, flight, _permits: [admission.take(), connection] });
            }
            Err(reason) => reason,
        };
        let verdict = Verdict::of_failure(reason, false);
        flight.end(verdict);
        let Sequel::Again(repetition) = admission.after(Ended::new(verdict)) else {
            return Err(reason);
        };
        tokio::time::sleep(repetition.wait).await;
        endpoint = repetition.endpoint;
    }
}

/// Connects to the application itself.
///
/// # Errors
/// As [`connect::open`].
pub(super) async fn open_app(worker: &Rc<Worker>, app: &Arc<Endpoint>) -> Result<Opened, Reason> {
    let pool = Endpoints::App(Arc::clone(app));
    let flight = Flight::begin(&pool, Arc::clone(app));
    let (upstream, connection) = connect(worker, &pool, &flight, &worker.shared.service).await?;
    Ok(Opened { upstream, flight, _permits: [None, connection] })
}

/// Connects to the endpoint of `flight`, when it may be.
async fn connect(
    worker: &Rc<Worker>,
    pool: &Endpoints,
    flight: &Flight,
    service: &ServiceName,
) -> Result<(Upstream, Option<Permit>), Reason> {
    let permit = match pool.circuit() {
        None => None,
        Some(circuit) => timeout(pool.connect_timeout(), circuit.connection())
            .await
            .unwrap_or_else(|_| Err(circuit.gave_up()))?,
    };
    let terms = connect::Terms {
        timeout: pool.connect_timeout(),
        idle_limit: pool.tcp_idle(),
        alpn: Alpn::Tcp,
        service,
    };
    let upstream = connect::open(worker, flight.endpoint(), terms).await?;
    Ok((upstream, permit))
}
