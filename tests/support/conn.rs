//! One connection, read and written byte by byte; the same for clients and for applications.
//!
//! Reading fails the test after [`DEADLINE`]: a proxy that hangs is a failure, not a long wait.

use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::time::Duration;

use super::DEADLINE;
use super::message::{Answer, Request, field};

/// What a connection runs over.
pub(crate) trait Socket: Read + Write + Send {
    /// Says that nothing more will be written.
    fn finish(&mut self);
    /// Waits for bytes at most that long.
    fn patience(&mut self, limit: Duration);
}

impl Socket for TcpStream {
    fn finish(&mut self) {
        // The other side may have gone already.
        let _ = self.shutdown(Shutdown::Write);
    }

    fn patience(&mut self, limit: Duration) {
        self.set_read_timeout(Some(limit)).expect("a limit above zero");
    }
}

/// A connection with what was read ahead of it.
pub(crate) struct Conn {
    socket: Box<dyn Socket>,
    ahead: Vec<u8>,
}

impl Conn {
    /// Takes over a socket.
    pub(crate) fn new(mut socket: impl Socket + 'static) -> Self {
        socket.patience(DEADLINE);
        Self { socket: Box::new(socket), ahead: Vec::new() }
    }

    /// Connects.
    #[track_caller]
    pub(crate) fn connect(address: SocketAddr) -> Self {
        let stream = TcpStream::connect_timeout(&address, DEADLINE).expect("it listens");
        stream.set_nodelay(true).expect("a TCP socket");
        Self::new(stream)
    }

