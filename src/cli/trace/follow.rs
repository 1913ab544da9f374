//! `trace --follow`: prints each new trace once, below those before, until interrupted.
//!
//! The halves of a trace come from different proxies, so one is shown when it has not grown between
//! two looks. What was there before is not shown; what is remembered is what the last answer held.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use jiff::Timestamp;

use super::super::args::Context;
use super::super::client::Client;
use super::super::exit::{Failure, Outcome};
use super::super::output::{self, Format, View};
use crate::control::api::shapes::{TraceList, TraceSummary};

#[cfg(test)]
mod tests;

/// Between two looks.
const INTERVAL: Duration = Duration::from_secs(1);
/// As many as the control plane lists at once; more between two looks are missed.
pub(super) const LIMIT: u32 = 1000;

/// Prints what comes; ends with the reader, or with the control plane.
pub(super) fn run(
    client: &Client,
    query: &[(&str, &str)],
    format: Format,
    context: &Context,
) -> Outcome {
    let printer = context.printer;
    let mut news = News::after(&client.get("/v1/traces", query)?);
    let mut first = true;
    printer.note("waiting for traces, Ctrl-C ends");
    loop {
        std::thread::sleep(INTERVAL);
        let traces = news.look(client.get("/v1/traces", query)?);
        if traces.traces.is_empty() {
            continue;
        }
        let width = if format == Format::Table { printer.width() } else { None };
        let text = render(&traces, format, width)?;
        // The titles stand above the first only.
        let titled = matches!(format, Format::Table | Format::Wide) && !first;
        printer.data(text.split_once('\n').filter(|_| titled).map_or(&text, |(_, rows)| rows))?;
        first = false;
    }
}

fn render(traces: &TraceList, format: Format, width: Option<usize>) -> Result<String, Failure> {
    let each = traces.traces.iter();
    Ok(match format {
        Format::Json => {
            let lines = each.map(|it| Ok(serde_json::to_string(it)? + "\n"));
            lines.collect::<Result<String, Failure>>()?
        }
        Format::Yaml => {
            let document = |it| Ok(format!("---\n{}", output::yaml(it)?));
            each.map(document).collect::<Result<String, Failure>>()?
        }
        Format::Table | Format::Wide | Format::Name => {
            let view: View = super::list(traces, Timestamp::now())?;
            output::render(format, &view, width)?
        }
    })
}

/// Tells new traces from those that were shown.
struct News {
    shown: HashSet<String>,
    /// How many spans a trace that is not shown yet had at the last look.
    growing: HashMap<String, usize>,
}

impl News {
    /// Everything after this list is new.
    fn after(list: &TraceList) -> Self {
        let shown = list.traces.iter().map(|trace| trace.id.clone()).collect();
        Self { shown, growing: HashMap::new() }
    }

    /// The traces to show now, the oldest first.
    fn look(&mut self, list: TraceList) -> TraceList {
        let here: HashSet<&str> = list.traces.iter().map(|trace| trace.id.as_str()).collect();
        self.shown.retain(|id| here.contains(id.as_str()));
        let mut growing = HashMap::new();
        let mut ready: Vec<TraceSummary> = Vec::new();
        for trace in list.traces {
            if self.shown.contains(&trace.id) {
                continue;
            }
            if self.growing.get(&trace.id) == Some(&trace.spans) {
                self.shown.insert(trace.id.clone());
                ready.push(trace);
            } else {
                growing.insert(trace.id, trace.spans);
            }
        }
        self.growing = growing;
        ready.reverse();
        TraceList { traces: ready, api_version: list.api_version, kind: list.kind }
    }
}
