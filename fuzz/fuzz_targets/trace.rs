//! What headers of a request say to the proxy itself: the trace that it is part of, the number of the
//! try, how long a server asks to wait.

#![no_main]

use std::time::SystemTime;

use libfuzzer_sys::fuzz_target;
use meshctl::proxy::tries::{attempt_of, retry_after};
use meshctl::telemetry::escape;
use meshctl::telemetry::span::TraceContext;

fuzz_target!(|bytes: &[u8]| {
    if let Some(context) = TraceContext::parse(bytes) {
        assert_eq!(TraceContext::parse(&context.format()), Some(context));
    }
    attempt_of(Some(bytes));
    retry_after(bytes, SystemTime::UNIX_EPOCH);
    let escaped = escape(bytes);
    assert!(escaped.len() <= 1_024, "{}", escaped.len());
    assert!(escaped.bytes().all(|byte| (b' '..=b'~').contains(&byte)), "{escaped}");
});
