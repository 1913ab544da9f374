//! `v1 Service`: what a mesh reads of it.
//!
//! Fields that a mesh cannot affect (addresses of the cluster's own) are accepted; every other
//! field of Kubernetes is refused as not supported yet, because it would change who is called.

use std::net::IpAddr;

use crate::mesh::{Labels, Service, ServicePort, TargetPort};
use crate::names::{Protocol, ServiceName};
use crate::rules::at::{At, Fields, Shape};
use crate::rules::codes;
use crate::rules::document::{Meta, is_label_key, is_label_value};
use crate::rules::problems::{Problems, quoted};
use crate::rules::tree::Value;
use crate::rules::values;

/// More ports than any service has; the same bound as for a route's parts would be too few.
const MAX_PORTS: usize = 256;

const SPEC: Shape = Shape {
    known: &[
        "ports",
        "selector",
        "type",
        "clusterIP",
        "clusterIPs",
        "ipFamilies",
        "ipFamilyPolicy",
        "sessionAffinity",
        "internalTrafficPolicy",
    ],
    later: &[
        "allocateLoadBalancerNodePorts",
        "externalIPs",
        "externalName",
        "externalTrafficPolicy",
        "healthCheckNodePort",
        "loadBalancerClass",
        "loadBalancerIP",
        "loadBalancerSourceRanges",
        "publishNotReadyAddresses",
        "sessionAffinityConfig",
        "trafficDistribution",
    ],
};

const PORT: Shape = Shape {
    known: &["name", "port", "targetPort", "protocol", "appProtocol"],
    later: &["nodePort"],
};

/// The words of `appProtocol`. What is TLS of the application's own is opaque to the mesh, and so
/// are protocols that no rule can look into.
pub(super) const APP_PROTOCOLS: &[(&str, Protocol)] = &[
    ("http", Protocol::Http),
    ("http2", Protocol::Http2),
    ("grpc", Protocol::Grpc),
    ("tcp", Protocol::Tcp),
    ("amqp", Protocol::Tcp),
    ("kafka", Protocol::Tcp),
    ("mongo", Protocol::Tcp),
    ("mongodb", Protocol::Tcp),
    ("mysql", Protocol::Tcp),
    ("postgres", Protocol::Tcp),
    ("postgresql", Protocol::Tcp),
    ("redis", Protocol::Tcp),
    ("smtp", Protocol::Tcp),
    ("https", Protocol::Tcp),
    ("tls", Protocol::Tcp),
    ("kubernetes.io/h2c", Protocol::Http2),
    ("kubernetes.io/ws", Protocol::Http),
    ("kubernetes.io/wss", Protocol::Tcp),
];

/// What a word of `appProtocol` means; `None` for one that a mesh does not know.
pub fn app_protocol(word: &str) -> Option<Protocol> {
    APP_PROTOCOLS.iter().find(|(known, _)| *known == word).map(|(_, protocol)| *protocol)
}

/// Reads the `spec` of a service.
pub(super) fn read<'a>(
    spec: &'a At<'a>,
    meta: &Meta,
    problems: &mut Problems<'_>,
) -> Option<Service> {
    let fields = spec.fields(problems, &SPEC)?;
    let one = |key: &str, word, later: &[&str], problems: &mut Problems<'_>| {
        fields.get(key).map(|at| at.word(problems, &[(word, ())], later));
    };
    one("type", "ClusterIP", &["NodePort", "LoadBalancer", "ExternalName"], problems);
    one("sessionAffinity", "None", &["ClientIP"], problems);
    one("internalTrafficPolicy", "Cluster", &["Local"], problems);
    let (addresses, headless) = own_addresses(&fields, problems);
    let selector = fields.get("selector").map(|at| labels(&at, problems));
    let ports = fields.need(problems, "ports").map(|at| ports(&at, problems))?;
    Some(Service {
        name: ServiceName::new(meta.namespace.clone(), meta.name.as_str().parse().ok()?),
        generation: meta.generation,
        declared: true,
        selector: selector.filter(|labels| !labels.is_empty()),
        addresses,
        headless,
        ports,
    })
}

