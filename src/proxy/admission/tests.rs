//! Who is let in, and how often more.

use super::*;
use crate::proxy::cluster::tests::{cell, wire};
use crate::proxy::flight::Verdict;
use crate::resource::{CircuitBreaker, Retry, RetryBudget, RetryOn};

/// A decision for `count` endpoints under `limits`.
fn decision(count: usize, limits: CircuitBreaker) -> Decision {
    let mut wire = wire(0..count);
    wire.policy.circuit_breaker = limits;
    let cluster = cell(&wire).load().unwrap();
    decided(Endpoints::Mesh(cluster, 80))
}

fn decided(pool: Endpoints) -> Decision {
    Decision {
        destination: "default/w".into(),
        destination_id: 1,
        service: "default/w".parse().unwrap(),
        rule: None,
        backend: 0,
        pool,
        affinity: None,
        fault: None,
    }
}

fn retry(min_per_second: u32) -> Retry {
    let budget = Some(RetryBudget { ppm: 0, min_per_second });
    let on = RetryOn { server_error: true, ..RetryOn::default() };
    Retry { attempts: 3, on, budget, ..Retry::DEFAULT }
}

fn failed() -> Ended {
    Ended::new(Verdict::Answered(503, None))
}

/// A request at its first endpoint.
fn begun<'a>(decision: &'a Decision, retry: &'a Retry) -> Admission<'a> {
    let mut admission = Admission::new(decision, Tries::new(retry, "GET", 1));
    admission.enter().unwrap();
    admission.tries.begin(decision.pick(&[]).unwrap().id);
    admission
}

fn again(admission: &mut Admission<'_>) -> Result<u64, Option<Limit>> {
    match admission.after(failed()) {
        Sequel::Again(repetition) => {
            admission.tries.begin(repetition.endpoint.id);
            Ok(repetition.endpoint.id)
        }
        Sequel::Refused(limit) => Err(Some(limit)),
        Sequel::Stands => Err(None),
    }
}

#[test]
fn all_repetitions_of_a_request_count_once_and_until_its_end() {
    let limits = CircuitBreaker { max_retries: Some(1), ..CircuitBreaker::default() };
    let (decision, retry) = (decision(4, limits), retry(100));
    let mut first = begun(&decision, &retry);
    let mut ids = vec![first.tries.tried()[0]];
    ids.extend([again(&mut first).unwrap(), again(&mut first).unwrap()]);
    ids.dedup();
    assert_eq!(ids.len(), 3, "each elsewhere");
    let mut second = begun(&decision, &retry);
    assert_eq!(again(&mut second), Err(Some(Limit::MaxRetries)));
    drop(first);
    assert!(again(&mut second).is_ok());
}

#[test]
fn over_the_budget_what_came_stands_and_nothing_is_held() {
    let limits = CircuitBreaker { max_retries: Some(1), ..CircuitBreaker::default() };
    let (decision, none, some) = (decision(4, limits), retry(0), retry(1));
    let mut poor = begun(&decision, &none);
    assert_eq!(again(&mut poor), Err(Some(Limit::Budget)));
    assert!(poor.beside().is_none());
    assert!(again(&mut begun(&decision, &some)).is_ok(), "the other one holds nothing");
}

#[test]
fn a_request_is_in_until_it_is_dropped_or_what_follows_it_is() {
    let limits = CircuitBreaker { max_requests: Some(1), ..CircuitBreaker::default() };
    let (decision, retry) = (decision(1, limits), retry(1));
    let enter = || Admission::new(&decision, Tries::new(&retry, "GET", 1)).enter();
    let mut first = begun(&decision, &retry);
    assert_eq!(enter(), Err(Reason::MaxRequests));
    let tunnel = first.take();
    drop(first);
    assert_eq!(enter(), Err(Reason::MaxRequests));
    drop(tunnel);
    assert_eq!(enter(), Ok(()));
}

#[test]
fn beside_a_try_is_another_endpoint_and_the_application_is_never_asked_again() {
    let retry = retry(100);
    let several = decision(2, CircuitBreaker::default());
    let mut admission = begun(&several, &retry);
    let beside = admission.beside().expect("there is another").id;
    assert!(!admission.tries.tried().contains(&beside));
    let single = decision(1, CircuitBreaker::default());
    assert!(begun(&single, &retry).beside().is_none());
    let address = "127.0.0.1:80".parse().unwrap();
    let app = Endpoint::app(&"default/w-0".parse().unwrap(), address);
    let own = decided(Endpoints::App(Arc::new(app)));
    assert_eq!(again(&mut begun(&own, &retry)), Err(None));
}

/// Each repetition of one request counted as a request more that lends nothing.
#[test]
fn a_request_that_wants_several_repetitions_is_one_that_lends_nothing() {
    let budget = Some(RetryBudget { ppm: 500_000, min_per_second: 0 });
    let (decision, retry) = (decision(4, CircuitBreaker::default()), Retry { budget, ..retry(0) });
    let mut requests: Vec<_> = (0..5).map(|_| begun(&decision, &retry)).collect();
    // Half of the four others, a second try beside the first included.
    let first = &mut requests[0];
    let beside = first.beside().expect("one");
    first.tries.begin(beside.id);
    assert!(again(first).is_ok());
    assert_eq!(again(first), Err(Some(Limit::Budget)));
}
