//! The guided screen: what was seen and what is going on, as lines of text.
//!
//! Pure: state in, a frame out; who draws it is not its business. A frame fits the width by cutting
//! lines, and the height by leaving out what is least needed.

use std::fmt::Write as _;
use std::time::Duration;

use super::seen::Seen;
use super::steps::{CALLS, Step};
use crate::control::api::shapes::EdgeStatus;

const BOLD: anstyle::Style = anstyle::Style::new().bold();
const DIM: anstyle::Style = anstyle::Style::new().dimmed();
const GOOD: anstyle::Style =
    anstyle::Style::new().fg_color(Some(anstyle::Color::Ansi(anstyle::AnsiColor::Green)));
const BAD: anstyle::Style =
    anstyle::Style::new().fg_color(Some(anstyle::Color::Ansi(anstyle::AnsiColor::Red)));

/// The longest bar of the split.
const BAR: usize = 40;

/// What a frame shows.
pub(super) struct Frame<'a> {
    /// The step that is going on; nothing when the story is over.
    pub(super) step: Option<(usize, &'a Step)>,
    /// How many steps there are.
    pub(super) steps: usize,
    /// What was seen.
    pub(super) seen: &'a Seen,
    /// Since the beginning.
    pub(super) elapsed: Duration,
    /// What to type for `meshctl`.
    pub(super) program: &'a str,
    /// The home directory.
    pub(super) home: &'a str,
}

impl Frame<'_> {
    /// The lines, at most `width` wide and `height` many. Where the height is not enough, what another
    /// part says too goes first.
    pub(super) fn render(&self, width: usize, height: usize) -> String {
        let mut way = vec![self.way(), String::new()];
        let (mut calls, mut split, waterfall) = (self.calls(), self.split(), self.waterfall());
        let (story, by_hand) = (self.story(), self.by_hand());
        // The headline with a blank line, and the last line.
        let fixed = 3 + waterfall.len() + story.len() + by_hand.len();
        let mut left = height.saturating_sub(fixed);
        let [first, second, third] = match waterfall.is_empty() {
            true => [&mut split, &mut calls, &mut way],
            false => [&mut way, &mut split, &mut calls],
        };
        for part in [first, second, third] {
            if part.len() > left {
                part.clear();
            }
            left = left.saturating_sub(part.len());
        }
        let mut lines = vec![self.headline(), String::new()];
        lines.extend([way, calls, split, story, waterfall, by_hand].into_iter().flatten());
        lines.truncate(height.saturating_sub(1));
        lines.push(format!("{DIM}Ctrl-C ends it and leaves nothing behind{DIM:#}"));
        let mut text = String::new();
        for line in lines {
            let _ = writeln!(text, "{}", cut(&line, width));
        }
        text
    }

    fn headline(&self) -> String {
        let step = match self.step {
            Some((at, _)) => format!("step {} of {}", at + 1, self.steps),
            None => "the story is over, the shop stays open".to_owned(),
        };
        let (seconds, seen) = (self.elapsed.as_secs(), self.seen);
        let failed = if seen.failed == 0 { GOOD } else { BAD };
        format!(
            "{BOLD}meshctl demo{BOLD:#}   {step}   {:02}:{:02}   {} pages, {failed}{} failed{failed:#}   \
             {} of {} proxies synced",
            seconds / 60,
            seconds % 60,
            seen.asked,
            seen.failed,
            seen.synced.0,
            seen.synced.1,
        )
    }

    /// The way of a page through the shop.
    fn way(&self) -> String {
        let mut text = String::from("  visitors");
        for (from, to) in CALLS {
            let edges = self.seen.edges_between(from, to);
            let arrow = match edges.is_empty() {
                true => format!("{DIM}───────▶{DIM:#}"),
                false if edges.iter().all(|edge| edge.mtls) => format!("{GOOD}══mTLS══▶{GOOD:#}"),
                false => format!("{BAD}──plain─▶{BAD:#}"),
            };
            let _ = write!(text, " {arrow} {to}");
        }
        text
    }

    fn calls(&self) -> Vec<String> {
        let mut lines = vec![format!(
            "  {DIM}{:<28} {:<5} {:>7} {:>8} {:>8} {:>8}{DIM:#}",
            "WHO CALLS WHOM", "MTLS", "REQ/S", "SUCCESS", "P50 MS", "P99 MS"
        )];
        for (from, to) in CALLS {
            lines.extend(by_version(self.seen.edges_between(from, to)).iter().map(call));
        }
        lines.push(String::new());
        lines
    }

    fn split(&self) -> Vec<String> {
        let pages = &self.seen.pages;
        let mut lines = vec![format!(
            "  {DIM}{} PAGES OF THIS STEP, BY THE REVIEWS THAT THEY SHOW{DIM:#}",
            pages.total()
        )];
        for (version, what) in [("v1", "without stars"), ("v2", "with stars")] {
            let share = pages.share(version);
            lines.push(format!(
                "  {version} {:<BAR$} {:>5.1} %  {DIM}{what}{DIM:#}",
                bar(share),
                share * 100.0
            ));
        }
        lines.push(String::new());
        lines
    }

    fn story(&self) -> Vec<String> {
        let Some((_, step)) = self.step else { return Vec::new() };
        let mut lines =
            vec![format!("{BOLD}▸ {}{BOLD:#}", step.title), format!("  {}", step.story)];
        if step.change.is_some() {
            lines.extend(self.seen.applied.iter().map(|line| format!("  {GOOD}{line}{GOOD:#}")));
        }
        lines.extend(self.seen.out.iter().map(|line| format!("  {BAD}{line}{BAD:#}")));
        lines.push(match step.missing(self.seen) {
            Some(missing) => format!("  {DIM}{missing}{DIM:#}"),
            None => format!("  {GOOD}✔ seen{GOOD:#}"),
        });
        lines.push(String::new());
        lines
    }

    fn waterfall(&self) -> Vec<String> {
        let shown = self.step.is_none_or(|(_, step)| step.proof == super::steps::Proof::Traced);
        let Some(trace) = self.seen.trace.as_ref().filter(|_| shown) else { return Vec::new() };
        let drawing = trace.drawing.lines().map(|line| format!("  {line}"));
        drawing.chain([String::new()]).collect()
    }

    fn by_hand(&self) -> Vec<String> {
        const AFTER: &[&str] = &["status --watch", "describe service reviews", "certs rotate"];
        let commands = self.step.map_or(AFTER, |(_, step)| step.commands);
        let mut lines = vec![
            format!("  {DIM}THE SAME BY HAND, IN ANOTHER TERMINAL{DIM:#}"),
            format!("    export MESHCTL_HOME={}", self.home),
        ];
        let id = self.seen.trace.as_ref().map_or("ID", |trace| trace.id.as_str());
        lines.extend(
            commands.iter().map(|c| format!("    {} {}", self.program, c.replace("ID", id))),
        );
        lines.push(String::new());
        lines
    }
}

