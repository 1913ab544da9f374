//! A request's head in HTTP/2: validated and normalized once, by the rules of the HTTP/1.1 codec,
//! so that one request reads the same in both forms. What the crate has checked already (names in
//! lower case, order of pseudo-header fields, frame sizes) is not checked again.

use std::borrow::Cow;

use h2::ext::Protocol;
use http::header::{CONTENT_LENGTH, COOKIE, EXPECT, HOST, PROXY_AUTHORIZATION, TE};
use http::uri::Scheme;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Uri, request};

use crate::proxy::decide::{Decision, Target};
use crate::proxy::h1::{Headroom, Malformed};
use crate::proxy::head::{Head, is_valid_authority};
use crate::resource::path;
use crate::resource::{self, Field, HeaderEdit};
use crate::telemetry::reason::Reason;

/// Fields of one request.
const MAX_FIELDS: usize = crate::telemetry::limits::Limit::HttpFields.most();

/// Fields about a connection, which has no such fields in HTTP/2 (RFC 9113 §8.2.2).
const CONNECTION_FIELDS: [&str; 5] =
    ["connection", "keep-alive", "proxy-connection", "transfer-encoding", "upgrade"];

/// Who calls, as sidecars tell applications; never believed, replaced.
pub(super) const CLIENT_CERT: HeaderName = HeaderName::from_static("x-forwarded-client-cert");

const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");

/// A canonical head.
#[derive(Debug)]
pub(super) struct RequestHead {
    method: Method,
    scheme: Scheme,
    authority: String,
    path: String,
    query: Option<String>,
    headers: HeaderMap,
}

impl RequestHead {
    /// Checks what arrived.
    ///
    /// # Errors
    /// What the codec of HTTP/1.1 refuses too.
    pub(super) fn parse(parts: request::Parts, headroom: Headroom) -> Result<Self, Malformed> {
        let request::Parts { method, uri, mut headers, extensions, .. } = parts;
        if method == Method::CONNECT || extensions.get::<Protocol>().is_some() {
            return Err(Malformed::bad("CONNECT over HTTP/2"));
        }
        check_fields(&headers, headroom)?;
        let authority = authority(&uri, &headers)?;
        let (path, query) = resource(&method, &uri)?;
        headers.remove(HOST);
        headers.remove(PROXY_AUTHORIZATION);
        // Before anybody can read it: no route, fault or hash is to follow what a caller says of itself.
        headers.remove(CLIENT_CERT);
        let scheme = uri.scheme().cloned().unwrap_or(Scheme::HTTP);
        Ok(Self { method, scheme, authority, path, query, headers })
    }

    /// The last `traceparent`, as it came.
    pub(super) fn traceparent(&self) -> Option<&[u8]> {
        self.headers.get_all(TRACEPARENT).iter().next_back().map(HeaderValue::as_bytes)
    }

    /// The head to send.
    ///
    /// # Errors
    /// [`Reason::BadRequest`] for a target that cannot be written.
    pub(super) fn into_outgoing(
        mut self,
        decision: &Decision,
        traceparent: Option<&[u8]>,
        client_cert: Option<&[u8]>,
    ) -> Result<Request<()>, Reason> {
        let edits = decision.request_edits();
        let Target { path, authority } = decision.rewritten(&self.path);
        let path = path.unwrap_or(self.path);
        let authority = authority.unwrap_or(&self.authority);
        drop_replaced(&mut self.headers, &edits);
        set(&mut self.headers, TRACEPARENT, traceparent);
        set(&mut self.headers, CLIENT_CERT, client_cert);
        append_edits(&mut self.headers, &edits);
        let target = match &self.query {
            Some(query) => format!("{path}?{query}"),
            None => path,
        };
        let uri = Uri::builder()
            .scheme(self.scheme)
            .authority(authority)
            .path_and_query(target)
            .build()
            .map_err(|_| Reason::BadRequest)?;
        let mut request = Request::new(());
        *request.method_mut() = self.method;
        *request.uri_mut() = uri;
        *request.version_mut() = http::Version::HTTP_2;
        *request.headers_mut() = self.headers;
        Ok(request)
    }
}

/// Replaces a field, where there is a value for it.
fn set(headers: &mut HeaderMap, name: HeaderName, value: Option<&[u8]>) {
    if let Some(value) = value.and_then(|value| HeaderValue::from_bytes(value).ok()) {
        headers.insert(name, value);
    }
}

fn check_fields(headers: &HeaderMap, headroom: Headroom) -> Result<(), Malformed> {
    if headers.len() > MAX_FIELDS + headroom.fields {
        return Err(Malformed { reason: Reason::HeadTooLarge, detail: "too many fields" });
    }
    if CONNECTION_FIELDS.iter().any(|name| headers.contains_key(*name)) {
        return Err(Malformed::bad("a field about the connection"));
    }
    let trimmed = |value: &HeaderValue| value.as_bytes().trim_ascii() == value.as_bytes();
    if !headers.values().all(trimmed) {
        return Err(Malformed::bad("white space around a value"));
    }
    if headers.get_all(TE).iter().any(|value| value != "trailers") {
        return Err(Malformed::bad("a TE other than `trailers`"));
    }
    let continues = |value: &HeaderValue| value.as_bytes().eq_ignore_ascii_case(b"100-continue");
    if !headers.get_all(EXPECT).iter().all(continues) {
        return Err(Malformed {
            reason: Reason::UnsupportedExpectation,
            detail: "an expectation other than 100-continue",
        });
    }
    check_length(headers)
}

