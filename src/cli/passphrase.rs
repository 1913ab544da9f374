//! The passphrase of a backup: from a file, or typed on the terminal without being shown.

use std::io::{IsTerminal as _, Read as _};
use std::path::{Path, PathBuf};

use super::exit::Failure;

#[cfg(test)]
mod tests;

/// The fewest characters of a passphrase for a new backup: it guards the key of the whole mesh.
const SHORTEST: usize = 8;

/// The longest file that is taken for one.
const LONGEST: u64 = 4096;

/// `--passphrase-file`.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct PassphraseArgs {
    /// Read the passphrase from this file, `-` for standard input, instead of asking for it.
    #[arg(long, value_name = "FILE", value_hint = clap::ValueHint::FilePath)]
    passphrase_file: Option<PathBuf>,
}

impl PassphraseArgs {
    /// A passphrase for something new: not too short, and typed twice.
    pub(crate) fn new_one(&self) -> Result<String, Failure> {
        let chosen = match &self.passphrase_file {
            Some(path) => read(path)?,
            None => {
                let first = ask("passphrase for the backup: ")?;
                if first != ask("the same again: ")? {
                    return Err(Failure::new("the two passphrases differ")
                        .help("nothing was changed; try again"));
                }
                first
            }
        };
        match chosen.chars().count() < SHORTEST {
            true => Err(Failure::new(format!(
                "a passphrase of fewer than {SHORTEST} characters does not guard anything"
            ))
            .help("take several words")),
            false => Ok(chosen),
        }
    }

    /// The passphrase of something that there is.
    pub(crate) fn known(&self) -> Result<String, Failure> {
        match &self.passphrase_file {
            Some(path) => read(path),
            None => ask("passphrase of the backup: "),
        }
    }
}

fn ask(prompt: &str) -> Result<String, Failure> {
    if !std::io::stdin().is_terminal() {
        return Err(Failure::usage("a passphrase is needed, and this is no terminal")
            .help("pass `--passphrase-file FILE`"));
    }
    let failed = |error| Failure::from(error).context("cannot read a passphrase");
    rpassword::prompt_password(prompt).map_err(failed)
}

/// The first line of a file.
fn read(path: &Path) -> Result<String, Failure> {
    let mut text = String::new();
    let done = match path.as_os_str() == "-" {
        true => std::io::stdin().lock().take(LONGEST).read_to_string(&mut text),
        false => {
            std::fs::File::open(path).and_then(|file| file.take(LONGEST).read_to_string(&mut text))
        }
    };
    done.map_err(|error| {
        Failure::from(error)
            .context(format!("cannot read the passphrase from `{}`", path.display()))
            .help("name a file whose first line it is, or `-` for standard input")
    })?;
    first_line(&text).ok_or_else(|| {
        Failure::new(format!("the first line of `{}` is empty", path.display()))
            .help("it is to be the passphrase")
    })
}

fn first_line(text: &str) -> Option<String> {
    let line = text.lines().next()?;
    (!line.is_empty()).then(|| line.to_owned())
}
