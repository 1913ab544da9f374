//! `completions SHELL`: the script that makes a shell complete commands, flags and names.
//!
//! The script asks this program at each TAB (see `complete`), so it never grows stale, and completes
//! the names of services and rules too. It calls what `meshctl` is on PATH.

use clap::{Args, ValueEnum};
use clap_complete::env::Shells;

use super::args::Context;
use super::complete::VARIABLE;
use super::exit::{Exit, Failure, Outcome};

/// Shells that can complete.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Shell {
    Bash,
    Zsh,
    Fish,
    Powershell,
    Elvish,
}

impl Shell {
    fn name(self) -> &'static str {
        match self {
            Self::Bash => "bash",
            Self::Zsh => "zsh",
            Self::Fish => "fish",
            Self::Powershell => "powershell",
            Self::Elvish => "elvish",
        }
    }
}

/// Print the script that makes a shell complete commands, flags and names.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  meshctl completions bash > ~/.local/share/bash-completion/completions/meshctl
  meshctl completions fish > ~/.config/fish/completions/meshctl.fish
  source <(meshctl completions zsh)")]
pub(crate) struct CompletionsArgs {
    /// The shell.
    shell: Shell,
}

pub(crate) fn run(args: &CompletionsArgs, context: &Context) -> Outcome {
    let name = args.shell.name();
    let shells = Shells::builtins();
    let shell = shells.completer(name);
    let shell = shell.ok_or_else(|| Failure::new(format!("`{name}` cannot be completed")))?;
    let mut script = Vec::new();
    shell.write_registration(VARIABLE, "meshctl", "meshctl", "meshctl", &mut script)?;
    context.printer.data(&String::from_utf8_lossy(&script))?;
    Ok(Exit::Done)
}
