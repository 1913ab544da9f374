//! `endpoints eject|restore`: a person's word to the proxies that call a service.

use std::time::Duration;

use clap::Args;
use clap_complete::engine::ArgValueCandidates;
use serde_json::json;

use super::super::args::{Context, NamespaceArgs};
use super::super::certs::qualified;
use super::super::client::Client;
use super::super::exit::{Exit, Failure, Outcome};
use super::super::output::{Cell, FormatArgs, Table, View};
use super::super::{complete, duration};
use crate::control::api::shapes::{API_VERSION, CallerResult, EndpointRequest, EndpointResult};
use crate::names::{ObjectName, ServiceName};

/// Which endpoint, and for whom.
#[derive(Debug, Args)]
pub(super) struct Target {
    /// The endpoint, SERVICE/ENDPOINT or NAMESPACE/SERVICE/ENDPOINT.
    #[arg(value_name = "ENDPOINT", add = ArgValueCandidates::new(complete::endpoints))]
    endpoint: String,
    /// Only for these callers: proxies or services, NAME or NAMESPACE/NAME.
    #[arg(long, value_name = "CALLER", add = ArgValueCandidates::new(complete::workloads))]
    from: Vec<String>,
    #[command(flatten)]
    namespace: NamespaceArgs,
    #[command(flatten)]
    format: FormatArgs,
}

/// Take an endpoint out: its callers send it nothing.
///
/// It holds in the proxies that call the service now, until the time is over, the endpoint is put
/// back, or those proxies end or have not called the service for ten minutes.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  meshctl endpoints eject reviews/reviews-v1-0                   until it is put back
  meshctl endpoints eject reviews/reviews-v1-0 --for 5m          for five minutes
  meshctl endpoints eject reviews/reviews-v1-0 --from web        only for the callers in `web`")]
pub(super) struct EjectArgs {
    #[command(flatten)]
    target: Target,
    /// For how long, as `30s` or `5m` [default: until it is put back].
    #[arg(long = "for", value_name = "TIME", value_parser = duration::parse)]
    time: Option<Duration>,
}

/// Put an endpoint back, whatever took it out.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  meshctl endpoints restore reviews/reviews-v1-0
  meshctl endpoints restore reviews/reviews-v1-0 --from web-0      only for one caller")]
pub(super) struct RestoreArgs {
    #[command(flatten)]
    target: Target,
}

/// What is ordered, and its words.
struct Order {
    path: &'static str,
    action: &'static str,
    done: &'static str,
}

const EJECT: Order = Order { path: "/v1/endpoints/eject", action: "Eject", done: "taken out" };

const RESTORE: Order = Order { path: "/v1/endpoints/restore", action: "Restore", done: "put back" };

pub(super) fn eject(args: &EjectArgs, context: &Context) -> Outcome {
    // Rounded up: never shorter than was asked for.
    let seconds = args.time.map_or(0, |time| time.as_millis().div_ceil(1_000));
    let seconds = u64::try_from(seconds).map_err(Failure::misuse)?;
    order(&EJECT, &args.target, seconds, context)
}

pub(super) fn restore(args: &RestoreArgs, context: &Context) -> Outcome {
    order(&RESTORE, &args.target, 0, context)
}

fn order(order: &Order, target: &Target, seconds: u64, context: &Context) -> Outcome {
    let namespace = target.namespace.namespace.as_str();
    let (service, endpoint) = parse(&target.endpoint, namespace)?;
    let from = target.from.iter().map(|name| qualified(name, namespace));
    let request = EndpointRequest {
        service: service.to_string(),
        endpoint: endpoint.to_string(),
        from: from.collect::<Result<_, _>>()?,
        seconds,
    };
    let client = Client::of(context)?;
    client.announce(context);
    let result: EndpointResult = client.post(order.path, &request)?;
    context.printer.view(target.format.output, &view(order, &request, &result))?;
    let failed = result.callers.iter().filter(|it| !it.error.is_empty()).count();
    match failed {
        0 => Ok(Exit::Done),
        failed => {
            let (all, done) = (result.callers.len(), order.done);
            Err(Failure::new(format!("not {done} by {failed} of {all} callers"))
                .help("the reasons stand in the output; do the same again for the others"))
        }
    }
}

/// `SERVICE/ENDPOINT` or `NAMESPACE/SERVICE/ENDPOINT`.
pub(super) fn parse(text: &str, namespace: &str) -> Result<(ServiceName, ObjectName), Failure> {
    let parts: Vec<&str> = text.split('/').collect();
    let (namespace, service, endpoint) = match *parts.as_slice() {
        [service, endpoint] => (namespace, service, endpoint),
        [namespace, service, endpoint] => (namespace, service, endpoint),
        _ => {
            return Err(Failure::usage(format!("`{text}` does not name an endpoint")).help(
                "write SERVICE/ENDPOINT; see which there are with `meshctl endpoints list`",
            ));
        }
    };
    let service = format!("{namespace}/{service}").parse().map_err(Failure::misuse)?;
    Ok((service, endpoint.parse().map_err(Failure::misuse)?))
}

fn view(order: &Order, request: &EndpointRequest, result: &EndpointResult) -> View {
    let mut table = Table::new(&["ENDPOINT", "CALLER", "RESULT"]);
    let endpoint = format!("{}/{}", super::pool::short(&request.service), request.endpoint);
    for it in &result.callers {
        table.row([
            endpoint.as_str().into(),
            super::pool::short(&it.proxy).into(),
            match it.error.as_str() {
                "" => Cell::good(order.done),
                error => Cell::bad(error),
            },
        ]);
    }
    let value = json!({
        "apiVersion": API_VERSION,
        "kind": "EndpointReport",
        "action": order.action,
        "service": request.service,
        "endpoint": request.endpoint,
        "seconds": (request.seconds > 0).then_some(request.seconds),
        "callers": result.callers,
    });
    let name = |it: &CallerResult| format!("proxy/{}", it.proxy);
    let names = result.callers.iter().map(name).collect();
    View { value, tables: vec![table], names, ..View::default() }
}
