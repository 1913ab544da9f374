//! A case as it lies in its file: comments, what is sent, what is expected.
//!
//! A line stands for bytes: `> ` what the client sends, `< ` what the application answers. Escapes
//! are `\r`, `\n`, `\t`, `\\`, `\xNN`, and `\{COUNT TEXT}` for repetition; line ends of the file are
//! no bytes. `@ outbound` or `@ inbound` plays it there alone, `! closes` lets the application close
//! after its answer. Below `---` stands what is expected.

use std::path::Path;

const EXPECTED: &str = "---\n";

/// See the head of this file.
#[derive(Debug, Clone, Default)]
pub(super) struct Case {
    pub(super) name: String,
    /// What the client sends.
    pub(super) sent: Vec<u8>,
    /// What the application answers; nothing of its own where this is empty.
    pub(super) answer: Vec<u8>,
    /// The application closes then.
    pub(super) closes: bool,
    /// What must come of it.
    pub(super) expected: String,
    at: Option<String>,
    head: String,
}

impl Case {
    /// Reads one.
    pub(super) fn read(file: &Path) -> Self {
        let name = file.file_name().expect("a file").to_string_lossy().into_owned();
        let text = std::fs::read_to_string(file).expect("text");
        let (head, expected) = text.split_once(EXPECTED).unwrap_or((&text, ""));
        let (head, expected) = (head.to_owned(), expected.to_owned());
        let mut case = Self { name, head, expected, ..Self::default() };
        for line in case.head.lines() {
            match line.split_at_checked(2) {
                Some(("> ", bytes)) => case.sent.extend(unescaped(bytes)),
                Some(("< ", bytes)) => case.answer.extend(unescaped(bytes)),
                Some(("@ ", place)) => case.at = Some(place.to_owned()),
                Some(("! ", "closes")) => case.closes = true,
                Some(("# ", _)) => {}
                _ => panic!("{}: what is {line:?}?", case.name),
            }
        }
        assert!(text.starts_with("# "), "{}: it must say what it is about", case.name);
        assert!(!case.sent.is_empty(), "{}: nothing is sent", case.name);
        case
    }

    /// Writes it with another expectation.
    pub(super) fn write(&self, file: &Path, expected: &str) {
        let text = format!("{}{EXPECTED}{expected}", self.head);
        std::fs::write(file, text).expect("writable");
    }

    /// Whether it is played at a listener.
    pub(super) fn is_played(&self, place: &str) -> bool {
        self.at.as_ref().is_none_or(|at| at == place)
    }
}

fn unescaped(line: &str) -> Vec<u8> {
    let mut out = Vec::new();
    let mut rest = line;
    while let Some((before, after)) = rest.split_once('\\') {
        out.extend_from_slice(before.as_bytes());
        let kind = after.chars().next().expect("something follows a backslash");
        rest = &after[1..];
        match kind {
            'r' => out.push(b'\r'),
            'n' => out.push(b'\n'),
            't' => out.push(b'\t'),
            '\\' => out.push(b'\\'),
            'x' => {
                out.push(u8::from_str_radix(&rest[..2], 16).expect("two digits"));
                rest = &rest[2..];
            }
            '{' => {
                let (count, after) = rest.split_once(' ').expect("a count and a text");
                // The innermost end: what is repeated may not be repeated itself.
                let (text, after) = after.split_once('}').expect("an end");
                let text = unescaped(text);
                for _ in 0..count.parse::<usize>().expect("a number") {
                    out.extend_from_slice(&text);
                }
                rest = after;
            }
            other => panic!("no escape: {other:?}"),
        }
    }
    out.extend_from_slice(rest.as_bytes());
    out
}

/// Bytes for people, a line of the file for each of theirs, indented; what differs each time masked.
pub(super) fn bytes_as_lines(bytes: &[u8]) -> String {
    let mut text = String::new();
    for line in bytes.split_inclusive(|byte| *byte == b'\n') {
        let line = match line.get(..12) {
            Some(b"traceparent:") => "traceparent: *\\r\\n".to_owned(),
            _ => escaped(line),
        };
        text.push_str(&format!("  {line}\n"));
    }
    text
}

fn escaped(line: &[u8]) -> String {
    const LONG: usize = 200;
    let text: String = line
        .iter()
        .map(|byte| match byte {
            b'\r' => "\\r".to_owned(),
            b'\n' => "\\n".to_owned(),
            b'\t' => "\\t".to_owned(),
            b'\\' => "\\\\".to_owned(),
            b' '..=b'~' => char::from(*byte).to_string(),
            other => format!("\\x{other:02x}"),
        })
        .collect();
    match text.get(..LONG) {
        Some(begin) => format!("{begin}… ({} bytes)", line.len()),
        None => text,
    }
}
