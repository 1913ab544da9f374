//! One request of a client: read, decided about, sent or answered, recorded.

use std::rc::Rc;
use std::time::Instant;

use bytes::Bytes;
use h2::RecvStream;
use h2::server::SendResponse;
use http::Request;

use super::answer::{self, Form};
use super::attempt::{Call, Failure};
use super::exchange::Exchange;
use super::head::RequestHead;
use super::serve::Client;
use crate::names::Protocol;
use crate::proxy::admission::Admission;
use crate::proxy::decide::{Decision, Endpoints, Refusal};
use crate::proxy::head::Head;
use crate::proxy::record::{self, Outcome};
use crate::proxy::serve::Origin;
use crate::proxy::trace::{Events, Trace};
use crate::proxy::tries::{ATTEMPT_HEADER, Tries, attempt_of};
use crate::proxy::{inbound, outbound};
use crate::telemetry::escape;
use crate::telemetry::limits::Limit;
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
    let head = match RequestHead::parse(parts, client.headroom) {
        Ok(head) => head,
        Err(malformed) => {
            tracing::debug!(detail = malformed.detail, "request refused");
            if malformed.reason == Reason::HeadTooLarge {
                client.worker.hit(Limit::HttpFields);
            }
            let refusal = malformed.reason.into();
            refused(&client, "", (&refusal, Form::Http), started);
            answer::send(&mut respond, &refusal, Form::Http);
            return client.ended(false);
        }
    };
    let form = Form::of(&head);
    let mut exchange = Exchange::new(client.worker.slots.take(), respond, body);
    match exchange.while_wanted(decide(&client, &head)).await {
        Ok(Ok(decision)) => {
            let _under_way = client.worker.begin();
            forward(&client, exchange, head, decision, started).await;
        }
        Ok(Err(refusal)) => {
            let path = escape(head.path().as_bytes());
            tracing::debug!(reason = refusal.reason.as_str(), path = &*path, "request refused");
            let called = client.origin.called(head.authority());
            let destination = refusal.destination(&called);
            refused(&client, &destination, (&refusal, form), started);
            answer::send(exchange.respond(), &refusal, form);
            client.ended(false);
        }
        Err(_) => {
            let called = client.origin.called(head.authority());
            let destination = escape(called.as_bytes());
            refused(&client, &destination, (&Reason::ClientGone.into(), form), started);
            client.ended(true);
        }
    }
}

async fn decide(client: &Client, head: &RequestHead) -> Result<Decision, Refusal> {
    let worker = &client.worker;
    if !worker.admits(client.came) {
        return Err(Reason::Overloaded.into());
    }
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
    exchange.events = Events::of(&trace, started);
    let client_cert = caller.and_then(|caller| caller.client_cert.as_deref());
    let attempt = attempt_of(head.header(ATTEMPT_HEADER));
    let tries = Tries::of(&decision, head.method(), attempt);
    let put_in = match decision.fault {
        None => Ok(()),
        Some(_) => Box::pin(fault(&mut exchange, &decision)).await,
    };
    let sent = |()| {
        let request = head.into_outgoing(&decision, trace.header(), client_cert);
        request.map_err(Failure::Own)
    };
    let result = match put_in.and_then(sent) {
        Ok(request) => {
            let (worker, decision) = (&client.worker, &decision);
            let call = Call { worker, decision, request: &request, is_grpc: form == Form::Grpc };
            exchange.run(call, Admission::new(decision, tries)).await
        }
        Err(failure) => Err(failure),
    };
    client.ended(matches!(result, Err(Failure::Gone(_))));
    let outcome = settle(&mut exchange, &decision, form, result);
    let record = (trace, started);
    match caller {
        Some(caller) => record::inbound(&client.worker, caller, &outcome, record),
        None => {
            let endpoint = exchange.tried.as_deref();
            let protocol = protocol(form);
            record::outbound(&client.worker, &decision, endpoint, protocol, &outcome, record);
        }
    }
}

/// Puts in what a fault policy says; a failure where the request ends with that.
async fn fault(exchange: &mut Exchange, decision: &Decision) -> Result<(), Failure> {
    let Some((wait, end)) = decision.course() else { return Ok(()) };
    decision.fault.iter().for_each(|fault| exchange.events.fault(fault));
    exchange.while_wanted(tokio::time::sleep(wait)).await?;
    end.map_or(Ok(()), |reason| Err(Failure::Own(reason)))
}

/// Ends the client's stream, where it has not ended with the answer.
fn settle(
    exchange: &mut Exchange,
    decision: &Decision,
    form: Form,
    result: Result<(), Failure>,
) -> Outcome {
    let (request_bytes, response_bytes) = exchange.moved();
    let mut outcome = Outcome {
        status: exchange.status,
        grpc_code: exchange.grpc_code,
        is_grpc: form == Form::Grpc,
        reason: None,
        attempts: exchange.attempts,
        events: std::mem::take(&mut exchange.events),
        request_bytes,
        response_bytes,
    };
    match result {
        Ok(()) => outcome.reason = exchange.supplied.then_some(Reason::UpstreamProtocol),
        // The caller's proxy may know another endpoint, which does not refuse it.
        Err(Failure::Own(Reason::RefusedStream))
            if outcome.status == 0 && matches!(decision.pool, Endpoints::App(_)) =>
        {
            exchange.reset(h2::Reason::REFUSED_STREAM);
            outcome.reason = Some(Reason::RefusedStream);
        }
        Err(Failure::Own(reason)) if outcome.status == 0 => {
            let refusal = decision.refuse(reason);
            answer::send(exchange.respond(), &refusal, form);
            (outcome.status, outcome.grpc_code) = answer::seen(&refusal, form);
            outcome.reason = Some(reason);
        }
        Err(Failure::Own(reason)) => {
            exchange.reset(match reason {
                Reason::RequestTimeout | Reason::TryTimeout => h2::Reason::CANCEL,
                _ => h2::Reason::INTERNAL_ERROR,
            });
            outcome.reason = Some(reason);
        }
        Err(Failure::Reset(code)) => {
            exchange.reset(code);
            outcome.reason = Some(Reason::UpstreamReset);
        }
        Err(Failure::Stalled) => {
            exchange.reset(h2::Reason::CANCEL);
            outcome.reason = Some(Reason::RequestTimeout);
        }
        Err(Failure::Gone(_)) => outcome.reason = Some(Reason::ClientGone),
    }
    outcome
}

/// Records a request that no endpoint saw.
fn refused(
    client: &Client,
    destination: &str,
    (refusal, form): (&Refusal, Form),
    started: Instant,
) {
    let worker = &client.worker;
    let (status, grpc_code) = match refusal.reason {
        Reason::ClientGone => (0, None),
        _ => answer::seen(refusal, form),
    };
    let is_grpc = form == Form::Grpc;
    let outcome = Outcome { status, grpc_code, is_grpc, ..Outcome::refusal(refusal) };
    match &client.origin {
        Origin::Inbound(caller) => {
            record::inbound(worker, caller, &outcome, (Trace::Passed, started));
        }
        _ => record::not_passed_on(worker, destination, protocol(form), &outcome, started),
    }
}

fn protocol(form: Form) -> Protocol {
    if form == Form::Grpc { Protocol::Grpc } else { Protocol::Http2 }
}
