//! Resources and counters as JSON, for people and scripts that look into one proxy.

use serde_json::{Value, json};

use super::policy::{of_pool, of_retry};
use crate::names::ServiceName;
use crate::resource::{
    AbortHow, Address, Backend, Cluster, Endpoint, Fault, FaultSource, Field, FieldMatch,
    HeaderEdit, Host, Mesh, PathEdit, PathMatch, Redirect, Resource, Rewrite, RouteMatch, Rule,
    Scheme, Service, ServicePort, ValueMatch, Workload,
};
use crate::telemetry::limits::Limit;
use crate::telemetry::metrics::{EdgeCounts, Reporter};

/// One resource.
pub(super) fn resource(resource: &Resource) -> Value {
    match resource {
        Resource::Mesh(mesh) => of_mesh(mesh),
        Resource::Workload(workload) => of_workload(workload),
        Resource::Service(service) => of_service(service),
        Resource::Cluster(cluster) => of_cluster(cluster),
        Resource::Address(Address { address, service, port }) => {
            json!({"address": address.to_string(), "service": service.to_string(), "port": port})
        }
        Resource::Host(host) => of_host(host),
    }
}

fn of_host(host: &Host) -> Value {
    let ports = host.ports.iter().map(|(port, protocol)| (port.to_string(), protocol.as_str()));
    json!({
        "address": host.ip.to_string(),
        "service": host.service.to_string(),
        "workload": host.workload.to_string(),
        "identity": host.identity.as_ref().map(ToString::to_string),
        "version": host.version,
        "ports": ports.collect::<std::collections::BTreeMap<_, _>>(),
    })
}

/// A limit that was reached.
pub(super) fn limit((limit, count): &(Limit, u64)) -> Value {
    json!({"limit": limit.as_str(), "most": limit.most(), "hits": count})
}

/// The sums of one edge.
pub(super) fn edge(edge: &EdgeCounts) -> Value {
    let key = &edge.key;
    let requests = edge
        .requests
        .iter()
        .map(|one| json!({"status": one.status, "reason": one.reason, "count": one.count}));
    let millis = |q| edge.durations.quantile(q).map(|time| time.as_secs_f64() * 1e3);
    json!({
        "reporter": match key.reporter {
            Reporter::Source => "source",
            Reporter::Destination => "destination",
        },
        "source": *key.source,
        "sourceIdentity": *key.source_identity,
        "destination": *key.destination,
        "backend": *key.backend,
        "destinationVersion": *key.destination_version,
        "protocol": key.protocol.as_str(),
        "mtls": key.mtls,
        "requests": requests.collect::<Vec<_>>(),
        "latency": {"p50": millis(0.5), "p95": millis(0.95), "p99": millis(0.99)},
        "connectionsOpened": edge.connections_opened,
        "connectionsClosed": edge.connections_closed,
        "requestBytes": edge.request_bytes,
        "responseBytes": edge.response_bytes,
    })
}

fn list<T>(items: &[T], one: impl Fn(&T) -> Value) -> Value {
    items.iter().map(one).collect()
}

fn of_mesh(mesh: &Mesh) -> Value {
    json!({
        "trustDomain": mesh.trust_domain,
        "roots": mesh.roots.len(),
        "outbound": mesh.outbound.as_str(),
        "samplingPerMillion": mesh.sampling_ppm,
    })
}

fn of_workload(workload: &Workload) -> Value {
    json!({
        "proxy": workload.proxy,
        "identity": workload.identity.to_string(),
        "services": list(&workload.services, |name: &ServiceName| name.to_string().into()),
        "zone": workload.zone,
        "mtls": workload.mtls.as_str(),
        "ports": list(&workload.ports, |port| json!({
            "port": port.port, "protocol": port.protocol.as_str(), "mtls": port.mtls.as_str(),
        })),
    })
}

fn of_service(service: &Service) -> Value {
    json!({
        "name": service.name,
        "consumer": service.consumer,
        "overriddenIn": service.overridden_in,
        "ports": list(&service.ports, of_port),
    })
}

fn of_port(port: &ServicePort) -> Value {
    json!({
        "port": port.port,
        "protocol": port.protocol.as_str(),
        "matches": list(&port.matches, of_match),
        "rules": list(&port.rules, of_rule),
        "faults": list(&port.faults, of_fault),
    })
}

