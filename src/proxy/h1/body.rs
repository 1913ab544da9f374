//! Message bodies: how they are framed, and their decoding piece by piece without copying.

use super::fields::{Known, classify};
use super::{Malformed, malformed};

/// The longest line with a chunk's size; extensions are read and dropped (RFC 9112 §7.1.1).
const MAX_SIZE_LINE: usize = 256;

/// The longest trailer section.
const MAX_TRAILERS: usize = 8 * 1024;

/// How the end of a body is known (RFC 9112 §6.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Framing {
    /// There is no body.
    #[default]
    None,
    /// By `Content-Length`, bytes.
    Length(u64),
    /// By chunks.
    Chunked,
    /// By the end of the connection (responses only).
    UntilClose,
}

impl Framing {
    /// Whether there is certainly nothing to read.
    pub fn is_empty(self) -> bool {
        matches!(self, Self::None | Self::Length(0))
    }
}

/// What the next bytes are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Decoded {
    /// More must be read first.
    NeedMore,
    /// After `skip` bytes of framing come `len` bytes of the body; consume both.
    Data {
        /// Framing before the data.
        skip: usize,
        /// The data.
        len: usize,
    },
    /// The body is complete; consume `skip` bytes of framing.
    Done {
        /// Framing at the end.
        skip: usize,
    },
}

/// Walks over a body as it arrives.
#[derive(Debug)]
pub struct BodyDecoder {
    state: State,
    trailers: Vec<u8>,
}

#[derive(Debug, Clone, Copy)]
enum State {
    Length(u64),
    UntilClose,
    /// Before a size line; whether the line end of the chunk before is still to come.
    ChunkSize {
        after_data: bool,
    },
    ChunkData(u64),
    Trailers,
    Done,
}

impl BodyDecoder {
    /// Begins a body.
    pub fn new(framing: Framing) -> Self {
        let state = match framing {
            Framing::None | Framing::Length(0) => State::Done,
            Framing::Length(length) => State::Length(length),
            Framing::Chunked => State::ChunkSize { after_data: false },
            Framing::UntilClose => State::UntilClose,
        };
        Self { state, trailers: Vec::new() }
    }

    /// Whether the body is complete.
    pub fn is_done(&self) -> bool {
        matches!(self.state, State::Done)
    }

    /// Whether the end of the connection is the end of the body.
    pub fn ends_with_connection(&self) -> bool {
        matches!(self.state, State::UntilClose)
    }

    /// The trailer fields, each `name: value` with its line end; complete when the body is.
    pub fn trailers(&self) -> &[u8] {
        &self.trailers
    }

    /// Says what `input`, which begins where the last answer's bytes ended, begins with.
    ///
    /// # Errors
    /// Chunked framing that is not exactly as RFC 9112 §7.1 says.
    pub fn decode(&mut self, input: &[u8]) -> Result<Decoded, Malformed> {
        match self.state {
            State::Done => Ok(Decoded::Done { skip: 0 }),
            _ if input.is_empty() => Ok(Decoded::NeedMore),
            State::UntilClose => Ok(Decoded::Data { skip: 0, len: input.len() }),
            State::Length(left) => {
                let (len, left) = take(input.len(), left);
                self.state = if left == 0 { State::Done } else { State::Length(left) };
                Ok(Decoded::Data { skip: 0, len })
            }
            State::ChunkData(left) => {
                let (len, left) = take(input.len(), left);
                self.state = match left {
                    0 => State::ChunkSize { after_data: true },
                    left => State::ChunkData(left),
                };
                Ok(Decoded::Data { skip: 0, len })
            }
            State::ChunkSize { after_data } => self.chunk_size(input, after_data),
            State::Trailers => self.read_trailers(input, 0),
        }
    }

