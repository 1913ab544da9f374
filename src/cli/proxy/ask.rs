//! `proxy config|stats|log`: asks one proxy, through its stream to the control plane.

use clap::Args;
use clap_complete::engine::ArgValueCandidates;
use serde_json::Value;

use super::super::args::{Context, NamespaceArgs};
use super::super::certs::qualified;
use super::super::client::Client;
use super::super::complete;
use super::super::exit::{Exit, Failure, Outcome};
use super::super::output::{Format, FormatArgs, Table, View};
use crate::control::api::shapes::{API_VERSION, ProxyCommand};

/// Which proxy.
#[derive(Debug, Args)]
struct Target {
    /// The proxy, NAME or NAMESPACE/NAME.
    #[arg(value_name = "PROXY", add = ArgValueCandidates::new(complete::proxies))]
    proxy: String,
    #[command(flatten)]
    namespace: NamespaceArgs,
}

/// Show the configuration that a proxy uses.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  meshctl proxy config web-0
  meshctl proxy config shop/web-0 -o json")]
pub(super) struct ConfigArgs {
    #[command(flatten)]
    target: Target,
    #[command(flatten)]
    format: FormatArgs,
}

/// Show a proxy's counters and gauges.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  meshctl proxy stats web-0
  meshctl proxy stats web-0 -o json")]
pub(super) struct StatsArgs {
    #[command(flatten)]
    target: Target,
    #[command(flatten)]
    format: FormatArgs,
}

/// Change what a proxy logs, now and until it ends.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  meshctl proxy log web-0 debug
  meshctl proxy log web-0 info,meshctl::proxy=trace")]
pub(super) struct LogArgs {
    #[command(flatten)]
    target: Target,
    /// A level (`error`, `warn`, `info`, `debug`, `trace`) or directives.
    #[arg(value_name = "LEVEL")]
    level: String,
}

pub(super) fn config(args: &ConfigArgs, context: &Context) -> Outcome {
    show(&args.target, &ProxyCommand::Config, args.format, context)
}

pub(super) fn stats(args: &StatsArgs, context: &Context) -> Outcome {
    show(&args.target, &ProxyCommand::Stats, args.format, context)
}

pub(super) fn log(args: &LogArgs, context: &Context) -> Outcome {
    let (name, _) = ask(&args.target, &ProxyCommand::Log(args.level.clone()), context)?;
    context.printer.note(&format!("{name} logs at `{}` now", args.level));
    Ok(Exit::Done)
}

fn show(target: &Target, command: &ProxyCommand, format: FormatArgs, context: &Context) -> Outcome {
    let (name, value) = ask(target, command, context)?;
    let view = match format.output {
        Format::Table | Format::Wide => View { tables: vec![flat(&value)], ..View::default() },
        _ => View {
            value: versioned(value),
            names: vec![format!("proxy/{name}")],
            ..View::default()
        },
    };
    context.printer.view(format.output, &view)?;
    Ok(Exit::Done)
}

/// With the version that every document has; the proxy says only its kind.
fn versioned(value: Value) -> Value {
    let Value::Object(fields) = value else { return value };
    let mut all = serde_json::Map::new();
    all.insert("apiVersion".to_owned(), API_VERSION.into());
    all.extend(fields);
    Value::Object(all)
}

fn ask(
    target: &Target,
    command: &ProxyCommand,
    context: &Context,
) -> Result<(String, Value), Failure> {
    let name = qualified(&target.proxy, target.namespace.namespace.as_str())?;
    let client = Client::of(context)?;
    if matches!(command, ProxyCommand::Log(_)) {
        client.announce(context);
    }
    let answer = client.post(&format!("/v1/proxies/{name}/command"), command)?;
    Ok((name, answer))
}

/// Any JSON as paths and values, for people.
fn flat(value: &Value) -> Table {
    let mut table = Table::new(&["FIELD", "VALUE"]);
    leaves(value, "", &mut |path, text| table.row([path.into(), text.into()]));
    table
}

fn leaves(value: &Value, path: &str, found: &mut impl FnMut(&str, String)) {
    match value {
        Value::Object(fields) if !fields.is_empty() => {
            for (key, value) in fields {
                let dot = if path.is_empty() { "" } else { "." };
                leaves(value, &format!("{path}{dot}{key}"), &mut *found);
            }
        }
        Value::Array(items) if !items.is_empty() => {
            for (index, value) in items.iter().enumerate() {
                leaves(value, &format!("{path}[{index}]"), &mut *found);
            }
        }
        Value::String(text) => found(path, text.clone()),
        other => found(path, other.to_string()),
    }
}
