//! `--wait`: asks how far a revision has come until every proxy concerned has answered.
//!
//! In goes a revision, out come lines for people, or a failure that names proxy, rule, field and
//! reason. Proxies that are away are named and not waited for.

use std::time::{Duration, Instant};

use jiff::{SignedDuration, Timestamp};

use super::args::Context;
use super::client::Client;
use super::diagnostics::plural;
use super::exit::Failure;
use crate::control::api::shapes::{MeshStatus, Propagation, ProxyState, Rejection};

#[cfg(test)]
mod tests;

/// Between two looks; a revision settles within milliseconds.
const INTERVAL: Duration = Duration::from_millis(10);

/// How long proxies may take to come back: they try at least once a second.
const RETURN: SignedDuration = SignedDuration::from_secs(3);

/// `--timeout` of everything that waits.
#[derive(Debug, Clone, Copy, clap::Args)]
pub(crate) struct TimeoutArgs {
    /// Longest time to wait.
    #[arg(
        long,
        value_name = "DURATION",
        default_value = "60s",
        value_parser = super::duration::parse
    )]
    pub(crate) timeout: Duration,
}

/// Waits, after a start of the control plane, until the proxies that it knows are back or
/// [`RETURN`] is over. Before that nobody knows what they subscribe to, so a change made then
/// would settle without them.
pub(crate) fn returned(
    client: &Client,
    context: &Context,
    timeout: TimeoutArgs,
) -> Result<(), Failure> {
    let deadline = Instant::now() + timeout.timeout;
    let mut progress = None;
    loop {
        let now: MeshStatus = client.get("/v1/status", &[])?;
        if !is_returning(&now, Timestamp::now()) || Instant::now() >= deadline {
            return Ok(());
        }
        progress.get_or_insert_with(|| {
            context.printer.progress("waiting for the proxies to come back after a restart")
        });
        std::thread::sleep(INTERVAL);
    }
}

/// Whether a proxy may still come back to a control plane that has just started.
fn is_returning(status: &MeshStatus, now: Timestamp) -> bool {
    let up = now.duration_since(status.control_plane.since);
    up < RETURN && status.proxies.iter().any(|it| it.state == ProxyState::Disconnected)
}

/// Waits until `revision` is settled.
pub(crate) fn propagation(
    client: &Client,
    context: &Context,
    revision: u64,
    timeout: TimeoutArgs,
) -> Result<(), Failure> {
    let deadline = Instant::now() + timeout.timeout;
    let progress = context.printer.progress("waiting for the proxies");
    let revision = revision.to_string();
    let settled = loop {
        let now: Propagation = client.get("/v1/propagation", &[("revision", &revision)])?;
        if !now.rejected.is_empty() || (now.compiled && now.pending.is_empty()) {
            break now;
        }
        if Instant::now() >= deadline {
            drop(progress);
            return Err(late(&now, timeout.timeout));
        }
        let known = now.acknowledged.len() + now.pending.len();
        progress.update(format!("acknowledged by {} of {known} proxies", now.acknowledged.len()));
        std::thread::sleep(INTERVAL);
    };
    drop(progress);
    if !settled.rejected.is_empty() {
        return Err(refused(&settled.rejected));
    }
    for line in told(&settled) {
        context.printer.note(&line);
    }
    Ok(())
}

/// What a settled revision is worth saying.
fn told(settled: &Propagation) -> Vec<String> {
    let (done, away) = (settled.acknowledged.len(), settled.disconnected.len());
    if done + away == 0 {
        return vec!["no proxy subscribes to what changed".to_owned()];
    }
    let time = settled.settled_ms.map(|ms| format!(" in {ms:.0} ms")).unwrap_or_default();
    let mut lines =
        vec![format!("acknowledged by {done} of {}{time}", plural(done + away, "proxy"))];
    if away > 0 {
        lines.push(format!("disconnected, not waited for: {}", settled.disconnected.join(", ")));
    }
    lines
}

fn late(now: &Propagation, timeout: Duration) -> Failure {
    let waited = format!("{timeout:?}");
    let why = match (now.compiled, now.pending.as_slice()) {
        (false, _) => format!("the control plane has not compiled the rules after {waited}"),
        (true, pending) => format!("no answer after {waited} from {}", pending.join(", ")),
    };
    Failure::new(why).help(
        "the rules are applied all the same; see `meshctl status`, or wait longer with `--timeout`",
    )
}

fn refused(rejected: &[Rejection]) -> Failure {
    let mut detail = String::new();
    for Rejection { proxy, resource, rules, reason } in rejected {
        detail += &format!("proxy `{proxy}` refused `{resource}`: {reason}\n");
        for rule in rules {
            detail += &format!("  from rule `{rule}`\n");
        }
    }
    Failure::new(format!("refused by {}", plural(rejected.len(), "proxy")))
        .with_detail(detail)
        .help("those proxies go on with what they had; correct the rule and apply it again")
}
