//! `v1 Pod`: the workload that a mesh sees in it.
//!
//! A pod with our sidecar among its containers is called by mutual TLS from its first moment,
//! whether the sidecar is ready or not; whether it takes requests its slices tell. One that has
//! ended is no workload any more, though its object may stay, because its address is given on.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use serde::Deserialize;

use super::meta;
use crate::mesh::{Workload, WorkloadPort};
use crate::names::{Identity, Protocol, ProxyId, ServiceLabel, TrustDomain, sidecar};
use crate::platform::kubernetes::inject::annotations::protocols;
use crate::platform::kubernetes::naming::Names;
use crate::platform::kubernetes::partial::partial;

/// The service account of a pod that names none.
const DEFAULT_ACCOUNT: &str = "default";

/// A pod as it is parsed.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct Pod {
    #[serde(deserialize_with = "meta::slim")]
    metadata: ObjectMeta,
    spec: Option<Spec>,
    status: Option<Status>,
}

partial!(Pod, "", "v1", "Pod", "pods");

#[derive(Debug, Clone, Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
struct Spec {
    service_account_name: Option<String>,
    node_name: Option<String>,
    host_network: Option<bool>,
    init_containers: Vec<Container>,
    containers: Vec<Container>,
}

#[derive(Debug, Clone, Deserialize)]
struct Container {
    name: String,
    #[serde(default)]
    ports: Vec<Port>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Port {
    name: Option<String>,
    container_port: u16,
    protocol: Option<String>,
}

#[derive(Debug, Clone, Deserialize, Default)]
#[serde(default)]
struct Status {
    phase: Option<String>,
    #[serde(rename = "podIP")]
    pod_ip: Option<String>,
    #[serde(rename = "podIPs")]
    pod_ips: Vec<Ip>,
}

#[derive(Debug, Clone, Deserialize)]
struct Ip {
    ip: Option<String>,
}

impl Pod {
    /// The workload; without a body where the pod has ended.
    pub(super) fn read(self, trust_domain: &TrustDomain) -> Option<(ProxyId, Option<Workload>)> {
        let Self { metadata, spec, status } = self;
        let (spec, status) = (spec.unwrap_or_default(), status.unwrap_or_default());
        let namespace = metadata.namespace.as_deref()?;
        let proxy = ProxyId::new(
            namespace.parse().ok()?,
            metadata.name.as_deref().and_then(|name| name.parse().ok())?,
        );
        if matches!(status.phase.as_deref(), Some("Succeeded" | "Failed")) {
            return Some((proxy, None));
        }
        let account = spec.service_account_name.as_deref().filter(|name| !name.is_empty());
        let identity = Identity {
            trust_domain: trust_domain.clone(),
            namespace: proxy.namespace.clone(),
            service_account: account.unwrap_or(DEFAULT_ACCOUNT).parse().ok()?,
        };
        let labels = metadata.labels.clone().unwrap_or_default();
        let version = labels.get("version").or_else(|| labels.get("app.kubernetes.io/version"));
        let workload = Workload {
            proxy: proxy.clone(),
            service: None,
            canonical: canonical(&metadata),
            version: version.cloned().unwrap_or_default(),
            identity,
            addresses: addresses(&status),
            own_address: !spec.host_network.unwrap_or(false),
            ports: ports(&spec, &metadata),
            sidecar: spec.init_containers.iter().any(|it| it.name == sidecar::SIDECAR_CONTAINER),
            ready: false,
            node: spec.node_name.as_deref().filter(|name| !name.is_empty()).map(shared),
            bound: None,
            labels: labels.iter().map(|(key, value)| (shared(key), shared(value))).collect(),
        };
        Some((proxy, Some(workload)))
    }
}

fn shared(text: &str) -> Arc<str> {
    text.into()
}

fn addresses(status: &Status) -> Vec<IpAddr> {
    let several = status.pod_ips.iter().filter_map(|it| it.ip.as_deref());
    let mut addresses: Vec<IpAddr> =
        several.chain(status.pod_ip.as_deref()).filter_map(|ip| ip.parse().ok()).collect();
    addresses.sort_unstable();
    addresses.dedup();
    addresses
}

/// The ports of TCP that its containers name, but for those of the sidecar itself, and those that its
/// annotation says the protocol of. Containers that start before the application may serve as well,
/// so theirs count.
fn ports(spec: &Spec, metadata: &ObjectMeta) -> Vec<WorkloadPort> {
    let containers = spec.containers.iter().chain(&spec.init_containers);
    let of_application = containers.filter(|it| it.name != sidecar::SIDECAR_CONTAINER);
    let mut ports: BTreeMap<u16, WorkloadPort> = BTreeMap::new();
    for port in of_application.flat_map(|container| &container.ports) {
        let tcp = port.protocol.as_deref().is_none_or(|protocol| protocol == "TCP");
        if tcp && port.container_port > 0 {
            let number = port.container_port;
            ports.entry(number).or_insert_with(|| workload_port(number, port.name.as_deref()));
        }
    }
    for (number, protocol) in protocols(metadata.annotations.iter().flatten()) {
        let port = ports.entry(number).or_insert_with(|| workload_port(number, None));
        port.protocol = protocol;
    }
    ports.into_values().collect()
}

fn workload_port(number: u16, name: Option<&str>) -> WorkloadPort {
    WorkloadPort {
        name: name.unwrap_or_default().to_owned(),
        app_port: number,
        dial_port: number,
        service_port: None,
        protocol: Protocol::Detect,
    }
}

/// What telemetry calls it.
fn canonical(metadata: &ObjectMeta) -> ServiceLabel {
    let owner = metadata.owner_references.as_ref().and_then(|owners| owners.first());
    let names = Names {
        workload: None,
        owner: owner.map(|owner| owner.name.as_str()),
        generated: metadata.generate_name.as_deref(),
        own: metadata.name.as_deref(),
    };
    names.service(|key| metadata.labels.as_ref()?.get(key).map(String::as_str))
}
