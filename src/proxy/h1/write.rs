//! Writing heads: fields are copied, framing and connection are ours.

use super::fields::FieldRange;
use super::{Framing, Known, RequestView, ResponseHead};
use crate::proxy::decide::{ResponseEdits, Target};
use crate::proxy::head::Head;
use crate::resource::{Field, HeaderEdit};

/// What differs between the head received and the head to send.
#[derive(Debug, Default)]
pub struct RequestPlan<'a> {
    /// Edits in order: the rule's, then the backend's.
    pub edits: [Option<&'a HeaderEdit>; 2],
    /// What is asked for instead.
    pub target: Target<'a>,
    /// `traceparent` to send instead of the one received.
    pub traceparent: Option<&'a [u8]>,
    /// The value of `X-Forwarded-Client-Cert`, where the caller proved an identity; what came
    /// under that name is always dropped.
    pub client_cert: Option<&'a [u8]>,
}

/// Writes a request head to `out`, the empty line included.
pub fn request(out: &mut Vec<u8>, view: &RequestView<'_>, plan: &RequestPlan<'_>) {
    out.extend_from_slice(view.method().as_bytes());
    out.push(b' ');
    out.extend_from_slice(plan.target.path.as_deref().unwrap_or(view.path()).as_bytes());
    if let Some(query) = view.query() {
        out.push(b'?');
        out.extend_from_slice(query.as_bytes());
    }
    out.extend_from_slice(b" HTTP/1.1\r\n");
    field(out, b"host", plan.target.authority.unwrap_or(view.authority()).as_bytes());
    let head = view.head;
    let edits = plan.edits.map(|edit| edit.filter(|edit| !edit.is_empty()));
    for range in &head.fields {
        let copied = match range.known {
            Known::Other => true,
            Known::TraceParent => plan.traceparent.is_none(),
            Known::Attempt => head.attempt > 0,
            Known::Expect => head.expect_continue,
            _ => false,
        };
        if copied {
            copy(out, range, view.bytes, &edits);
        }
    }
    if let Some(value) = plan.traceparent {
        field(out, b"traceparent", value);
    }
    if let Some(value) = plan.client_cert {
        field(out, b"x-forwarded-client-cert", value);
    }
    if head.te_trailers {
        out.extend_from_slice(b"te: trailers\r\n");
    }
    append_edits(out, &edits);
    match head.upgrade {
        Some(protocol) => {
            field(out, b"upgrade", view.bytes_of(protocol));
            connection(out, if head.te_trailers { b"upgrade, te" } else { b"upgrade" });
        }
        None if head.te_trailers => connection(out, b"te"),
        None => {}
    }
    framing(out, head.framing);
    out.extend_from_slice(b"\r\n");
}

/// What the client's side of a response needs.
#[derive(Debug)]
pub struct ResponsePlan<'a> {
    /// Edits in order.
    pub edits: ResponseEdits<'a>,
    /// The framing towards the client.
    pub framing: Framing,
    /// The client speaks HTTP/1.1.
    pub http11: bool,
    /// The connection is kept.
    pub keep_alive: bool,
}

/// Writes a response head to `out`, the empty line included.
pub fn response(out: &mut Vec<u8>, head: &ResponseHead, bytes: &[u8], plan: &ResponsePlan<'_>) {
    status_line(out, head.status, head.reason.bytes(bytes));
    let edits = plan.edits.map(|edit| edit.filter(|edit| !edit.is_empty()));
    for range in &head.fields {
        let copied = matches!(
            range.known,
            Known::Other | Known::TraceParent | Known::ClientCert | Known::Attempt
        );
        if copied {
            copy(out, range, bytes, &edits);
        }
    }
    append_edits(out, &edits);
    if head.status == 101 {
        field(out, b"upgrade", head.upgrade.map_or(b"", |range| range.bytes(bytes)));
        connection(out, b"upgrade");
    } else if !head.is_interim() {
        response_framing(out, head, plan);
        persistence(out, plan.keep_alive, plan.http11);
    }
    out.extend_from_slice(b"\r\n");
}

/// What becomes of the connection, where a client of this version would take something else for
/// granted (RFC 9112 §9.3).
pub fn persistence(out: &mut Vec<u8>, keep_alive: bool, http11: bool) {
    match (keep_alive, http11) {
        (true, true) => {}
        (true, false) => connection(out, b"keep-alive"),
        (false, _) => connection(out, b"close"),
    }
}

fn response_framing(out: &mut Vec<u8>, head: &ResponseHead, plan: &ResponsePlan<'_>) {
    match plan.framing {
        // What a GET would have had is said for HEAD and 304, never for 204 (RFC 9110 §8.6).
        Framing::None if head.status == 204 => {}
        Framing::None => match head.declared_length {
            Some(length) => framing(out, Framing::Length(length)),
            None if head.declared_chunked && plan.http11 => framing(out, Framing::Chunked),
            None => {}
        },
        other => framing(out, other),
    }
}

