//! Events of a sampled request are bounded; those of others are none.

use std::time::Instant;

use super::*;
use crate::proxy::h1::{Headroom, RequestHead};
use crate::telemetry::span::{ALWAYS_PPM, MAX_EVENTS};

fn trace(ppm: u32) -> Trace {
    let text = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n";
    let mut head = RequestHead::default();
    head.parse(text, Headroom::NONE).expect("valid");
    Trace::begin(None, ppm, &head.view(text), false)
}

#[test]
fn a_span_has_its_events_up_to_a_bound_and_an_unsampled_request_has_none() {
    for (ppm, kept) in [(0, 0), (ALWAYS_PPM, MAX_EVENTS)] {
        let trace = trace(ppm);
        let mut events = Events::of(&trace, Instant::now());
        for attempt in 0..100 {
            events.refused(attempt, "max_retries");
        }
        assert_eq!(events.all().len(), kept);
        let details = Details {
            service: "",
            peer: "",
            status: 503,
            reason: None,
            attempts: 1,
            rule: None,
            fault: None,
            endpoint: None,
            events: &events,
        };
        let span = trace.finish(Duration::ZERO, details);
        assert_eq!(span.map_or(0, |span| span.events.len()), kept, "the first ones");
    }
}
