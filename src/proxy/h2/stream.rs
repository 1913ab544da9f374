//! One request of a client: read, decided about, sent or answered, recorded.

use std::rc::Rc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use h2::RecvStream;
use h2::server::SendResponse;
use http::Request;

use super::answer::{self, Form};
use super::exchange::{Exchange, Failure};
use super::head::RequestHead;
use super::serve::Client;
use crate::names::Protocol;
use crate::proxy::decide::{Decision, Endpoints, Refusal};
use crate::proxy::head::Head;
use crate::proxy::record::{self, Outcome};
use crate::proxy::serve::Origin;
use crate::proxy::trace::Trace;
use crate::proxy::{inbound, outbound};
use crate::telemetry::reason::Reason;

/// The port that an authority without one means.
const DEFAULT_PORT: u16 = 80;

/// Serves one request.
pub(super) async fn serve(
    client: Rc<Client>,
    request: Request<RecvStream>,
    mut respond: SendResponse<Bytes>,
) {
    let started = Instant::now();
    let (parts, body) = request.into_parts();
    let head = match RequestHead::parse(parts) {
        Ok(head) => head,
        Err(malformed) => {
            tracing::debug!(detail = malformed.detail, "request refused");
            refused(&client, "", &Outcome::own(malformed.reason), started);
            answer::send(&mut respond, &malformed.reason.into(), Form::Http);
            return client.ended(false);
        }
    };
    let mut exchange = Exchange::new(respond, body);
    match exchange.while_wanted(decide(&client, &head)).await {
        Ok(Ok(decision)) => forward(&client, exchange, head, decision, started).await,
        Ok(Err(refusal)) => {
            tracing::debug!(reason = refusal.reason.as_str(), path = head.path(), "refused");
            let called = client.origin.called(head.authority());
            let destination = refusal.destination(&called);
            refused(&client, &destination, &Outcome::refusal(&refusal), started);
            answer::send(exchange.respond(), &refusal, Form::of(&head));
            client.ended(false);
        }
        Err(_) => {
            let called = client.origin.called(head.authority());
            let destination = crate::telemetry::escape(called.as_bytes());
            refused(&client, &destination, &Outcome::own(Reason::ClientGone), started);
            client.ended(true);
        }
    }
}

async fn decide(client: &Client, head: &RequestHead) -> Result<Decision, Refusal> {
    let worker = &client.worker;
    let decision = match &client.origin {
        Origin::Inbound(caller) => inbound::decide(worker, caller)?,
        Origin::Upstream(called) => outbound::decide(worker, called, head).await?,
        Origin::Outbound => {
            let called = outbound::resolve(worker, head.authority(), DEFAULT_PORT).await?;
            outbound::decide(worker, &called, head).await?
        }
    };
    // What is declared for HTTP/1.1 would not understand, and nothing is converted.
    match speaks(client, &decision) {
        Protocol::Http => Err(decision.refuse(Reason::ProtocolMismatch)),
        _ => Ok(decision),
    }
}

/// What those who can answer are declared to speak.
fn speaks(client: &Client, decision: &Decision) -> Protocol {
    match &decision.pool {
        Endpoints::Mesh(cluster, port) => {
            cluster.port(*port).map(|port| port.protocol).unwrap_or_default()
        }
        Endpoints::App(app) => {
            let workload = client.worker.shared.directory.workload();
            let own = workload.ports.iter().find(|port| port.port == app.address.port());
            own.map(|port| port.protocol).unwrap_or_default()
        }
        // What they are declared to speak was looked at when the connection came.
        Endpoints::Host(_) | Endpoints::Outside(_) => Protocol::Detect,
    }
}

async fn forward(
    client: &Client,
    mut exchange: Exchange,
    head: RequestHead,
    decision: Decision,
    started: Instant,
) {
    let caller = match &client.origin {
        Origin::Inbound(caller) => Some(caller),
        _ => None,
    };
    let form = Form::of(&head);
    let ppm = client.worker.sampling_ppm();
    let trace = Trace::begin(head.traceparent(), ppm, &head, caller.is_some());
    let client_cert = caller.and_then(|caller| caller.client_cert.as_deref());
    let result = match head.into_outgoing(&decision, trace.header(), client_cert) {
        Ok(request) => send(client, &mut exchange, &decision, &request).await,
        Err(reason) => Err(Failure::Own(reason)),
    };
    client.ended(matches!(result, Err(Failure::Gone(_))));
    let outcome = settle(&mut exchange, &decision, form, &result);
    let record = (trace, started);
    match caller {
        Some(caller) => record::inbound(&client.worker, caller, &outcome, record),
        None => {
            let endpoint = exchange.tried.as_deref();
            let protocol = Protocol::Http2;
            record::outbound(&client.worker, &decision, endpoint, protocol, &outcome, record);
        }
    }
}

async fn send(
    client: &Client,
    exchange: &mut Exchange,
    decision: &Decision,
    request: &Request<()>,
) -> Result<(), Failure> {
    let timeouts = decision.timeouts();
    let run = exchange.run(&client.worker, decision, request);
    let limit = match (timeouts.request, timeouts.backend_request) {
        (None, None) => return run.await,
        // The default retry repeats only what no endpoint has seen, so one limit is both.
        (Some(one), Some(other)) => one.min(other),
        (one, other) => one.or(other).unwrap_or(Duration::MAX),
    };
    match tokio::time::timeout(limit, run).await {
        Ok(result) => result,
        Err(_) => Err(Failure::Own(Reason::RequestTimeout)),
    }
}

/// Ends the client's stream, where it has not ended with the answer.
fn settle(
    exchange: &mut Exchange,
    decision: &Decision,
    form: Form,
    result: &Result<(), Failure>,
) -> Outcome {
    let (request_bytes, response_bytes) = exchange.moved();
    let status = exchange.status;
    let (status, reason) = match *result {
        Ok(()) => (status, None),
        Err(Failure::Own(reason)) if status == 0 => {
            answer::send(exchange.respond(), &decision.refuse(reason), form);
            (reason.status(), Some(reason))
        }
        Err(Failure::Own(reason)) => {
            let code = match reason {
                Reason::RequestTimeout => h2::Reason::CANCEL,
                _ => h2::Reason::INTERNAL_ERROR,
            };
            exchange.reset(code);
            (status, Some(reason))
        }
        Err(Failure::Reset(code)) => {
            exchange.reset(code);
            (status, Some(Reason::UpstreamReset))
        }
        Err(Failure::Gone(_)) => (status, Some(Reason::ClientGone)),
    };
    Outcome { status, reason, request_bytes, response_bytes, ..Outcome::default() }
}

/// Records a request that no endpoint saw.
fn refused(client: &Client, destination: &str, outcome: &Outcome, started: Instant) {
    let worker = &client.worker;
    match &client.origin {
        Origin::Inbound(caller) => {
            record::inbound(worker, caller, outcome, (Trace::Passed, started));
        }
        _ => record::not_passed_on(worker, destination, Protocol::Http2, outcome, started),
    }
}
