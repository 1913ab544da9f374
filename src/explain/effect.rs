//! What other rules would change: two states of the same resources in, differences in words out.
//!
//! Routes are not compared as they are written but by what becomes of requests: for each match on
//! either side one that fulfils it is routed by the tables of both, as a proxy routes it.

use std::collections::{BTreeMap, BTreeSet};

use crate::names::{Namespace, ServiceName};
use crate::resource::words::{self, is_of_calls};
use crate::resource::{Cluster, ClusterPolicy, Mesh, Resource, Retry, Service, Timeouts, Workload};

mod ports;
mod sample;
#[cfg(test)]
mod tests;

/// What stands for something that is not there.
const NONE: &str = "none";

/// One difference.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Difference {
    /// The service; `None` for the whole mesh.
    pub service: Option<ServiceName>,
    /// The port; `None` for all of the service.
    pub port: Option<u16>,
    /// The namespace whose callers it is about.
    pub consumer: Option<Namespace>,
    /// Which requests; empty for all.
    pub requests: String,
    /// `destination`, or the field of a setting.
    pub what: String,
    /// What holds before.
    pub before: String,
    /// What holds after.
    pub after: String,
}

/// A resource before and after; `None` where there is none.
pub type Pair = (Option<Resource>, Option<Resource>);

/// How services are called, by consumer.
type Services<'p> = BTreeMap<(&'p ServiceName, Option<&'p Namespace>), &'p Service>;

/// The differences, by service and port. With a consumer's resource belongs the one for all.
pub fn effect(pairs: &[Pair]) -> Vec<Difference> {
    let mut found = Vec::new();
    let mut services: [Services<'_>; 2] = Default::default();
    for (before, after) in pairs {
        for (side, resource) in services.iter_mut().zip([before, after]) {
            if let Some(Resource::Service(service)) = resource {
                side.insert((&service.name, service.consumer.as_ref()), service);
            }
        }
        match (before, after) {
            (Some(Resource::Mesh(before)), Some(Resource::Mesh(after))) => {
                found.extend(mesh(before, after));
            }
            (Some(Resource::Workload(before)), Some(Resource::Workload(after))) => {
                found.extend(workload(before, after));
            }
            (Some(Resource::Cluster(before)), Some(Resource::Cluster(after))) => {
                found.extend(cluster(before, after));
            }
            _ => {}
        }
    }
    let [before, after] = &services;
    let keys: BTreeSet<_> = before.keys().chain(after.keys()).collect();
    for &&(name, consumer) in &keys {
        // Where a namespace has no rules of its own, those for all hold.
        let sides = [before, after]
            .map(|side| side.get(&(name, consumer)).or_else(|| side.get(&(name, None))).copied());
        found.extend(service((name, consumer), sides));
    }
    found.sort_unstable();
    found.dedup();
    found
}

impl Difference {
    /// About all of a service.
    fn of(service: Option<&ServiceName>, what: &str, before: String, after: String) -> Self {
        Self {
            service: service.cloned(),
            port: None,
            consumer: None,
            requests: String::new(),
            what: what.to_owned(),
            before,
            after,
        }
    }
}

fn service(
    (name, consumer): (&ServiceName, Option<&Namespace>),
    [before, after]: [Option<&Service>; 2],
) -> Vec<Difference> {
    let mut found = match (before, after) {
        (Some(before), Some(after)) => ports::compare(before, after),
        (before, after) => {
            let word = |there: bool| if there { "there" } else { NONE }.to_owned();
            let (before, after) = (word(before.is_some()), word(after.is_some()));
            vec![Difference::of(Some(name), "service", before, after)]
        }
    };
    for difference in &mut found {
        difference.consumer = consumer.cloned();
    }
    found
}

fn mesh(before: &Mesh, after: &Mesh) -> Vec<Difference> {
    let outbound = |mesh: &Mesh| mesh.outbound.as_str().to_owned();
    let sampling = |mesh: &Mesh| words::percent(mesh.sampling_ppm);
    let all = [
        ("outbound", outbound(before), outbound(after)),
        ("tracing.sampling", sampling(before), sampling(after)),
    ];
    differing(None, all)
}

fn workload(before: &Workload, after: &Workload) -> Vec<Difference> {
    let mode = |workload: &Workload| workload.mtls.as_str().to_owned();
    differing(after.services.first(), [("mtls", mode(before), mode(after))])
}

fn cluster(before: &Cluster, after: &Cluster) -> Vec<Difference> {
    let settings = |policy: &ClusterPolicy| {
        let all = words::settings(policy, &Timeouts::default(), &Retry::default());
        all.into_iter().filter(|(field, _)| !is_of_calls(field))
    };
    let pairs = settings(&before.policy).zip(settings(&after.policy));
    let count = |cluster: &Cluster| format!("{} ready", cluster.endpoints.len());
    let endpoints = ("endpoints", count(before), count(after));
    let all = pairs.map(|((field, before), (_, after))| (field, before, after));
    differing(Some(&after.name), all.chain([endpoints]))
}

fn differing<'w>(
    service: Option<&ServiceName>,
    all: impl IntoIterator<Item = (&'w str, String, String)>,
) -> Vec<Difference> {
    let differing = all.into_iter().filter(|(_, before, after)| before != after);
    differing.map(|(what, before, after)| Difference::of(service, what, before, after)).collect()
}
