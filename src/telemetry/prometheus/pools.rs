//! Breakers, ejections and budgets as OpenMetrics text: what one proxy has of one service that it
//! calls. Istio has no names of its own for them, and Envoy's mean something else in places, so
//! these are ours.

use super::{escape, head, line, split};

/// What one proxy says of the pool of one service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PoolCounts<'a> {
    /// The proxy, `namespace/name`.
    pub proxy: &'a str,
    /// Its service, `namespace/service`.
    pub source: &'a str,
    /// The service that it calls, `namespace/service`.
    pub destination: &'a str,
    /// The breaker refused something in the last ten seconds.
    pub breaker_open: bool,
    /// Refused since the proxy began, by reason.
    pub refused: Vec<(&'a str, u64)>,
    /// The limit that adaptive concurrency has found; 0 without it.
    pub concurrency: u32,
    /// Endpoints.
    pub endpoints: u32,
    /// Those that get nothing.
    pub out: usize,
    /// Ejections since the proxy began.
    pub ejections: u64,
    /// All are used, because too few were left.
    pub panic: bool,
    /// Repetitions that the budget did not allow, since the proxy began.
    pub over_budget: u64,
}

/// A family with one sample per pool, or none where there is nothing to say.
struct Family {
    name: &'static str,
    kind: Kind,
    help: &'static str,
    value: fn(&PoolCounts<'_>) -> Option<u64>,
}

#[derive(Clone, Copy)]
enum Kind {
    Gauge,
    Counter,
}

const FAMILIES: &[Family] = &[
    Family {
        name: "meshctl_breaker_open",
        kind: Kind::Gauge,
        help: "Whether the circuit breaker refused something in the last ten seconds",
        value: |pool| Some(pool.breaker_open.into()),
    },
    Family {
        name: "meshctl_breaker_concurrency",
        kind: Kind::Gauge,
        help: "Requests in flight that adaptive concurrency allows",
        value: |pool| (pool.concurrency > 0).then_some(pool.concurrency.into()),
    },
    Family {
        name: "meshctl_pool_endpoints",
        kind: Kind::Gauge,
        help: "Endpoints that the caller knows",
        value: |pool| Some(pool.endpoints.into()),
    },
    Family {
        name: "meshctl_pool_endpoints_ejected",
        kind: Kind::Gauge,
        help: "Endpoints that the caller sends nothing: ejected, unhealthy or taken out by hand",
        value: |pool| u64::try_from(pool.out).ok(),
    },
    Family {
        name: "meshctl_pool_panic",
        kind: Kind::Gauge,
        help: "Whether all endpoints are used because too few were left",
        value: |pool| Some(pool.panic.into()),
    },
    Family {
        name: "meshctl_pool_ejections",
        kind: Kind::Counter,
        help: "Endpoints taken out for what they answered",
        value: |pool| Some(pool.ejections),
    },
    Family {
        name: "meshctl_retries_over_budget",
        kind: Kind::Counter,
        help: "Repetitions that the retry budget did not allow",
        value: |pool| Some(pool.over_budget),
    },
];

pub(super) fn render(text: &mut String, pools: &[PoolCounts<'_>]) {
    if pools.is_empty() {
        return;
    }
    let labelled: Vec<_> = pools.iter().map(|pool| (pool, labels(pool))).collect();
    for Family { name, kind, help, value } in FAMILIES {
        let (kind, suffix) = match kind {
            Kind::Gauge => ("gauge", ""),
            Kind::Counter => ("counter", "_total"),
        };
        head(text, name, kind, help);
        for (pool, labels) in &labelled {
            if let Some(value) = value(pool) {
                line(text, format_args!("{name}{suffix}{{{labels}}} {value}"));
            }
        }
    }
    const REFUSED: &str = "meshctl_breaker_refused";
    head(text, REFUSED, "counter", "What the circuit breaker refused, by reason");
    for (pool, labels) in &labelled {
        for (reason, count) in &pool.refused {
            let reason = escape(reason);
            line(text, format_args!("{REFUSED}_total{{{labels},reason=\"{reason}\"}} {count}"));
        }
    }
}

fn labels(pool: &PoolCounts<'_>) -> String {
    let (_, proxy) = split(pool.proxy);
    let (source_namespace, source) = split(pool.source);
    let (namespace, service) = split(pool.destination);
    let host = format!("{service}.{namespace}.svc.cluster.local");
    let pairs = [
        ("source_proxy", proxy),
        ("source_workload", source),
        ("source_workload_namespace", source_namespace),
        ("destination_service", host.as_str()),
        ("destination_service_name", service),
        ("destination_service_namespace", namespace),
    ];
    let pairs = pairs.map(|(name, value)| format!("{name}=\"{}\"", escape(value)));
    pairs.join(",")
}
