//! Network probes and lifecycle handlers of applications, led to the sidecar and back.
//!
//! The kubelet asks from outside of the pod, in plaintext, which the mesh would refuse. So each
//! `httpGet`, `tcpSocket` and `grpc` handler becomes an `httpGet` of the sidecar's own port, which is
//! not captured; the sidecar asks the application what the kubelet would have asked. The originals
//! stay on the pod for [`restore`]. `exec` handlers need nothing. A handler with a `host` is not
//! about the pod, and one of a port that is left out of the capture reaches it anyhow.

use serde_json::{Map, Value as Json, json};

use super::Warning;
use super::annotations::Wishes;
use super::edit::Edit;
use super::judge::{CONTAINERS, containers, name};
use crate::names::sidecar;
use crate::rules::quoted;

/// Where handlers stand in a container, and what they are called.
const PLACES: &[(&str, &str)] = &[
    ("livenessProbe", "liveness"),
    ("readinessProbe", "readiness"),
    ("startupProbe", "startup"),
    ("lifecycle/preStop", "prestop"),
    ("lifecycle/postStart", "poststart"),
];

const HTTP: &str = "httpGet";

/// Handlers that come through the network.
const HANDLERS: &[&str] = &[HTTP, "tcpSocket", "grpc"];

/// What was done about the handlers of a pod.
#[derive(Debug, Default)]
pub(super) struct Rewritten {
    /// The changes.
    pub(super) edits: Vec<Edit>,
    /// The handlers as they stood, by `CONTAINER/readiness`.
    pub(super) originals: Map<String, Json>,
    /// The same for the sidecar: with ports as numbers, and the time that there is.
    pub(super) resolved: Map<String, Json>,
}

/// Leads the handlers of all containers to the sidecar.
pub(super) fn rewrite(pod: &Json, wishes: &Wishes, warnings: &mut Vec<Warning>) -> Rewritten {
    let mut all = Rewritten::default();
    for (place, key, probe, handler) in handlers(pod) {
        let original = &probe[handler];
        let Some(container) = pod.pointer(&place.container) else { continue };
        let port = match resolve(container, &original["port"]) {
            Some(port) => port,
            None => {
                let port = quoted(original["port"].as_str().unwrap_or_default());
                let message = format!(
                    "port {port} of this handler is none of its container, so it stays as it is"
                );
                warnings.push(Warning { at: format!("{}/{handler}", place.probe), message });
                continue;
            }
        };
        if original.get("host").is_some() || wishes.exclude_inbound_ports.contains(&port) {
            continue;
        }
        let mut asked = original.clone();
        asked["port"] = json!(port);
        let mut resolved = Map::from_iter([(handler.to_owned(), asked)]);
        if place.probe.ends_with("Probe") {
            let seconds = probe.get("timeoutSeconds").cloned().unwrap_or(json!(1));
            resolved.insert("timeoutSeconds".to_owned(), seconds);
        }
        all.edits.push(Edit::Swap {
            at: place.probe,
            old: handler,
            new: HTTP,
            value: json!({"path": format!("/app/{key}"), "port": sidecar::PROBE_PORT}),
            name: key.clone(),
        });
        all.originals.insert(key.clone(), json!({handler: original}));
        all.resolved.insert(key, Json::Object(resolved));
    }
    all
}

/// Leads the handlers of all containers back to the application.
pub(super) fn restore(pod: &Json, originals: &Map<String, Json>) -> Vec<Edit> {
    let ours = |probe: &Json| probe[HTTP]["port"].as_u64() == Some(sidecar::PROBE_PORT.into());
    let mut edits = Vec::new();
    for (place, key, probe, handler) in handlers(pod) {
        let Some(original) = originals.get(&key).filter(|_| handler == HTTP && ours(probe)) else {
            continue;
        };
        let Some((new, value)) =
            HANDLERS.iter().find_map(|new| Some((*new, original.get(new)?.clone())))
        else {
            continue;
        };
        edits.push(Edit::Swap { at: place.probe, old: HTTP, new, value, name: key });
    }
    edits
}

/// Where a handler stands.
struct Place {
    container: String,
    probe: String,
}

/// Every handler that comes through the network: where, its name, what it stands in, which it is.
fn handlers(pod: &Json) -> impl Iterator<Item = (Place, String, &Json, &'static str)> {
    containers(pod).filter(|(_, item)| !CONTAINERS.contains(&name(item))).flat_map(|(at, item)| {
        PLACES.iter().filter_map(move |(path, kind)| {
            let probe = item.pointer(&format!("/{path}"))?;
            let handler = HANDLERS.iter().find(|handler| probe.get(**handler).is_some())?;
            let place = Place { probe: format!("{at}/{path}"), container: at.clone() };
            Some((place, format!("{}/{kind}", name(item)), probe, *handler))
        })
    })
}

/// The number of a port that may be a name, which is one of the same container.
fn resolve(container: &Json, port: &Json) -> Option<u16> {
    if let Some(number) = port.as_u64() {
        return u16::try_from(number).ok().filter(|number| *number > 0);
    }
    let name = port.as_str()?;
    // The API also takes digits as a text, and means the number.
    if let Ok(number) = name.parse() {
        return Some(number);
    }
    let ports = container.get("ports")?.as_array()?;
    let named = ports.iter().find(|port| port.get("name").and_then(Json::as_str) == Some(name))?;
    u16::try_from(named.get("containerPort")?.as_u64()?).ok()
}
