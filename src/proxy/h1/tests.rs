//! What the codec takes, what it refuses, and what it writes.

use super::*;
use crate::proxy::head::Head;

mod bodies;
mod differential;
mod heads;

pub(super) fn parse(text: &[u8]) -> Result<(RequestHead, Vec<u8>), Malformed> {
    let mut scanned = 0;
    head_end(text, &mut scanned)?.ok_or(Malformed::bad("incomplete"))?;
    let mut head = RequestHead::default();
    head.parse(text, Headroom::NONE)?;
    Ok((head, text.to_vec()))
}

pub(super) fn forwarded(text: &str) -> String {
    let (head, bytes) = parse(text.as_bytes()).expect(text);
    let mut out = Vec::new();
    write::request(&mut out, &head.view(&bytes), &write::RequestPlan::default());
    String::from_utf8(out).expect("ASCII")
}

pub(super) fn path_of(text: &str) -> String {
    let (head, bytes) = parse(text.as_bytes()).expect(text);
    head.view(&bytes).path().to_owned()
}
