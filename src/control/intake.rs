//! What proxies measured, kept for a short while: edges of the last minute and recent traces.
//!
//! In go the agent stream's metrics and spans, with the time as argument; out come rates, success,
//! latencies, and traces. Everything has a named bound, and what goes over it is dropped (oldest
//! first) or counted under `other`; totals for Prometheus go on for as long as the process lives.

use std::sync::Arc;

use crate::names::ProxyId;
use crate::xds::agent;

pub mod bounds;
pub mod edges;
pub mod traces;

pub use edges::{EdgeFigures, Edges, Recent, Teller};
pub use traces::Traces;

/// Edges and traces together.
#[derive(Debug, Default)]
pub struct Intake {
    /// Who talked to whom.
    pub edges: Edges,
    /// Recent traces.
    pub traces: Traces,
}

impl Intake {
    /// Takes increments that `teller` told; `second` counts seconds of any monotonic clock.
    pub fn metrics(&mut self, metrics: agent::Metrics, teller: &Teller, second: u64) {
        for edge in metrics.edges {
            self.edges.add(edge, teller, second);
        }
    }

    /// Takes spans that `proxy` recorded.
    pub fn spans(&mut self, spans: agent::Spans, proxy: &ProxyId) {
        let name: Arc<str> = proxy.to_string().into();
        for span in spans.spans {
            self.traces.add(span, &name);
        }
    }
}