/// One row for each version that answers, whichever backend a rule led through; the busiest speaks
/// for its latency.
fn by_version(mut edges: Vec<&EdgeStatus>) -> Vec<EdgeStatus> {
    edges.sort_by(|a, b| b.requests_per_second.total_cmp(&a.requests_per_second));
    let mut rows: Vec<EdgeStatus> = Vec::new();
    for edge in edges {
        match rows.iter_mut().find(|row| row.version == edge.version) {
            Some(row) => {
                row.requests_per_second += edge.requests_per_second;
                row.mtls &= edge.mtls;
            }
            None => rows.push(edge.clone()),
        }
    }
    rows.sort_by(|a, b| a.version.cmp(&b.version));
    rows
}

fn call(edge: &EdgeStatus) -> String {
    let to = match edge.version.as_str() {
        "" => edge.to.clone(),
        version => format!("{} ({version})", edge.to),
    };
    let number = |value: Option<f64>| value.map_or("-".to_owned(), |value| format!("{value:.1}"));
    let success = edge.success_rate.map_or("-".to_owned(), |rate| format!("{:.1} %", rate * 100.0));
    let style = if edge.mtls { GOOD } else { BAD };
    format!(
        "  {:<28} {style}{:<5}{style:#} {:>7.1} {success:>8} {:>8} {:>8}",
        format!("{} → {to}", edge.from),
        if edge.mtls { "yes" } else { "no" },
        edge.requests_per_second,
        number(edge.latency.p50),
        number(edge.latency.p99),
    )
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::cast_precision_loss,
    reason = "a share is between 0 and 1, a bar is short"
)]
fn bar(share: f64) -> String {
    "█".repeat((share.clamp(0.0, 1.0) * BAR as f64).round() as usize)
}

/// Cuts a line at `width` characters; escape sequences take no room, and are all kept.
pub(super) fn cut(line: &str, width: usize) -> String {
    let mut out = String::with_capacity(line.len());
    let (mut column, mut escape) = (0, false);
    for c in line.chars() {
        if escape || c == '\u{1b}' {
            escape = !(escape && c.is_ascii_alphabetic());
            out.push(c);
        } else {
            column += 1;
            if column <= width {
                out.push(c);
            }
        }
    }
    out
}
