//! A response's head: parsed and validated, its body's framing decided.

use std::mem::MaybeUninit;

use super::fields::{classify, connection_options};
use super::request::content_length;
use super::{FieldRange, Framing, Headroom, Known, Malformed, ROOM, Range, malformed};

/// A parsed head. Reused from response to response.
#[derive(Debug, Default)]
pub struct ResponseHead {
    /// The bytes of the head, up to and with the empty line.
    pub length: usize,
    /// The status, 100 to 999.
    pub status: u16,
    /// The body that follows.
    pub framing: Framing,
    /// The server keeps the connection, and the framing allows it.
    pub keep_alive: bool,
    /// `Content-Length` as sent, also where there is no body (HEAD, 304).
    pub declared_length: Option<u64>,
    /// `Transfer-Encoding: chunked` was sent, also where there is no body.
    pub declared_chunked: bool,
    /// The server switches to this protocol (101).
    pub upgrade: Option<Range>,
    pub(super) reason: Range,
    pub(super) fields: Vec<FieldRange>,
}

impl ResponseHead {
    /// Parses the head at the front of `bytes`; `method` is that of the request.
    ///
    /// # Errors
    /// A head that breaks RFC 9112, or whose framing is ambiguous.
    pub fn parse(
        &mut self,
        bytes: &[u8],
        method: &str,
        headroom: Headroom,
    ) -> Result<(), Malformed> {
        // The parser skips empty lines, which may stand before requests only (RFC 9112 §2.2).
        if !bytes.starts_with(b"HTTP/") {
            return Err(Malformed::bad("no status line"));
        }
        let mut room = [const { MaybeUninit::uninit() }; ROOM];
        let mut parsed = httparse::Response::new(&mut []);
        let status = httparse::ParserConfig::default()
            .parse_response_with_uninit_headers(&mut parsed, bytes, &mut room)
            .map_err(malformed)?;
        let httparse::Status::Complete(length) = status else {
            return Err(Malformed::bad("an incomplete head"));
        };
        headroom.check(bytes, length, parsed.headers.len())?;
        let http11 = parsed.version == Some(1);
        let mut fields = std::mem::take(&mut self.fields);
        fields.clear();
        fields.extend(parsed.headers.iter().map(|header| FieldRange {
            name: Range::of(header.name.as_bytes(), bytes),
            value: Range::of(header.value, bytes),
            known: classify(header.name.as_bytes()),
        }));
        *self = Self { length, fields, ..Self::default() };
        self.status = parsed.code.filter(|code| *code >= 100).ok_or(Malformed::bad("no status"))?;
        self.reason = parsed.reason.map_or(Range::default(), |text| match text {
            "" => Range::default(),
            text => Range::of(text.as_bytes(), bytes),
        });
        self.read_fields(bytes, method, http11)
    }

    fn read_fields(&mut self, bytes: &[u8], method: &str, http11: bool) -> Result<(), Malformed> {
        let options = connection_options(bytes, &mut self.fields)?;
        for field in &self.fields {
            let value = field.value.bytes(bytes);
            match field.known {
                Known::ContentLength => {
                    self.declared_length = Some(content_length(value, self.declared_length)?);
                }
                Known::TransferEncoding => {
                    if self.declared_chunked || !value.eq_ignore_ascii_case(b"chunked") {
                        return Err(Malformed::bad("a transfer encoding other than `chunked`"));
                    }
                    self.declared_chunked = true;
                }
                Known::Upgrade if options.upgrade => self.upgrade = Some(field.value),
                _ => {}
            }
        }
        let never = matches!(self.status, 100..=199 | 204);
        if never && (self.declared_chunked || self.declared_length.is_some_and(|it| it > 0)) {
            // As Envoy: other readers believe the framing rather than the status.
            return Err(Malformed::bad("a body where the status allows none"));
        }
        if self.declared_chunked && (self.declared_length.is_some() || !http11) {
            return Err(Malformed::bad("ambiguous framing"));
        }
        self.framing = self.response_framing(method);
        self.keep_alive =
            !options.close && (http11 || options.keep_alive) && self.framing != Framing::UntilClose;
        Ok(())
    }

    /// RFC 9112 §6.3, in its order.
    fn response_framing(&self, method: &str) -> Framing {
        let bodiless = method == "HEAD" || matches!(self.status, 100..=199 | 204 | 304);
        if bodiless {
            Framing::None
        } else if self.declared_chunked {
            Framing::Chunked
        } else {
            self.declared_length.map_or(Framing::UntilClose, Framing::Length)
        }
    }

    /// The first value of the field `name`; `bytes` is what was parsed.
    pub fn header<'a>(&self, bytes: &'a [u8], name: &str) -> Option<&'a [u8]> {
        let named =
            |field: &&FieldRange| field.name.bytes(bytes).eq_ignore_ascii_case(name.as_bytes());
        self.fields.iter().find(named).map(|field| field.value.bytes(bytes))
    }

    /// Whether this is an interim answer, after which another comes.
    pub fn is_interim(&self) -> bool {
        (100..200).contains(&self.status) && self.status != 101
    }
}
