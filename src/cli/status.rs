//! `status`: the mesh at a glance, once or watched.

use clap::Args;
use jiff::Timestamp;

use super::args::Context;
use super::client::Client;
use super::endpoints::pool::scoped;
use super::exit::{Failure, Outcome};
use super::output::{Cell, FormatArgs, Table, View, age, milliseconds, until};
use super::watch::{self, WatchArgs};
use crate::control::api::shapes::{
    ControlPlaneStatus, EdgeStatus, FaultStatus, MeshStatus, ProxyState, ProxyStatus, ServiceStatus,
};

mod pools;
#[cfg(test)]
mod tests;

/// Show the mesh at a glance: control plane, proxies, services.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  meshctl status                  control plane, proxies, services
  meshctl status --watch          the same, kept up to date
  meshctl status --edges          also who talks to whom, and whether it is mTLS
  meshctl status -o json          for scripts")]
pub(crate) struct StatusArgs {
    /// Also show who talks to whom.
    #[arg(long)]
    edges: bool,
    #[command(flatten)]
    format: FormatArgs,
    #[command(flatten)]
    watch: WatchArgs,
}

pub(crate) fn run(args: &StatusArgs, context: &Context) -> Outcome {
    let client = Client::of(context)?;
    watch::show(args.watch, args.format.output, context, || {
        view(&client.get("/v1/status", &[])?, args.edges, Timestamp::now())
    })
}

fn view(status: &MeshStatus, edges: bool, now: Timestamp) -> Result<View, Failure> {
    let mut tables = vec![proxies(&status.proxies, now), services(&status.services)];
    if !status.faults.is_empty() {
        tables.push(faults(&status.faults, now));
    }
    tables.extend(pools::tables(&status.services, now));
    if edges {
        tables.push(edges_table(&status.edges));
    }
    let proxy = |it: &ProxyStatus| format!("proxy/{}/{}", it.namespace, it.name);
    let service = |it: &ServiceStatus| format!("service/{}/{}", it.namespace, it.name);
    let names = status.proxies.iter().map(proxy).chain(status.services.iter().map(service));
    let mut lead = control_plane(&status.control_plane, now);
    if status.proxies.is_empty() {
        lead.push(
            "no proxy has joined yet; run one with `meshctl proxy run --service NAME`".into(),
        );
    } else if edges && status.edges.is_empty() {
        lead.push("no traffic in the last minute".into());
    }
    Ok(View {
        value: serde_json::to_value(status)?,
        names: names.collect(),
        lead,
        tables,
        empty: String::new(),
    })
}

fn control_plane(it: &ControlPlaneStatus, now: Timestamp) -> Vec<String> {
    let ready = if it.ready { "ready" } else { "not ready" };
    let (up, root) = (age(it.since, now), until(it.root_expires, now));
    // On a cluster it is a name, and everything is another machine there.
    let reach = match it.address.parse::<std::net::SocketAddr>() {
        Ok(address) if !address.ip().is_loopback() => " for other machines too",
        _ => "",
    };
    vec![
        format!("control plane {} {ready} at {}{reach}, up {up}", it.version, it.address),
        format!("rules at revision {}, root certificate for {root}", it.revision),
    ]
}

fn proxies(proxies: &[ProxyStatus], now: Timestamp) -> Table {
    let mut table = Table::new(&[
        "PROXY",
        "SERVICE",
        "VERSION",
        "STATE",
        ">SINCE",
        ">CERTIFICATE",
        "+PROGRAM",
        "+IDENTITY",
        "REASON",
    ]);
    for it in proxies {
        table.row([
            scoped(&it.namespace, &it.name).into(),
            it.service.as_str().into(),
            dash(&it.version),
            state(it.state),
            age(it.since, now).into(),
            it.certificate_expires.map_or("-".into(), |end| certificate(end, now)),
            dash(&it.product_version),
            it.identity.as_str().into(),
            it.reason.as_str().into(),
        ]);
    }
    table
}

fn services(services: &[ServiceStatus]) -> Table {
    let mut table = Table::new(&[
        "SERVICE",
        ">ENDPOINTS",
        "BREAKER",
        ">RPS",
        ">SUCCESS",
        ">P50",
        ">P95",
        ">P99",
    ]);
    for it in services {
        table.row([
            scoped(&it.namespace, &it.name).into(),
            endpoints(it),
            match it.breaker.as_str() {
                "Closed" => "Closed".into(),
                other => Cell::bad(other),
            },
            format!("{:.1}", it.requests_per_second).into(),
            success(it.success_rate),
            milliseconds(it.latency.p50).into(),
            milliseconds(it.latency.p95).into(),
            milliseconds(it.latency.p99).into(),
        ]);
    }
    table
}

/// Faults that are put in on purpose: shown, so that nobody forgets them.
fn faults(faults: &[FaultStatus], now: Timestamp) -> Table {
    let mut table = Table::new(&["FAULT", "SERVICE", "WHAT", "FROM", ">ENDS"]);
    for it in faults {
        table.row([
            scoped(&it.namespace, &it.policy).into(),
            scoped(&it.namespace, &it.service).into(),
            Cell::warn(&it.what),
            it.callers.as_str().into(),
            it.expires.map_or("never".into(), |end| until(end, now).into()),
        ]);
    }
    table
}

fn edges_table(edges: &[EdgeStatus]) -> Table {
    let mut table = Table::new(&[
        "FROM", "TO", "BACKEND", "VERSION", "MTLS", "PROTOCOL", ">RPS", ">SUCCESS", ">P50", ">P95",
        ">P99",
    ]);
    for it in edges {
        table.row([
            scoped(&it.from_namespace, &it.from).into(),
            scoped(&it.to_namespace, &it.to).into(),
            dash(&it.backend),
            dash(&it.version),
            if it.mtls { Cell::good("yes") } else { Cell::warn("no") },
            it.protocol.as_str().into(),
            format!("{:.1}", it.requests_per_second).into(),
            success(it.success_rate),
            milliseconds(it.latency.p50).into(),
            milliseconds(it.latency.p95).into(),
            milliseconds(it.latency.p99).into(),
        ]);
    }
    table
}

fn dash(text: &str) -> Cell {
    if text.is_empty() { "-".into() } else { text.into() }
}

fn state(state: ProxyState) -> Cell {
    match state {
        ProxyState::Synced => Cell::good("Synced"),
        ProxyState::Pending => Cell::warn("Pending"),
        ProxyState::Rejected => Cell::bad("Rejected"),
        ProxyState::Disconnected => Cell::bad("Disconnected"),
    }
}

fn certificate(end: Timestamp, now: Timestamp) -> Cell {
    match end <= now {
        true => Cell::bad("expired"),
        false => until(end, now).into(),
    }
}

fn endpoints(it: &ServiceStatus) -> Cell {
    let counts = it.endpoints;
    let ejected = match counts.ejected {
        0 => String::new(),
        ejected => format!(" ({ejected} ejected)"),
    };
    let text = format!("{}/{}{ejected}", counts.ready, counts.total);
    match counts.ready {
        0 if counts.total == 0 => text.into(),
        0 => Cell::bad(text),
        ready if ready < counts.total => Cell::warn(text),
        _ => text.into(),
    }
}

/// A rate of success, rounded down so that 100 % means all.
fn success(rate: Option<f64>) -> Cell {
    let Some(rate) = rate else {
        return "-".into();
    };
    let text = format!("{:.1}%", (rate * 1000.0).floor() / 10.0);
    match rate {
        0.999.. => text.into(),
        0.95.. => Cell::warn(text),
        _ => Cell::bad(text),
    }
}
