//! What destroys asks, or takes `--yes`; where nobody can be asked it is a fault of the command line.

use std::io::{BufRead as _, IsTerminal as _};

use super::exit::Failure;
use super::output::Printer;

/// `--yes`.
#[derive(Debug, Clone, Copy, clap::Args)]
pub(crate) struct ConfirmArgs {
    /// Do not ask.
    #[arg(long)]
    pub(crate) yes: bool,
}

/// Asks whether to do `what`; fails without a yes.
pub(crate) fn confirm(args: ConfirmArgs, printer: Printer, what: &str) -> Result<(), Failure> {
    if args.yes {
        return Ok(());
    }
    let stdin = std::io::stdin();
    if !stdin.is_terminal() {
        return Err(Failure::usage(format!(
            "to {what} needs a confirmation, and this is no terminal"
        ))
        .help("pass `--yes` if you mean it"));
    }
    printer.complain(&format!("{what}? [y/N] "));
    let mut answer = String::new();
    stdin.lock().read_line(&mut answer)?;
    match answer.trim().to_ascii_lowercase().as_str() {
        "y" | "yes" => Ok(()),
        _ => Err(Failure::new("not confirmed, nothing was changed")),
    }
}
