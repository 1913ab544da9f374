//! Answers that the proxy makes itself, in HTTP/2: to gRPC as a status that its libraries
//! understand (trailers only), to everything else as in HTTP/1.1.

use bytes::Bytes;
use h2::server::SendResponse;
use http::header::{CONTENT_LENGTH, CONTENT_TYPE, HeaderName};
use http::{HeaderMap, HeaderValue, Response, StatusCode};

use super::grpc;
use super::head::edit_response;
use crate::proxy::decide::Refusal;
use crate::proxy::head::Head;
use crate::proxy::reply;

/// What the client can read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    /// Status, fields and a text.
    Http,
    /// The same to HEAD: without the text.
    HttpHead,
    /// `grpc-status` and `grpc-message`.
    Grpc,
}

impl Form {
    /// The form that answers `head`.
    pub(super) fn of(head: &impl Head) -> Self {
        match head.method() {
            _ if grpc::is_call(head) => Self::Grpc,
            "HEAD" => Self::HttpHead,
            _ => Self::Http,
        }
    }
}

/// The status that a client of this form sees, and the code of gRPC.
pub(super) fn seen(refusal: &Refusal, form: Form) -> (u16, Option<u32>) {
    match form {
        _ if refusal.is_reset() => (0, None),
        Form::Grpc if refusal.redirected.is_none() => {
            (StatusCode::OK.as_u16(), Some(grpc::code_of(refusal)))
        }
        _ => (refusal.status(), None),
    }
}

/// Answers; a client that has gone meanwhile misses nothing.
pub(super) fn send(respond: &mut SendResponse<Bytes>, refusal: &Refusal, form: Form) {
    if refusal.is_reset() {
        return respond.send_reset(h2::Reason::INTERNAL_ERROR);
    }
    let text = reply::body(refusal);
    let mut response = Response::new(());
    let headers = response.headers_mut();
    for (name, value) in refusal.fields() {
        put(headers, HeaderName::from_static(name), value);
    }
    let body = match form {
        // A redirect is one of HTTP, whoever asked.
        Form::Grpc if refusal.redirected.is_none() => {
            headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
            let status = HeaderValue::from(grpc::code_of(refusal));
            headers.insert(HeaderName::from_static("grpc-status"), status);
            let message = percent_encoded(text.trim_end());
            put(headers, HeaderName::from_static("grpc-message"), &message);
            None
        }
        _ => {
            headers.insert(CONTENT_TYPE, HeaderValue::from_static(reply::CONTENT_TYPE));
            edit_response(headers, &refusal.edits());
            headers.insert(CONTENT_LENGTH, HeaderValue::from(text.len()));
            let status = StatusCode::from_u16(refusal.status());
            *response.status_mut() = status.unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
            (form != Form::HttpHead).then_some(text)
        }
    };
    let Ok(mut stream) = respond.send_response(response, body.is_none()) else { return };
    if let Some(body) = body {
        // An error says that the client has gone.
        let _ = stream.send_data(Bytes::from(body), true);
    }
}

fn put(headers: &mut HeaderMap, name: HeaderName, value: &str) {
    if let Ok(value) = HeaderValue::from_str(value) {
        headers.insert(name, value);
    }
}

/// `grpc-message`: printable ASCII but `%` as it is (gRPC over HTTP/2, "Percent-Byte").
fn percent_encoded(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b' '..=b'~' if byte != b'%' => out.push(char::from(byte)),
            _ => out.push_str(&format!("%{byte:02X}")),
        }
    }
    out
}
