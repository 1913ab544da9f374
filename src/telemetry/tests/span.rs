//! Trace context by the letter, and a queue that never grows.

use proptest::prelude::*;

use crate::telemetry::span::*;

const GOOD: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

fn parse(text: &str) -> Option<TraceContext> {
    TraceContext::parse(text.as_bytes())
}

#[test]
fn the_example_of_the_recommendation_is_read() {
    let context = parse(GOOD).expect("valid");
    assert_eq!(context.trace_id, 0x0af7_6519_16cd_43dd_8448_eb21_1c80_319c_u128.to_be_bytes());
    assert_eq!(context.span_id, 0xb7ad_6b71_6920_3331);
    assert!(context.sampled);
    assert_eq!(context.format().as_slice(), GOOD.as_bytes());
    assert!(!parse(&GOOD.replace("-01", "-00")).expect("valid").sampled);
}

#[test]
fn later_versions_are_read_as_far_as_they_are_known() {
    assert!(parse(&GOOD.replacen("00", "cc", 1)).expect("valid").sampled);
    let later = format!("{}-what-the-future-will-be-like", GOOD.replacen("00", "cc", 1));
    let context = parse(&later).expect("valid");
    // What goes out is of the version that we speak, with the flags that we know (§4.3).
    assert_eq!(context.format().as_slice(), GOOD.as_bytes());
    let flags = parse(&GOOD.replace("-01", "-ff")).expect("valid");
    assert_eq!(flags.format().as_slice(), GOOD.as_bytes());
}

#[test]
fn what_is_malformed_is_ignored() {
    let bad = [
        "",
        "00",
        &GOOD.replacen("00", "ff", 1),
        &GOOD.to_uppercase(),
        &GOOD.replace("0af7651916cd43dd8448eb211c80319c", "00000000000000000000000000000000"),
        &GOOD.replace("b7ad6b7169203331", "0000000000000000"),
        &GOOD.replace("-01", "-0g"),
        &GOOD.replace("-01", "_01"),
        &GOOD.replace("00-0a", "00_0a"),
        &GOOD.replace("9c-b7", "9cab7"),
        &format!("{GOOD}-extra"),
        &format!("{GOOD}-"),
        &format!(" {GOOD}"),
        &format!("{}.later", GOOD.replacen("00", "cc", 1)),
        GOOD.trim_end_matches('1'),
        &GOOD.replace("0af7", "+af7"),
    ];
    for text in bad {
        assert_eq!(parse(text), None, "{text:?}");
    }
}

proptest! {
    #[test]
    fn contexts_round_trip(trace in any::<u128>(), span in any::<u64>(), sampled in any::<bool>()) {
        let context = TraceContext::root(trace, span, sampled);
        prop_assert_eq!(TraceContext::parse(&context.format()), Some(context));
        let child = context.child(span.wrapping_add(1));
        prop_assert_eq!(child.trace_id, context.trace_id);
        prop_assert_eq!(TraceContext::parse(&child.format()), Some(child));
    }

    #[test]
    fn no_header_panics(bytes in prop::collection::vec(any::<u8>(), 0..80)) {
        let _ = TraceContext::parse(&bytes);
    }

    #[test]
    fn the_caller_decides_where_there_is_one(ppm in 0_u32..=1_000_000, random in any::<u64>()) {
        let parent = parse(GOOD).expect("valid");
        prop_assert!(decide(Some(&parent), ppm, random));
        let unsampled = TraceContext { sampled: false, ..parent };
        prop_assert!(!decide(Some(&unsampled), ppm, random));
        prop_assert!(decide(None, ALWAYS_PPM, random));
        prop_assert!(!decide(None, 0, random));
    }
}

#[test]
fn a_share_of_new_traces_is_sampled() {
    const STEPS: u64 = 100_000;
    let sampled = (0..STEPS).filter(|n| decide(None, 10_000, n * (u64::MAX / STEPS))).count();
    assert!((999..=1_001).contains(&sampled), "{sampled}");
}

#[tokio::test]
async fn the_first_span_that_waits_is_told() {
    let queue = SpanQueue::new(3);
    let told = async || {
        let arrived = queue.arrived();
        tokio::time::timeout(std::time::Duration::ZERO, arrived).await.is_ok()
    };
    assert!(!told().await);
    queue.push(Span::default());
    queue.push(Span::default());
    assert!(told().await);
    assert!(!told().await, "told once, though both still wait");
    queue.drain(usize::MAX);
    queue.push(Span::default());
    assert!(told().await);
}

#[test]
fn a_full_queue_drops_and_counts() {
    let queue = SpanQueue::new(3);
    for span_id in 1..=5 {
        queue.push(Span { span_id, ..Span::default() });
    }
    assert_eq!(queue.dropped(), 2);
    let ids = |spans: Vec<Span>| spans.iter().map(|span| span.span_id).collect::<Vec<_>>();
    assert_eq!(ids(queue.drain(2)), [1, 2]);
    queue.push(Span { span_id: 6, ..Span::default() });
    assert_eq!(ids(queue.drain(usize::MAX)), [3, 6]);
    assert!(queue.drain(1).is_empty());
    assert_eq!(queue.dropped(), 2);
}
