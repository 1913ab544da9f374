//! Whether the proxies are connected, have what they should have, and hold valid certificates.

use jiff::Timestamp;

use super::{Finding, exposed};
use crate::cli::certs::last_third;
use crate::cli::client::Client;
use crate::cli::diagnostics::plural;
use crate::cli::exit::Failure;
use crate::cli::output::until;
use crate::cli::token::listens_here_alone;
use crate::control::api::shapes::{
    CertificateList, EdgeStatus, EndpointList, MeshStatus, ProxyCommand, ProxyState, ProxyStatus,
    ServiceStatus,
};
use crate::names::sidecar::SIDECAR_CONTAINER;

pub(super) fn checks(client: &Client, status: &MeshStatus) -> Result<Vec<Finding>, Failure> {
    let certificates: CertificateList = client.get("/v1/certificates", &[])?;
    let mut findings = vec![joined(status)];
    findings.extend(status.proxies.iter().map(proxy));
    findings.push(expiry(&certificates, Timestamp::now()));
    findings.push(served(status));
    if !listens_here_alone(&status.control_plane.address) {
        findings.push(reached(&client.get("/v1/endpoints", &[])?));
    }
    findings.push(hidden(client, status));
    Ok(findings)
}

/// The same for a mesh on a cluster, where pods are looked at apart and applications are captured.
pub(super) fn on_cluster(client: &Client, status: &MeshStatus) -> Result<Vec<Finding>, Failure> {
    let certificates: CertificateList = client.get("/v1/certificates", &[])?;
    let in_pod = |it: &ProxyStatus| {
        let found = proxy(it);
        let log = format!("kubectl logs -n {} {} -c {SIDECAR_CONTAINER}", it.namespace, it.name);
        match it.state {
            ProxyState::Disconnected => Finding { remedy: log, ..found },
            _ => found,
        }
    };
    let mut findings: Vec<Finding> = status.proxies.iter().map(in_pod).collect();
    findings.push(expiry(&certificates, Timestamp::now()));
    findings.push(encrypted(&status.edges));
    Ok(findings)
}

/// Where proxies of other machines are let in, they can reach who serves.
fn reached(all: &EndpointList) -> Finding {
    let name = "proxies of other machines can reach every endpoint";
    let here = |address: &String| listens_here_alone(address);
    let alone = all.endpoints.iter().filter(|it| it.addresses.iter().any(here));
    let alone: Vec<_> = alone.map(|it| format!("`{}/{}`", it.namespace, it.name)).collect();
    match alone.is_empty() {
        true => Finding::passed(name),
        false => Finding::warning(
            name,
            format!("on loopback: {}", alone.join(", ")),
            "run them with `--inbound ADDR:0`, where ADDR is an address of their machine",
        ),
    }
}

/// Nobody called in plaintext lately: what must hold before `mtls: Strict`.
pub(super) fn encrypted(edges: &[EdgeStatus]) -> Finding {
    let name = "every call of the last minute was over mTLS, as `mtls: Strict` demands";
    let plain = edges.iter().filter(|it| !it.mtls);
    let mut plain: Vec<String> =
        plain.map(|it| format!("{} to {}/{}", caller(it), it.to_namespace, it.to)).collect();
    plain.sort_unstable();
    plain.dedup();
    match plain.is_empty() {
        true => Finding::passed(name),
        false => Finding::warning(
            name,
            format!("in plaintext: {}", plain.join(", ")),
            "give the callers sidecars: label their namespaces, then restart their workloads",
        ),
    }
}

/// A workload, or the address of one that the mesh does not know (an ingress outside of it, a node).
fn caller(it: &EdgeStatus) -> String {
    match (it.from_namespace.as_str(), it.from.as_str()) {
        ("", "") => "somebody unknown".to_owned(),
        ("", address) => address.to_owned(),
        (namespace, name) => format!("{namespace}/{name}"),
    }
}

fn joined(status: &MeshStatus) -> Finding {
    match status.proxies.len() {
        0 => Finding::warning(
            "proxies have joined",
            "none has",
            "run one with `meshctl proxy run --service NAME`",
        ),
        many => Finding::passed(format!("{} joined", plural(many, "proxy"))),
    }
}

fn proxy(it: &ProxyStatus) -> Finding {
    let name = format!("`{}/{}` has the rules in force", it.namespace, it.name);
    match it.state {
        ProxyState::Synced => Finding::passed(name),
        ProxyState::Pending => Finding::warning(
            name,
            "it has not acknowledged all of them yet",
            "wait, with `meshctl check --proxy --wait`",
        ),
        ProxyState::Rejected => Finding::failed(
            name,
            format!("it refused some: {}", it.reason),
            "correct the rule; `meshctl get all -A -o wide` shows which",
        ),
        ProxyState::Disconnected => Finding::failed(
            name,
            format!("it is disconnected since {}", it.since),
            "start it again with `meshctl proxy run`, or look into its log",
        ),
    }
}

/// Certificates are renewed at half of their life; one in its last third was not.
fn expiry(list: &CertificateList, now: Timestamp) -> Finding {
    let name = "no certificate is close to its end";
    let late: Vec<_> = list.certificates.iter().filter(|it| last_third(it, now)).collect();
    let shown: Vec<String> =
        late.iter().map(|it| format!("{} ({})", it.workload, until(it.not_after, now))).collect();
    match (late.iter().any(|it| it.not_after <= now), late.is_empty()) {
        (true, _) => Finding::failed(name, shown.join(", "), "meshctl certs rotate"),
        (false, false) => Finding::warning(name, shown.join(", "), "meshctl certs rotate"),
        (false, true) => Finding::passed(name),
    }
}

/// A declared service without a workload behind it answers nobody. Workloads that only call make a
/// service too, which nobody is meant to call.
fn served(status: &MeshStatus) -> Finding {
    let name = "every service has an endpoint";
    let calls_only = |it: &&ServiceStatus| {
        status.proxies.iter().any(|p| p.service == it.name && p.namespace == it.namespace)
    };
    let empty = status.services.iter().filter(|it| it.endpoints.total == 0 && !calls_only(it));
    let empty: Vec<String> = empty.map(|it| format!("{}/{}", it.namespace, it.name)).collect();
    match empty.is_empty() {
        true => Finding::passed(name),
        false => Finding::warning(
            name,
            format!("none behind {}", empty.join(", ")),
            "run its application behind `meshctl proxy run --service NAME --app ADDR:PORT`",
        ),
    }
}

/// Nobody gets to an application past its proxy. Proxies that do not answer were named already.
fn hidden(client: &Client, status: &MeshStatus) -> Finding {
    let name = "applications are reached through their proxies alone";
    let app = |it: &ProxyStatus| -> Option<String> {
        let path = format!("/v1/proxies/{}/{}/command", it.namespace, it.name);
        let config: serde_json::Value = client.tell(&path, &ProxyCommand::Config).ok()?;
        let app: std::net::SocketAddr = config.get("app")?.as_str()?.parse().ok()?;
        let wide = exposed::beyond_loopback(app)?;
        Some(format!("the application of `{}/{}` listens on {wide}", it.namespace, it.name))
    };
    let connected = status.proxies.iter().filter(|it| it.state != ProxyState::Disconnected);
    let found: Vec<String> = connected.filter_map(app).collect();
    match found.is_empty() {
        true => Finding::passed(name),
        false => Finding::warning(name, found.join(", "), "let it listen on 127.0.0.1 only"),
    }
}
