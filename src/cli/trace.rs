//! `trace`: the recent traces, and one of them as a waterfall.

use clap::Args;
use clap_complete::engine::ArgValueCandidates;
use jiff::Timestamp;
use std::time::Duration;

use super::args::Context;
use super::client::Client;
use super::complete;
use super::exit::{Exit, Failure, Outcome};
use super::output::{Cell, FormatArgs, Table, View, age, milliseconds};
use super::watch::{self, WatchArgs};
use crate::control::api::shapes::{Trace, TraceList, TraceSummary};

mod follow;
mod waterfall;

/// Show recent traces, or draw one.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  meshctl trace                                    the most recent traces
  meshctl trace --service reviews --min 100ms      the slow ones of a service
  meshctl trace --status 503                       those that ended in an answer
  meshctl trace --follow                           new ones as they come
  meshctl trace 4bf92f3577b34da6a3ce929d0e0e4736   draw one; a unique beginning will do")]
pub(crate) struct TraceArgs {
    /// The trace to draw: its id, a unique beginning of it, or `trace/ID` as `-o name` prints it.
    #[arg(
        value_name = "ID",
        conflicts_with_all = ["service", "status", "min", "limit", "watch", "follow"],
        add = ArgValueCandidates::new(complete::traces)
    )]
    id: Option<String>,
    /// Only traces that touch this service.
    #[arg(long, value_name = "NAME", add = ArgValueCandidates::new(complete::services))]
    service: Option<String>,
    /// Only traces that ended with this status.
    #[arg(long, value_name = "CODE", value_parser = clap::value_parser!(u16).range(100..600))]
    status: Option<u16>,
    /// Only traces that took at least this long.
    #[arg(long, value_name = "DURATION", value_parser = super::duration::parse)]
    min: Option<Duration>,
    /// At most so many.
    #[arg(long, value_name = "N", default_value = "20", value_parser = clap::value_parser!(u32).range(1..=1000))]
    limit: u32,
    /// Print each new one until interrupted.
    #[arg(long, conflicts_with_all = ["limit", "watch"])]
    follow: bool,
    #[command(flatten)]
    format: FormatArgs,
    #[command(flatten)]
    watch: WatchArgs,
}

pub(crate) fn run(args: &TraceArgs, context: &Context) -> Outcome {
    let client = Client::of(context)?;
    if let Some(id) = &args.id {
        let trace = find(&client, id)?;
        let width = context.printer.width();
        context.printer.view(args.format.output, &drawing(&trace, width)?)?;
        return Ok(Exit::Done);
    }
    let query = filters(args);
    let query: Vec<(&str, &str)> =
        query.iter().map(|(key, value)| (*key, value.as_str())).collect();
    if args.follow {
        return follow::run(&client, &query, args.format.output, context);
    }
    watch::show(args.watch, args.format.output, context, || {
        list(&client.get("/v1/traces", &query)?, Timestamp::now())
    })
}

fn filters(args: &TraceArgs) -> Vec<(&'static str, String)> {
    let limit = if args.follow { follow::LIMIT } else { args.limit };
    let mut query = vec![("limit", limit.to_string())];
    query.extend(args.service.as_ref().map(|service| ("service", service.clone())));
    query.extend(args.status.map(|status| ("status", status.to_string())));
    query.extend(args.min.map(|min| ("minMs", min.as_millis().to_string())));
    query
}

/// The trace with this id, or the only one whose id begins like this.
fn find(client: &Client, id: &str) -> Result<Trace, Failure> {
    // `-o name` prints `trace/ID`; a table on a narrow terminal the beginning and `…`.
    let id = id.strip_prefix("trace/").unwrap_or(id);
    let id = id.trim_end_matches('…').to_ascii_lowercase();
    if id == "request" {
        return Err(Failure::later("`trace request`"));
    }
    if id.is_empty() || id.len() > 32 || !id.bytes().all(|b| b.is_ascii_hexdigit()) {
        let what = format!("`{id}` is not the id of a trace, which has 32 hexadecimal digits");
        return Err(Failure::usage(what).help("see the recent ones with `meshctl trace`"));
    }
    if id.len() == 32 {
        return client.get(&format!("/v1/traces/{id}"), &[]);
    }
    let recent: TraceList = client.get("/v1/traces", &[("limit", "1000")])?;
    let mut same = recent.traces.iter().filter(|trace| trace.id.starts_with(&id));
    match (same.next(), same.next()) {
        (Some(only), None) => client.get(&format!("/v1/traces/{}", only.id), &[]),
        (Some(_), Some(_)) => {
            Err(Failure::new(format!("several traces begin with `{id}`"))
                .help("give more of the id"))
        }
        _ => Err(Failure::new(format!("no recent trace begins with `{id}`"))
            .help("see the recent ones with `meshctl trace`")),
    }
}

fn list(list: &TraceList, now: Timestamp) -> Result<View, Failure> {
    let mut table =
        Table::new(&["ID", ">AGE", ">DURATION", ">STATUS", ">SPANS", "REQUEST", "SERVICES"]);
    for it in &list.traces {
        table.row([
            it.id.as_str().into(),
            age(it.start, now).into(),
            milliseconds(Some(it.duration_ms)).into(),
            status(it),
            it.spans.to_string().into(),
            it.name.as_str().into(),
            it.services.join(" > ").into(),
        ]);
    }
    Ok(View {
        value: serde_json::to_value(list)?,
        tables: vec![table],
        names: list.traces.iter().map(|it| format!("trace/{}", it.id)).collect(),
        empty: "no traces found; `MeshConfig` says how many requests are sampled".into(),
        ..View::default()
    })
}

fn status(it: &TraceSummary) -> Cell {
    match it.status {
        0 => "-".into(),
        status @ 500.. => Cell::bad(status.to_string()),
        status @ 400.. => Cell::warn(status.to_string()),
        status => status.to_string().into(),
    }
}

fn drawing(trace: &Trace, width: Option<usize>) -> Result<View, Failure> {
    Ok(View {
        value: serde_json::to_value(trace)?,
        lead: waterfall::draw(trace, width),
        names: vec![format!("trace/{}", trace.id)],
        ..View::default()
    })
}
