//! The application of a case: keeps every byte that it gets, answers as the case says.

use std::sync::{Arc, Mutex};

use super::case::{Case, bytes_as_lines};
use crate::support::{Conn, DEADLINE, Origin, eventually};

/// The answer to the probe. It closes: every case begins on a connection of its own.
const TO_PROBE: &str = "HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 5\r\n\r\nprobe";

/// That answer as a client gets it.
pub(super) const PROBED: &str = "HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nprobe";

/// The answer where the case has none.
const USUAL: &str = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";

/// See the head of this file.
pub(super) struct App {
    origin: Origin,
    state: Arc<Mutex<State>>,
}

#[derive(Default)]
struct State {
    case: Case,
    /// What came since the case began, the probe left out.
    seen: Vec<u8>,
    /// The connection that the case's answer went over, and whether it has ended.
    answered: Option<usize>,
    ended: Vec<usize>,
    probed: Option<usize>,
}

impl App {
    /// Starts it.
    pub(super) fn start() -> Self {
        let state = Arc::new(Mutex::new(State::default()));
        let shared = Arc::clone(&state);
        Self { origin: Origin::scripted(move |conn, number| serve(conn, number, &shared)), state }
    }

    pub(super) fn origin(&self) -> &Origin {
        &self.origin
    }

    /// From here on `case` is played.
    pub(super) fn begin(&self, case: &Case) {
        *self.state.lock().expect("no panic while held") =
            State { case: case.clone(), ..State::default() };
    }

    /// What it got.
    pub(super) fn saw(&self) -> String {
        let state = self.state.lock().expect("no panic while held");
        match state.seen.as_slice() {
            [] => "nothing".to_owned(),
            seen => format!("\n{}", bytes_as_lines(seen).trim_end()),
        }
    }

    /// Whether the probe came over the connection of the case's answer. Where it did not, that one
    /// must have been closed. `None`: no probe has come.
    pub(super) fn connection_of_probe(&self) -> Option<&'static str> {
        let (answered, probed) = {
            let state = self.state.lock().expect("no panic while held");
            (state.answered, state.probed)
        };
        let probed = probed?;
        if answered == Some(probed) {
            return Some("the same");
        }
        if let Some(answered) = answered {
            eventually("the connection of the answer is closed", || {
                let state = self.state.lock().expect("no panic while held");
                state.ended.contains(&answered).then_some(())
            });
        }
        Some("another")
    }
}

fn serve(conn: &mut Conn, number: usize, state: &Mutex<State>) {
    let mut waiting = Vec::new();
    while conn.hears_within(DEADLINE) {
        let bytes = conn.heard();
        if bytes.is_empty() {
            break;
        }
        waiting.extend_from_slice(&bytes);
        if !waiting.starts_with(b"GET /probe ") {
            state.lock().expect("no panic while held").seen.extend_from_slice(&bytes);
        }
        while let Some(length) = request(&waiting) {
            let probe = waiting.starts_with(b"GET /probe ");
            waiting.drain(..length);
            let (answer, closes) = answer(probe, number, state);
            if conn.try_send(answer).is_err() || closes {
                return end(number, state);
            }
        }
    }
    end(number, state);
}

fn answer(probe: bool, number: usize, state: &Mutex<State>) -> (Vec<u8>, bool) {
    let mut state = state.lock().expect("no panic while held");
    if probe {
        state.probed = Some(number);
        return (TO_PROBE.into(), true);
    }
    if state.case.answer.is_empty() {
        return (USUAL.into(), false);
    }
    state.answered = Some(number);
    (state.case.answer.clone(), state.case.closes)
}

fn end(number: usize, state: &Mutex<State>) {
    state.lock().expect("no panic while held").ended.push(number);
}

/// The length of the request that `bytes` begin with, when all of it is there.
fn request(bytes: &[u8]) -> Option<usize> {
    let head = find(bytes, b"\r\n\r\n")? + 4;
    let text = String::from_utf8_lossy(&bytes[..head]).to_ascii_lowercase();
    if text.contains("\r\ntransfer-encoding: chunked\r\n") {
        let rest = &bytes[head..];
        // Our own writer's chunks: the last one, its trailers, an empty line.
        let last = if rest.starts_with(b"0\r\n") { 0 } else { find(rest, b"\r\n0\r\n")? + 2 };
        return Some(head + last + find(&rest[last..], b"\r\n\r\n")? + 4);
    }
    let length = text.split("\r\ncontent-length: ").nth(1).and_then(|it| it.split("\r\n").next());
    let length = length.map_or(0, |length| length.parse::<usize>().expect("digits"));
    (bytes.len() >= head + length).then_some(head + length)
}

fn find(bytes: &[u8], what: &[u8]) -> Option<usize> {
    bytes.windows(what.len()).position(|window| window == what)
}
