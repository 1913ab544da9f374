//! Edges as OpenMetrics text, under the names and labels that Istio's dashboards know; the pools of
//! the services that are called beside them, in a file of their own. All families stand in
//! `docs/reference/metrics.md`.
//!
//! In go sums since the start, out comes one text that ends with `# EOF`. Buckets of durations lie
//! on powers of two of a microsecond, where ours end exactly, so nothing is guessed. Label values
//! come from the network and are escaped; their number is bounded by the number of edges.

use std::fmt::Write as _;

use super::faults::{FaultKey, FaultKind};
use super::histogram::{Histogram, bucket_of};
use super::metrics::{EdgeCounts, EdgeKey, Reporter};
use crate::names::Protocol;

mod pools;

pub use pools::PoolCounts;

/// The content type of the text.
pub const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// Buckets from 2^7 µs (0.128 ms) to 2^25 µs (33.6 s).
const LE_POWERS: std::ops::RangeInclusive<u32> = 7..=25;

/// Istio's word for a label without a value.
const UNKNOWN: &str = "unknown";

/// How often a control plane said no.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Refusal {
    /// To what.
    pub what: &'static str,
    /// Why.
    pub reason: &'static str,
    /// How often.
    pub count: u64,
}

/// What there is to render; what is empty is left out.
#[derive(Debug, Default)]
pub struct Families<'a> {
    /// Who talked to whom.
    pub edges: &'a [EdgeCounts],
    /// Pools with something to say.
    pub pools: &'a [PoolCounts<'a>],
    /// Faults that were put in.
    pub faults: &'a [(FaultKey, u64)],
    /// Of the control plane: how long proxies took to acknowledge what changed, and the sum of it in
    /// microseconds.
    pub propagation: Option<(&'a Histogram, u64)>,
    /// Of the control plane: what it said no to.
    pub refused: &'a [Refusal],
}

/// Renders them all.
pub fn render(families: &Families<'_>) -> String {
    let Families { edges, pools, faults, propagation, refused } = *families;
    let mut text = String::new();
    let labelled: Vec<_> = edges.iter().map(|edge| (edge, labels(&edge.key))).collect();
    requests(&mut text, &labelled);
    durations(&mut text, &labelled);
    for family in FAMILIES {
        counter(&mut text, &labelled, family);
    }
    pools::render(&mut text, pools);
    if !faults.is_empty() {
        injected(&mut text, faults);
    }
    if let Some((took, sum_us)) = propagation {
        const NAME: &str = "meshctl_propagation_milliseconds";
        head(&mut text, NAME, "histogram", "From a change to its acknowledgement by a proxy");
        histogram(&mut text, NAME, "", took, sum_us);
    }
    if !refused.is_empty() {
        refusals(&mut text, refused);
    }
    text.push_str("# EOF\n");
    text
}

type Labelled<'a> = (&'a EdgeCounts, String);

/// A family with one counter per edge.
struct Family {
    name: &'static str,
    help: &'static str,
    opaque: bool,
    value: fn(&EdgeCounts) -> u64,
}

const FAMILIES: &[Family] = &[
    Family {
        name: "istio_tcp_connections_opened",
        help: "Opaque connections opened",
        opaque: true,
        value: |edge| edge.connections_opened,
    },
    Family {
        name: "istio_tcp_connections_closed",
        help: "Opaque connections closed",
        opaque: true,
        value: |edge| edge.connections_closed,
    },
    Family {
        name: "istio_tcp_received_bytes",
        help: "Bytes of opaque connections towards the destination",
        opaque: true,
        value: |edge| edge.request_bytes,
    },
    Family {
        name: "istio_tcp_sent_bytes",
        help: "Bytes of opaque connections towards the source",
        opaque: true,
        value: |edge| edge.response_bytes,
    },
    Family {
        name: "meshctl_request_body_bytes",
        help: "Bytes of request bodies",
        opaque: false,
        value: |edge| edge.request_bytes,
    },
    Family {
        name: "meshctl_response_body_bytes",
        help: "Bytes of response bodies",
        opaque: false,
        value: |edge| edge.response_bytes,
    },
];

