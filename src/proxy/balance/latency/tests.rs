//! Peak EWMA: up at once, down slowly, and no herd to what is not known.

use super::*;
use crate::telemetry::reason::Reason;

#[test]
fn it_follows_a_rise_at_once_and_forgets_it_slowly() {
    let latency = Latency::default();
    latency.observe(10.0, Worth::Answer, 0);
    latency.observe(200.0, Worth::Answer, 1_000);
    assert!((latency.cost(0.0, 1_000) - 200.0).abs() < 0.01, "a peak counts at once");
    latency.observe(10.0, Worth::Answer, 1_001);
    assert!(latency.cost(0.0, 1_001) > 199.0, "one good answer does not make up for it");
    let mut before = latency.cost(0.0, 1_001);
    for second in 2..60 {
        latency.observe(10.0, Worth::Answer, second * 1_000);
        let now = latency.cost(0.0, second * 1_000);
        assert!(now < before);
        before = now;
    }
    assert!(before < 12.0, "{before}");
}

#[test]
fn those_under_way_multiply_it() {
    let latency = Latency::default();
    latency.observe(10.0, Worth::Answer, 5);
    assert!((latency.cost(3.0, 5) - 40.0).abs() < 0.01);
}

#[test]
fn what_is_not_known_is_tried_once_and_so_is_what_was_forgotten() {
    let known = Latency::default();
    known.observe(500.0, Worth::Answer, 0);
    for (latency, now) in [(Latency::default(), 0), (known, 1_000_000)] {
        assert!(latency.cost(0.0, now) < 0.001, "nothing is under way: find out");
        assert!(latency.cost(1.0, now) > 10_000.0, "somebody is finding out already");
    }
}

#[test]
fn a_fast_failure_makes_nobody_fast() {
    let latency = Latency::default();
    latency.observe(50.0, Worth::Answer, 0);
    latency.observe(0.1, Worth::Failure, 100);
    assert!(latency.cost(0.0, 100) > 49.0);
    latency.observe(1_000.0, Worth::Failure, 200);
    assert!(latency.cost(0.0, 200) > 999.0, "a slow one counts");
    let worth = [
        (Verdict::Answered(200, None), Some(Worth::Answer)),
        (Verdict::Answered(404, None), Some(Worth::Answer)),
        (Verdict::Answered(503, None), Some(Worth::Failure)),
        (Verdict::Failed(Reason::ConnectFailure), Some(Worth::Failure)),
        (Verdict::Abandoned, None),
    ];
    for (verdict, expected) in worth {
        assert_eq!(Worth::of(verdict), expected, "{verdict:?}");
    }
}

#[test]
fn a_clock_that_is_behind_or_wraps_does_no_harm() {
    let latency = Latency::default();
    let late = u64::from(u32::MAX) - 10;
    latency.observe(10.0, Worth::Answer, late);
    assert!((latency.cost(0.0, late - 5_000) - 10.0).abs() < 0.01);
    let faded = latency.cost(0.0, late + 10_000);
    assert!((faded - 10.0 / std::f64::consts::E).abs() < 0.01, "{faded}");
}
