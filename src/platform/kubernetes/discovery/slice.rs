//! `discovery.k8s.io/v1 EndpointSlice`: what a mesh reads of it.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use serde::Deserialize;

use super::meta;
use crate::mesh::{Readiness, Slice, SliceEndpoint, SlicePort};
use crate::names::{ProxyId, ServiceName, SliceName};
use crate::platform::kubernetes::partial::partial;

/// Names the service that a slice is of.
pub(super) const SERVICE_LABEL: &str = "kubernetes.io/service-name";

/// A slice as it is parsed.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct EndpointSlice {
    #[serde(deserialize_with = "meta::slim")]
    metadata: ObjectMeta,
    #[serde(default)]
    address_type: String,
    /// `null` where there is none, as the API server writes it.
    ports: Option<Vec<Port>>,
    endpoints: Option<Vec<Endpoint>>,
}

partial!(EndpointSlice, "discovery.k8s.io", "v1", "EndpointSlice", "endpointslices");

#[derive(Debug, Clone, Deserialize)]
struct Port {
    name: Option<String>,
    port: Option<u16>,
    protocol: Option<String>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Endpoint {
    #[serde(default)]
    addresses: Vec<String>,
    #[serde(default)]
    conditions: Conditions,
    target_ref: Option<Target>,
    zone: Option<String>,
}

/// What is not said counts as the API's reference has it.
#[derive(Debug, Clone, Default, Deserialize)]
struct Conditions {
    ready: Option<bool>,
    serving: Option<bool>,
    terminating: Option<bool>,
}

#[derive(Debug, Clone, Deserialize)]
struct Target {
    kind: Option<String>,
    namespace: Option<String>,
    name: Option<String>,
}

impl EndpointSlice {
    /// The slice of the mesh; without a body where it is none of a service by addresses.
    pub(super) fn read(self) -> Option<(SliceName, Option<Slice>)> {
        let (namespace, name) = (self.metadata.namespace?, self.metadata.name?);
        let name = SliceName::new(namespace.parse().ok()?, name.parse().ok()?);
        let service = self.metadata.labels.as_ref().and_then(|it| it.get(SERVICE_LABEL));
        let service = service.and_then(|service| service.parse().ok());
        // `FQDN` slices hold names to be resolved: nothing that traffic comes to by itself.
        let Some(service) = service.filter(|_| self.address_type != "FQDN") else {
            return Some((name, None));
        };
        let endpoints = self.endpoints.unwrap_or_default().into_iter();
        let slice = Slice {
            service: ServiceName::new(name.namespace.clone(), service),
            ports: self.ports.unwrap_or_default().into_iter().filter_map(port).collect(),
            endpoints: endpoints.filter_map(|it| endpoint(&name, it)).collect(),
            name: name.clone(),
        };
        Some((name, Some(slice)))
    }
}

fn port(port: Port) -> Option<SlicePort> {
    if port.protocol.is_some_and(|protocol| protocol != "TCP") {
        return None;
    }
    Some(SlicePort { name: port.name.unwrap_or_default(), port: port.port.filter(|it| *it > 0)? })
}

fn endpoint(slice: &SliceName, endpoint: Endpoint) -> Option<SliceEndpoint> {
    let addresses: Vec<_> =
        endpoint.addresses.iter().filter_map(|address| address.parse().ok()).collect();
    if addresses.is_empty() {
        return None;
    }
    let Conditions { ready, serving, terminating } = endpoint.conditions;
    let ready = ready.unwrap_or(true);
    let draining = serving.unwrap_or(ready) && terminating.unwrap_or(false);
    let readiness = match (ready, draining) {
        (true, _) => Readiness::Ready,
        (false, true) => Readiness::Draining,
        (false, false) => Readiness::NotReady,
    };
    let zone = endpoint.zone.filter(|zone| !zone.is_empty()).map(Into::into);
    Some(SliceEndpoint { addresses, readiness, pod: pod(slice, endpoint.target_ref), zone })
}

/// The pod that an endpoint names; one of another namespace is none of a service's, so that there
/// the address alone tells who it is.
fn pod(slice: &SliceName, target: Option<Target>) -> Option<ProxyId> {
    let target = target.filter(|target| target.kind.as_deref() == Some("Pod"))?;
    let own = |namespace: &String| namespace == slice.namespace.as_str();
    if !target.namespace.as_ref().is_none_or(own) {
        return None;
    }
    Some(ProxyId::new(slice.namespace.clone(), target.name?.parse().ok()?))
}