fn requests(text: &mut String, edges: &[Labelled<'_>]) {
    head(text, "istio_requests", "counter", "Requests by answer");
    for (edge, labels) in edges {
        for one in &edge.requests {
            let flags = if one.reason.is_empty() { "-" } else { &one.reason };
            let code = one.status;
            let grpc = one.grpc.map(|code| format!(",grpc_response_status=\"{code}\""));
            line(
                text,
                format_args!(
                    "istio_requests_total{{{labels},response_code=\"{code}\",response_flags=\"{}\"{}}} {}",
                    escape(flags),
                    grpc.unwrap_or_default(),
                    one.count
                ),
            );
        }
    }
}

fn durations(text: &mut String, edges: &[Labelled<'_>]) {
    const NAME: &str = "istio_request_duration_milliseconds";
    head(text, NAME, "histogram", "Duration of requests");
    for (edge, labels) in edges {
        if edge.durations.count() > 0 {
            histogram(text, NAME, labels, &edge.durations, edge.duration_sum_us);
        }
    }
}

/// One series of a histogram, whose labels are without braces.
fn histogram(text: &mut String, name: &str, labels: &str, took: &Histogram, sum_us: u64) {
    let (count, sum) = (took.count(), milliseconds(sum_us));
    let (comma, braced) = match labels {
        "" => ("", String::new()),
        _ => (",", format!("{{{labels}}}")),
    };
    for power in LE_POWERS {
        let bound = 1_u64 << power;
        let below = took.count_below(bucket_of(bound));
        let le = milliseconds(bound);
        line(text, format_args!("{name}_bucket{{{labels}{comma}le=\"{le}\"}} {below}"));
    }
    line(text, format_args!("{name}_bucket{{{labels}{comma}le=\"+Inf\"}} {count}"));
    line(text, format_args!("{name}_sum{braced} {sum}"));
    line(text, format_args!("{name}_count{braced} {count}"));
}

fn counter(text: &mut String, edges: &[Labelled<'_>], family: &Family) {
    head(text, family.name, "counter", family.help);
    for (edge, labels) in edges {
        if (edge.key.protocol == Protocol::Tcp) == family.opaque {
            let value = (family.value)(edge);
            line(text, format_args!("{}_total{{{labels}}} {value}", family.name));
        }
    }
}

fn injected(text: &mut String, faults: &[(FaultKey, u64)]) {
    head(text, "meshctl_faults", "counter", "Faults put in on purpose, by policy");
    for (FaultKey { policy, kind, mode }, count) in faults {
        let policy = escape(or_unknown(&policy.0));
        let fault = match kind {
            FaultKind::Delay => "delay",
            FaultKind::Abort => "abort",
        };
        line(
            text,
            format_args!(
                "meshctl_faults_total{{policy=\"{policy}\",fault=\"{fault}\",mode=\"{mode:?}\"}} {count}"
            ),
        );
    }
}

fn refusals(text: &mut String, refused: &[Refusal]) {
    head(text, "meshctl_control_plane_refused", "counter", "What the control plane said no to");
    for Refusal { what, reason, count } in refused {
        line(
            text,
            format_args!(
                "meshctl_control_plane_refused_total{{what=\"{what}\",reason=\"{reason}\"}} {count}"
            ),
        );
    }
}

fn head(text: &mut String, name: &str, kind: &str, help: &str) {
    line(text, format_args!("# TYPE {name} {kind}"));
    line(text, format_args!("# HELP {name} {help}."));
}

/// Writing to a `String` cannot fail.
fn line(text: &mut String, content: std::fmt::Arguments<'_>) {
    let _ = writeln!(text, "{content}");
}

/// The labels that all families share, without braces.
fn labels(key: &EdgeKey) -> String {
    let (source_namespace, source) = split(&key.source);
    let (backend_namespace, backend) = split(&key.backend);
    let (service_namespace, service) = split(&key.destination);
    let host = match key.destination.contains('/') {
        true => format!("{service}.{service_namespace}.svc.cluster.local"),
        false => service.to_owned(),
    };
    let reporter = match key.reporter {
        Reporter::Source => "source",
        Reporter::Destination => "destination",
    };
    let security = if key.mtls { "mutual_tls" } else { "none" };
    let pairs = [
        ("reporter", reporter),
        ("source_workload", source),
        ("source_workload_namespace", source_namespace),
        ("source_principal", or_unknown(&key.source_identity)),
        ("destination_workload", backend),
        ("destination_workload_namespace", backend_namespace),
        ("destination_version", or_unknown(&key.destination_version)),
        ("destination_service", host.as_str()),
        ("destination_service_name", service),
        ("destination_service_namespace", service_namespace),
        ("request_protocol", key.protocol.as_str()),
        ("connection_security_policy", security),
    ];
    let pairs = pairs.map(|(name, value)| format!("{name}=\"{}\"", escape(value)));
    pairs.join(",")
}

/// Namespace and name; what has no namespace is a host.
fn split(qualified: &str) -> (&str, &str) {
    match qualified.split_once('/') {
        Some((namespace, name)) => (namespace, name),
        None => (UNKNOWN, or_unknown(qualified)),
    }
}

fn or_unknown(value: &str) -> &str {
    if value.is_empty() { UNKNOWN } else { value }
}

/// OpenMetrics §4.1.1: backslash, quote and line feed.
fn escape(value: &str) -> String {
    value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

/// Microseconds as a decimal number of milliseconds.
fn milliseconds(micros: u64) -> String {
    format!("{}.{:03}", micros / 1_000, micros % 1_000)
}
