//! The way back from an upgrade: the program of the version before, kept while it still runs, and
//! started again where the new one does not get ready.
//!
//! The program is read from the process itself, so that it is had even where its file was replaced
//! already. The store goes back to the copy from before its tables were changed, if they were; what
//! the new version made of it is put aside.

use std::fs::{File, Permissions};
use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::time::Duration;

use super::Plan;
use crate::cli::args::Context;
use crate::cli::client::Client;
use crate::cli::exit::Failure;
use crate::cli::version::CLIENT;
use crate::cli::{install, uninstall};
use crate::control::home::Home;
use crate::control::{backup, store};
use crate::platform::local::Launch;

/// The name of the program that is kept, in the home directory.
pub(super) const PROGRAM: &str = "before-upgrade.meshctl";

/// How long the new version may take to end, and the one before to get ready again.
const PATIENCE: Duration = Duration::from_secs(60);

/// What is started again.
pub(super) struct WayBack {
    launch: Launch,
    version: String,
}

impl WayBack {
    /// Keeps the program of the control plane that runs; `None` where none runs, or where the system
    /// does not tell its program. Nothing is stopped yet.
    pub(super) fn keep(plan: &Plan, launch: &Launch) -> Result<Option<Self>, Failure> {
        let running = Home::new(&plan.home).read_running();
        let (Some(version), Some(running)) = (plan.running.clone(), running) else {
            return Ok(None);
        };
        let Ok(mut program) = File::open(format!("/proc/{}/exe", running.pid)) else {
            return Ok(None);
        };
        let kept = plan.home.join(PROGRAM);
        copy(&mut program, &kept).map_err(|error| {
            Failure::from(error)
                .context(format!(
                    "cannot keep the program of version {version} as `{}`",
                    kept.display()
                ))
                .help("nothing was changed; make room in that directory, and try again")
        })?;
        Ok(Some(Self { launch: Launch { program: kept, ..launch.clone() }, version }))
    }

    /// Puts everything back after `failure` of the new version; what there is to say about it.
    pub(super) fn take(
        &self,
        plan: &Plan,
        client: &Client,
        context: &Context,
        failure: Failure,
    ) -> Failure {
        let (version, kept) = (&self.version, self.launch.program.display());
        match self.start_again(plan, client, context) {
            Ok(()) => {
                let log = self.launch.log.display();
                let help = format!("see the log, `{log}`\nversion {version} runs as `{kept}` now");
                failure
                    .context(format!(
                        "version {CLIENT} did not start; version {version} runs again"
                    ))
                    .help(help)
            }
            Err(again) => plan
                .stuck(failure)
                .context(format!("version {version} did not start again: {}", again.what())),
        }
    }

    fn start_again(&self, plan: &Plan, client: &Client, context: &Context) -> Result<(), Failure> {
        let home = Home::new(&plan.home);
        // It may still be trying.
        uninstall::local::stop(client, &home, PATIENCE, context)?;
        if let Some(schema) = plan.schema
            && store::schema(&home.store()).is_ok_and(|(found, _)| found != schema)
        {
            backup::put_back(&home, &store::before(&home.store(), schema))?;
        }
        install::local::start(&self.launch, client, PATIENCE)?;
        Ok(())
    }
}

/// Copies a program, whole or not at all, for its owner alone.
fn copy(program: &mut File, target: &Path) -> io::Result<()> {
    let dir = target.parent().unwrap_or(Path::new("."));
    let mut fresh = tempfile::Builder::new().prefix(".write-").suffix(".tmp").tempfile_in(dir)?;
    io::copy(program, fresh.as_file_mut())?;
    fresh.as_file().set_permissions(Permissions::from_mode(0o700))?;
    fresh.as_file().sync_all()?;
    fresh.persist(target).map_err(|failed| failed.error)?;
    Ok(())
}
