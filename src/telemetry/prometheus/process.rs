//! Limits that were reached and panics that were contained, as OpenMetrics text: of the proxies and
//! of the control plane alike, told apart by the label `proxy`.

use super::{escape, head, line};

/// What one process says of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProcessCounts<'a> {
    /// The proxy, `namespace/name`, or `control-plane`.
    pub proxy: &'a str,
    /// How often each limit was reached since it began, by the limit's word.
    pub limits: Vec<(&'a str, u64)>,
    /// Panics that were contained since it began.
    pub panics: u64,
}

pub(super) fn render(text: &mut String, processes: &[ProcessCounts<'_>]) {
    const HITS: &str = "meshctl_limit_hits";
    const PANICS: &str = "meshctl_panics";
    head(text, HITS, "counter", "How often a limit was reached, by limit");
    for ProcessCounts { proxy, limits, .. } in processes {
        let proxy = escape(proxy);
        for (limit, count) in limits {
            let limit = escape(limit);
            line(text, format_args!("{HITS}_total{{proxy=\"{proxy}\",limit=\"{limit}\"}} {count}"));
        }
    }
    head(text, PANICS, "counter", "Panics, each of which ended one task");
    for ProcessCounts { proxy, panics, .. } in processes {
        let proxy = escape(proxy);
        line(text, format_args!("{PANICS}_total{{proxy=\"{proxy}\"}} {panics}"));
    }
}
