//! `install --platform local`: the control plane of this machine, in the background.
//!
//! Twice changes nothing and says so. A control plane that does not run is started, whether it was
//! ever installed before or not.

use std::fmt::Write as _;
use std::io::{Read as _, Seek as _, SeekFrom};
use std::path::Path;
use std::process::Child;
use std::time::{Duration, Instant};

use super::InstallArgs;
use crate::cli::args::Context;
use crate::cli::client::{Client, Fault};
use crate::cli::control_plane;
use crate::cli::exit::{Exit, Failure, Outcome};
use crate::cli::installation::Installation;
use crate::cli::upgrade::local as upgrade;
use crate::cli::version::CLIENT;
use crate::control::api::shapes::MeshStatus;
use crate::control::home::Home;
use crate::names::{TrustDomain, skew};
use crate::platform::local::{self, Holder, Launch};

#[cfg(test)]
mod tests;

/// Between two looks at a control plane that starts.
const INTERVAL: Duration = Duration::from_millis(20);
/// The longest that a control plane may take to say whether it runs.
const PROBE: Duration = Duration::from_secs(3);
/// The status of an answer that says: not ready yet.
const STARTING: u16 = 503;
/// What an older installation is pointed to.
const UPGRADE: &str = "see what changes with `meshctl upgrade --plan`, then `meshctl upgrade`";
/// What a later installation is pointed to.
const LATER: &str = "use that version of meshctl, or a later one";
/// How much of the log is shown when it does not start.
const TAIL: u64 = 2048;

pub(super) fn run(args: &InstallArgs, context: &Context) -> Outcome {
    let launch = control_plane::launch(context, args.local.listen, args.trust_domain.clone())?;
    if args.local.service_unit {
        context.printer.data(&local::unit(&launch))?;
        return Ok(Exit::Done);
    }
    let client = Client::new(&launch.home)?.within(PROBE);
    let running = match client.ask::<MeshStatus>("/v1/status", &[]) {
        Ok(status) => Some(status),
        Err(Fault::NotRunning) => None,
        Err(Fault::Refused(status, _)) if status.as_u16() == STARTING => None,
        Err(fault) => return Err(client.failure(fault)),
    };
    if args.dry_run {
        context.printer.data(&steps(&launch, running.as_ref()))?;
        return Ok(Exit::Done);
    }
    if let Some(status) = running {
        return already(args, &status, &launch.home, context);
    }
    let home = Home::new(&launch.home);
    if upgrade::is_due(&home) {
        let text = format!("the mesh in `{}` is of an earlier version", launch.home.display());
        return Err(Failure::new(text).help(UPGRADE));
    }
    let new = !home.ca().join("root.pem").exists() && !home.store().exists();
    home.prepare().map_err(|error| {
        let help = error.help();
        Failure::from(error).help(help)
    })?;
    let progress = context.printer.progress("starting the control plane");
    let status = start(&launch, &client, args.timeout.timeout)?;
    drop(progress);
    // What supervises already may be of another version.
    of_this_version(&status)?;
    let what = if new { "installed" } else { "started" };
    let address = &status.control_plane.address;
    context.printer.line(&format!("control plane {what}, version {CLIENT}, at {address}"))?;
    context.printer.note(&format!("data in {}", launch.home.display()));
    Installation::Local.record(&launch.home)?;
    Ok(Exit::Done)
}

/// One runs already: nothing changes, and what it cannot be told any more is refused.
fn already(args: &InstallArgs, status: &MeshStatus, home: &Path, context: &Context) -> Outcome {
    let running = &status.control_plane;
    of_this_version(status)?;
    if let Some(listen) = args.local.listen
        && running.address != listen.to_string()
        && !(listen.port() == 0 && running.address.starts_with(&format!("{}:", listen.ip())))
    {
        return Err(differs("listening on", &running.address)
            .help("to move it, `meshctl uninstall` (data is kept), then install with `--listen`"));
    }
    if let Some(wanted) = &args.trust_domain
        && let Some(domain) = trust_domain(home)
        && domain != *wanted
    {
        return Err(differs("with the trust domain", domain.as_str())
            .help("it is fixed by the first install; use another `--home` for another mesh"));
    }
    // It is the one that is meant from now on, also where a cluster was before.
    Installation::Local.record(home)?;
    let (version, address) = (&running.version, &running.address);
    context.printer.line(&format!(
        "control plane runs already, version {version}, at {address}, nothing changed"
    ))?;
    Ok(Exit::Done)
}