/// Writes a status line; an empty reason is filled in from the registry.
pub fn status_line(out: &mut Vec<u8>, status: u16, reason: &[u8]) {
    out.extend_from_slice(b"HTTP/1.1 ");
    decimal(out, u64::from(status));
    out.push(b' ');
    let known = || http::StatusCode::from_u16(status).ok()?.canonical_reason();
    match reason {
        b"" => out.extend_from_slice(known().unwrap_or_default().as_bytes()),
        reason => out.extend_from_slice(reason),
    }
    out.extend_from_slice(b"\r\n");
}

/// Writes one field.
pub fn field(out: &mut Vec<u8>, name: &[u8], value: &[u8]) {
    out.extend_from_slice(name);
    out.extend_from_slice(b": ");
    out.extend_from_slice(value);
    out.extend_from_slice(b"\r\n");
}

/// Writes fields of the proxy's own as edits change them.
pub fn edited(out: &mut Vec<u8>, fields: &[(&str, &str)], edits: &[Option<&HeaderEdit>]) {
    for (name, value) in fields {
        if !edits.iter().flatten().any(|edit| replaces(edit, name.as_bytes())) {
            field(out, name.as_bytes(), value.as_bytes());
        }
    }
    append_edits(out, edits);
}

/// Writes the fields that frame a body.
pub fn framing(out: &mut Vec<u8>, framing: Framing) {
    match framing {
        Framing::None | Framing::UntilClose => {}
        Framing::Length(length) => {
            out.extend_from_slice(b"content-length: ");
            decimal(out, length);
            out.extend_from_slice(b"\r\n");
        }
        Framing::Chunked => out.extend_from_slice(b"transfer-encoding: chunked\r\n"),
    }
}

/// Writes one chunk.
pub fn chunk(out: &mut Vec<u8>, data: &[u8]) {
    if data.is_empty() {
        return;
    }
    let digits = (usize::BITS - data.len().leading_zeros()).div_ceil(4);
    for digit in (0..digits).rev() {
        let value = (data.len() >> (digit * 4)) & 0xf;
        out.push(b"0123456789abcdef".get(value).copied().unwrap_or(b'0'));
    }
    out.extend_from_slice(b"\r\n");
    out.extend_from_slice(data);
    out.extend_from_slice(b"\r\n");
}

/// Writes the last chunk with the trailer fields.
pub fn last_chunk(out: &mut Vec<u8>, trailers: &[u8]) {
    out.extend_from_slice(b"0\r\n");
    out.extend_from_slice(trailers);
    out.extend_from_slice(b"\r\n");
}

fn connection(out: &mut Vec<u8>, options: &[u8]) {
    field(out, b"connection", options);
}

fn copy(out: &mut Vec<u8>, range: &FieldRange, bytes: &[u8], edits: &[Option<&HeaderEdit>]) {
    let name = range.name.bytes(bytes);
    if edits.iter().flatten().any(|edit| replaces(edit, name)) {
        return;
    }
    field(out, name, range.value.bytes(bytes));
}

fn replaces(edit: &HeaderEdit, name: &[u8]) -> bool {
    let same = |other: &str| name.eq_ignore_ascii_case(other.as_bytes());
    edit.set.iter().any(|field| same(&field.name)) || edit.remove.iter().any(|name| same(name))
}

/// Appends what the edits set and add; a later edit replaces what an earlier one wrote.
fn append_edits(out: &mut Vec<u8>, edits: &[Option<&HeaderEdit>]) {
    let mut later = edits;
    while let Some((edit, rest)) = later.split_first() {
        later = rest;
        if let Some(edit) = edit {
            let name_replaced =
                |name: &str| rest.iter().flatten().any(|edit| replaces(edit, name.as_bytes()));
            append_edit(out, edit, |name| !name_replaced(name));
        }
    }
}

fn append_edit(out: &mut Vec<u8>, edit: &HeaderEdit, kept: impl Fn(&str) -> bool) {
    let removed = |name: &str| edit.remove.iter().any(|other| other == name);
    for Field { name, value } in edit.set.iter().chain(&edit.add) {
        if kept(name) && !removed(name) {
            field(out, name.as_bytes(), value.as_bytes());
        }
    }
}

fn decimal(out: &mut Vec<u8>, mut value: u64) {
    let mut digits = [0u8; 20];
    let mut at = digits.len();
    loop {
        at -= 1;
        if let Some(digit) = digits.get_mut(at) {
            *digit = b'0' + (value % 10) as u8;
        }
        value /= 10;
        if value == 0 {
            break;
        }
    }
    out.extend_from_slice(digits.get(at..).unwrap_or_default());
}
