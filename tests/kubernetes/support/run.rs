//! A program that was run to its end: what it said and how it ended.

use std::io::Write as _;
use std::process::{Command, Stdio};

/// What a run came to, and the words that it was started with.
#[derive(Debug)]
pub(crate) struct Run {
    pub(crate) command: String,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
    pub(crate) code: Option<i32>,
}

impl Run {
    /// Runs it with this on its standard input.
    pub(crate) fn of(mut command: Command, input: &str) -> Self {
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap_or_else(|why| panic!("{command:?}: {why}"));
        let mut stdin = child.stdin.take().expect("piped");
        // A run that fails early does not read its input.
        let _ = stdin.write_all(input.as_bytes());
        drop(stdin);
        let output = child.wait_with_output().expect("it ends");
        let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
        let words = command.get_args().map(|word| word.to_string_lossy().into_owned());
        Self {
            command: words.collect::<Vec<_>>().join(" "),
            stdout: text(output.stdout),
            stderr: text(output.stderr),
            code: output.status.code(),
        }
    }

    /// Whether it ended well.
    pub(crate) fn worked(&self) -> bool {
        self.code == Some(0)
    }

    /// What it printed; fails the test where it did not end well.
    #[track_caller]
    pub(crate) fn ok(self) -> String {
        assert!(self.worked(), "{self}");
        self.stdout
    }

    /// The same, read as JSON.
    #[track_caller]
    pub(crate) fn json(self) -> serde_json::Value {
        let text = self.ok();
        serde_json::from_str(&text).unwrap_or_else(|why| panic!("{why}: {text}"))
    }
}

impl std::fmt::Display for Run {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { command, stdout, stderr, code } = self;
        write!(f, "`{command}` ended with {code:?}\n--- stdout\n{stdout}--- stderr\n{stderr}")
    }
}