/// Another version is not changed, and what to do about it is said.
fn of_this_version(status: &MeshStatus) -> Result<(), Failure> {
    let version = &status.control_plane.version;
    if skew::is_later(version, CLIENT) {
        return Err(differs("of version", version).help(LATER));
    }
    if version != CLIENT {
        return Err(differs("of version", version).help(UPGRADE));
    }
    Ok(())
}

fn differs(what: &str, is: &str) -> Failure {
    Failure::new(format!("a control plane runs already, {what} `{is}`"))
}

/// The trust domain of the authority in a home directory.
fn trust_domain(home: &Path) -> Option<TrustDomain> {
    let authority = crate::certs::ca::Authority::load(&Home::new(home).ca()).ok()?;
    Some(authority.trust_domain().clone())
}

fn steps(launch: &Launch, running: Option<&MeshStatus>) -> String {
    if let Some(status) = running {
        return format!(
            "the control plane runs already at {}, nothing to do\n",
            status.control_plane.address
        );
    }
    let home = launch.home.display();
    let mut text = String::new();
    if !launch.home.exists() {
        let _ = writeln!(text, "create the directory `{home}`, mode 0700");
        let domain = launch.trust_domain.as_ref().map_or("cluster.local", TrustDomain::as_str);
        let _ = writeln!(text, "create the root certificate of the trust domain `{domain}`");
        let _ = writeln!(text, "create the store of the rules");
    }
    let _ = writeln!(text, "start in the background: {}", launch.line());
    let _ = writeln!(text, "log to `{}`", launch.log.display());
    let _ = writeln!(text, "wait until it is ready");
    text
}

/// Starts it and waits for its first answer, or for its end.
pub(crate) fn start(
    launch: &Launch,
    client: &Client,
    timeout: Duration,
) -> Result<MeshStatus, Failure> {
    let deadline = Instant::now() + timeout;
    let before = std::fs::metadata(&launch.log).map_or(0, |meta| meta.len());
    // Whoever supervises already starts it again by itself.
    let mut child = match Holder::find(&launch.home)? {
        Some(_) => None,
        None => Some(local::start(launch)?),
    };
    loop {
        match client.ask::<MeshStatus>("/v1/status", &[]) {
            Ok(status) if status.control_plane.ready => return Ok(status),
            Ok(_) | Err(Fault::NotRunning) => {}
            Err(Fault::Refused(status, _)) if status.as_u16() == STARTING => {}
            Err(fault) => return Err(client.failure(fault)),
        }
        if ended(child.as_mut())? {
            return Err(Failure::new("the control plane did not start")
                .with_detail(tail(&launch.log, before))
                .help(format!("the whole log is `{}`", launch.log.display())));
        }
        if Instant::now() >= deadline {
            return Err(Failure::new(format!("the control plane is not ready after {timeout:?}"))
                .help(format!("see its log, `{}`; it goes on trying", launch.log.display())));
        }
        std::thread::sleep(INTERVAL);
    }
}

fn ended(child: Option<&mut Child>) -> Result<bool, Failure> {
    Ok(match child {
        Some(child) => child.try_wait()?.is_some(),
        None => false,
    })
}

/// What was logged since, the last lines of it, indented.
fn tail(log: &Path, since: u64) -> String {
    let read = || {
        let mut file = std::fs::File::open(log)?;
        let length = file.metadata()?.len();
        file.seek(SeekFrom::Start(since.max(length.saturating_sub(TAIL))))?;
        let mut bytes = Vec::new();
        file.take(TAIL).read_to_end(&mut bytes)?;
        std::io::Result::Ok(bytes)
    };
    let bytes = read().unwrap_or_default();
    let text = String::from_utf8_lossy(&bytes);
    text.lines().map(|line| format!("  | {line}\n")).collect()
}
