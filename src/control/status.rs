//! The mesh at a glance, worked out from what is known: proxies, services, edges, certificates.
//!
//! Pure. Of traffic that both ends report, the caller's word counts; the called end's only where
//! no caller of the mesh reported.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::net::IpAddr;
use std::time::SystemTime;

use jiff::Timestamp;

use crate::control::api::shapes::{
    CertificateStatus, EdgeStatus, EndpointCounts, Latency, ProxyStatus, ServiceStatus,
};
use crate::control::intake::{EdgeFigures, Recent};
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

/// Every service, declared or registered; `recent` says what edges did lately.
pub fn services(
    snapshot: &Snapshot,
    mut pools: BTreeMap<String, PoolStatus>,
    recent: &[(Edge, Recent)],
) -> Vec<ServiceStatus> {
    let mut traffic = by_service(recent);
    let each = snapshot.service_names().into_iter().map(|name| {
        let text = name.to_string();
        let pool = pools.remove(&text).unwrap_or_default();
        let Traffic { callers, called } = traffic.remove(text.as_str()).unwrap_or_default();
        let mut figures = callers.figures();
        if figures.requests == 0 {
            figures = called.figures();
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

/// What both ends saw of a service.
#[derive(Debug, Default)]
struct Traffic {
    callers: Recent,
    called: Recent,
}

/// Of each service that edges lead to, whether it was called by that name or chosen by a rule.
fn by_service(recent: &[(Edge, Recent)]) -> HashMap<&str, Traffic> {
    let mut services: HashMap<&str, Traffic> = HashMap::new();
    for (edge, recent) in recent {
        let (destination, backend) = (edge.destination.as_str(), edge.backend.as_str());
        let other = Some(backend).filter(|backend| *backend != destination);
        for name in std::iter::once(destination).chain(other) {
            let traffic = services.entry(name).or_default();
            match edge.reporter_destination {
                true => traffic.called.add(recent),
                false => traffic.callers.add(recent),
            }
        }
    }
    services
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
pub fn edges(recent: &[(Edge, Recent)]) -> Vec<EdgeStatus> {
    let mut lines: BTreeMap<Line<'_>, (bool, bool)> = BTreeMap::new();
    let mut did: HashMap<(Line<'_>, bool), Recent> = HashMap::new();
    for (edge, recent) in recent {
        did.entry((line(edge), edge.reporter_destination)).or_default().add(recent);
    }
    let told = Told::of(recent);
    let all = || recent.iter().map(|(edge, _)| edge);
    let callers = all().filter(|it| !it.reporter_destination);
    let called = all().filter(|it| it.reporter_destination && !told.has(it));
    for edge in callers.chain(called) {
        let (mtls, _) = lines.entry(line(edge)).or_insert((true, edge.reporter_destination));
        *mtls &= edge.mtls;
    }
    let each = lines.into_iter().map(|(of, (mtls, by_destination))| {
        let figures = did.get(&(of, by_destination)).map(Recent::figures).unwrap_or_default();
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

/// What callers of the mesh have told: who called what.
#[derive(Debug, Default)]
struct Told<'e> {
    by_source: HashSet<(&'e str, &'e str)>,
    by_identity: HashSet<(&'e str, &'e str)>,
}

impl<'e> Told<'e> {
    fn of(recent: &'e [(Edge, Recent)]) -> Self {
        let mut told = Self::default();
        for (caller, _) in recent.iter().filter(|(it, _)| !it.reporter_destination) {
            for called in [caller.destination.as_str(), caller.backend.as_str()] {
                told.by_source.insert((&caller.source, called));
                told.by_identity.insert((&caller.source_identity, called));
            }
        }
        told
    }

    /// Whether a caller has told of what the called end reports, which knows the caller by its
    /// certificate, whose account may be of another name than the caller's service.
    fn has(&self, it: &'e Edge) -> bool {
        match it.source_identity.as_str() {
            "" => self.by_source.contains(&(it.source.as_str(), it.destination.as_str())),
            identity => self.by_identity.contains(&(identity, it.destination.as_str())),
        }
    }
}

/// `namespace/service`, or a host outside of the mesh, which has no namespace.
fn split(name: &str) -> (&str, &str) {
    name.split_once('/').unwrap_or(("", name))
}
