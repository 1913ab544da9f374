//! Discovery: what the API server knows, as changes of the mesh, in one stream.
//!
//! In go watches of Services, EndpointSlices, Pods, Nodes, routes and our own kinds; out come a first
//! complete state and then, in the order told, what became different. Only what a mesh reads is
//! kept, from the moment it is parsed. Nothing is forgotten because something failed: an object
//! goes when it is told to be deleted, or when a complete list lacks it; and where a list lacks more
//! than half of what was there, only when a second one says the same (see `ledger`).
//!
//! A kind whose definition is not installed is looked for again and again, so that it is found when
//! it comes later. Where a definition goes, the API server tells of each of its objects first; should
//! that have been missed, what is known holds until the kind is back or the control plane restarts.

use std::sync::Arc;

use kube::api::{Api, ApiResource, DynamicObject, GroupVersionKind};
use kube::runtime::watcher;
use kube::{Client, Resource};
use serde::de::DeserializeOwned;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::mesh::{Change, ObjectKind, ObjectRef};
use crate::names::TrustDomain;

mod ledger;
mod meta;
mod node;
mod object;
mod pod;
mod slice;
#[cfg(test)]
mod tests;
mod watch;

pub use object::Seen;

use watch::{Told, Watch};

/// Messages that may wait; a watch waits when it is full.
const QUEUE: usize = 1_024;

/// Objects per page of a list: what is parsed at once.
const PAGE: u32 = 100;

/// Seconds after which a watch is begun anew, so that a dead connection is noticed.
const WATCH_SECONDS: u32 = 60;

/// One thing that became different.
#[derive(Debug, Clone)]
pub enum Update {
    /// An object that users write came or changed, or is gone.
    Object(ObjectRef, Option<Arc<Seen>>),
    /// What the cluster itself tells: pods and slices.
    Mesh(Change),
}

/// The stream of changes, and where it begins.
#[derive(Debug)]
pub struct Discovery {
    /// Everything there is, when the stream begins.
    pub first: Vec<Update>,
    told: mpsc::Receiver<Told>,
}

impl Discovery {
    /// Watches until `stop` or until it is dropped. Returns when every kind was listed once, or is
    /// known not to be there; that may take as long as the API server is away. `None`: stopped.
    pub async fn start(
        client: &Client,
        trust_domain: &TrustDomain,
        stop: &CancellationToken,
    ) -> Option<Self> {
        let (sender, mut told) = mpsc::channel(QUEUE);
        let mut awaited = watch_all(client, trust_domain, stop, &sender);
        drop(sender);
        let mut first = Vec::new();
        while awaited > 0 {
            match told.recv().await? {
                Told::Updates(updates) => first.extend(updates),
                Told::Synced => awaited -= 1,
            }
        }
        Some(Self { first, told })
    }

    /// What became different next, as one step; `None` when it was stopped.
    pub async fn next(&mut self) -> Option<Vec<Update>> {
        loop {
            if let Told::Updates(updates) = self.told.recv().await? {
                return Some(updates);
            }
        }
    }
}

/// Starts every watch; how many there are.
fn watch_all(
    client: &Client,
    trust_domain: &TrustDomain,
    stop: &CancellationToken,
    told: &mpsc::Sender<Told>,
) -> usize {
    let starts = Start { stop, told };
    let domain = trust_domain.clone();
    starts.spawn(Watch {
        kind: "Pod",
        api: Api::<pod::Pod>::all(client.clone()),
        config: config().fields("status.phase!=Succeeded,status.phase!=Failed"),
        defined: None,
        read: move |pod: pod::Pod| pod.read(&domain),
        update: |id, workload| Update::Mesh(Change::Workload(id, workload)),
    });
    starts.spawn(Watch {
        kind: "EndpointSlice",
        api: Api::<slice::EndpointSlice>::all(client.clone()),
        config: config().labels(slice::SERVICE_LABEL),
        defined: None,
        read: slice::EndpointSlice::read,
        update: |id, slice| Update::Mesh(Change::Slice(id, slice)),
    });
    starts.spawn(Watch {
        kind: "Node",
        api: Api::<node::Node>::all(client.clone()),
        config: config(),
        defined: None,
        read: node::Node::read,
        update: |name, zone| {
            Update::Mesh(Change::Node(name, zone.map(|it: Arc<String>| it.as_str().into())))
        },
    });
    for kind in ObjectKind::ALL {
        let resource = resource(kind);
        starts.spawn(Watch {
            kind: kind.as_str(),
            api: Api::<DynamicObject>::all_with(client.clone(), &resource),
            config: config(),
            defined: (kind != ObjectKind::Service).then(|| (client.clone(), resource)),
            read: move |object| object::read(kind, object),
            update: Update::Object,
        });
    }
    3 + ObjectKind::ALL.len()
}

struct Start<'a> {
    stop: &'a CancellationToken,
    told: &'a mpsc::Sender<Told>,
}

impl Start<'_> {
    fn spawn<K, I, T, R>(&self, watch: Watch<K, I, T, R>)
    where
        K: Resource + Clone + DeserializeOwned + std::fmt::Debug + Send + 'static,
        I: Ord + Clone + Send + 'static,
        T: PartialEq + Send + Sync + 'static,
        R: FnMut(K) -> Option<(I, Option<T>)> + Send + 'static,
    {
        let (stop, told) = (self.stop.clone(), self.told.clone());
        tokio::spawn(async move {
            stop.run_until_cancelled(watch.run(told)).await;
        });
    }
}

fn config() -> watcher::Config {
    watcher::Config::default().page_size(PAGE).timeout(WATCH_SECONDS)
}

/// How the API server calls the objects of a kind.
pub fn resource(kind: ObjectKind) -> ApiResource {
    let (group, version) = match kind.api_version().split_once('/') {
        Some(parts) => parts,
        None => ("", kind.api_version()),
    };
    let plural = match kind {
        ObjectKind::Service => "services",
        ObjectKind::HttpRoute => "httproutes",
        ObjectKind::TrafficPolicy => "trafficpolicies",
        ObjectKind::FaultPolicy => "faultpolicies",
        ObjectKind::MeshConfig => "meshconfigs",
    };
    ApiResource::from_gvk_with_plural(&GroupVersionKind::gvk(group, version, kind.as_str()), plural)
}
