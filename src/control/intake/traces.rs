//! Recent traces, whole: the spans of all proxies put together by trace id.
//!
//! Bounded by traces, spans and bytes; the trace that began longest ago goes first. A span is as
//! its proxy sent it, with the proxy's name filled in here, so that no proxy can speak for another.

use std::collections::{HashMap, VecDeque};

use jiff::Timestamp;

use crate::control::api::shapes::{API_VERSION, Trace, TraceEvent, TraceSpan, TraceSummary};
use crate::telemetry::span::MAX_EVENTS;
use crate::xds::agent::{Span, SpanEvent};

#[cfg(test)]
mod tests;

/// Traces kept.
pub const TRACES_MAX: usize = 2_000;

/// Spans kept, over all traces.
pub const SPANS_MAX: usize = 20_000;

/// Spans of one trace; further ones are dropped.
pub const SPANS_PER_TRACE: usize = 1_000;

/// Bytes of text kept, over all spans.
pub const BYTES_MAX: usize = 16 * 1024 * 1024;

/// The 16 bytes of a W3C trace id.
pub type TraceId = [u8; 16];

/// The traces.
#[derive(Debug, Default)]
pub struct Traces {
    traces: HashMap<TraceId, Vec<Span>>,
    /// In order of their first span.
    order: VecDeque<TraceId>,
    spans: usize,
    bytes: usize,
}

/// Which traces to list.
#[derive(Debug, Clone, Default)]
pub struct Filter {
    /// Only those with a span of this service, `namespace/service` or `service`.
    pub service: Option<String>,
    /// Only those whose root had this status.
    pub status: Option<u32>,
    /// Only those that took at least so many milliseconds.
    pub min_ms: Option<f64>,
    /// At most so many.
    pub limit: usize,
}

impl Traces {
    /// Takes a span that `proxy` recorded.
    pub fn add(&mut self, mut span: Span, proxy: &str) {
        let Ok(id) = TraceId::try_from(span.trace_id.as_slice()) else { return };
        if id == TraceId::default() || span.span_id == 0 {
            return;
        }
        proxy.clone_into(&mut span.proxy);
        span.events.truncate(MAX_EVENTS);
        let size = size(&span);
        let spans = self.traces.entry(id).or_insert_with(|| {
            self.order.push_back(id);
            Vec::new()
        });
        if spans.len() >= SPANS_PER_TRACE {
            return;
        }
        spans.push(span);
        self.spans += 1;
        self.bytes += size;
        while self.order.len() > TRACES_MAX || self.spans > SPANS_MAX || self.bytes > BYTES_MAX {
            let Some(oldest) = self.order.pop_front() else { break };
            for span in self.traces.remove(&oldest).unwrap_or_default() {
                self.spans -= 1;
                self.bytes -= self::size(&span);
            }
        }
    }

    /// Those that pass `filter`, newest first.
    pub fn list(&self, filter: &Filter) -> Vec<TraceSummary> {
        let ids = self.order.iter().rev();
        let all = ids.filter_map(|id| Some(summary(id, self.traces.get(id)?)));
        let chosen = all.filter(|trace| {
            filter.status.is_none_or(|status| trace.status == status)
                && filter.min_ms.is_none_or(|least| trace.duration_ms >= least)
                && filter.service.as_ref().is_none_or(|service| passed(trace, service))
        });
        chosen.take(filter.limit).collect()
    }

    /// One of them, whole.
    pub fn get(&self, id: &TraceId) -> Option<Trace> {
        let mut spans: Vec<&Span> = self.traces.get(id)?.iter().collect();
        // A client span encloses the server span that may have begun in the same instant.
        spans.sort_by_key(|span| (span.start_ns, span.server, span.span_id));
        let start = spans.first().map_or(0, |span| span.start_ns);
        Some(Trace {
            api_version: API_VERSION.to_owned(),
            kind: "Trace".to_owned(),
            id: hex(id),
            spans: spans.into_iter().map(|span| trace_span(span, start)).collect(),
        })
    }
}

/// Reads 32 hexadecimal digits.
pub fn parse_id(text: &str) -> Option<TraceId> {
    let digits = text.len() == 32 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    let number = u128::from_str_radix(text, 16).ok().filter(|_| digits)?;
    Some(number.to_be_bytes())
}

fn size(span: &Span) -> usize {
    let texts = [&span.name, &span.service, &span.peer, &span.reason, &span.rule, &span.endpoint];
    let event = |event: &SpanEvent| {
        event.what.len() + event.endpoint.len() + event.why.len() + size_of::<SpanEvent>()
    };
    let texts = texts.iter().map(|text| text.len()).sum::<usize>();
    texts + span.events.iter().map(event).sum::<usize>() + size_of::<Span>()
}

fn hex(id: &TraceId) -> String {
    format!("{:032x}", u128::from_be_bytes(*id))
}

fn passed(trace: &TraceSummary, service: &str) -> bool {
    trace.services.iter().any(|there| {
        there == service || there.split_once('/').is_some_and(|(_, name)| name == service)
    })
}

fn summary(id: &TraceId, spans: &[Span]) -> TraceSummary {
    let mut ordered: Vec<&Span> = spans.iter().collect();
    ordered.sort_by_key(|span| (span.start_ns, span.server, span.span_id));
    let start = ordered.first().map_or(0, |span| span.start_ns);
    let ends = ordered.iter().map(|span| span.start_ns.saturating_add(span.duration_ns));
    let end = ends.max().unwrap_or(start);
    let mut services: Vec<String> = Vec::new();
    for span in &ordered {
        if !span.service.is_empty() && !services.contains(&span.service) {
            services.push(span.service.clone());
        }
    }
    let root = ordered.iter().find(|span| span.parent_id == 0).or(ordered.first());
    TraceSummary {
        id: hex(id),
        start: timestamp(start),
        duration_ms: millis(end - start),
        services,
        spans: spans.len(),
        status: root.map_or(0, |span| span.status),
        name: root.map(|span| span.name.clone()).unwrap_or_default(),
    }
}

fn trace_span(span: &Span, start: u64) -> TraceSpan {
    let parent = match span.parent_id {
        0 => String::new(),
        id => format!("{id:016x}"),
    };
    TraceSpan {
        id: format!("{:016x}", span.span_id),
        parent,
        proxy: span.proxy.clone(),
        service: span.service.clone(),
        side: if span.server { "server" } else { "client" }.to_owned(),
        peer: span.peer.clone(),
        name: span.name.clone(),
        start: timestamp(span.start_ns),
        offset_ms: millis(span.start_ns.saturating_sub(start)),
        duration_ms: millis(span.duration_ns),
        status: span.status,
        reason: span.reason.clone(),
        attempts: span.attempts,
        rule: span.rule.clone(),
        endpoint: span.endpoint.clone(),
        events: span.events.iter().map(|event| trace_event(event, span, start)).collect(),
    }
}

fn trace_event(event: &SpanEvent, span: &Span, start: u64) -> TraceEvent {
    let began = span.start_ns.saturating_sub(start);
    TraceEvent {
        offset_ms: millis(began.saturating_add(event.offset_ns)),
        what: event.what.clone(),
        attempt: event.attempt,
        endpoint: event.endpoint.clone(),
        why: event.why.clone(),
    }
}

fn millis(nanoseconds: u64) -> f64 {
    nanoseconds as f64 / 1e6
}

fn timestamp(nanoseconds: u64) -> Timestamp {
    Timestamp::from_nanosecond(i128::from(nanoseconds)).unwrap_or(Timestamp::UNIX_EPOCH)
}
