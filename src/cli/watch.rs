//! `--watch`: shows something again and again until the reader goes or Ctrl-C ends it.
//!
//! On a terminal it is redrawn in place and cut at the lower edge; elsewhere each change is printed
//! below the one before, JSON one document per line. A look that fails ends it.

use std::time::Duration;

use super::args::Context;
use super::exit::{Exit, Failure, Outcome};
use super::output::{self, Format, View};

/// Between two looks.
const INTERVAL: Duration = Duration::from_secs(1);

/// `--watch`.
#[derive(Debug, Clone, Copy, clap::Args)]
pub(crate) struct WatchArgs {
    /// Keep showing it until interrupted.
    #[arg(short, long)]
    pub(crate) watch: bool,
}

/// Shows what `look` returns, once or for as long as it is watched.
pub(crate) fn show(
    args: WatchArgs,
    format: Format,
    context: &Context,
    look: impl Fn() -> Result<View, Failure>,
) -> Outcome {
    let printer = context.printer;
    if !args.watch {
        printer.view(format, &look()?)?;
        return Ok(Exit::Done);
    }
    let mut before = String::new();
    if printer.height().is_some() {
        printer.data("\x1b[2J")?;
    }
    loop {
        let view = look()?;
        let shown = match (format, printer.height()) {
            (Format::Json, None) => serde_json::to_string(&view.value)? + "\n",
            (Format::Yaml, None) => format!("---\n{}", output::render(format, &view, None)?),
            _ => output::render(format, &view, printer.width())?,
        };
        match printer.height() {
            Some(height) => printer.data(&redraw(&shown, height))?,
            None if shown != before => printer.data(&shown)?,
            None => {}
        }
        before = shown;
        std::thread::sleep(INTERVAL);
    }
}

/// The text over what stood there: cursor home, each line cleared to its end, then the rest.
fn redraw(text: &str, height: usize) -> String {
    let lines = text.lines().take(height.saturating_sub(1));
    let body: String = lines.map(|line| format!("{line}\x1b[K\n")).collect();
    format!("\x1b[H{body}\x1b[J")
}
