//! `uninstall` on this machine: stops the control plane of this machine. Data stays unless `--purge` is confirmed.

use std::time::{Duration, Instant};

use super::UninstallArgs;
use crate::cli::args::Context;
use crate::cli::client::{Client, Fault};
use crate::cli::confirm;
use crate::cli::diagnostics::plural;
use crate::cli::exit::{Exit, Failure, Outcome};
use crate::cli::installation::Installation;
use crate::control::api::shapes::{MeshStatus, ProxyState};
use crate::control::home::Home;
use crate::platform::local::Holder;

/// The longest that a control plane which does not hang takes to answer.
const ANSWER: Duration = Duration::from_secs(5);
/// Between two looks at a control plane that ends.
const INTERVAL: Duration = Duration::from_millis(20);

pub(super) fn run(args: &UninstallArgs, context: &Context) -> Outcome {
    let dir = context.home()?;
    let home = Home::new(dir);
    if args.purge && dir.exists() {
        owned(&home)?;
        let what = format!("delete all of the mesh's data in `{}`", dir.display());
        confirm::confirm(args.confirm, context.printer, &what)?;
    }
    let client = Client::new(dir)?.within(ANSWER);
    let proxies = connected(&client);
    match stop(&client, &home, args.timeout.timeout, context)? {
        true => context.printer.line("control plane stopped")?,
        false => context.printer.line("no control plane was running")?,
    }
    if !proxies.is_empty() {
        let (count, names) = (plural(proxies.len(), "proxy"), proxies.join(", "));
        context.printer.note(&format!("{count} still running on what they have: {names}"));
    }
    if Installation::read(dir)? == Some(Installation::Local) {
        Installation::forget(dir)?;
    }
    if args.purge && dir.exists() {
        purge(&home, context)?;
    } else if dir.exists() {
        context.printer.note(&format!("data kept in `{}`; `--purge` deletes it", dir.display()));
    }
    Ok(Exit::Done)
}

/// Refuses to delete a directory that no mesh has made.
fn owned(home: &Home) -> Result<(), Failure> {
    let empty = std::fs::read_dir(home.dir())?.next().is_none();
    if empty || home.is_lived_in() {
        return Ok(());
    }
    Err(Failure::new(format!("`{}` does not look like the home of a mesh", home.dir().display()))
        .help("nothing was deleted; say which directory it is with `--home`"))
}

fn connected(client: &Client) -> Vec<String> {
    let status: Option<MeshStatus> = client.ask("/v1/status", &[]).ok();
    let proxies = status.map(|status| status.proxies).unwrap_or_default();
    let connected = proxies.into_iter().filter(|it| it.state != ProxyState::Disconnected);
    connected.map(|it| format!("{}/{}", it.namespace, it.name)).collect()
}

/// Asks the control plane to end; where it does not answer, the process that supervises it.
/// False where neither was there.
pub(crate) fn stop(
    client: &Client,
    home: &Home,
    timeout: Duration,
    context: &Context,
) -> Result<bool, Failure> {
    let deadline = Instant::now() + timeout;
    let asked = match client.tell::<serde_json::Value>("/v1/stop", &serde_json::json!({})) {
        Ok(_) => true,
        Err(Fault::NotRunning) => false,
        Err(fault) => match Holder::find(home.dir())? {
            // It hangs; the supervisor ends it by force.
            Some(holder) => holder.terminate()?,
            None => return Err(client.failure(fault)),
        },
    };
    if !asked {
        match Holder::find(home.dir())? {
            Some(holder) => drop(holder.terminate()?),
            None => return Ok(false),
        }
    }
    let _progress = context.printer.progress("stopping the control plane");
    while Holder::find(home.dir())?.is_some() || answers(client) {
        if Instant::now() >= deadline {
            return Err(Failure::new(format!("the control plane has not ended after {timeout:?}"))
                .help(format!(
                    "see its log, `{}`, or wait longer with `--timeout`",
                    home.log().display()
                )));
        }
        std::thread::sleep(INTERVAL);
    }
    Ok(true)
}

fn answers(client: &Client) -> bool {
    !matches!(client.ask::<serde_json::Value>("/v1/version", &[]), Err(Fault::NotRunning))
}

/// Deletes the mesh's own, and says what of others is left. Proxies that still run have their own
/// in it and fail to save; they were named before.
fn purge(home: &Home, context: &Context) -> Result<(), Failure> {
    let dir = home.dir().display();
    let left = home.purge();
    let left = left.map_err(|error| {
        Failure::from(error).context(format!("cannot delete all of the mesh's data in `{dir}`"))
    })?;
    if left.is_empty() {
        return context.printer.line(&format!("deleted `{dir}`"));
    }
    context.printer.line(&format!("deleted the mesh's data in `{dir}`"))?;
    context.printer.note(&format!("left there, not this mesh's: {}", left.join(", ")));
    Ok(())
}
