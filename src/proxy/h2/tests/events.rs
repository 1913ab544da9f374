//! What the span of a sampled call says of its way.

use std::time::Duration;

use http::{HeaderValue, Request};

use super::rig::{App, Does, Net, everything, get, grpc};
use super::verdicts;
use crate::proxy::serve::tests::rig::{run, soon};
use crate::resource::{CircuitBreaker, ClusterPolicy, Retry, RetryBudget, Timeouts};

fn traced(mut request: Request<()>) -> Request<()> {
    let traceparent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    request.headers_mut().insert("traceparent", HeaderValue::from_static(traceparent));
    request
}

/// The events of the only span, once it is there: what, number, why.
async fn events(net: &Net) -> Vec<(&'static str, u32, String)> {
    let spans = &net.worker.shared.spans;
    let span = soon(async {
        loop {
            match spans.drain(9).pop() {
                Some(span) => break span,
                None => tokio::task::yield_now().await,
            }
        }
    });
    let events = span.await.events.into_iter();
    events.map(|event| (event.what.as_str(), event.attempt, event.why)).collect()
}

fn net(apps: &[&App], retry: Retry, circuit_breaker: CircuitBreaker) -> Net {
    let policy = ClusterPolicy { circuit_breaker, ..ClusterPolicy::default() };
    Net::new(apps, (retry, Timeouts::default()), policy)
}

#[test]
fn tries_and_what_keeps_them_from_being_made_are_told_as_over_http1() {
    run(async {
        let limited = CircuitBreaker { max_retries: Some(1), ..CircuitBreaker::default() };
        let retry = Retry { any_method: true, ..everything() };
        let (one, two) =
            (App::new(Does::TrailersOnly(14)).await, App::new(Does::TrailersOnly(14)).await);
        let both = net(&[&one, &two], retry.clone(), limited);
        both.client().await.ask(traced(grpc()), &[b"x"]).await.unwrap();
        // One repetition at a time is allowed, and the second follows the first.
        let why = || "gRPC code 14".to_owned();
        assert_eq!(events(&both).await, [("retry", 2, why()), ("retry", 3, why())]);
        let budget = Some(RetryBudget { ppm: 0, min_per_second: 0 });
        let poor = Retry { budget, ..retry.clone() };
        let both = net(&[&one, &two], poor, CircuitBreaker::default());
        both.client().await.ask(traced(grpc()), &[b"x"]).await.unwrap();
        assert_eq!(events(&both).await, [("refused", 1, "retry_budget".to_owned())]);
        let closed = CircuitBreaker { max_requests: Some(0), ..CircuitBreaker::default() };
        let both = net(&[&one, &two], retry.clone(), closed);
        both.client().await.ask(traced(grpc()), &[b"x"]).await.unwrap();
        assert_eq!(events(&both).await, [("refused", 0, "max_requests".to_owned())]);
        let (slow, good) = (App::new(Does::Hang).await, App::new(Does::Answer(200)).await);
        let retry = Retry { hedge_after: Some(Duration::from_millis(300)), ..retry };
        let hedged = net(&[&slow, &good], retry, CircuitBreaker::default());
        let client = hedged.client().await;
        let mut told = Vec::new();
        for _ in 0..2 {
            client.ask(traced(get()), &[]).await.unwrap();
            told.extend(events(&hedged).await);
        }
        assert!(slow.count() > 0 && !told.is_empty(), "it was tried");
        assert!(told.iter().all(|event| *event == ("hedge", 2, String::new())), "{told:?}");
    });
}

#[test]
fn who_is_ejected_for_a_code_in_its_trailers_is_told() {
    run(async {
        let app = App::new(Does::Message(14)).await;
        let net = verdicts::net(&app, None);
        net.client().await.ask(traced(grpc()), &[b"x"]).await.unwrap();
        let why = "1 errors in a row, the last was gRPC code 14".to_owned();
        assert_eq!(events(&net).await, [("ejected", 0, why)]);
    });
}
