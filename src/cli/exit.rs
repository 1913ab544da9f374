//! The one place of exit codes, and the one form of errors: `error: …`, causes, `help: …`.
//!
//! Commands return [`Outcome`]; `cli::run` turns it into an [`Exit`] and lines on stderr. Texts are
//! lower case, without a period, names in backticks. No backtrace, no debug structs.

use std::fmt::Write as _;
use std::process::ExitCode;

/// How a process ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Exit {
    /// Done.
    Done,
    /// It failed.
    Failed,
    /// The command line was wrong.
    Usage,
    /// It worked and found something.
    Findings,
    /// What the wrapped command of `proxy run -- COMMAND` ended with.
    Command(u8),
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(match exit {
            Exit::Done => 0,
            Exit::Failed => 1,
            Exit::Usage => 2,
            Exit::Findings => 3,
            Exit::Command(code) => code,
        })
    }
}

/// What every command returns.
pub(crate) type Outcome = Result<Exit, Failure>;

/// Why a command could not do what it was asked.
#[derive(Debug)]
pub(crate) struct Failure {
    /// The code to end with.
    pub(crate) exit: Exit,
    /// What failed, with its causes.
    error: anyhow::Error,
    /// What to do; empty where there is nothing to say.
    help: String,
    /// Whole lines that go before the error, such as rules with their problems.
    detail: String,
}

impl Failure {
    /// It failed (exit 1).
    pub(crate) fn new(what: impl Into<String>) -> Self {
        Self {
            exit: Exit::Failed,
            error: anyhow::Error::msg(what.into()),
            help: String::new(),
            detail: String::new(),
        }
    }

    /// The command line was wrong (exit 2).
    pub(crate) fn usage(what: impl Into<String>) -> Self {
        Self { exit: Exit::Usage, ..Self::new(what) }
    }

    /// What is wrong with the command line was found by a parser (exit 2).
    pub(crate) fn misuse(error: impl Into<anyhow::Error>) -> Self {
        Self { exit: Exit::Usage, ..Self::from(error) }
    }

    /// What was asked for is known and comes with a later version (exit 2).
    pub(crate) fn later(what: &str) -> Self {
        Self::usage(format!("{what} is not supported in this version yet"))
    }

    /// Puts what was attempted above the cause.
    pub(crate) fn context(self, what: impl Into<String>) -> Self {
        Self { error: self.error.context(what.into()), ..self }
    }

    /// Says what to do.
    pub(crate) fn help(self, help: impl Into<String>) -> Self {
        Self { help: help.into(), ..self }
    }

    /// Ends with another code.
    pub(crate) fn exit_with(self, exit: Exit) -> Self {
        Self { exit, ..self }
    }

    /// Puts lines before the error.
    pub(crate) fn with_detail(self, detail: String) -> Self {
        Self { detail, ..self }
    }

    /// What failed, in one line.
    pub(crate) fn what(&self) -> String {
        self.error.to_string()
    }

    /// What to do about it; empty where there is nothing to say.
    pub(crate) fn remedy(&self) -> &str {
        &self.help
    }

    /// Whether this is only that the reader of stdout has gone, which is no error.
    pub(crate) fn is_closed_pipe(&self) -> bool {
        self.error.downcast_ref::<ClosedPipe>().is_some()
    }

    /// The lines for stderr, as many as it takes; a cause that its parent already tells is left out.
    pub(crate) fn render(&self) -> String {
        let mut text = self.detail.clone();
        let mut first = true;
        let mut above = String::new();
        for cause in self.error.chain() {
            let line = cause.to_string();
            if std::mem::take(&mut first) {
                let _ = writeln!(text, "{ERROR}error{ERROR:#}: {line}");
            } else if !above.ends_with(&line) {
                let _ = writeln!(text, "  caused by: {line}");
            }
            above = line;
        }
        for line in self.help.lines() {
            let _ = writeln!(text, "{HELP}help{HELP:#}: {line}");
        }
        text
    }
}

const ERROR: anstyle::Style =
    anstyle::Style::new().bold().fg_color(Some(anstyle::Color::Ansi(anstyle::AnsiColor::Red)));
const HELP: anstyle::Style =
    anstyle::Style::new().bold().fg_color(Some(anstyle::Color::Ansi(anstyle::AnsiColor::Cyan)));

impl<E: Into<anyhow::Error>> From<E> for Failure {
    fn from(error: E) -> Self {
        Self { exit: Exit::Failed, error: error.into(), help: String::new(), detail: String::new() }
    }
}

/// The reader of stdout has gone.
#[derive(Debug, thiserror::Error)]
#[error("standard output was closed")]
pub(crate) struct ClosedPipe;