/// Digits only; one value, however often (RFC 9110 §8.6).
fn check_length(headers: &HeaderMap) -> Result<(), Malformed> {
    let mut values = headers.get_all(CONTENT_LENGTH).iter();
    let Some(first) = values.next() else { return Ok(()) };
    let digits = first.as_bytes();
    if digits.is_empty() || digits.len() > 19 || !digits.iter().all(u8::is_ascii_digit) {
        return Err(Malformed::bad("an invalid content length"));
    }
    match values.next() {
        Some(_) => Err(Malformed::bad("more than one content length")),
        None => Ok(()),
    }
}

/// `:authority`, or `Host` where a client sends that; both only where they agree (RFC 9113
/// §8.3.1).
fn authority(uri: &Uri, headers: &HeaderMap) -> Result<String, Malformed> {
    let mut hosts = headers.get_all(HOST).iter();
    let (host, more) = (hosts.next(), hosts.next());
    if more.is_some() {
        return Err(Malformed::bad("more than one host"));
    }
    let named = uri.authority().map(http::uri::Authority::as_str);
    let authority = match (named, host.map(HeaderValue::as_bytes)) {
        (Some(named), Some(host)) if !named.as_bytes().eq_ignore_ascii_case(host) => {
            return Err(Malformed::bad("a host other than the authority"));
        }
        (Some(named), _) => named.as_bytes(),
        (None, Some(host)) => host,
        (None, None) => return Err(Malformed::bad("no host")),
    };
    let invalid = Malformed::bad("an invalid host");
    if !is_valid_authority(authority) {
        return Err(invalid);
    }
    std::str::from_utf8(authority).map(str::to_owned).map_err(|_| invalid)
}

fn resource(method: &Method, uri: &Uri) -> Result<(String, Option<String>), Malformed> {
    let invalid = Malformed::bad("an invalid target");
    let query = uri.query();
    if !query.is_none_or(path::is_valid_query) {
        return Err(invalid);
    }
    let path = match uri.path() {
        "*" if method == Method::OPTIONS && query.is_none() => "*".to_owned(),
        path => path::normalize(path).map_err(|_| invalid)?.into_owned(),
    };
    Ok((path, query.map(str::to_owned)))
}

/// Drops what an edit sets or removes.
fn drop_replaced(headers: &mut HeaderMap, edits: &[Option<&HeaderEdit>]) {
    for edit in edits.iter().flatten() {
        let set = edit.set.iter().map(|field| &field.name);
        for name in set.chain(&edit.remove) {
            headers.remove(name.as_str());
        }
    }
}

/// Changes an answer's fields.
pub(super) fn edit_response(headers: &mut HeaderMap, edits: &[Option<&HeaderEdit>]) {
    drop_replaced(headers, edits);
    append_edits(headers, edits);
}

/// Appends what the edits set and add; a later edit replaces what an earlier one wrote.
fn append_edits(headers: &mut HeaderMap, edits: &[Option<&HeaderEdit>]) {
    let replaces = |edit: &HeaderEdit, name: &String| {
        edit.remove.contains(name) || edit.set.iter().any(|field| field.name == *name)
    };
    let mut later = edits;
    while let Some((edit, rest)) = later.split_first() {
        later = rest;
        if let Some(edit) = edit {
            append_edit(headers, edit, |name| {
                !rest.iter().flatten().any(|later| replaces(later, name))
            });
        }
    }
}

fn append_edit(headers: &mut HeaderMap, edit: &HeaderEdit, kept: impl Fn(&String) -> bool) {
    for Field { name, value } in edit.set.iter().chain(&edit.add) {
        if !kept(name) || edit.remove.contains(name) {
            continue;
        }
        // Rules have checked both; what is no field could not be sent anyway.
        let name = HeaderName::from_bytes(name.as_bytes());
        if let (Ok(name), Ok(value)) = (name, HeaderValue::from_str(value)) {
            headers.append(name, value);
        }
    }
}

impl Head for RequestHead {
    fn method(&self) -> &str {
        self.method.as_str()
    }

    fn path(&self) -> &str {
        &self.path
    }

    fn query(&self) -> Option<&str> {
        self.query.as_deref()
    }

    fn scheme(&self) -> resource::Scheme {
        match self.scheme == Scheme::HTTPS {
            true => resource::Scheme::Https,
            false => resource::Scheme::Http,
        }
    }

    fn authority(&self) -> &str {
        &self.authority
    }

    fn header(&self, name: &str) -> Option<&[u8]> {
        if name == HOST {
            return Some(self.authority.as_bytes());
        }
        self.headers.get(name).map(HeaderValue::as_bytes)
    }

    fn header_joined(&self, name: &str) -> Option<Cow<'_, [u8]>> {
        if name == HOST {
            return Some(Cow::Borrowed(self.authority.as_bytes()));
        }
        let mut values = self.headers.get_all(name).iter().map(HeaderValue::as_bytes);
        let first = values.next()?;
        // Cookies come in crumbs, which are one field elsewhere (RFC 9113 §8.2.3).
        let between: &[u8] = if name == COOKIE { b"; " } else { b", " };
        Some(values.fold(Cow::Borrowed(first), |joined, value| {
            Cow::Owned([&*joined, between, value].concat())
        }))
    }
}
