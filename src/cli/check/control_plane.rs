//! Whether the control plane runs, is ours, and holds valid certificates.

use std::path::Path;
use std::time::Duration;

use jiff::Timestamp;

use super::{Finding, root};
use crate::cli::client::{Client, Fault};
use crate::cli::exit::Failure;
use crate::cli::token::listens_here_alone;
use crate::cli::version::CLIENT;
use crate::control::api::shapes::MeshStatus;
use crate::names::skew;
use crate::platform::local::Holder;

/// The longest that an answer may take.
const TIMEOUT: Duration = Duration::from_secs(3);

/// The findings, and what answered.
type Found = (Vec<Finding>, Option<(Client, MeshStatus)>);

pub(super) fn checks(home: &Path) -> Result<Found, Failure> {
    let client = Client::new(home)?.within(TIMEOUT);
    let running = "the control plane runs and answers";
    let status: MeshStatus = match client.ask("/v1/status", &[]) {
        Ok(status) => status,
        Err(Fault::NotRunning) => {
            let message = format!("none runs in `{}`", home.display());
            return Ok((vec![Finding::failed(running, message, "meshctl install")], None));
        }
        Err(Fault::Forbidden) => {
            let message = format!("the one in `{}` belongs to another user", home.display());
            return Ok((vec![Finding::failed(running, message, "run as that user")], None));
        }
        Err(Fault::Told(failure)) => {
            let finding = Finding::failed(running, failure.what(), failure.remedy());
            return Ok((vec![finding], None));
        }
        Err(Fault::Refused(_, failure)) => {
            return Ok((vec![Finding::failed(running, failure.error, &failure.help)], None));
        }
        Err(Fault::Other(error)) => {
            let log = crate::control::home::Home::new(home).log();
            let remedy = format!("see its log, `{}`", log.display());
            return Ok((vec![Finding::failed(running, error.to_string(), &remedy)], None));
        }
    };
    let findings = vec![
        Finding::passed(running),
        ready(&status),
        version(&status.control_plane.version),
        supervised(home)?,
        reached(&status),
        root(
            status.control_plane.root_expires,
            Timestamp::now(),
            "make a new mesh with another `--home`",
        ),
    ];
    Ok((findings, Some((client, status))))
}

fn ready(status: &MeshStatus) -> Finding {
    let name = "it is ready";
    match status.control_plane.ready {
        true => Finding::passed(name),
        false => Finding::failed(name, "it is still starting", "wait, with `meshctl check --wait`"),
    }
}

pub(super) fn version(running: &str) -> Finding {
    let name = "it has the version of this program";
    match running {
        CLIENT => Finding::passed(name),
        other => {
            let message = format!("it is {other}, this program is {CLIENT}");
            match skew::is_later(CLIENT, other) {
                true => Finding::warning(name, message, "meshctl upgrade"),
                false => {
                    Finding::warning(name, message, "use that version of meshctl, or a later one")
                }
            }
        }
    }
}

/// Something starts it again: our supervisor, or a service manager, which then is its parent.
fn supervised(home: &Path) -> Result<Finding, Failure> {
    let name = "it is started again when it crashes";
    Ok(match Holder::find(home)? {
        Some(_) => Finding::passed(name),
        None => Finding::warning(
            name,
            "`meshctl install` has not started it",
            "none is needed where a service manager runs it; else `meshctl uninstall`, then `meshctl install`",
        ),
    })
}

/// Whether proxies of other machines find it; that they need not is as good.
fn reached(status: &MeshStatus) -> Finding {
    let address = &status.control_plane.address;
    match listens_here_alone(address) {
        true => Finding::passed("it listens for proxies of this machine alone"),
        false => {
            Finding::passed(format!("it listens for proxies of other machines too, at {address}"))
        }
    }
}
