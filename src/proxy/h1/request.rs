//! A request's head: parsed, validated, normalized, once.

use std::borrow::Cow;
use std::mem::MaybeUninit;

use super::fields::{ConnectionOptions, classify, connection_options};
use super::{FieldRange, Framing, Headroom, Known, Malformed, ROOM, Range, malformed};
use crate::proxy::head::{Head, is_valid_authority, split_authority};
use crate::proxy::tries::attempt_of;
use crate::resource::Scheme;
use crate::resource::path;
use crate::telemetry::reason::Reason;

/// What a request asks for (RFC 9112 §3.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Target {
    /// A path on the authority that `Host` names.
    #[default]
    Origin,
    /// A whole URI, as clients write to a proxy.
    Absolute,
    /// `CONNECT host:port`.
    Authority,
    /// `OPTIONS *`.
    Asterisk,
}

/// A parsed head. Reused from request to request, so that its lists keep their room.
#[derive(Debug, Default)]
pub struct RequestHead {
    /// The bytes of the head, up to and with the empty line.
    pub length: usize,
    /// The form of the target.
    pub target: Target,
    /// The body that follows.
    pub framing: Framing,
    /// HTTP/1.1 rather than 1.0.
    pub http11: bool,
    /// The client wants the connection kept.
    pub keep_alive: bool,
    /// The client wants another protocol: the value of `Upgrade`, named by `Connection`.
    pub upgrade: Option<Range>,
    /// The client waits for 100 (Continue).
    pub expect_continue: bool,
    /// The client takes trailers.
    pub te_trailers: bool,
    /// The value of `traceparent`.
    pub traceparent: Option<Range>,
    /// The number of the try that the request is part of, from 2 on; 0 for none.
    pub attempt: u32,
    pub(super) method: Range,
    pub(super) authority: Range,
    pub(super) path: Range,
    pub(super) query: Option<Range>,
    /// The canonical path where it differs from what was sent.
    pub(super) rewritten: Option<String>,
    pub(super) fields: Vec<FieldRange>,
}

impl RequestHead {
    /// Parses the head at the front of `bytes`, whose end [`super::head_end`] has found.
    ///
    /// # Errors
    /// Everything that SECURITY's rules of the codec refuse.
    pub fn parse(&mut self, bytes: &[u8], headroom: Headroom) -> Result<(), Malformed> {
        let mut room = [const { MaybeUninit::uninit() }; ROOM];
        let mut parsed = httparse::Request::new(&mut []);
        let status = parsed
            .parse_with_uninit_headers(bytes, &mut room)
            .map_err(|error| refused(error, bytes))?;
        let httparse::Status::Complete(length) = status else {
            return Err(Malformed::bad("an incomplete head"));
        };
        headroom.check(bytes, length, parsed.headers.len())?;
        let incomplete = Malformed::bad("an incomplete start line");
        let method = parsed.method.ok_or(incomplete)?;
        let target = parsed.path.ok_or(incomplete)?;
        self.reset(length, parsed.version == Some(1));
        self.method = Range::of(method.as_bytes(), bytes);
        for header in parsed.headers.iter() {
            self.fields.push(FieldRange {
                name: Range::of(header.name.as_bytes(), bytes),
                value: Range::of(header.value, bytes),
                known: classify(header.name.as_bytes()),
            });
        }
        self.read_fields(bytes)?;
        self.read_target(method, target, bytes)
    }

    fn reset(&mut self, length: usize, http11: bool) {
        let mut fields = std::mem::take(&mut self.fields);
        fields.clear();
        *self = Self { length, http11, keep_alive: http11, fields, ..Self::default() };
    }

    fn read_fields(&mut self, bytes: &[u8]) -> Result<(), Malformed> {
        let options = connection_options(bytes, &mut self.fields)?;
        self.keep_alive = !options.close && (self.http11 || options.keep_alive);
        let mut host = None;
        let mut length = None;
        let mut chunked = false;
        for field in &self.fields {
            let value = field.value.bytes(bytes);
            match field.known {
                Known::Host if host.replace(field.value).is_some() => {
                    return Err(Malformed::bad("more than one host"));
                }
                Known::ContentLength => length = Some(content_length(value, length)?),
                Known::TransferEncoding => {
                    if chunked || !value.eq_ignore_ascii_case(b"chunked") {
                        return Err(Malformed::bad("a transfer encoding other than `chunked`"));
                    }
                    chunked = true;
                }
                Known::Expect if value.eq_ignore_ascii_case(b"100-continue") => {
                    self.expect_continue = self.http11;
                }
                Known::Expect => {
                    return Err(Malformed {
                        reason: Reason::UnsupportedExpectation,
                        detail: "an expectation other than 100-continue",
                    });
                }
                Known::Te => self.te_trailers |= lists_trailers(value),
                Known::TraceParent => self.traceparent = Some(field.value),
                Known::Attempt => {
                    self.attempt = Some(attempt_of(Some(value))).filter(|it| *it > 1).unwrap_or(0);
                }
                _ => {}
            }
        }
        self.framing = request_framing(length, chunked, self.http11)?;
        self.upgrade = self.wanted_upgrade(bytes, options);
        if host.is_none() && self.http11 {
            return Err(Malformed::bad("no host"));
        }
        self.authority = host.unwrap_or_default();
        Ok(())
    }

