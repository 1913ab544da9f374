//! `--wait`: asks how far a revision has come until every proxy concerned has answered.
//!
//! In goes a revision, or what was written on a cluster, out come lines for people, or a failure that names proxy, rule, field and
//! reason. Proxies that are away are named and not waited for.

use std::time::{Duration, Instant};

use jiff::{SignedDuration, Timestamp};

use super::args::Context;
use super::client::Client;
use super::cluster::rules::Done;
use super::diagnostics::plural;
use super::exit::Failure;
use super::kind;
use crate::control::api::shapes::{MeshStatus, ObjectId, Propagation, ProxyState, Rejection};
use crate::platform::kubernetes::rules::Action;

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
/// would settle without them. Returns the revision of the rules.
pub(crate) fn returned(
    client: &Client,
    context: &Context,
    timeout: TimeoutArgs,
) -> Result<u64, Failure> {
    let deadline = Instant::now() + timeout.timeout;
    let mut progress = None;
    loop {
        let now: MeshStatus = client.get("/v1/status", &[])?;
        if !is_returning(&now, Timestamp::now()) || Instant::now() >= deadline {
            return Ok(now.control_plane.revision);
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
    let query = [("revision", revision.to_string())];
    let settled = settle(client, context, ("/v1/propagation", &query), (deadline, timeout))?;
    for line in told(&settled) {
        context.printer.note(&line);
    }
    Ok(())
}

/// Waits until what was written on a cluster has come to the control plane, whose rules were at the
/// revision `before`, and is settled.
pub(crate) fn written(
    client: &Client,
    context: &Context,
    (before, done): (u64, &Done),
    timeout: TimeoutArgs,
) -> Result<(), Failure> {
    let deadline = Instant::now() + timeout.timeout;
    let changed = done.iter().filter(|(_, written)| written.action != Action::Unchanged);
    for (reference, written) in changed {
        let Some(version) = written.version else { continue };
        let ObjectId { kind, namespace, name } = kind::id(reference);
        let which = match written.action {
            Action::Deleted => "goneAfter",
            _ => "resourceVersion",
        };
        let shown = format!("{}/{name}", kind::word(&kind));
        let query = [
            ("kind", kind),
            ("namespace", namespace),
            ("name", name),
            ("after", before.to_string()),
            (which, version.to_string()),
        ];
        let path = "/v1/propagation/object";
        let settled = settle(client, context, (path, &query), (deadline, timeout))?;
        for line in told(&settled) {
            context.printer.note(&format!("{shown}: {line}"));
        }
    }
    Ok(())
}

/// Asks until every proxy concerned has answered.
fn settle(
    client: &Client,
    context: &Context,
    (path, query): (&str, &[(&str, String)]),
    (deadline, timeout): (Instant, TimeoutArgs),
) -> Result<Propagation, Failure> {
    let query: Vec<_> = query.iter().map(|(name, value)| (*name, value.as_str())).collect();
    let progress = context.printer.progress("waiting for the proxies");
    let settled = loop {
        let now: Propagation = client.get(path, &query)?;
        if !now.rejected.is_empty() || (now.compiled && now.pending.is_empty()) {
            break now;
        }
        if Instant::now() >= deadline {
            return Err(late(&now, timeout.timeout));
        }
        let known = now.acknowledged.len() + now.pending.len();
        progress.update(format!("acknowledged by {} of {known} proxies", now.acknowledged.len()));
        std::thread::sleep(INTERVAL);
    };
    match settled.rejected.is_empty() {
        true => Ok(settled),
        false => Err(refused(&settled.rejected)),
    }
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
