//! `bug-report`: what somebody who helps needs to see, in one archive, without secrets.
//!
//! Each part is asked for by itself and left out where it cannot be had; what is missing stands in
//! the archive too. Everything goes through `redact` before it is written. Nothing is sent anywhere.

use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Args;
use flate2::Compression;
use flate2::write::GzEncoder;
use jiff::Timestamp;

use super::args::Context;
use super::backup::writable;
use super::client::Client;
use super::diagnostics::plural;
use super::exit::{Exit, Failure, Outcome};
use super::installation::Installation;
use crate::net::file::write_atomic;

mod cluster;
mod local;
mod machine;
mod mesh;
mod redact;
#[cfg(test)]
mod tests;

/// The longest that one answer is waited for.
const ANSWER: Duration = Duration::from_secs(10);

/// The longest part; of a log the end, of everything else the beginning is kept.
const LONGEST: usize = 2 << 20;

/// Collect what somebody who helps needs to see in one archive, secrets removed.
///
/// Versions, checks, status, rules and their history, the configuration and figures of proxies, logs,
/// limits of this machine. Private keys are never read; tokens, passwords and the values of headers
/// that carry them are replaced. It works when the control plane is down, too. Nothing is sent
/// anywhere: look at the archive, and hand it on yourself.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  meshctl bug-report                    an archive named by the time, in this directory
  meshctl bug-report mesh.tar.gz
  meshctl bug-report --context prod     of the mesh on that cluster
  tar -xzOf mesh.tar.gz bug-report/status.json")]
pub(crate) struct BugReportArgs {
    /// Where to write it; nothing that is there is overwritten [default: named by the time].
    #[arg(value_name = "FILE", value_hint = clap::ValueHint::FilePath)]
    file: Option<PathBuf>,
}

/// The parts that were had, and why others were not.
#[derive(Debug, Default)]
struct Report {
    parts: Vec<(String, Vec<u8>)>,
    missing: Vec<String>,
}

impl Report {
    /// Adds text; what is too much of it is cut at its end.
    fn text(&mut self, name: &str, text: &str) {
        self.add(name, cut(text, LONGEST));
    }

    /// Adds a log; what is too much of it is cut at its beginning.
    fn log(&mut self, name: &str, bytes: &[u8]) {
        let from = bytes.len().saturating_sub(LONGEST);
        let text = String::from_utf8_lossy(bytes.get(from..).unwrap_or_default());
        let text = match from {
            0 => &*text,
            // The first line is not a whole one.
            _ => text.split_once('\n').map_or("", |(_, rest)| rest),
        };
        self.add(name, text);
    }

    /// Adds JSON, of which also single fields are looked at.
    fn json(&mut self, name: &str, mut value: serde_json::Value) {
        redact::value(&mut value);
        let text = serde_json::to_string_pretty(&value).unwrap_or_default() + "\n";
        self.text(name, &text);
    }

    /// Adds what was asked for, or why it could not be had.
    fn answer<T: Into<serde_json::Value>>(&mut self, name: &str, answer: Result<T, Failure>) {
        match answer {
            Ok(value) => self.json(name, value.into()),
            Err(failure) => self.absent(name, &failure.what()),
        }
    }

    fn absent(&mut self, name: &str, why: &str) {
        self.missing.push(format!("{name}: {}", redact::text(why)));
    }

    fn add(&mut self, name: &str, text: &str) {
        self.parts.push((name.to_owned(), redact::text(text).into_bytes()));
    }
}

pub(crate) fn run(args: &BugReportArgs, context: &Context) -> Outcome {
    let now = Timestamp::now();
    let file = args.file.clone().unwrap_or_else(|| named(now));
    writable(&file)?;
    let progress = context.printer.progress("collecting what there is");
    let mut report = Report::default();
    machine::collect(&mut report);
    match context.installation() {
        Ok(Installation::Local) => local::collect(&mut report, context),
        Ok(Installation::Kubernetes(target)) => cluster::collect(&mut report, &target),
        Err(failure) => report.absent("installation", &failure.what()),
    }
    match Client::of(context) {
        Ok(client) => mesh::collect(&mut report, &client.within(ANSWER)),
        Err(failure) => report.absent("control plane", &failure.what()),
    }
    mesh::checks(&mut report, context);
    let missing = report.missing.iter().map(|line| format!("{line}\n")).collect::<String>();
    report.text("missing.txt", &missing);
    let archive = pack(&report.parts, now)?;
    drop(progress);
    write_atomic(&file, &archive, 0o600).map_err(|error| {
        Failure::from(error).context(format!("cannot write `{}`", file.display()))
    })?;
    for (name, bytes) in &report.parts {
        context.printer.note(&format!("  {name} ({} bytes)", bytes.len()));
    }
    for line in &report.missing {
        context.printer.note(&format!("  not had: {line}"));
    }
    context.printer.note("look at what is in it before you hand it on");
    let (parts, name) = (plural(report.parts.len(), "file"), file.display());
    context.printer.line(&format!("{name}: {parts}, {} bytes", archive.len()))?;
    Ok(Exit::Done)
}

fn pack(parts: &[(String, Vec<u8>)], at: Timestamp) -> std::io::Result<Vec<u8>> {
    let mut archive = tar::Builder::new(GzEncoder::new(Vec::new(), Compression::default()));
    for (name, content) in parts {
        let mut header = tar::Header::new_gnu();
        header.set_size(content.len() as u64);
        header.set_mode(0o600);
        header.set_mtime(u64::try_from(at.as_second()).unwrap_or(0));
        archive.append_data(&mut header, Path::new("bug-report").join(name), &**content)?;
    }
    archive.into_inner()?.finish()
}

/// The beginning of a text, at most so many bytes.
fn cut(text: &str, bytes: usize) -> &str {
    let end = text.floor_char_boundary(bytes);
    text.get(..end).unwrap_or_default()
}

fn named(now: Timestamp) -> PathBuf {
    now.strftime("meshctl-bug-report-%Y%m%d-%H%M%S.tar.gz").to_string().into()
}
