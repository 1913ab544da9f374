//! Answers of HTTP/1.1: what is accepted and written onward is accepted again, with the same end.

#![no_main]

use libfuzzer_sys::fuzz_target;
use meshctl::proxy::h1::{Framing, Headroom, ResponseHead, head_end, write};

fuzz_target!(|bytes: &[u8]| {
    // Whose answer it is, the answer.
    let [method, bytes @ ..] = bytes else { return };
    let method = if *method == b'H' { "HEAD" } else { "GET" };
    let mut head = ResponseHead::default();
    if !matches!(head_end(bytes, &mut 0), Ok(Some(_))) || head.parse(bytes, method, Headroom::NONE).is_err() {
        return;
    }
    // 101 needs the request that asked for it.
    if head.status == 101 {
        return;
    }
    let framing = match head.framing {
        Framing::UntilClose => Framing::Chunked,
        framing => framing,
    };
    let plan = write::ResponsePlan {
        edits: [None; 3],
        framing,
        http11: true,
        keep_alive: head.keep_alive,
    };
    let mut written = Vec::new();
    write::response(&mut written, &head, bytes, &plan);
    let mut again = ResponseHead::default();
    assert_eq!(head_end(&written, &mut 0), Ok(Some(written.len())));
    again.parse(&written, method, Headroom::SIDECAR).expect("what is written is accepted");
    assert_eq!((again.status, again.framing), (head.status, framing));
});
