//! `endpoints`: who is in and out of the pools of services, and a person's word on it.

use clap::{Args, Subcommand};
use clap_complete::engine::ArgValueCandidates;
use jiff::Timestamp;

use super::args::{Context, NamespaceArgs};
use super::client::Client;
use super::complete;
use super::exit::{Failure, Outcome};
use super::output::{Cell, FormatArgs, Table, View};
use super::watch::{self, WatchArgs};
use crate::control::api::shapes::{EndpointList, EndpointStatus};
use crate::names::ServiceName;

mod order;
pub(crate) mod pool;
#[cfg(test)]
mod tests;

/// Show who is in and out of a service's pool; take one out or put it back.
///
/// Each caller's proxy decides for itself which endpoints get requests, by what it has seen of
/// them. Taking one out by hand holds in the proxies that were told, until the time is over, it is
/// put back, or they end or have not called the service for ten minutes. Proxies that connect or
/// call the service later are not told.
#[derive(Debug, Args)]
#[command(
    subcommand_required = true,
    after_help = "\
Examples:
  meshctl endpoints list reviews                      who is in and out, why and until when
  meshctl endpoints eject reviews/reviews-v1-0        take one out for every caller
  meshctl endpoints restore reviews/reviews-v1-0      put it back, whatever took it out"
)]
pub(crate) struct EndpointsArgs {
    #[command(subcommand)]
    command: EndpointsCommand,
}

#[derive(Debug, Subcommand)]
enum EndpointsCommand {
    List(ListArgs),
    Eject(order::EjectArgs),
    Restore(order::RestoreArgs),
}

/// List endpoints: address, weight, zone, and which callers have them out.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  meshctl endpoints list                     of all services
  meshctl endpoints list reviews --watch     of one, kept up to date
  meshctl endpoints list shop/cart -o json")]
struct ListArgs {
    /// Services, NAME or NAMESPACE/NAME; none for all.
    #[arg(value_name = "SERVICE", add = ArgValueCandidates::new(complete::services))]
    services: Vec<String>,
    #[command(flatten)]
    namespace: NamespaceArgs,
    #[command(flatten)]
    format: FormatArgs,
    #[command(flatten)]
    watch: WatchArgs,
}

pub(crate) fn run(args: &EndpointsArgs, context: &Context) -> Outcome {
    match &args.command {
        EndpointsCommand::List(args) => list(args, context),
        EndpointsCommand::Eject(args) => order::eject(args, context),
        EndpointsCommand::Restore(args) => order::restore(args, context),
    }
}

fn list(args: &ListArgs, context: &Context) -> Outcome {
    let namespace = args.namespace.namespace.as_str();
    let services = args.services.iter().map(|name| service(name, namespace));
    let services: Vec<ServiceName> = services.collect::<Result<_, _>>()?;
    let client = Client::of(context)?;
    watch::show(args.watch, args.format.output, context, || {
        view(&ask(&client, &services)?, Timestamp::now())
    })
}

/// The endpoints of some services, or of all.
fn ask(client: &Client, services: &[ServiceName]) -> Result<EndpointList, Failure> {
    let of = |service: &ServiceName| {
        let query = [("namespace", service.namespace.as_str()), ("service", service.name.as_str())];
        client.get::<EndpointList>("/v1/endpoints", &query)
    };
    let Some((first, others)) = services.split_first() else {
        return client.get("/v1/endpoints", &[]);
    };
    let mut all = of(first)?;
    for other in others {
        all.endpoints.extend(of(other)?.endpoints);
    }
    Ok(all)
}

/// `NAME` or `NAMESPACE/NAME`.
fn service(name: &str, namespace: &str) -> Result<ServiceName, Failure> {
    let full = match name.contains('/') {
        true => name.to_owned(),
        false => format!("{namespace}/{name}"),
    };
    full.parse().map_err(Failure::misuse)
}

fn view(all: &EndpointList, now: Timestamp) -> Result<View, Failure> {
    let mut table = Table::new(&[
        "SERVICE",
        "ENDPOINT",
        "ADDRESS",
        "READY",
        ">WEIGHT",
        "ZONE",
        "+VERSION",
        "+IDENTITY",
        "STATE",
        "CALLER",
        ">UNTIL",
        "WHY",
    ]);
    for it in &all.endpoints {
        let groups = pool::together(&it.pool);
        if groups.is_empty() {
            table.row(leading(it).into_iter().chain([
                "In".into(),
                "".into(),
                "".into(),
                "".into(),
            ]));
        }
        for group in groups {
            table.row(leading(it).into_iter().chain([
                group.state(),
                group.callers().into(),
                group.until(now).into(),
                group.why().into(),
            ]));
        }
    }
    let name =
        |it: &EndpointStatus| format!("endpoint/{}/{}/{}", it.namespace, it.service, it.name);
    Ok(View {
        value: serde_json::to_value(all)?,
        tables: vec![table],
        names: all.endpoints.iter().map(name).collect(),
        empty: "no endpoint has registered yet".into(),
        ..View::default()
    })
}

fn leading(it: &EndpointStatus) -> Vec<Cell> {
    let dash = |text: &str| if text.is_empty() { "-".into() } else { Cell::from(text) };
    let address = match it.addresses.as_slice() {
        [] => "-".to_owned(),
        [one] => one.clone(),
        [one, more @ ..] => format!("{one} +{}", more.len()),
    };
    vec![
        pool::scoped(&it.namespace, &it.service).into(),
        it.name.as_str().into(),
        address.into(),
        if it.ready { "yes".into() } else { Cell::warn("no") },
        it.weight.to_string().into(),
        dash(&it.zone),
        dash(&it.version),
        dash(it.identity.as_deref().unwrap_or_default()),
    ]
}
