//! Answers that the proxy makes itself. Each says so: `meshctl-reason` with the word of the table,
//! and `meshctl-rule` with the rule that decided, where one did.

use crate::proxy::decide::Refusal;
use crate::proxy::h1::write;

/// Of the text in an answer.
pub const CONTENT_TYPE: &str = "text/plain; charset=utf-8";

/// Writes a whole HTTP/1.1 answer to `out`, for a client of that version or of HTTP/1.0.
pub fn write(
    out: &mut Vec<u8>,
    refusal: &Refusal,
    is_head: bool,
    (keep_alive, http11): (bool, bool),
) {
    let body = body(refusal);
    write::status_line(out, refusal.status(), b"");
    let mut fields = refusal.fields();
    fields.push(("content-type", CONTENT_TYPE));
    write::edited(out, &fields, &refusal.edits());
    write::framing(out, crate::proxy::h1::Framing::Length(body.len() as u64));
    write::persistence(out, keep_alive, http11);
    out.extend_from_slice(b"\r\n");
    if !is_head {
        out.extend_from_slice(body.as_bytes());
    }
}

/// The text for people: the reason, what it means, the rule.
pub fn body(refusal: &Refusal) -> String {
    let Refusal { reason, rule, .. } = refusal;
    let meaning = reason.meaning();
    match rule {
        Some(rule) => format!("{}: {meaning} (rule {rule})\n", reason.as_str()),
        None => format!("{}: {meaning}\n", reason.as_str()),
    }
}
