//! The intake's totals, what proxies say of pools and what all count of themselves, in the form that Prometheus text is made of.
//!
//! What came over the wire is turned back into the labels of `telemetry`; nothing is added up here.
//! Pools keep the proxy as a label: their counts begin and end with it.

use crate::control::intake::Edges;
use crate::control::intake::edges::Totals;
use crate::control::plane::Plane;
use crate::control::proxies::Proxies;
use crate::names::Protocol;
use crate::telemetry::limits::Limit;
use crate::telemetry::metrics::{EdgeCounts, EdgeKey, Reporter, RequestCount};
use crate::telemetry::prometheus::{PoolCounts, ProcessCounts};
use crate::xds::agent::{Counters, Edge, Pool};

/// Every edge with its counts since the start, ordered by labels.
pub fn counts(edges: &Edges) -> Vec<EdgeCounts> {
    let mut counts: Vec<_> = edges.totals().map(|(edge, totals)| count(edge, totals)).collect();
    counts.sort_unstable_by(|a, b| a.key.cmp(&b.key));
    counts
}

fn count(edge: &Edge, totals: &Totals) -> EdgeCounts {
    let requests = totals.answers.iter().map(|((status, grpc, reason), count)| RequestCount {
        status: u16::try_from(*status).unwrap_or(0),
        grpc: *grpc,
        reason: reason.clone().into(),
        count: *count,
    });
    EdgeCounts {
        key: key(edge),
        requests: requests.collect(),
        durations: totals.durations.clone(),
        duration_sum_us: totals.duration_sum_us,
        connections_opened: totals.opened,
        connections_closed: totals.closed,
        request_bytes: totals.request_bytes,
        response_bytes: totals.response_bytes,
    }
}

fn key(edge: &Edge) -> EdgeKey {
    EdgeKey {
        reporter: match edge.reporter_destination {
            true => Reporter::Destination,
            false => Reporter::Source,
        },
        source: edge.source.as_str().into(),
        source_identity: edge.source_identity.as_str().into(),
        destination: edge.destination.as_str().into(),
        backend: edge.backend.as_str().into(),
        destination_version: edge.destination_version.as_str().into(),
        protocol: Protocol::ALL
            .into_iter()
            .find(|it| it.as_str() == edge.protocol)
            .unwrap_or_default(),
        mtls: edge.mtls,
    }
}

/// What the control plane is called in metrics of processes.
const OWN: &str = "control-plane";

/// The names of the proxies that count something of themselves, and what.
pub fn counting(proxies: &Proxies) -> Vec<(String, Counters)> {
    let quiet = Counters::default();
    let counting = proxies.iter().filter(|(_, proxy)| proxy.counters != quiet);
    counting.map(|(id, proxy)| (id.to_string(), proxy.counters.clone())).collect()
}

/// What they count, and what the control plane itself does.
pub(super) fn processes<'c>(
    plane: &Plane,
    counting: &'c [(String, Counters)],
) -> Vec<ProcessCounts<'c>> {
    let crowded = plane.intake.lock().edges.crowded();
    let limits = plane.limits.totals().into_iter();
    let limits = limits.chain((crowded > 0).then_some((Limit::IntakeEdges, crowded)));
    let own = ProcessCounts {
        proxy: OWN,
        limits: limits.map(|(limit, count)| (limit.as_str(), count)).collect(),
        panics: plane.panics.total(),
    };
    let theirs = counting.iter().map(|(proxy, counters)| {
        let mut limits: Vec<_> =
            counters.limits.iter().map(|(word, count)| (word.as_str(), *count)).collect();
        limits.sort_unstable();
        ProcessCounts { proxy: proxy.as_str(), limits, panics: counters.panics }
    });
    std::iter::once(own).chain(theirs).collect()
}

/// A proxy with something to say of pools: its name, its service, its pools.
pub type Caller = (String, String, Vec<Pool>);

/// The proxies with something to say of pools.
pub fn callers(proxies: &Proxies) -> Vec<Caller> {
    let saying = proxies.iter().filter(|(_, proxy)| !proxy.pools.pools.is_empty());
    let caller = saying.map(|(id, proxy)| {
        let service = proxy.registration.service_name().to_string();
        (id.to_string(), service, proxy.pools.pools.clone())
    });
    caller.collect()
}

/// What one of them says, by service.
pub fn pools((proxy, source, pools): &Caller) -> impl Iterator<Item = PoolCounts<'_>> {
    pools.iter().map(|pool| PoolCounts {
        proxy,
        source,
        destination: &pool.service,
        breaker_open: pool.is_open(),
        refused: pool.refused().collect(),
        concurrency: pool.breaker.as_ref().map_or(0, |breaker| breaker.concurrency),
        endpoints: pool.total,
        out: pool.out().count(),
        ejections: pool.ejections,
        panic: pool.panic,
        over_budget: pool.over_budget,
    })
}
