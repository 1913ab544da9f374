//! The table of limits can be read, and a panic is counted where it is contained.

use std::collections::HashSet;

use crate::telemetry::limits::{Limit, LimitCounts};
use crate::telemetry::panics::Panics;

#[test]
fn every_limit_has_a_word_of_its_own_and_says_how_much_of_what() {
    let words: HashSet<_> = Limit::ALL.iter().map(|limit| limit.as_str()).collect();
    assert_eq!(words.len(), Limit::ALL.len());
    for (at, limit) in Limit::ALL.iter().enumerate() {
        let word = limit.as_str();
        assert_eq!(*limit as usize, at);
        assert!(word.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_'));
        assert!(!limit.unit().is_empty() && !limit.beyond().is_empty(), "{word}");
    }
}

#[test]
fn hits_are_counted_by_limit() {
    let counts = LimitCounts::default();
    assert_eq!(counts.totals(), []);
    counts.hit(Limit::Memory);
    counts.hit(Limit::Memory);
    counts.add(Limit::Connections, 3);
    counts.add(Limit::Spans, 0);
    assert_eq!(counts.totals(), [(Limit::Connections, 3), (Limit::Memory, 2)]);
}

#[tokio::test]
async fn a_panic_is_contained_and_counted() {
    let panics = Panics::default();
    assert_eq!(panics.contain("nothing", async { 1 }).await, Some(1));
    let fails = async {
        tokio::task::yield_now().await;
        panic!("{} is wrong", "something");
    };
    assert_eq!(panics.contain("a test", fails).await, None);
    assert_eq!(panics.total(), 1);
}