/// Reads `clusterIP` and `clusterIPs`: the addresses, and whether the service is headless.
fn own_addresses(fields: &Fields<'_>, problems: &mut Problems<'_>) -> (Vec<IpAddr>, bool) {
    const HEADLESS: &str = "None";
    let read = |at: &At<'_>, problems: &mut Problems<'_>| {
        let text = at.text(problems)?;
        let address = text.parse().ok();
        if address.is_none() && !text.is_empty() && text != HEADLESS {
            let message = format!("expected an IP address or `None`, found {}", quoted(text));
            at.error(problems, codes::BAD_TEXT, message);
        }
        Some((address, text == HEADLESS))
    };
    let one = fields.get("clusterIP").and_then(|at| read(&at, problems));
    let mut found: Vec<_> = one.into_iter().collect();
    if let Some(at) = fields.get("clusterIPs") {
        // One per address family.
        let items = at.items(problems, 0, 2);
        found.extend(items.iter().filter_map(|item| read(item, problems)));
    }
    let headless = found.iter().any(|(_, headless)| *headless);
    let mut addresses: Vec<_> = found.into_iter().filter_map(|(address, _)| address).collect();
    addresses.sort_unstable();
    addresses.dedup();
    (addresses, headless)
}

/// Reads labels, or what is selected by them.
pub(super) fn labels<'a>(at: &'a At<'a>, problems: &mut Problems<'_>) -> Labels {
    let mut labels = Labels::new();
    let Some(fields) = at.any_fields(problems) else { return labels };
    for (key, value) in fields.all() {
        let Some(text) = value.text(problems) else { continue };
        let fault = match (is_label_key(key), is_label_value(text)) {
            (true, true) => None,
            (false, _) => Some(format!("{} is not a label's key", quoted(key))),
            (true, false) => Some(format!("{} is not a label's value", quoted(text))),
        };
        match fault {
            None => drop(labels.insert(key.into(), text.into())),
            Some(message) => value.error_with(
                problems,
                codes::BAD_NAME,
                message,
                "at most 63 letters, digits, `-`, `_` and `.`, with a letter or digit at both ends; keys may have a DNS prefix and `/`",
            ),
        }
    }
    labels
}

/// Reads `ports`, ascending.
fn ports<'a>(at: &'a At<'a>, problems: &mut Problems<'_>) -> Vec<ServicePort> {
    let items = at.items(problems, 1, MAX_PORTS);
    let mut ports: Vec<ServicePort> = Vec::with_capacity(items.len());
    for item in &items {
        let Some(port) = port(item, items.len() > 1, problems) else { continue };
        let twice = match ports.iter().find(|p| p.port == port.port || same_name(p, &port)) {
            Some(other) if other.port == port.port => Some(format!("port {}", port.port)),
            Some(_) => Some(format!("port name `{}`", port.name)),
            None => None,
        };
        match twice {
            None => ports.push(port),
            Some(what) => {
                item.error(problems, codes::DUPLICATE_ITEM, format!("{what} stands twice"));
            }
        }
    }
    ports.sort_by_key(|port| port.port);
    ports
}

fn same_name(one: &ServicePort, other: &ServicePort) -> bool {
    !one.name.is_empty() && one.name == other.name
}

fn port<'a>(at: &'a At<'a>, several: bool, problems: &mut Problems<'_>) -> Option<ServicePort> {
    let fields = at.fields(problems, &PORT)?;
    let name = match fields.get("name") {
        Some(at) => port_name(&at, problems),
        None if several => {
            fields.need(problems, "name");
            None
        }
        None => Some(String::new()),
    };
    if let Some(at) = fields.get("protocol") {
        at.word(problems, &[("TCP", ())], &["UDP", "SCTP"]);
    }
    let port = fields.need(problems, "port").and_then(|at| values::port(&at, problems));
    let protocol = match fields.get("appProtocol") {
        Some(at) => at.word(problems, APP_PROTOCOLS, &[]),
        None => Some(Protocol::Detect),
    };
    let target = match fields.get("targetPort") {
        None => port.map(TargetPort::Number),
        Some(at) => target_port(&at, problems),
    };
    Some(ServicePort { name: name?, port: port?, target: target?, protocol: protocol? })
}

fn port_name(at: &At<'_>, problems: &mut Problems<'_>) -> Option<String> {
    let text = at.text(problems)?;
    match crate::names::check_label("port name", text) {
        Ok(()) => Some(text.to_owned()),
        Err(error) => {
            at.error(problems, codes::BAD_NAME, error.to_string());
            None
        }
    }
}

/// A number, or the name of a workload's port (RFC 6335 §5.1).
fn target_port(at: &At<'_>, problems: &mut Problems<'_>) -> Option<TargetPort> {
    let text = match &at.node().value {
        Value::Plain(_) | Value::Text(_) => at.node().as_text(),
        _ => None,
    };
    let Some(text) = text else { return values::port(at, problems).map(TargetPort::Number) };
    let letter = text.bytes().any(|b| b.is_ascii_lowercase());
    if letter && text.len() <= 15 && crate::names::check_label("port name", text).is_ok() {
        return Some(TargetPort::Named(text.to_owned()));
    }
    let message = format!("expected a port from 1 to 65535 or a port's name, found {}", at.found());
    at.error(problems, codes::BAD_PORT, message);
    None
}
