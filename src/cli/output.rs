//! The one printer: data on stdout, everything else on stderr, colour only where it is wanted.
//!
//! Commands build a [`View`] (a JSON value, tables, names) and the printer renders the form that
//! `-o` asks for. A closed pipe is no error. Progress moves only on a terminal; elsewhere it is
//! plain lines, and nothing with `--quiet`.

use std::io::{IsTerminal, Write};
use std::time::Duration;

use anstream::{AutoStream, ColorChoice};
use serde_json::Value;

use super::exit::{ClosedPipe, Failure};

mod age;
mod table;
#[cfg(test)]
mod tests;
mod yaml;

pub(crate) use age::{age, milliseconds, until};
pub(crate) use table::{Cell, Table, cut};
pub(crate) use yaml::yaml;

/// How something that is read is shown: columns, the same with more of them and never cut, JSON,
/// YAML, one name per line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, clap::ValueEnum)]
pub(crate) enum Format {
    #[default]
    Table,
    Wide,
    Json,
    Yaml,
    Name,
}

/// `-o` of every command that reads.
#[derive(Debug, Clone, Copy, clap::Args)]
pub(crate) struct FormatArgs {
    /// Form of the output.
    #[arg(short, long, value_name = "FORMAT", default_value = "table")]
    pub(crate) output: Format,
}

/// When to colour: on a terminal unless `NO_COLOR` is set, always, never.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, clap::ValueEnum)]
pub(crate) enum Color {
    #[default]
    Auto,
    Always,
    Never,
}

impl From<Color> for ColorChoice {
    fn from(color: Color) -> Self {
        match color {
            Color::Auto => Self::Auto,
            Color::Always => Self::Always,
            Color::Never => Self::Never,
        }
    }
}

/// Something that was read, in every form.
#[derive(Debug, Clone, Default)]
pub(crate) struct View {
    /// For `json` and `yaml`.
    pub(crate) value: Value,
    /// Lines above the tables.
    pub(crate) lead: Vec<String>,
    /// For `table` and `wide`.
    pub(crate) tables: Vec<Table>,
    /// For `name`.
    pub(crate) names: Vec<String>,
    /// Said on stderr instead of tables when there is nothing in any.
    pub(crate) empty: String,
}

/// Takes colours off for the whole process where `TERM` says that the terminal knows none; said here
/// because what decides otherwise takes any terminal of a CI job for one that does. Only
/// `CLICOLOR_FORCE` and `--color always` are stronger.
pub(crate) fn spare_dumb_terminals() {
    if is_dumb() && std::env::var_os("CLICOLOR_FORCE").is_none_or(|it| it == "0") {
        ColorChoice::Never.write_global();
    }
}

fn is_dumb() -> bool {
    std::env::var_os("TERM").is_some_and(|term| term == "dumb")
}

/// Writes to stdout and stderr.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Printer {
    color: ColorChoice,
    quiet: bool,
}

impl Printer {
    /// A printer as the user wants it.
    pub(crate) fn new(color: Color, quiet: bool) -> Self {
        Self { color: color.into(), quiet }
    }

    /// Data: text to stdout as it is, with styles taken out where they are not wanted.
    pub(crate) fn data(&self, text: &str) -> Result<(), Failure> {
        let mut out = AutoStream::new(std::io::stdout().lock(), self.choice(&std::io::stdout()));
        written(out.write_all(text.as_bytes()).and_then(|()| out.flush()))
    }

    /// Data of which no byte may change, such as manifests.
    pub(crate) fn verbatim(&self, text: &str) -> Result<(), Failure> {
        let mut out = std::io::stdout().lock();
        written(out.write_all(text.as_bytes()).and_then(|()| out.flush()))
    }

    /// One line of data.
    pub(crate) fn line(&self, text: &str) -> Result<(), Failure> {
        self.data(&format!("{text}\n"))
    }

    /// One line of what is worth knowing, to stderr; nothing with `--quiet`.
    pub(crate) fn note(&self, text: &str) {
        self.notes(&format!("{text}\n"));
    }

    /// Lines of what is worth knowing, to stderr; nothing with `--quiet`.
    pub(crate) fn notes(&self, lines: &str) {
        if !self.quiet {
            self.complain(lines);
        }
    }