    /// An upgrade counts only on a request without a body: bytes behind the head then belong to
    /// the next request or to the new protocol, never to both. One to another HTTP never counts:
    /// what came through it would be requests that nobody here routed or authorized.
    fn wanted_upgrade(&self, bytes: &[u8], options: ConnectionOptions) -> Option<Range> {
        let field = self.fields.iter().find(|field| field.known == Known::Upgrade)?;
        let offered = options.upgrade && self.http11 && self.framing.is_empty();
        (offered && !offers_http(field.value.bytes(bytes))).then_some(field.value)
    }

    fn read_target(&mut self, method: &str, target: &str, bytes: &[u8]) -> Result<(), Malformed> {
        let invalid = Malformed::bad("an invalid target");
        let resource = if method == "CONNECT" {
            self.target = Target::Authority;
            self.authority = Range::of(target.as_bytes(), bytes);
            self.framing = match self.framing {
                Framing::None => Framing::None,
                _ => return Err(Malformed::bad("CONNECT with a body")),
            };
            ""
        } else if target.starts_with('/') {
            target
        } else if target == "*" && method == "OPTIONS" {
            self.target = Target::Asterisk;
            ""
        } else {
            self.target = Target::Absolute;
            let rest = strip_http(target).ok_or(invalid)?;
            let end = rest.find(['/', '?']).unwrap_or(rest.len());
            let (authority, resource) = rest.split_at_checked(end).ok_or(invalid)?;
            self.authority = Range::of(authority.as_bytes(), bytes);
            resource
        };
        let authority = self.authority.bytes(bytes);
        if self.target == Target::Authority && !names_port(authority) {
            return Err(Malformed::bad("CONNECT without a port"));
        }
        if !(is_valid_authority(authority) || authority.is_empty() && !self.http11) {
            return Err(Malformed::bad("an invalid host"));
        }
        self.read_resource(resource, bytes).ok_or(invalid)
    }

    fn read_resource(&mut self, resource: &str, bytes: &[u8]) -> Option<()> {
        let (path, query) = match resource.split_once('?') {
            Some((path, query)) => (path, Some(query)),
            None => (resource, None),
        };
        if let Some(query) = query {
            if !path::is_valid_query(query) {
                return None;
            }
            self.query = Some(Range::of(query.as_bytes(), bytes));
        }
        if !path.is_empty() {
            self.path = Range::of(path.as_bytes(), bytes);
        }
        self.rewritten = match (path, self.target) {
            ("", Target::Authority) => Some(String::new()),
            ("", Target::Asterisk) => Some("*".to_owned()),
            ("", _) => Some("/".to_owned()),
            (path, _) => match path::normalize(path).ok()? {
                Cow::Borrowed(_) => None,
                Cow::Owned(path) => Some(path),
            },
        };
        Some(())
    }

    /// The head together with its bytes, for reading.
    pub fn view<'a>(&'a self, bytes: &'a [u8]) -> RequestView<'a> {
        RequestView { head: self, bytes: bytes.get(..self.length).unwrap_or_default() }
    }
}

/// What is wrong with a request that the parser refuses. Of another version is only what says so:
/// where there is no version, or too many words, it is the line that is wrong (RFC 9112 §3).
fn refused(error: httparse::Error, bytes: &[u8]) -> Malformed {
    let mut lines = bytes.split(|byte| matches!(byte, b'\r' | b'\n'));
    let mut words = lines.find(|line| !line.is_empty()).unwrap_or_default().split(|&b| b == b' ');
    let version = matches!(
        (words.nth(2), words.next()),
        (Some([b'H', b'T', b'T', b'P', b'/', b'0'..=b'9', b'.', b'0'..=b'9']), None)
    );
    match error {
        httparse::Error::Version if !version => malformed(httparse::Error::Token),
        error => malformed(error),
    }
}

