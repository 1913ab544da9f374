//! What the control plane of the demo says: who calls whom, and a trace over all services.
//!
//! Asked by the commands that a user would type, read from the JSON that scripts rely on.

use parking_lot::Mutex;

use super::seen::{Seen, Waterfall};
use super::stage::Stage;
use crate::control::api::shapes::{MeshStatus, ProxyState, TraceList};

/// The services that a trace has to go through to be worth showing.
const WHOLE_WAY: &[&str] = &["web", "reviews", "ratings"];

/// Asks, and puts it into what was seen; a trace only when one is wanted and was not seen yet.
///
/// # Errors
/// Where the control plane does not answer, or not in the form that is agreed on.
pub(super) fn look(stage: &Stage, seen: &Mutex<Seen>, traced: bool) -> anyhow::Result<()> {
    let (text, _) = stage.meshctl(&["status", "-o", "json"])?;
    let status: MeshStatus = serde_json::from_str(&text)?;
    let synced = status.proxies.iter().filter(|proxy| proxy.state == ProxyState::Synced).count();
    let wanted = traced && seen.lock().trace.is_none();
    let trace = if wanted { whole_trace(stage)? } else { None };
    let mut seen = seen.lock();
    seen.synced = (synced, status.proxies.len());
    let reviews = status.services.iter().filter(|service| service.name == "reviews");
    let out = reviews.flat_map(|service| service.pool.iter().filter(|entry| entry.is_out()));
    seen.out =
        out.map(|it| format!("{}: {}, {}", it.endpoint, it.state.as_str(), it.why)).collect();
    seen.edges = status.edges;
    if trace.is_some() {
        seen.trace = trace;
    }
    Ok(())
}

/// The newest trace that went through every service and is complete.
fn whole_trace(stage: &Stage) -> anyhow::Result<Option<Waterfall>> {
    let (text, _) = stage.meshctl(&["trace", "-o", "json"])?;
    let list: TraceList = serde_json::from_str(&text)?;
    let whole = list.traces.into_iter().find(|trace| {
        let through = |name: &&str| trace.services.iter().any(|service| is(service, name));
        WHOLE_WAY.iter().all(through) && trace.spans >= 2 * WHOLE_WAY.len()
    });
    let Some(trace) = whole else { return Ok(None) };
    let (drawing, _) = stage.meshctl(&["trace", &trace.id])?;
    Ok(Some(Waterfall { id: trace.id, services: trace.services, drawing }))
}

/// Whether `default/web` or `web` is `web`.
fn is(service: &str, name: &str) -> bool {
    service.rsplit('/').next() == Some(name)
}