    fn chunk_size(&mut self, input: &[u8], after_data: bool) -> Result<Decoded, Malformed> {
        let start = if after_data { 2 } else { 0 };
        let ended = input.get(..start.min(input.len())).is_some_and(|b| b"\r\n".starts_with(b));
        if after_data && !ended {
            return Err(Malformed::bad("a chunk is longer than its size says"));
        }
        let line = input.get(start..).unwrap_or_default();
        // Whether the end has come with the line or not: it is refused all the same.
        let newline = memchr::memchr(b'\n', line);
        if newline.unwrap_or(line.len()) > MAX_SIZE_LINE {
            return Err(Malformed::bad("a chunk's size line is too long"));
        }
        let Some(newline) = newline else { return Ok(Decoded::NeedMore) };
        let size = parse_size(line.get(..newline).unwrap_or_default())?;
        let skip = start + newline + 1;
        if size == 0 {
            self.state = State::Trailers;
            return self.read_trailers(input, skip);
        }
        let (len, left) = take(input.len() - skip, size);
        self.state = match left {
            0 => State::ChunkSize { after_data: true },
            left => State::ChunkData(left),
        };
        Ok(Decoded::Data { skip, len })
    }

    fn read_trailers(&mut self, input: &[u8], skip: usize) -> Result<Decoded, Malformed> {
        let section = input.get(skip..).unwrap_or_default();
        if section.starts_with(b"\r\n") {
            self.state = State::Done;
            return Ok(Decoded::Done { skip: skip + 2 });
        }
        let mut scanned = 0;
        match super::head_end(section, &mut scanned)? {
            Some(end) if end <= MAX_TRAILERS => {
                self.keep_trailers(section.get(..end).unwrap_or_default())?;
                self.state = State::Done;
                Ok(Decoded::Done { skip: skip + end })
            }
            None if section.len() <= MAX_TRAILERS => match skip {
                0 => Ok(Decoded::NeedMore),
                // The size line is behind us: the state says so, the caller must consume it.
                skip => Ok(Decoded::Data { skip, len: 0 }),
            },
            _ => Err(Malformed::bad("the trailer section is too long")),
        }
    }

    /// Keeps the fields that may stand in a trailer section (RFC 9110 §6.5.1).
    fn keep_trailers(&mut self, section: &[u8]) -> Result<(), Malformed> {
        let mut fields = [httparse::EMPTY_HEADER; 32];
        let parsed = httparse::parse_headers(section, &mut fields).map_err(malformed)?;
        let httparse::Status::Complete((_, fields)) = parsed else {
            return Err(Malformed::bad("an incomplete trailer section"));
        };
        for field in fields {
            if classify(field.name.as_bytes()) == Known::Other {
                self.trailers.extend_from_slice(field.name.as_bytes());
                self.trailers.extend_from_slice(b": ");
                self.trailers.extend_from_slice(field.value);
                self.trailers.extend_from_slice(b"\r\n");
            }
        }
        Ok(())
    }
}

/// How much of `left` is in `available`, and how much remains.
fn take(available: usize, left: u64) -> (usize, u64) {
    let len = usize::try_from(left).map_or(available, |left| left.min(available));
    (len, left - len as u64)
}

/// A line `1*HEXDIG [chunk-ext] CR`, without its line feed.
fn parse_size(line: &[u8]) -> Result<u64, Malformed> {
    let bad = Malformed::bad("a bad chunk size");
    let line = line.strip_suffix(b"\r").ok_or(bad)?;
    let digits = line.iter().take_while(|b| b.is_ascii_hexdigit()).count();
    let rest = line.get(digits..).unwrap_or_default();
    let extension = rest.trim_ascii_start();
    let clean = rest.iter().all(|&b| b == b'\t' || (0x20..0x7f).contains(&b) || b >= 0x80);
    if digits == 0 || digits > 15 || !clean || !(rest.is_empty() || extension.starts_with(b";")) {
        return Err(bad);
    }
    let text = std::str::from_utf8(line.get(..digits).unwrap_or_default()).map_err(|_| bad)?;
    u64::from_str_radix(text, 16).map_err(|_| bad)
}
