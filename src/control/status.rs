//! The mesh at a glance, worked out from what is known: proxies, services, edges, certificates.
//!
//! Pure. Of traffic that both ends report, the caller's word counts; the called end's only where
//! no caller of the mesh reported.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::SystemTime;

use jiff::Timestamp;

use crate::control::api::shapes::{
    CertificateStatus, EdgeStatus, EndpointCounts, Latency, ProxyStatus, ServiceStatus,
};
use crate::control::intake::{EdgeFigures, Edges};
use crate::control::pools::PoolStatus;
use crate::control::proxies::Proxies;
use crate::mesh::Snapshot;
use crate::names::TrustDomain;
use crate::xds::agent::{Edge, Metrics};

#[cfg(test)]
mod tests;

/// A moment of the system's clock.
pub fn timestamp(time: SystemTime) -> Timestamp {
    Timestamp::try_from(time).unwrap_or(Timestamp::UNIX_EPOCH)
}

fn seconds(seconds: u64) -> Option<Timestamp> {
    let seconds = i64::try_from(seconds).ok().filter(|seconds| *seconds > 0)?;
    Timestamp::from_second(seconds).ok()
}

/// Every proxy that is or was lately here.
pub fn proxies(proxies: &Proxies, trust_domain: &TrustDomain) -> Vec<ProxyStatus> {
    let each = proxies.iter().map(|(id, proxy)| {
        let registration = &proxy.registration;
        let told = proxy.told.as_ref();
        ProxyStatus {
            name: id.name.to_string(),
            service: registration.service.to_string(),
            namespace: id.namespace.to_string(),
            version: registration.version.clone(),
            identity: proxy.registration.identity(trust_domain).to_string(),
            state: proxy.state,
            reason: proxy.reason(),
            since: proxy.since,
            certificate_expires: told.and_then(|told| seconds(told.certificate_not_after)),
            product_version: proxy.agent.as_ref().map_or(String::new(), |it| it.version.clone()),
        }
    });
    each.collect()
}

/// The certificates that proxies have in use.
pub fn certificates(proxies: &Proxies, trust_domain: &TrustDomain) -> Vec<CertificateStatus> {
    let each = proxies.iter().filter_map(|(id, proxy)| {
        let told = proxy.told.as_ref()?;
        Some(CertificateStatus {
            workload: id.to_string(),
            identity: proxy.registration.identity(trust_domain).to_string(),
            serial: told.certificate_serial.clone(),
            not_before: seconds(told.certificate_not_before)?,
            not_after: seconds(told.certificate_not_after)?,
            root: told.root.clone(),
        })
    });
    each.collect()
}

/// Every service, declared or registered.
pub fn services(
    snapshot: &Snapshot,
    mut pools: BTreeMap<String, PoolStatus>,
    (edges, second): (&Edges, u64),
) -> Vec<ServiceStatus> {
    let each = snapshot.service_names().into_iter().map(|name| {
        let text = name.to_string();
        let pool = pools.remove(&text).unwrap_or_default();
        let about = |edge: &Edge| edge.destination == text || edge.backend == text;
        let mut figures = edges.figures(second, |edge| !edge.reporter_destination && about(edge));
        if figures.requests == 0 {
            figures = edges.figures(second, |edge| edge.reporter_destination && about(edge));
        }
        let count = |count: usize| u32::try_from(count).unwrap_or(u32::MAX);
        let endpoints = snapshot.endpoint_counts(&name);
        ServiceStatus {
            endpoints: EndpointCounts {
                ready: count(endpoints.ready),
                ejected: count(pool.ejected.len()),
                total: count(endpoints.total),
            },
            name: name.name.to_string(),
            namespace: name.namespace.to_string(),
            breaker: pool.breaker_word().to_owned(),
            breaker_detail: pool.breaker,
            pool: pool.entries,
            requests_per_second: figures.rate,
            success_rate: figures.success,
            latency: latency(&figures),
        }
    });
    each.collect()
}

fn latency(figures: &EdgeFigures) -> Latency {
    let [p50, p95, p99] = figures.latency;
    Latency { p50, p95, p99 }
}

/// What tells one line of edges from another.
type Line<'e> = (&'e str, &'e str, &'e str, &'e str, &'e str);

fn line(edge: &Edge) -> Line<'_> {
    let Edge { source, destination, backend, destination_version, protocol, .. } = edge;
    (source, destination, backend, destination_version, protocol)
}

/// Callers without an identity are told by their address. Where that is a workload's own, they get
/// its name; this is the moment at which it is theirs.
pub fn name_strangers(metrics: &mut Metrics, snapshot: &Snapshot) {
    let edges = metrics.edges.iter_mut().filter_map(|it| it.edge.as_mut());
    for edge in edges.filter(|edge| edge.reporter_destination && !edge.mtls) {
        let address: Option<IpAddr> = edge.source.parse().ok();
        if let Some(workload) = address.and_then(|address| snapshot.host_at(address)) {
            edge.source = format!("{}/{}", workload.proxy.namespace, workload.canonical);
        }
    }
}

/// Who talked to whom in the last minute.
pub fn edges(edges: &Edges, second: u64) -> Vec<EdgeStatus> {
    let mut lines: BTreeMap<Line<'_>, (bool, bool)> = BTreeMap::new();
    let callers: Vec<&Edge> = edges.live(second).filter(|it| !it.reporter_destination).collect();
    // The called end knows the caller by its certificate, whose account may be of another name than
    // the caller's service.
    let same = |caller: &Edge, it: &Edge| match it.source_identity.as_str() {
        "" => caller.source == it.source,
        identity => caller.source_identity == identity,
    };
    let reported = |it: &Edge| {
        let called = |caller: &&&Edge| {
            same(caller, it)
                && (caller.backend == it.destination || caller.destination == it.destination)
        };
        callers.iter().find(called).is_some()
    };
    let called = edges.live(second).filter(|it| it.reporter_destination && !reported(it));
    for edge in callers.iter().copied().chain(called) {
        let (mtls, _) = lines.entry(line(edge)).or_insert((true, edge.reporter_destination));
        *mtls &= edge.mtls;
    }
    let each = lines.into_iter().map(|(of, (mtls, by_destination))| {
        let figures =
            edges.figures(second, |it| it.reporter_destination == by_destination && line(it) == of);
        let (source, destination, backend, version, protocol) = of;
        let ((from_namespace, from), (to_namespace, to)) = (split(source), split(destination));
        EdgeStatus {
            from: from.to_owned(),
            from_namespace: from_namespace.to_owned(),
            to: to.to_owned(),
            to_namespace: to_namespace.to_owned(),
            backend: split(backend).1.to_owned(),
            version: version.to_owned(),
            mtls,
            protocol: protocol.to_owned(),
            requests_per_second: figures.rate,
            success_rate: figures.success,
            latency: latency(&figures),
        }
    });
    each.collect()
}

/// `namespace/service`, or a host outside of the mesh, which has no namespace.
fn split(name: &str) -> (&str, &str) {
    name.split_once('/').unwrap_or(("", name))
}
