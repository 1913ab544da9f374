//! What the span of a sampled request says of its way.

use std::time::Duration;

use super::rig::{Reply, Rig, Rules, answer, get, ok};
use super::{eager, failing, with};
use crate::names::RuleId;
use crate::proxy::serve::tests::rig::run;
use crate::resource::{
    AbortHow, CircuitBreaker, ClusterPolicy, Fault, FaultAbort, FaultDelay, OutlierDetection,
    PARTS_PER_MILLION, Retry, RetryBudget,
};
use crate::telemetry::span::Span;

type Event = (&'static str, u32, String, String);

fn traced() -> String {
    let traceparent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    get("/").replace("\r\n\r\n", &format!("\r\ntraceparent: {traceparent}\r\n\r\n"))
}

/// The events of the only span that was recorded.
fn events(rig: &Rig) -> Vec<Event> {
    let [Span { events, duration_ns, .. }] = &rig.worker.shared.spans.drain(9)[..] else {
        panic!("one span")
    };
    let mut last = 0;
    for event in events {
        assert!(last <= event.offset_ns && event.offset_ns <= *duration_ns, "in order: {events:?}");
        last = event.offset_ns;
    }
    let said =
        events.iter().map(|it| (it.what.as_str(), it.attempt, it.endpoint.clone(), it.why.clone()));
    said.collect()
}

fn event(what: &'static str, attempt: u32, endpoint: &str, why: &str) -> Event {
    (what, attempt, endpoint.to_owned(), why.to_owned())
}

/// The endpoint that got the request that came as number `index`.
fn app(rig: &Rig, index: usize) -> String {
    format!("app-{}", rig.seen()[index].app)
}

#[test]
fn a_try_more_says_where_and_why() {
    run(async {
        let rig = Rig::new(2, with(eager()), failing(1, 503)).await;
        assert_eq!(rig.ask(&traced()).await.0, 200);
        assert_eq!(events(&rig), [event("retry", 2, &app(&rig, 1), "503")]);
        let cut = |before: usize, _: &_| if before == 0 { Reply::Close } else { ok() };
        let rig = Rig::new(2, with(eager()), cut).await;
        assert_eq!(rig.ask(&traced()).await.0, 200);
        assert_eq!(events(&rig), [event("retry", 2, &app(&rig, 1), "upstream_reset")]);
        let retry = Retry { hedge_after: Some(Duration::from_millis(10)), ..eager() };
        let slow = |before: usize, _: &_| if before == 0 { Reply::Silence } else { ok() };
        let rig = Rig::new(2, with(retry), slow).await;
        assert_eq!(rig.ask(&traced()).await.0, 200);
        assert_eq!(events(&rig), [event("hedge", 2, &app(&rig, 1), "")]);
    });
}

#[test]
fn what_is_refused_says_by_which_limit() {
    run(async {
        let limits = |circuit_breaker| Rules {
            policy: ClusterPolicy { circuit_breaker, ..ClusterPolicy::default() },
            ..with(eager())
        };
        let none = CircuitBreaker { max_requests: Some(0), ..CircuitBreaker::default() };
        let rig = Rig::new(1, limits(none), |_, _| ok()).await;
        assert_eq!(rig.ask(&traced()).await.0, 503);
        assert_eq!(events(&rig), [event("refused", 0, "", "max_requests")]);
        let none = CircuitBreaker {
            max_connections: Some(0),
            max_pending_requests: Some(0),
            ..CircuitBreaker::default()
        };
        let rig = Rig::new(1, limits(none), |_, _| ok()).await;
        assert_eq!(rig.ask(&traced()).await.0, 503);
        assert_eq!(events(&rig), [event("refused", 1, "", "max_pending_requests")]);
        let none = CircuitBreaker { max_retries: Some(0), ..CircuitBreaker::default() };
        let rig = Rig::new(2, limits(none), failing(9, 503)).await;
        assert_eq!(rig.ask(&traced()).await.0, 503);
        assert_eq!(events(&rig), [event("refused", 1, "", "max_retries")]);
        let budget = Some(RetryBudget { ppm: 0, min_per_second: 0 });
        let rig = Rig::new(2, with(Retry { budget, ..eager() }), failing(9, 503)).await;
        assert_eq!(rig.ask(&traced()).await.0, 503);
        assert_eq!(events(&rig), [event("refused", 1, "", "retry_budget")]);
    });
}

#[test]
fn who_is_ejected_for_it_is_named() {
    run(async {
        let policy =
            ClusterPolicy { outlier_detection: Some(strict()), ..ClusterPolicy::default() };
        for (shadow, expected) in [
            (false, vec![event("ejected", 0, "app-0", "1 errors in a row, the last was 503")]),
            (true, vec![]),
        ] {
            let policy = ClusterPolicy { shadow, ..policy.clone() };
            let rules = Rules { policy, ..Rules::default() };
            let rig = Rig::new(1, rules, |_, _| answer(503, "", "")).await;
            assert_eq!(rig.ask(&traced()).await.0, 503);
            assert_eq!(events(&rig), expected);
        }
    });
}

fn strict() -> OutlierDetection {
    OutlierDetection {
        consecutive_errors: Some(1),
        consecutive_gateway_errors: None,
        consecutive_local_errors: None,
        success_rate: None,
        failure_percent: None,
        interval: Duration::from_secs(1_000),
        base_ejection: Duration::from_secs(1_000),
        max_ejection: Duration::from_secs(1_000),
        max_ejection_ppm: PARTS_PER_MILLION,
    }
}

#[test]
fn a_fault_says_what_and_by_whom() {
    run(async {
        let fault = Fault {
            id: RuleId("FaultPolicy/shop/slow".into()),
            from: vec![],
            matches: vec![],
            delay: Some(FaultDelay { ppm: PARTS_PER_MILLION, duration: Duration::from_millis(1) }),
            abort: Some(FaultAbort { ppm: PARTS_PER_MILLION, how: AbortHow::Status(418) }),
            expires: None,
            shadow: false,
        };
        let rules = Rules { faults: vec![fault], ..Rules::default() };
        let rig = Rig::new(1, rules, |_, _| ok()).await;
        assert_eq!(rig.ask(&traced()).await.0, 418);
        let why = "FaultPolicy/shop/slow: delay 1ms, abort with 418";
        assert_eq!(events(&rig), [event("fault", 0, "", why)]);
    });
}

#[test]
fn nothing_is_kept_of_what_is_not_sampled_nor_for_the_next_request() {
    run(async {
        let rig = Rig::new(2, with(eager()), |before, _| match before {
            0 | 2 => answer(503, "", ""),
            _ => ok(),
        });
        let rig = rig.await;
        let mut client = rig.client().await;
        assert_eq!(client.ask(&get("/")).await.0, 200);
        assert_eq!(client.ask(&traced()).await.0, 200);
        assert_eq!(events(&rig).len(), 1);
        assert_eq!(client.ask(&traced()).await.0, 200);
        assert_eq!(events(&rig), []);
    });
}
