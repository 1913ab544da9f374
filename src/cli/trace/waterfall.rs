//! A trace as text: one line per span, indented under its parent, with a bar on the time axis.
//!
//! In goes a trace and the width to fit, out come lines. Spans whose parent is not there (an
//! application that did not pass the headers on, or a span that was lost) are drawn as roots and
//! marked, so that the gap is seen. Pure.

use std::collections::{HashMap, HashSet};

use anstyle::{AnsiColor, Style};

use super::super::diagnostics::plural;
use super::super::output::{cut, milliseconds};
use crate::control::api::shapes::{Trace, TraceEvent, TraceSpan};

#[cfg(test)]
mod tests;

/// Where stdout is no terminal.
const WIDTH: usize = 100;
/// A bar is not made shorter than this.
const SHORTEST_AXIS: usize = 10;
/// Deeper spans are not indented further.
const DEEPEST: usize = 12;

/// One span in the order of drawing.
struct Line<'a> {
    span: &'a TraceSpan,
    depth: usize,
    orphan: bool,
}

/// The lines of a trace.
pub(super) fn draw(trace: &Trace, width: Option<usize>) -> Vec<String> {
    let width = width.unwrap_or(WIDTH);
    let lines = order(&trace.spans);
    let end = trace.spans.iter().map(|s| s.offset_ms + s.duration_ms).fold(0.0, f64::max);
    let services: HashSet<&str> = trace.spans.iter().map(|s| s.service.as_str()).collect();
    let title = format!(
        "trace {}: {} over {} in {}",
        trace.id,
        plural(trace.spans.len(), "span"),
        plural(services.len(), "service"),
        milliseconds(Some(end)),
    );
    let labels: Vec<String> = lines.iter().map(label).collect();
    let longest = labels.iter().map(|label| label.chars().count()).max().unwrap_or(0);
    let figures = "  503   9999ms  ".len();
    let room = width.saturating_sub(figures);
    let label_width = longest.min(room / 2).min(room.saturating_sub(SHORTEST_AXIS)).max(12);
    let axis = room.saturating_sub(label_width).max(SHORTEST_AXIS);
    let mut drawn = vec![cut(&title, width.max(20)), String::new()];
    for (line, label) in lines.iter().zip(&labels) {
        let label = cut(label, label_width);
        let (span, style) = (line.span, colour(line.span));
        let status = if span.status == 0 { "-".to_owned() } else { span.status.to_string() };
        let bar = bar(span, end, axis);
        drawn.push(format!(
            "{label:label_width$}  {style}{status:>3}{style:#} {:>8}  {style}{bar}{style:#}",
            milliseconds(Some(span.duration_ms)),
        ));
        drawn.extend(remarks(line).into_iter().map(|remark| cut(&remark, width.max(20))));
    }
    drawn
}

/// Parents before children, siblings by start; each span once, whatever its ids claim.
fn order(spans: &[TraceSpan]) -> Vec<Line<'_>> {
    let known: HashSet<&str> = spans.iter().map(|span| span.id.as_str()).collect();
    let mut children: HashMap<&str, Vec<&TraceSpan>> = HashMap::new();
    let mut stack: Vec<Line<'_>> = Vec::new();
    for span in spans.iter().rev() {
        match known.contains(span.parent.as_str()) && span.parent != span.id {
            true => children.entry(&span.parent).or_default().push(span),
            false => stack.push(Line { span, depth: 0, orphan: !span.parent.is_empty() }),
        }
    }
    let mut lines: Vec<Line<'_>> = Vec::new();
    loop {
        while let Some(line) = stack.pop() {
            let below = children.remove(line.span.id.as_str()).unwrap_or_default();
            let depth = line.depth + 1;
            stack.extend(below.into_iter().map(|span| Line { span, depth, orphan: false }));
            // The first one's caller is whoever made the request, and seldom part of the mesh.
            let orphan = line.orphan && !lines.is_empty();
            lines.push(Line { orphan, ..line });
        }
        // What is left hangs in a circle; take one out of it.
        let Some(key) = children.keys().next().copied() else {
            return lines;
        };
        let circle = children.remove(key).unwrap_or_default();
        stack.extend(circle.into_iter().map(|span| Line { span, depth: 0, orphan: true }));
    }
}

fn label(line: &Line<'_>) -> String {
    let TraceSpan { service, side, peer, name, .. } = line.span;
    let what = match side.as_str() {
        "client" => format!("{service} → {peer}  {name}"),
        _ => format!("{service}  {name}"),
    };
    format!("{:indent$}{what}", "", indent = 2 * line.depth.min(DEEPEST))
}

/// The span's part of the axis, in eighths of a character at its right end.
fn bar(span: &TraceSpan, end: f64, axis: usize) -> String {
    const EIGHTHS: [&str; 8] = ["", "▏", "▎", "▍", "▌", "▋", "▊", "▉"];
    if end <= 0.0 {
        return "▏".to_owned();
    }
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "clamped to the axis, which is short and not negative"
    )]
    let eighths = |ms: f64| ((ms / end).clamp(0.0, 1.0) * (axis * 8) as f64).round() as usize;
    let start = eighths(span.offset_ms) / 8;
    let start = start.min(axis.saturating_sub(1));
    let length = eighths(span.offset_ms + span.duration_ms).saturating_sub(start * 8).max(1);
    let rest = EIGHTHS.get(length % 8).copied().unwrap_or_default();
    format!("{:start$}{}{rest}", "", "█".repeat(length / 8))
}

fn remarks(line: &Line<'_>) -> Vec<String> {
    let indent = 2 * line.depth.min(DEEPEST) + 2;
    let mut remarks = Vec::new();
    let mut say = |text: String| remarks.push(format!("{:indent$}{text}", ""));
    if line.orphan {
        say("! its caller is not in the trace: trace headers were not passed on, or spans were lost".into());
    }
    if !line.span.reason.is_empty() {
        say(format!("! answered by {}: {}", line.span.proxy, line.span.reason));
    }
    if !line.span.rule.is_empty() {
        let endpoint = match line.span.endpoint.as_str() {
            "" => String::new(),
            endpoint => format!(", endpoint {endpoint}"),
        };
        let attempt = match line.span.attempts {
            0 | 1 => String::new(),
            attempts => format!(", try {attempts}"),
        };
        say(format!("by {}{endpoint}{attempt}", line.span.rule));
    }
    for event in &line.span.events {
        say(format!("{:>7}  {}", milliseconds(Some(event.offset_ms)), told(event)));
    }
    remarks
}

/// An event, for people.
fn told(TraceEvent { what, attempt, endpoint, why, .. }: &TraceEvent) -> String {
    match (what.as_str(), attempt) {
        ("retry", _) => format!("try {attempt} at {endpoint}, after {why}"),
        ("hedge", _) => format!("try {attempt} at {endpoint}, beside the one before"),
        ("refused", 0) => format!("refused: {why}"),
        ("refused", _) => format!("refused after try {attempt}: {why}"),
        ("ejected", _) => format!("{endpoint} ejected: {why}"),
        ("fault", _) => format!("fault put in by {why}"),
        // What a later version of a proxy says.
        _ => [what.as_str(), endpoint, why].join(" "),
    }
}

fn colour(span: &TraceSpan) -> Style {
    match (span.status, span.reason.as_str()) {
        (500.., _) | (0, "client_gone") => AnsiColor::Red.on_default(),
        (400.., _) => AnsiColor::Yellow.on_default(),
        _ => AnsiColor::Cyan.on_default(),
    }
}
