//! What follows a try: tables of what each condition asks for, and properties that always hold.

use std::time::Duration;

use proptest::prelude::*;

use super::{Again, Asked, Ended, MAX_ASKED, Next, Tries, attempt_of, is_unseen};
use crate::proxy::flight::Verdict;
use crate::resource::{Retry, RetryBackoff, RetryBudget, RetryOn};
use crate::telemetry::reason::Reason;

mod asked;

const BACKOFF: RetryBackoff =
    RetryBackoff { base: Duration::from_millis(25), max: Duration::from_millis(250) };

/// A policy with `on`, twice more.
fn policy(on: RetryOn) -> Retry {
    let budget = Some(RetryBudget { ppm: 200_000, min_per_second: 3 });
    Retry { attempts: 2, on, backoff: BACKOFF, budget, ..Retry::DEFAULT }
}

fn everything() -> RetryOn {
    RetryOn {
        connect_failure: true,
        refused_stream: true,
        gateway_error: true,
        server_error: true,
        reset: true,
    }
}

fn ended(verdict: Verdict) -> Ended {
    Ended::new(verdict)
}

/// What follows the first try of a `method` request.
fn first(retry: &Retry, method: &str, ended: &Ended) -> Next {
    let mut tries = Tries::new(retry, method, 1);
    tries.begin(7);
    tries.after(ended, u64::MAX)
}

fn is_again(next: Next) -> bool {
    next != Next::Stand
}

#[test]
fn without_a_policy_only_what_nobody_has_seen_is_tried_again_once_and_at_once() {
    let free = Next::Again(Again { wait: Duration::ZERO, budgeted: false });
    for reason in [Reason::ConnectFailure, Reason::ConnectTimeout, Reason::RefusedStream] {
        let ended = ended(Verdict::Failed(reason));
        assert_eq!(first(&Retry::DEFAULT, "POST", &ended), free, "{reason:?}");
        let retry = Retry::DEFAULT;
        let mut tries = Tries::new(&retry, "POST", 1);
        tries.begin(1);
        tries.begin(2);
        assert_eq!(tries.after(&ended, 0), Next::Stand, "{reason:?} a second time");
    }
    for verdict in [
        Verdict::Failed(Reason::UpstreamReset),
        Verdict::Failed(Reason::TryTimeout),
        Verdict::Failed(Reason::MaxRequests),
        Verdict::Answered(503, None),
        Verdict::Answered(200, Some(14)),
        Verdict::Abandoned,
    ] {
        assert_eq!(first(&Retry::DEFAULT, "GET", &ended(verdict)), Next::Stand, "{verdict:?}");
    }
}

#[test]
fn a_connect_is_not_repeated_at_the_only_endpoint_but_a_connection_that_was_ending_is() {
    let alone = |reason| Ended { elsewhere: false, ..ended(Verdict::Failed(reason)) };
    assert_eq!(first(&Retry::DEFAULT, "GET", &alone(Reason::ConnectFailure)), Next::Stand);
    assert!(is_again(first(&Retry::DEFAULT, "GET", &alone(Reason::RefusedStream))));
    // With a back-off the only endpoint is asked again, within the budget.
    let retry = policy(everything());
    let next = first(&retry, "GET", &alone(Reason::ConnectFailure));
    assert_eq!(next, Next::Again(Again { wait: BACKOFF.base, budgeted: true }));
}

#[test]
fn each_condition_asks_for_what_it_names() {
    let none = RetryOn::default();
    let on = [
        ("connect-failure", RetryOn { connect_failure: true, ..none }),
        ("refused-stream", RetryOn { refused_stream: true, ..none }),
        ("gateway-error", RetryOn { gateway_error: true, ..none }),
        ("5xx", RetryOn { server_error: true, ..none }),
        ("reset", RetryOn { reset: true, ..none }),
    ];
    let table = [
        (Verdict::Failed(Reason::ConnectFailure), "connect-failure gateway-error 5xx"),
        (Verdict::Failed(Reason::TlsFailure), "connect-failure gateway-error 5xx"),
        (Verdict::Failed(Reason::UnknownRoot), "connect-failure gateway-error 5xx"),
        (Verdict::Failed(Reason::RefusedStream), "refused-stream gateway-error 5xx"),
        (Verdict::Failed(Reason::UpstreamReset), "gateway-error 5xx reset"),
        (Verdict::Failed(Reason::TryTimeout), "gateway-error 5xx reset"),
        (Verdict::Failed(Reason::UpstreamProtocol), "gateway-error 5xx"),
        (Verdict::Failed(Reason::MaxConnections), ""),
        (Verdict::Failed(Reason::RequestTimeout), ""),
        (Verdict::Failed(Reason::NotRegistered), ""),
        (Verdict::Answered(500, None), "5xx"),
        (Verdict::Answered(502, None), "gateway-error 5xx"),
        (Verdict::Answered(504, None), "gateway-error 5xx"),
        (Verdict::Answered(505, None), "5xx"),
        (Verdict::Answered(429, None), ""),
        (Verdict::Answered(200, None), ""),
        (Verdict::Abandoned, ""),
    ];
    for (verdict, expected) in table {
        let asked =
            on.iter().filter(|(_, on)| is_again(first(&policy(*on), "GET", &ended(verdict))));
        let asked: Vec<_> = asked.map(|(name, _)| *name).collect();
        assert_eq!(asked.join(" "), expected, "{verdict:?}");
    }
}