/// Whether an authority says its port, as that of `CONNECT` must (RFC 9110 §9.3.6).
fn names_port(authority: &[u8]) -> bool {
    let text = std::str::from_utf8(authority).unwrap_or_default();
    split_authority(text).is_some_and(|(_, port)| port.is_some())
}

/// `http://` in any case.
fn strip_http(target: &str) -> Option<&str> {
    let (scheme, rest) = target.split_at_checked(7)?;
    scheme.eq_ignore_ascii_case("http://").then_some(rest)
}

/// The one `Content-Length`: digits only. A second one is refused though it may agree, which RFC 9112
/// §6.3 leaves open: there are readers that take the first, and readers that take the last.
pub(super) fn content_length(value: &[u8], before: Option<u64>) -> Result<u64, Malformed> {
    let bad = Malformed::bad("an invalid content length");
    if value.is_empty() || value.len() > 19 || !value.iter().all(u8::is_ascii_digit) {
        return Err(bad);
    }
    let text = std::str::from_utf8(value).map_err(|_| bad)?;
    let length = text.parse().map_err(|_| bad)?;
    match before {
        Some(_) => Err(Malformed::bad("more than one content length")),
        None => Ok(length),
    }
}

fn request_framing(length: Option<u64>, chunked: bool, http11: bool) -> Result<Framing, Malformed> {
    match (length, chunked) {
        (Some(_), true) => Err(Malformed::bad("a content length and a transfer encoding")),
        (None, true) if !http11 => Err(Malformed::bad("a transfer encoding in HTTP/1.0")),
        (None, true) => Ok(Framing::Chunked),
        (Some(length), false) => Ok(Framing::Length(length)),
        (None, false) => Ok(Framing::None),
    }
}

fn lists_trailers(value: &[u8]) -> bool {
    value.split(|&b| b == b',').any(|token| token.trim_ascii().eq_ignore_ascii_case(b"trailers"))
}

/// Whether one of the protocols offered is HTTP again, or TLS, inside of which it would be.
fn offers_http(value: &[u8]) -> bool {
    value.split(|&b| b == b',').any(|token| {
        let name = token.trim_ascii().split(|&b| b == b'/').next().unwrap_or_default();
        [b"h2c".as_slice(), b"h2", b"http", b"tls"].iter().any(|of| name.eq_ignore_ascii_case(of))
    })
}

/// A head with its bytes.
#[derive(Debug, Clone, Copy)]
pub struct RequestView<'a> {
    /// The parsed head.
    pub head: &'a RequestHead,
    pub(super) bytes: &'a [u8],
}

impl<'a> RequestView<'a> {
    /// The bytes of a range of this head.
    pub fn bytes_of(&self, range: Range) -> &'a [u8] {
        range.bytes(self.bytes)
    }

    /// The values of a field as the endpoint will see them: what ends here, and what nobody is to
    /// believe, is not there; the host is the canonical authority.
    fn values(&self, name: &str) -> impl Iterator<Item = &'a [u8]> {
        let Self { head, bytes } = *self;
        head.fields.iter().filter_map(move |field| {
            let named = field.name.bytes(bytes).eq_ignore_ascii_case(name.as_bytes());
            match field.known {
                _ if !named => None,
                Known::HopByHop | Known::Connection | Known::ClientCert => None,
                Known::Host => Some(head.authority.bytes(bytes)),
                _ => Some(field.value.bytes(bytes)),
            }
        })
    }
}

impl Head for RequestView<'_> {
    fn method(&self) -> &str {
        self.head.method.text(self.bytes)
    }

    fn path(&self) -> &str {
        match &self.head.rewritten {
            Some(path) => path,
            None => self.head.path.text(self.bytes),
        }
    }

    fn query(&self) -> Option<&str> {
        self.head.query.map(|range| range.text(self.bytes))
    }

    /// Another one is not accepted in a target.
    fn scheme(&self) -> Scheme {
        Scheme::Http
    }

    fn authority(&self) -> &str {
        self.head.authority.text(self.bytes)
    }

    fn header(&self, name: &str) -> Option<&[u8]> {
        self.values(name).next()
    }

    fn header_joined(&self, name: &str) -> Option<Cow<'_, [u8]>> {
        let mut joined: Option<Cow<'_, [u8]>> = None;
        for value in self.values(name) {
            joined = Some(match joined {
                None => Cow::Borrowed(value),
                Some(before) => Cow::Owned([&before, b", ".as_slice(), value].concat()),
            });
        }
        joined
    }
}
