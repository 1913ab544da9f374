//! `restore`: a backup back into the home directory, all of it or nothing.

use std::path::PathBuf;

use clap::Args;

use super::args::Context;
use super::confirm::{self, ConfirmArgs};
use super::diagnostics::plural;
use super::exit::{Exit, Failure, Outcome};
use super::passphrase::PassphraseArgs;
use crate::control::backup::{self, BackupError, Manifest, SealError};
use crate::control::home::{Home, HomeError};
use crate::control::store::StoreError;
use crate::platform::local::Holder;

/// Longer files are no backups.
const LONGEST: u64 = (1 << 30) + 4096;

/// What to do where the file is none.
const WANTED: &str = "nothing was changed; name a file that `meshctl backup` has written";

/// Bring a backup back: rules, their history and the certificate authority.
///
/// The control plane must not be running. Everything is checked before anything is touched; what is
/// replaced is put aside. Proxies keep their own keys and certificates: where the authority is
/// another one than before, they have to be started anew.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  meshctl restore mesh.backup          ask for the passphrase, and before replacing anything
  meshctl restore mesh.backup --home /srv/mesh
  meshctl restore mesh.backup --passphrase-file FILE --yes
  meshctl install                      start the control plane with what was brought back")]
pub(crate) struct RestoreArgs {
    /// What `meshctl backup` has written.
    #[arg(value_name = "FILE", value_hint = clap::ValueHint::FilePath)]
    file: PathBuf,
    #[command(flatten)]
    passphrase: PassphraseArgs,
    #[command(flatten)]
    confirm: ConfirmArgs,
}

pub(crate) fn run(args: &RestoreArgs, context: &Context) -> Outcome {
    super::backup::local(context)?;
    let home = Home::new(context.home()?);
    let dir = home.dir().display();
    let sealed = read(args)?;
    if let Some(holder) = Holder::find(home.dir())? {
        return Err(running(&format!(
            "a control plane runs in `{dir}` (supervised by process {})",
            holder.pid
        )));
    }
    let passphrase = args.passphrase.known()?;
    let file = args.file.display();
    let whole = backup::open(sealed, &passphrase).map_err(|error| {
        let help = match &error {
            BackupError::Seal(SealError::Passphrase) => "nothing was changed; try again",
            BackupError::Seal(SealError::Newer) => "use the version that made it, or a later one",
            BackupError::Seal(SealError::Foreign) => WANTED,
            _ => "nothing was changed; take another backup",
        };
        Failure::from(error).context(format!("cannot open `{file}`")).help(help)
    })?;
    if backup::would_replace(&home) {
        let what =
            format!("replace the rules and the authority in `{dir}` by {}", told(&whole.manifest));
        confirm::confirm(args.confirm, context.printer, &what)?;
    }
    let aside = backup::restore(&home, &whole).map_err(|error| match error {
        BackupError::Home(HomeError::Locked { .. }) => running(&error.to_string()),
        BackupError::Home(home) => {
            let help = home.help();
            Failure::from(home).context(format!("cannot bring `{file}` back")).help(help)
        }
        BackupError::Store(StoreError::Newer { .. }) => {
            Failure::from(error).help("nothing was changed; use the version that made the backup")
        }
        error => Failure::from(error).context(format!("cannot bring `{file}` back")),
    })?;
    context.printer.line(&format!("brought back {}", told(&whole.manifest)))?;
    if let Some(aside) = aside {
        context.printer.note(&format!("what was there before lies in `{}`", aside.display()));
    }
    context.printer.note("start the control plane with `meshctl install`");
    Ok(Exit::Done)
}

fn read(args: &RestoreArgs) -> Result<Vec<u8>, Failure> {
    use std::io::Read as _;
    let failed = |error| {
        Failure::from(error).context(format!("cannot read `{}`", args.file.display())).help(WANTED)
    };
    let mut bytes = Vec::new();
    let file = std::fs::File::open(&args.file).map_err(failed)?;
    file.take(LONGEST).read_to_end(&mut bytes).map_err(failed)?;
    Ok(bytes)
}

fn running(what: &str) -> Failure {
    Failure::new(what)
        .help("stop it with `meshctl uninstall`, which keeps its data; nothing was changed")
}

/// `3 rules at revision 7 of 2026-…`.
fn told(manifest: &Manifest) -> String {
    let rules = plural(manifest.rules, "rule");
    format!("{rules} at revision {} of {:.0}", manifest.revision, manifest.made)
}
