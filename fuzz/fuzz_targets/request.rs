//! Requests of HTTP/1.1: what is accepted is canonical, and what is written of it onward is
//! accepted again, as the same request.

#![no_main]

use libfuzzer_sys::fuzz_target;
use meshctl::proxy::h1::{Headroom, RequestHead, head_end, write};
use meshctl::proxy::head::Head;
use meshctl::resource::path;

fuzz_target!(|bytes: &[u8]| {
    let mut head = RequestHead::default();
    if !matches!(head_end(bytes, &mut 0), Ok(Some(_))) || head.parse(bytes, Headroom::NONE).is_err() {
        return;
    }
    let once = head.view(bytes);
    if once.method() != "CONNECT" && once.path() != "*" {
        assert_eq!(path::normalize(once.path()).as_deref(), Ok(once.path()));
    }
    let mut written = Vec::new();
    write::request(&mut written, &once, &write::RequestPlan::default());
    if once.method() == "CONNECT" || once.authority().is_empty() {
        // Neither goes onward so.
        return;
    }
    let mut again = RequestHead::default();
    assert_eq!(head_end(&written, &mut 0), Ok(Some(written.len())));
    again.parse(&written, Headroom::SIDECAR).expect("what is written is accepted");
    let twice = again.view(&written);
    assert_eq!(once.method(), twice.method());
    assert_eq!(once.path(), twice.path());
    assert_eq!(once.query(), twice.query());
    assert_eq!(once.authority(), twice.authority());
    assert_eq!(head.framing, again.framing);
});