#[test]
fn statuses_and_codes_that_are_named_are_tried_again() {
    let retry = Retry {
        status_codes: vec![409, 429],
        grpc_codes: vec![4, 14],
        ..policy(RetryOn::default())
    };
    let again = |verdict| is_again(first(&retry, "GET", &ended(verdict)));
    assert!(again(Verdict::Answered(429, None)));
    assert!(!again(Verdict::Answered(428, None)));
    assert!(again(Verdict::Answered(200, Some(14))));
    assert!(!again(Verdict::Answered(200, Some(0))));
}

#[test]
fn what_may_have_been_done_is_repeated_only_where_the_method_or_the_rule_allows_it() {
    let retry = policy(everything());
    let all = Retry { any_method: true, ..retry.clone() };
    for verdict in [Verdict::Answered(503, None), Verdict::Failed(Reason::UpstreamReset)] {
        for method in ["GET", "HEAD", "OPTIONS", "TRACE", "PUT", "DELETE"] {
            assert!(is_again(first(&retry, method, &ended(verdict))), "{method}");
        }
        for method in ["POST", "PATCH", "get", "LOCK"] {
            assert!(!is_again(first(&retry, method, &ended(verdict))), "{method}");
            assert!(is_again(first(&all, method, &ended(verdict))), "{method}");
            let unseen = Ended { unseen: true, ..ended(verdict) };
            assert!(is_again(first(&retry, method, &unseen)), "{method} unseen");
        }
    }
}

#[test]
fn inside_of_a_repetition_elsewhere_only_the_default_holds() {
    let retry = policy(everything());
    let mut nested = Tries::new(&retry, "GET", 2);
    nested.begin(1);
    assert_eq!(nested.after(&ended(Verdict::Answered(503, None)), 0), Next::Stand);
    assert!(is_again(nested.after(&ended(Verdict::Failed(Reason::ConnectFailure)), 0)));
    nested.begin(2);
    assert_eq!(nested.number(), None, "the number that came goes on");
    assert_eq!(nested.keeps(true), 0);
}

#[test]
fn repetitions_say_their_number() {
    let retry = policy(everything());
    let mut tries = Tries::new(&retry, "GET", 1);
    tries.begin(1);
    assert_eq!(tries.number(), None);
    tries.begin(2);
    assert_eq!(tries.number(), Some(2));
    assert_eq!(tries.tried(), [1, 2]);
}

#[test]
fn a_body_is_kept_only_where_a_repetition_could_need_it() {
    let gateway = policy(RetryOn { gateway_error: true, ..RetryOn::default() });
    let keeps = |retry: &Retry, method, streams| Tries::new(retry, method, 1).keeps(streams);
    assert_eq!(keeps(&gateway, "PUT", false), 64 * 1024);
    assert_eq!(keeps(&gateway, "POST", false), 0);
    let all = Retry { any_method: true, max_body: 9, ..gateway };
    assert_eq!(keeps(&all, "POST", false), 9);
    assert_eq!(keeps(&Retry { attempts: 0, ..all }, "POST", false), 0);
    assert_eq!(keeps(&Retry::DEFAULT, "PUT", true), 0);
    let refused = policy(RetryOn { refused_stream: true, ..RetryOn::default() });
    assert_eq!(keeps(&refused, "POST", true), 64 * 1024);
    assert_eq!(keeps(&refused, "PUT", false), 0);
}

#[test]
fn a_hedge_is_for_idempotent_requests_without_a_body_and_once() {
    let after = Some(Duration::from_millis(100));
    let retry = Retry { hedge_after: after, ..policy(everything()) };
    let hedge = |method, empty, attempt| {
        let mut tries = Tries::new(&retry, method, attempt);
        tries.begin(1);
        tries.hedge_after(empty)
    };
    assert_eq!(hedge("GET", true, 1), after);
    assert_eq!(hedge("GET", false, 1), None);
    assert_eq!(hedge("POST", true, 1), None);
    assert_eq!(hedge("GET", true, 2), None, "inside of a repetition");
    let mut tries = Tries::new(&retry, "GET", 1);
    tries.begin(1);
    tries.begin(2);
    assert_eq!(tries.hedge_after(true), None);
}

#[test]
fn the_number_of_an_attempt_is_read_leniently() {
    let values = [(Some(b"2".as_slice()), 2), (Some(b" 3 "), 3), (Some(b"x"), 1), (None, 1)];
    for (value, expected) in values {
        assert_eq!(attempt_of(value), expected, "{value:?}");
    }
}

fn verdicts() -> impl Strategy<Value = Verdict> {
    prop_oneof![
        (100_u16..600, proptest::option::of(0_u32..17))
            .prop_map(|(status, code)| Verdict::Answered(status, code)),
        proptest::sample::select(Reason::ALL).prop_map(Verdict::Failed),
        Just(Verdict::Abandoned),
    ]
}

