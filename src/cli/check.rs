//! `check`: is everything as it should be? Groups of findings, each failure with one remedy.
//!
//! The groups only look and return [`Finding`]s; here they are shown, as text or JSON, and counted.

use std::time::{Duration, Instant};

use anstyle::{AnsiColor, Style};
use clap::{Args, ValueEnum};
use jiff::Timestamp;
use serde::Serialize;

use super::args::Context;
use super::exit::{Exit, Failure, Outcome};
use super::install::Platform;
use super::installation::Installation;
use super::output;
use super::wait::TimeoutArgs;
use crate::control::api::shapes::API_VERSION;

mod before;
mod cluster;
mod control_plane;
mod data_plane;
mod exposed;
#[cfg(test)]
mod tests;

/// Between two looks under `--wait`.
const INTERVAL: Duration = Duration::from_millis(250);

/// Check this machine or the cluster, the control plane and the proxies.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  meshctl check --pre             before `meshctl install`
  meshctl check                   machine and control plane
  meshctl check --proxy --wait    proxies too, until all is well
  meshctl check --pre --context prod    before installing on that cluster

Exit codes: 0 nothing failed (warnings may be), 1 it could not be checked, 2 wrong command line,
3 something failed.")]
pub(crate) struct CheckArgs {
    /// Where the mesh is or is to be [default: where `install` has put it].
    #[arg(long)]
    platform: Option<Platform>,
    /// Only what an installation needs.
    #[arg(long, conflicts_with = "proxy")]
    pre: bool,
    /// The proxies too.
    #[arg(long)]
    proxy: bool,
    /// Check again until nothing fails.
    #[arg(long)]
    wait: bool,
    #[command(flatten)]
    timeout: TimeoutArgs,
    /// Form of the report.
    #[arg(short, long, value_name = "FORMAT", default_value = "text")]
    output: ReportFormat,
}

/// How the report is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum ReportFormat {
    Text,
    Json,
}

/// How one check came out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
enum Verdict {
    /// As it should be.
    Passed,
    /// Worth a look.
    Warning,
    /// Broken.
    Failed,
}

/// One check.
#[derive(Debug, Clone, Serialize)]
struct Finding {
    /// What is wanted, as a statement that holds or does not.
    name: String,
    result: Verdict,
    /// What was found instead; empty where it holds.
    message: String,
    /// One line; empty where it holds.
    remedy: String,
}

impl Finding {
    fn passed(name: impl Into<String>) -> Self {
        let (message, remedy) = (String::new(), String::new());
        Self { name: name.into(), result: Verdict::Passed, message, remedy }
    }

    fn failed(name: impl Into<String>, message: impl Into<String>, remedy: &str) -> Self {
        let (name, message) = (name.into(), message.into());
        Self { name, result: Verdict::Failed, message, remedy: remedy.to_owned() }
    }

    fn warning(name: impl Into<String>, message: impl Into<String>, remedy: &str) -> Self {
        Self { result: Verdict::Warning, ..Self::failed(name, message, remedy) }
    }
}

/// What [`root`] looks at.
const ROOT_LASTS: &str = "the root certificate is valid for long";

/// A root that ends then is valid for long; `anew` is what to do where it has ended.
fn root(ends: Timestamp, now: Timestamp, anew: &str) -> Finding {
    /// Seconds; a third of ten years would be too early to be useful.
    const SOON: i64 = 90 * 24 * 3600;
    match ends.as_second().saturating_sub(now.as_second()) {
        ..=0 => Finding::failed(ROOT_LASTS, "it has expired", anew),
        1..SOON => {
            let message = format!("it expires in {}", output::until(ends, now));
            Finding::warning(ROOT_LASTS, message, "plan a new root certificate")
        }
        _ => Finding::passed(ROOT_LASTS),
    }
}

/// Checks that belong together.
#[derive(Debug, Clone, Serialize)]
struct Group {
    group: &'static str,
    checks: Vec<Finding>,
}

pub(crate) fn run(args: &CheckArgs, context: &Context) -> Outcome {
    let deadline = Instant::now() + args.timeout.timeout;
    let mut progress = None;
    let groups = loop {
        let groups = look(args, context)?;
        if count(&groups, Verdict::Failed) == 0 || !args.wait || Instant::now() >= deadline {
            break groups;
        }
        progress.get_or_insert_with(|| context.printer.progress("waiting until nothing fails"));
        std::thread::sleep(INTERVAL);
    };
    drop(progress);
    let failed = count(&groups, Verdict::Failed);
    match args.output {
        ReportFormat::Text => context.printer.data(&text(&groups))?,
        ReportFormat::Json => context.printer.data(&output::json(&serde_json::json!({
            "apiVersion": API_VERSION,
            "kind": "CheckReport",
            "ok": failed == 0,
            "groups": groups,
        }))?)?,
    }
    Ok(if failed == 0 { Exit::Done } else { Exit::Findings })
}

fn look(args: &CheckArgs, context: &Context) -> Result<Vec<Group>, Failure> {
    match context.installation()?.on(args.platform) {
        Installation::Kubernetes(target) => cluster::groups(args, target, context),
        Installation::Local => local(args, context),
    }
}

fn local(args: &CheckArgs, context: &Context) -> Result<Vec<Group>, Failure> {
    let home = context.home()?;
    let mut groups = vec![Group { group: "machine", checks: before::checks(home) }];
    if args.pre {
        return Ok(groups);
    }
    let (checks, client) = control_plane::checks(home)?;
    groups.push(Group { group: "control plane", checks });
    if let Some((client, status)) = client
        && args.proxy
    {
        groups.push(Group { group: "data plane", checks: data_plane::checks(&client, &status)? });
    }
    Ok(groups)
}

fn count(groups: &[Group], verdict: Verdict) -> usize {
    groups.iter().flat_map(|group| &group.checks).filter(|it| it.result == verdict).count()
}

fn text(groups: &[Group]) -> String {
    let bold = Style::new().bold();
    let mut text = String::new();
    for group in groups {
        text += &format!("{bold}{}{bold:#}\n", group.group);
        for it in &group.checks {
            let (style, mark) = match it.result {
                Verdict::Passed => (AnsiColor::Green.on_default(), '✔'),
                Verdict::Warning => (AnsiColor::Yellow.on_default(), '‼'),
                Verdict::Failed => (AnsiColor::Red.on_default(), '×'),
            };
            text += &format!("  {style}{mark}{style:#} {}\n", it.name);
            for (label, line) in [("", &it.message), ("remedy: ", &it.remedy)] {
                if !line.is_empty() {
                    text += &format!("      {label}{line}\n");
                }
            }
        }
        text.push('\n');
    }
    let (failed, warned) = (count(groups, Verdict::Failed), count(groups, Verdict::Warning));
    text + &match (failed, warned) {
        (0, 0) => "all is well\n".to_owned(),
        (failed, warned) => {
            format!("{failed} failed, {}\n", super::diagnostics::plural(warned, "warning"))
        }
    }
}