    /// Text to stderr, also with `--quiet`. That stderr is closed is nobody's concern.
    pub(crate) fn complain(&self, text: &str) {
        let choice = self.choice(&std::io::stderr());
        let _ = AutoStream::new(std::io::stderr().lock(), choice).write_all(text.as_bytes());
    }

    /// Shows what was read in the form that was asked for.
    pub(crate) fn view(&self, format: Format, view: &View) -> Result<(), Failure> {
        if matches!(format, Format::Table | Format::Wide)
            && view.lead.is_empty()
            && !view.empty.is_empty()
            && view.tables.iter().all(Table::is_empty)
        {
            self.note(&view.empty);
            return Ok(());
        }
        let width = match format {
            Format::Table => self.width(),
            _ => None,
        };
        self.data(&render(format, view, width)?)
    }

    /// Columns of the terminal; `None` where stdout is none.
    pub(crate) fn width(&self) -> Option<usize> {
        Some(terminal_size()?.0)
    }

    /// Lines of the terminal; `None` where stdout is none.
    pub(crate) fn height(&self) -> Option<usize> {
        Some(terminal_size()?.1)
    }

    /// Something that takes time: a spinner on a terminal, else one line.
    pub(crate) fn progress(&self, message: &str) -> Progress {
        let moving = !self.quiet && !is_dumb() && std::io::stderr().is_terminal();
        if !moving {
            self.note(message);
            return Progress { bar: None };
        }
        let bar = indicatif::ProgressBar::new_spinner().with_message(message.to_owned());
        bar.enable_steady_tick(Duration::from_millis(100));
        Progress { bar: Some(bar) }
    }

    /// Whether styles reach this stream, by `--color`, `NO_COLOR`, `CLICOLOR_FORCE` and `TERM`.
    fn choice(&self, stream: &impl anstream::stream::RawStream) -> ColorChoice {
        match self.color {
            ColorChoice::Auto => AutoStream::choice(stream),
            chosen => chosen,
        }
    }
}

/// What writing to standard output came to.
fn written(result: std::io::Result<()>) -> Result<(), Failure> {
    result.map_err(|error| match error.kind() {
        std::io::ErrorKind::BrokenPipe => Failure::from(ClosedPipe),
        _ => Failure::from(error).context("cannot write to standard output"),
    })
}

/// A spinner that goes away when it is dropped.
pub(crate) struct Progress {
    bar: Option<indicatif::ProgressBar>,
}

impl Progress {
    /// Says what is being waited for now; only on a terminal.
    pub(crate) fn update(&self, message: String) {
        if let Some(bar) = &self.bar {
            bar.set_message(message);
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}

/// A view as text; `width` is what tables must fit.
pub(crate) fn render(format: Format, view: &View, width: Option<usize>) -> Result<String, Failure> {
    Ok(match format {
        Format::Json => json(&view.value)?,
        Format::Yaml => yaml(&view.value)?,
        Format::Name => view.names.iter().map(|name| format!("{name}\n")).collect(),
        Format::Table | Format::Wide => {
            let lead = view.lead.iter().map(|line| format!("{line}\n")).collect::<String>();
            let tables = view.tables.iter().filter(|table| !table.is_empty());
            let tables = tables.map(|table| table.render(format == Format::Wide, width));
            std::iter::once(lead)
                .filter(|lead| !lead.is_empty())
                .chain(tables)
                .collect::<Vec<_>>()
                .join("\n")
        }
    })
}

/// JSON as it is printed everywhere: indented, with a newline at the end.
pub(crate) fn json(value: &impl serde::Serialize) -> Result<String, Failure> {
    Ok(serde_json::to_string_pretty(value)? + "\n")
}

fn terminal_size() -> Option<(usize, usize)> {
    let stdout = std::io::stdout();
    if !stdout.is_terminal() {
        return None;
    }
    let size = rustix::termios::tcgetwinsize(stdout).ok()?;
    // Zero is what a terminal says that does not know.
    let known = |cells: u16, otherwise| if cells == 0 { otherwise } else { usize::from(cells) };
    Some((known(size.ws_col, 80), known(size.ws_row, 24)))
}