fn of_fault(fault: &Fault) -> Value {
    let source = |source: &FaultSource| match source {
        FaultSource::Identity(namespace, account) => json!(format!("ns/{namespace}/sa/{account}")),
        FaultSource::Namespace(namespace) => json!(format!("ns/{namespace}")),
    };
    let abort = fault.abort.map(|abort| {
        let (status, code) = match abort.how {
            AbortHow::Status(status) => (Some(status), None),
            AbortHow::Grpc(code) => (None, Some(code)),
            AbortHow::Reset => (None, None),
        };
        let reset = abort.how == AbortHow::Reset;
        json!({"status": status, "grpcCode": code, "reset": reset, "perMillion": abort.ppm})
    });
    let delay = fault.delay.map(
        |delay| json!({"durationMs": delay.duration.as_secs_f64() * 1e3, "perMillion": delay.ppm}),
    );
    json!({
        "id": *fault.id.0,
        "from": list(&fault.from, source),
        "matches": list(&fault.matches, of_match),
        "delay": delay,
        "abort": abort,
        "expires": fault.expires,
        "shadow": fault.shadow,
    })
}

fn of_match(one: &RouteMatch) -> Value {
    let (path, value) = match &one.path {
        PathMatch::Exact(value) => ("Exact", value),
        PathMatch::Prefix(value) => ("PathPrefix", value),
        PathMatch::Regex(value) => ("RegularExpression", value),
    };
    json!({
        "rule": one.rule,
        "path": {"type": path, "value": value},
        "method": one.method,
        "headers": list(&one.headers, of_field_match),
        "query": list(&one.query, of_field_match),
    })
}

fn of_field_match(field: &FieldMatch) -> Value {
    let (kind, value) = match &field.value {
        ValueMatch::Exact(value) => ("Exact", value),
        ValueMatch::Regex(value) => ("RegularExpression", value),
    };
    json!({"name": field.name, "type": kind, "value": value})
}

fn of_rule(rule: &Rule) -> Value {
    let millis = |limit: Option<std::time::Duration>| limit.map(|time| time.as_secs_f64() * 1e3);
    json!({
        "id": *rule.id.0,
        "backends": list(&rule.backends, of_backend),
        "requestHeaders": of_edit(&rule.request_headers),
        "responseHeaders": of_edit(&rule.response_headers),
        "redirect": rule.redirect.as_ref().map(of_redirect),
        "rewrite": of_rewrite(&rule.rewrite),
        "requestTimeoutMs": millis(rule.timeouts.request),
        "backendRequestTimeoutMs": millis(rule.timeouts.backend_request),
        "retry": of_retry(&rule.retry),
    })
}

fn of_backend(backend: &Backend) -> Value {
    json!({
        "service": backend.service,
        "port": backend.port,
        "weight": backend.weight,
        "resolved": backend.resolved,
        "requestHeaders": of_edit(&backend.request_headers),
        "responseHeaders": of_edit(&backend.response_headers),
        "rewrite": of_rewrite(&backend.rewrite),
    })
}

fn of_redirect(redirect: &Redirect) -> Value {
    json!({
        "scheme": redirect.scheme.map(Scheme::as_str),
        "hostname": redirect.hostname,
        "path": redirect.path.as_ref().map(of_path_edit),
        "port": redirect.port,
        "status": redirect.status,
    })
}

fn of_rewrite(rewrite: &Rewrite) -> Value {
    json!({"hostname": rewrite.hostname, "path": rewrite.path.as_ref().map(of_path_edit)})
}

fn of_path_edit(edit: &PathEdit) -> Value {
    match edit {
        PathEdit::Full(full) => json!({"type": "ReplaceFullPath", "value": full}),
        PathEdit::Prefix { matched, replacement } => {
            json!({"type": "ReplacePrefixMatch", "value": replacement, "matched": matched})
        }
    }
}

fn of_edit(edit: &HeaderEdit) -> Value {
    let field = |field: &Field| json!({"name": field.name, "value": field.value});
    json!({"set": list(&edit.set, field), "add": list(&edit.add, field), "remove": edit.remove})
}

fn of_cluster(cluster: &Cluster) -> Value {
    let policy = &cluster.policy;
    json!({
        "name": cluster.name,
        "ports": list(&cluster.ports, |port| json!({
            "port": port.port, "protocol": port.protocol.as_str(),
        })),
        "connectTimeoutMs": policy.connect_timeout.as_secs_f64() * 1e3,
        "httpIdleMs": policy.http_idle.as_secs_f64() * 1e3,
        "tcpIdleMs": policy.tcp_idle.as_secs_f64() * 1e3,
        "policy": of_pool(policy),
        "endpoints": list(&cluster.endpoints, |endpoint| of_endpoint(endpoint)),
    })
}

fn of_endpoint(endpoint: &Endpoint) -> Value {
    json!({
        "workload": endpoint.workload,
        "addresses": endpoint.addresses,
        "ports": list(&endpoint.ports, |port| json!({
            "servicePort": port.service_port, "targetPort": port.target_port,
        })),
        "identity": endpoint.identity.as_ref().map(ToString::to_string),
        "version": endpoint.version,
        "weight": endpoint.weight,
        "zone": endpoint.zone,
    })
}