prop_compose! {
    fn retries()(
        attempts in 0_u32..6,
        on in any::<[bool; 5]>(),
        mut status_codes in proptest::collection::vec(400_u16..600, 0..4),
        mut grpc_codes in proptest::collection::vec(0_u32..17, 0..4),
        any_method in any::<bool>(),
        base in 0_u64..200,
        factor in 1_u32..20,
    ) -> Retry {
        let [connect_failure, refused_stream, gateway_error, server_error, reset] = on;
        status_codes.sort_unstable();
        grpc_codes.sort_unstable();
        let base = Duration::from_millis(base);
        Retry {
            attempts,
            on: RetryOn { connect_failure, refused_stream, gateway_error, server_error, reset },
            status_codes,
            grpc_codes,
            any_method,
            backoff: RetryBackoff { base, max: base * factor },
            ..policy(RetryOn::default())
        }
    }
}

prop_compose! {
    fn ends()(
        verdict in verdicts(),
        flags in any::<[bool; 4]>(),
        asked in proptest::option::of(0_u64..10_000),
        how in 0..3,
        left in proptest::option::of(0_u64..10_000),
    ) -> Ended {
        let [passed_on, unseen, whole, elsewhere] = flags;
        let asked = asked.map(Duration::from_millis).map(|asked| match how {
            0 => Asked::AtLeast(asked),
            1 => Asked::After(asked),
            _ => Asked::Never,
        });
        let left = left.map(Duration::from_millis);
        Ended { verdict, passed_on, unseen, whole, elsewhere, asked, left }
    }
}

proptest! {
    /// Whatever the rule says, and whatever happened before.
    #[test]
    fn what_is_never_done(
        retry in retries(),
        method in proptest::sample::select(vec!["GET", "PUT", "POST", "PATCH"]),
        ends in proptest::collection::vec(ends(), 1..10),
        random in any::<u64>(),
    ) {
        let mut tries = Tries::new(&retry, method, 1);
        let mut free = 0;
        for (id, ended) in (0..).zip(&ends) {
            tries.begin(id);
            let Next::Again(again) = tries.after(ended, random) else { continue };
            prop_assert!(tries.count() <= retry.attempts, "more tries than the rule has");
            prop_assert!(!ended.passed_on && ended.whole);
            prop_assert!(ended.verdict != Verdict::Abandoned);
            let unseen = ended.unseen || is_unseen(ended.verdict);
            prop_assert!(unseen || retry.any_method || !matches!(method, "POST" | "PATCH"));
            prop_assert!(ended.left.is_none_or(|left| again.wait < left || again.wait.is_zero()));
            prop_assert!(ended.asked != Some(Asked::Never));
            let asked = match ended.asked {
                Some(Asked::AtLeast(asked) | Asked::After(asked)) => asked,
                _ => Duration::ZERO,
            };
            prop_assert!(asked <= MAX_ASKED && again.wait >= asked);
            let ceiling = retry.backoff.base.saturating_mul(1 << (tries.count() - 1));
            prop_assert!(again.wait <= asked + ceiling.min(retry.backoff.max));
            if !again.budgeted {
                free += 1;
                prop_assert!(unseen && again.wait.is_zero());
            }
        }
        prop_assert!(free <= 1, "one repetition is free");
    }

    /// An answer is held back exactly where it could be tried again.
    #[test]
    fn held_back_is_what_could_be_repeated(retry in retries(), ended in ends(), random in any::<u64>()) {
        let Verdict::Answered(status, code) = ended.verdict else { return Ok(()) };
        let mut tries = Tries::new(&retry, "GET", 1);
        tries.begin(1);
        let again = is_again(tries.after(&ended, random));
        prop_assert!(!again || tries.is_retriable(status, code));
        let best = Ended { passed_on: false, whole: true, elsewhere: true, asked: None,
            left: None, ..ended };
        if tries.is_retriable(status, code) && retry.attempts > 0 {
            prop_assert!(is_again(tries.after(&best, random)));
        }
    }

    /// Full jitter: the draw spreads evenly over the whole of the ceiling.
    #[test]
    fn waits_are_drawn_evenly(share in 0.0_f64..1.0, n in 0_u32..5) {
        let on = RetryOn { reset: true, ..RetryOn::default() };
        let retry = Retry { attempts: 9, ..policy(on) };
        let mut tries = Tries::new(&retry, "GET", 1);
        for id in 0..=n {
            tries.begin(u64::from(id));
        }
        let random = (share * u64::MAX as f64) as u64;
        let ended = ended(Verdict::Failed(Reason::UpstreamReset));
        let Next::Again(again) = tries.after(&ended, random) else { panic!("not again") };
        let ceiling = (BACKOFF.base * 2_u32.pow(n)).min(BACKOFF.max);
        let expected = ceiling.mul_f64(share);
        let off = again.wait.abs_diff(expected);
        prop_assert!(off < Duration::from_micros(1), "{:?}, not {expected:?}", again.wait);
    }
}