    /// Writes all of it.
    #[track_caller]
    pub(crate) fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.try_send(bytes).expect("the other side takes it");
    }

    /// Writes, where the other side may have gone.
    pub(crate) fn try_send(&mut self, bytes: impl AsRef<[u8]>) -> std::io::Result<()> {
        self.socket.write_all(bytes.as_ref())?;
        self.socket.flush()
    }

    /// Half-closes: the other side sees an end, this side can still read.
    pub(crate) fn finish(&mut self) {
        self.socket.finish();
    }

    /// Reads some bytes; `false` at the end, a reset included.
    #[track_caller]
    fn fill(&mut self) -> bool {
        let mut room = [0; 16 * 1024];
        match self.socket.read(&mut room) {
            Ok(count) => {
                self.ahead.extend_from_slice(&room[..count]);
                count > 0
            }
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                panic!("nothing came in time; so far: {:?}", String::from_utf8_lossy(&self.ahead))
            }
            Err(_) => false,
        }
    }

    /// Reads a head with its empty line; `None` where the connection ended before its first byte.
    #[track_caller]
    pub(crate) fn try_head(&mut self) -> Option<String> {
        loop {
            if let Some(at) = self.ahead.windows(4).position(|four| four == b"\r\n\r\n") {
                let head = self.ahead.drain(..at + 4).collect();
                return Some(String::from_utf8(head).expect("heads are ASCII here"));
            }
            if !self.fill() {
                let rest = String::from_utf8_lossy(&self.ahead);
                assert!(self.ahead.is_empty(), "it ended in the middle of a head: {rest:?}");
                return None;
            }
        }
    }

    /// Reads a head with its empty line.
    #[track_caller]
    pub(crate) fn head(&mut self) -> String {
        self.try_head().expect("a head before the end")
    }

    /// Reads so many bytes.
    #[track_caller]
    pub(crate) fn exact(&mut self, count: usize) -> Vec<u8> {
        while self.ahead.len() < count {
            assert!(self.fill(), "it ended after {} of {count} bytes", self.ahead.len());
        }
        self.ahead.drain(..count).collect()
    }

    /// Reads exactly these bytes.
    #[track_caller]
    pub(crate) fn expect(&mut self, bytes: impl AsRef<[u8]>) {
        let wanted = bytes.as_ref();
        let found = self.exact(wanted.len());
        assert!(
            found == wanted,
            "found {:?}, wanted {:?}",
            String::from_utf8_lossy(&found),
            String::from_utf8_lossy(wanted)
        );
    }

    /// Reads to the end.
    #[track_caller]
    pub(crate) fn rest(&mut self) -> Vec<u8> {
        while self.fill() {}
        std::mem::take(&mut self.ahead)
    }

    /// Reads until `enough` of it has come, or to the end.
    #[track_caller]
    pub(crate) fn until(&mut self, enough: impl Fn(&[u8]) -> bool) -> Vec<u8> {
        while !enough(&self.ahead) && self.fill() {}
        std::mem::take(&mut self.ahead)
    }

    /// Nothing more comes, and the other side has closed.
    #[track_caller]
    pub(crate) fn is_closed(&mut self) {
        let rest = self.rest();
        assert!(rest.is_empty(), "something came: {:?}", String::from_utf8_lossy(&rest));
    }

    /// Whether something comes within `limit`; the end counts.
    pub(crate) fn hears_within(&mut self, limit: Duration) -> bool {
        if !self.ahead.is_empty() {
            return true;
        }
        self.socket.patience(limit);
        let mut room = [0; 1024];
        let heard = self.socket.read(&mut room);
        self.socket.patience(DEADLINE);
        match heard {
            Ok(count) => {
                self.ahead.extend_from_slice(&room[..count]);
                true
            }
            Err(error) => !matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut),
        }
    }

    /// What has been read and not been looked at.
    pub(crate) fn heard(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.ahead)
    }

    /// Reads a whole request; `None` where the connection ended instead.
    #[track_caller]
    pub(crate) fn request(&mut self) -> Option<Request> {
        let head = self.try_head()?;
        let (body, trailers) = self.request_body(&head);
        Some(Request { head, body, trailers })
    }

    /// Reads the body that a request's head announces.
    #[track_caller]
    pub(crate) fn request_body(&mut self, head: &str) -> (Vec<u8>, String) {
        match (field(head, "transfer-encoding"), field(head, "content-length")) {
            (Some(_), _) => self.chunks(),
            (None, Some(length)) => (self.exact(length.parse().expect("digits")), String::new()),
            (None, None) => Default::default(),
        }
    }

    /// Reads a whole answer to any method but HEAD.
    #[track_caller]
    pub(crate) fn answer(&mut self) -> Answer {
        self.try_answer("GET").expect("an answer before the end")
    }

    /// Reads a whole answer to `method`; `None` where the connection ended instead.
    #[track_caller]
    pub(crate) fn try_answer(&mut self, method: &str) -> Option<Answer> {
        let head = self.try_head()?;
        let status = head.split(' ').nth(1).and_then(|code| code.parse().ok());
        let mut answer = Answer { status: status.expect("a status"), head, ..Answer::default() };
        let bodiless = method == "HEAD" || matches!(answer.status, 100..=199 | 204 | 304);
        if bodiless {
            return Some(answer);
        }
        match (answer.field("transfer-encoding"), answer.field("content-length")) {
            (Some(_), _) => (answer.body, answer.trailers) = self.chunks(),
            (None, Some(length)) => answer.body = self.exact(length.parse().expect("digits")),
            (None, None) => answer.body = self.rest(),
        }
        Some(answer)
    }

    /// Sends a request and reads its answer.
    #[track_caller]
    pub(crate) fn ask(&mut self, request: impl AsRef<[u8]>) -> Answer {
        self.send(request);
        self.answer()
    }

    /// Sends a GET and reads its answer.
    #[track_caller]
    pub(crate) fn get(&mut self, host: &str, path: &str) -> Answer {
        self.ask(format!("GET {path} HTTP/1.1\r\nhost: {host}\r\n\r\n"))
    }

    fn line(&mut self) -> String {
        loop {
            if let Some(at) = self.ahead.windows(2).position(|two| two == b"\r\n") {
                let line: Vec<u8> = self.ahead.drain(..at + 2).collect();
                return String::from_utf8_lossy(&line[..at]).into_owned();
            }
            assert!(self.fill(), "it ended in the middle of a line");
        }
    }

    /// Reads a chunked body: its data, its trailer fields.
    fn chunks(&mut self) -> (Vec<u8>, String) {
        let mut body = Vec::new();
        loop {
            let line = self.line();
            let size = line.split(';').next().unwrap_or_default();
            let size = usize::from_str_radix(size, 16).expect("a chunk's size");
            if size == 0 {
                break;
            }
            body.append(&mut self.exact(size));
            self.expect("\r\n");
        }
        let mut trailers = String::new();
        loop {
            match self.line() {
                line if line.is_empty() => return (body, trailers),
                line => trailers += &(line + "\r\n"),
            }
        }
    }
}
