//! The budget holds over every window, however requests and repetitions come.

use proptest::prelude::*;

use super::*;

const FIFTH: RetryBudget = RetryBudget { ppm: 200_000, min_per_second: 0 };

/// Whether a request that wants one repetition gets it.
fn asks(budget: &Budget, rules: &RetryBudget, now: u64) -> bool {
    budget.wanted(now);
    budget.may_repeat(rules, now)
}

/// Half a minute and more of requests and wishes to repeat: the wait before each, and which it is.
fn events() -> impl Strategy<Value = Vec<(u64, bool)>> {
    let wait = prop_oneof![6 => 0..20_u64, 3 => 0..600_u64, 1 => 0..15_000_u64];
    prop::collection::vec((wait, prop::bool::weighted(0.6)), 1..600)
}

proptest! {
    #[test]
    fn no_window_has_more_repetitions_than_its_share(events in events(), floor in 0..4_u32) {
        let rules = RetryBudget { min_per_second: floor, ..FIFTH };
        let budget = Budget::default();
        let (mut requests, mut repetitions, mut now) = (Vec::new(), Vec::new(), 1_000_000);
        for (wait, is_request) in events {
            now += wait;
            if is_request {
                budget.counted(now);
                requests.push(now);
            } else if asks(&budget, &rules, now) {
                repetitions.push(now);
                let since = |all: &[u64], ms| all.iter().filter(|at| **at + ms >= now).count();
                let share = since(&requests, 10_500) as f64 * 0.2;
                let most = share.max(f64::from(floor) * 10.0);
                prop_assert!(since(&repetitions, 10_000) as f64 <= most);
            }
        }
        if floor == 0 {
            prop_assert!(repetitions.len() * 5 <= requests.len());
        }
    }
}

#[test]
fn a_fifth_may_be_repeated_and_no_more() {
    let budget = Budget::default();
    (0..100).for_each(|_| budget.counted(0));
    let may = (0..20).filter(|_| asks(&budget, &FIFTH, 400)).count();
    // A fifth of the 84 that did not fail when the last of them was asked for.
    assert_eq!((may, budget.refused()), (16, 4));
}

#[test]
fn the_floor_holds_without_requests_and_refills_with_time() {
    let rules = RetryBudget { min_per_second: 3, ..FIFTH };
    let budget = Budget::default();
    assert_eq!((0..100).filter(|_| asks(&budget, &rules, 0)).count(), 30);
    assert!(!asks(&budget, &rules, 10_000));
    assert!(asks(&budget, &rules, 10_500));
}

#[test]
fn hours_of_failures_are_repeated_while_they_are_few_and_not_when_they_are_all() {
    // One in so many fails, and wants a repetition; how many of a thousand failures got one.
    let repeated = |one_in: u64| {
        let budget = Budget::default();
        let (mut failed, mut repeated) = (0_u64, 0_u64);
        for second in 0..4 * 3_600_u64 {
            // The load swings.
            for nth in 0..(second % 97) {
                let now = second * 1_000 + nth * 10;
                budget.counted(now);
                if nth % one_in == 0 {
                    failed += 1;
                    repeated += u64::from(asks(&budget, &FIFTH, now));
                }
            }
        }
        repeated * 1_000 / failed
    };
    assert!(repeated(10) >= 990, "{} of 1000 where a tenth fails", repeated(10));
    assert!((150..=220).contains(&repeated(2)), "{} of 1000 where half fails", repeated(2));
    assert!(repeated(1) <= 1, "{} of 1000 where all fail", repeated(1));
}

#[test]
fn a_failure_of_seconds_lives_on_what_succeeded_before() {
    let budget = Budget::default();
    let at = |ms: u64| {
        budget.counted(ms);
        ms
    };
    (0..1_000).map(|nth| nth * 10).for_each(|ms| {
        at(ms);
    });
    let lost = (1_000..1_150).map(|nth| at(nth * 10));
    assert_eq!(lost.filter(|ms| asks(&budget, &FIFTH, *ms)).count(), 150);
}

#[test]
fn threads_together_stay_within_the_budget() {
    let budget = Budget::default();
    (0..10_000).for_each(|_| budget.counted(0));
    let may: usize = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..4)
            .map(|_| {
                let ask = || (0..500).filter(|_| asks(&budget, &FIFTH, 1)).count();
                scope.spawn(ask)
            })
            .collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).sum()
    });
    // So many repetitions that they are a fifth of those that did not fail by then; who has failed
    // and not asked yet makes it a little less.
    assert!((1_660..=1_666).contains(&may), "{may}");
}
