//! `backup`: the rules with their history, and the certificate authority, as one sealed file.

use std::path::{Path, PathBuf};

use clap::Args;
use jiff::Timestamp;

use super::args::Context;
use super::diagnostics::plural;
use super::exit::{Exit, Failure, Outcome};
use super::installation::Installation;
use super::passphrase::PassphraseArgs;
use crate::control::backup;
use crate::control::home::Home;
use crate::net::file::write_atomic;

/// Write the rules, their history and the certificate authority of this machine's mesh to one file.
///
/// The file is encrypted by a passphrase: it holds the key by which every identity of the mesh is
/// signed. The control plane may run meanwhile; what is in the file is all of one moment. Proxies'
/// own keys are not in it.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  meshctl backup                                      a file named by the time, in this directory
  meshctl backup mesh.backup
  meshctl backup mesh.backup --passphrase-file FILE   without a question
  meshctl restore mesh.backup                         bring it back")]
pub(crate) struct BackupArgs {
    /// Where to write it; nothing that is there is overwritten [default: named by the time].
    #[arg(value_name = "FILE", value_hint = clap::ValueHint::FilePath)]
    file: Option<PathBuf>,
    #[command(flatten)]
    passphrase: PassphraseArgs,
}

pub(crate) fn run(args: &BackupArgs, context: &Context) -> Outcome {
    local(context)?;
    let home = Home::new(context.home()?);
    if !backup::would_replace(&home) {
        return Err(Failure::new(format!("there is no mesh in `{}`", home.dir().display()))
            .help("say where it is with `--home`"));
    }
    let now = Timestamp::now();
    let file = args.file.clone().unwrap_or_else(|| named(now));
    writable(&file)?;
    let passphrase = args.passphrase.new_one()?;
    let progress = context.printer.progress("making the backup");
    let (sealed, manifest) = backup::make(&home, &passphrase, now)?;
    drop(progress);
    write_atomic(&file, &sealed, 0o600).map_err(|error| {
        Failure::from(error).context(format!("cannot write `{}`", file.display()))
    })?;
    let (rules, revision) = (plural(manifest.rules, "rule"), manifest.revision);
    context.printer.line(&file.display().to_string())?;
    context.printer.note(&format!(
        "{rules} at revision {revision}, their history, and the authority of `{}`; {} bytes",
        manifest.trust_domain,
        sealed.len()
    ));
    context.printer.note("without the passphrase nobody can read it, nor can you");
    Ok(Exit::Done)
}

/// Refuses a file that is there already, or in no directory, before anybody waits for its content.
pub(crate) fn writable(file: &Path) -> Result<(), Failure> {
    let name = file.display();
    if std::fs::symlink_metadata(file).is_ok() {
        return Err(Failure::new(format!("`{name}` is there already"))
            .help("name another file, or remove that one first"));
    }
    let dir = file.parent().filter(|dir| !dir.as_os_str().is_empty());
    match dir.filter(|dir| !dir.is_dir()) {
        None => Ok(()),
        Some(dir) => Err(Failure::new(format!(
            "cannot write `{name}`, there is no directory `{}`",
            dir.display()
        ))
        .help("make the directory first, or name another file")),
    }
}

/// Refuses a mesh on a cluster, which keeps everything as its own objects.
pub(crate) fn local(context: &Context) -> Result<(), Failure> {
    match context.installation()? {
        Installation::Local => Ok(()),
        Installation::Kubernetes(target) => {
            let namespace = &target.namespace;
            Err(Failure::new("this mesh is on a cluster, which keeps all of it as its own objects")
                .help(format!(
                    "back up the cluster, or the rules and the Secret `meshctl-ca` in the namespace `{namespace}`, by `kubectl get -o yaml`"
                )))
        }
    }
}

fn named(now: Timestamp) -> PathBuf {
    Path::new(&now.strftime("meshctl-%Y%m%d-%H%M%S.backup").to_string()).to_owned()
}
