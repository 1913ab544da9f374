//! Whether a pod gets a sidecar: asked for or not, possible or not, and everything that is wrong.
//!
//! The pod's own label decides before its namespace's, so that whichever webhook asks, and however
//! often, the answer is the same. What cannot be meshed is left alone where only the namespace asks
//! for it, and refused where the pod itself does.

use serde_json::{Map, Value as Json};

use super::annotations::Wishes;
use super::edit::escaped;
use super::selectors::SYSTEM_NAMESPACES;
use super::{Decision, Origin, Refusal, Settings, Skip, Warning};
use crate::mesh::endpoint_weight;
use crate::names::sidecar;
use crate::rules::{alternatives, nearest, quoted};

/// Ports of the sidecar that no application of its pod may listen on.
const PORTS: &[u16] =
    &[sidecar::INBOUND_PORT, sidecar::OUTBOUND_PORT, sidecar::PROBE_PORT, sidecar::ADMIN_PORT];

/// Containers of ours.
pub(super) const CONTAINERS: &[&str] = &[sidecar::CAPTURE_CONTAINER, sidecar::SIDECAR_CONTAINER];

/// Volumes of ours.
pub(super) const VOLUMES: &[&str] =
    &[sidecar::TOKEN_VOLUME, sidecar::ROOT_VOLUME, sidecar::HOME_VOLUME];

/// The lists of containers in a pod's `spec`.
pub(super) const LISTS: &[&str] = &["initContainers", "containers"];

/// Sidecars of other meshes, and the mesh.
const FOREIGN: &[(&str, &str)] = &[
    ("istio-proxy", "Istio"),
    ("linkerd-proxy", "Linkerd"),
    ("kuma-sidecar", "Kuma"),
    ("consul-dataplane", "Consul"),
];

/// What the pod wants of its sidecar, or why it gets none.
pub(super) fn judge(
    pod: &Json,
    origin: &Origin<'_>,
    settings: &Settings,
    warnings: &mut Vec<Warning>,
) -> Result<Wishes, Decision> {
    let own = settings.namespace.as_str();
    if SYSTEM_NAMESPACES.contains(&origin.namespace) || origin.namespace == own {
        return Err(Decision::Skipped(Skip::SystemNamespace));
    }
    let empty = Map::new();
    let marks = |kind: &str| {
        pod.pointer(&format!("/metadata/{kind}")).and_then(Json::as_object).unwrap_or(&empty)
    };
    let (labels, annotations) = (marks("labels"), marks("annotations"));
    let by_itself = asked(labels, origin)?;
    if annotations.contains_key("kubernetes.io/config.mirror") {
        return Err(Decision::Skipped(Skip::Static));
    }
    if containers(pod).all(|(at, _)| at.starts_with("/spec/initContainers")) {
        return Err(Decision::Skipped(Skip::NoContainers));
    }
    already(pod, annotations, settings, warnings)?;
    impossible(pod, by_itself, warnings)?;
    let mut refusals = Vec::new();
    clashes(pod, &mut refusals);
    let wishes = Wishes::read(annotations, settings);
    match wishes {
        Ok(wishes) if refusals.is_empty() => {
            risks(pod, labels, annotations, warnings);
            Ok(wishes)
        }
        Ok(_) => Err(Decision::Refused(refusals)),
        Err(mistakes) => Err(Decision::Refused([refusals, mistakes].concat())),
    }
}

/// Every container that is not ours, with its place.
pub(super) fn containers(pod: &Json) -> impl Iterator<Item = (String, &Json)> {
    LISTS.iter().flat_map(move |list| {
        let items = pod.pointer(&format!("/spec/{list}")).and_then(Json::as_array);
        let items = items.map(Vec::as_slice).unwrap_or_default().iter().enumerate();
        items.map(move |(index, item)| (format!("/spec/{list}/{index}"), item))
    })
}

pub(super) fn name(item: &Json) -> &str {
    item.get("name").and_then(Json::as_str).unwrap_or_default()
}

fn refused(at: impl Into<String>, message: String, help: impl Into<String>) -> Refusal {
    Refusal { at: at.into(), mark: false, message, help: help.into() }
}

/// Whether somebody asks for a sidecar; true where the pod itself does.
fn asked(labels: &Map<String, Json>, origin: &Origin<'_>) -> Result<bool, Decision> {
    let mistakes: Vec<_> = labels.iter().filter_map(|(key, value)| mistaken(key, value)).collect();
    if !mistakes.is_empty() {
        return Err(Decision::Refused(mistakes));
    }
    let of_pod = labels.get(sidecar::INJECT_LABEL);
    let refuse = |whose: &str, at: String, found: &str| {
        let message =
            format!("the label `{}` of the {whose} is {}", sidecar::INJECT_LABEL, quoted(found));
        let help = "it can be `enabled` or `disabled`".to_owned();
        Err(Decision::Refused(vec![Refusal { at, mark: true, message, help }]))
    };
    match (of_pod, of_pod.and_then(Json::as_str), origin.namespace_label) {
        (Some(_), Some("enabled"), _) => Ok(true),
        (Some(_), Some("disabled"), _) => Err(Decision::Skipped(Skip::Disabled)),
        (Some(other), text, _) => {
            let at = format!("/metadata/labels/{}", escaped(sidecar::INJECT_LABEL));
            refuse("pod", at, text.unwrap_or(&other.to_string()))
        }
        (None, _, Some("enabled")) => Ok(false),
        (None, _, Some("disabled")) => Err(Decision::Skipped(Skip::NamespaceDisabled)),
        (None, _, Some(other)) => {
            let whose = format!("namespace `{}`", origin.namespace);
            refuse(&whose, "/metadata".to_owned(), other)
        }
        (None, _, None) => Err(Decision::Skipped(Skip::NotAsked)),
    }
}

/// A label of ours that does not exist, or a weight that is none.
fn mistaken(key: &str, value: &Json) -> Option<Refusal> {
    let name = key.strip_prefix(sidecar::PREFIX).filter(|_| key != sidecar::INJECT_LABEL)?;
    let at = format!("/metadata/labels/{}", escaped(key));
    if key == sidecar::WEIGHT_LABEL {
        let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        let message = format!("the label `{key}` is {}", quoted(&text));
        let help = "it is a whole number from 1 to 100000, in quotes".to_owned();
        let good = value.as_str().and_then(endpoint_weight).is_some();
        return (!good).then_some(Refusal { at, mark: true, message, help });
    }
    let known = super::annotations::KNOWN;
    let (message, help) = match known.contains(&name) {
        true => {
            let message = format!("`{key}` is an annotation, not a label");
            (message, "move it to `metadata.annotations`".to_owned())
        }
        false => {
            let message = format!("there is no label {}", quoted(key));
            let labels = [sidecar::INJECT_LABEL, sidecar::WEIGHT_LABEL];
            match nearest(key, labels) {
                Some(near) => (message, format!("did you mean `{near}`?")),
                None => (message, format!("the labels are {}", alternatives(labels))),
            }
        }
    };
    Some(Refusal { at, mark: true, message, help })
}

/// A pod that was injected before stays as it is; one that only says so, or in which the sidecar
/// would miss something, is refused.
fn already(
    pod: &Json,
    annotations: &Map<String, Json>,
    settings: &Settings,
    warnings: &mut Vec<Warning>,
) -> Result<(), Decision> {
    let version = annotations.get(sidecar::INJECTED_ANNOTATION);
    let Some(version) = version else { return Ok(()) };
    let at = format!("/metadata/annotations/{}", escaped(sidecar::INJECTED_ANNOTATION));
    let has = |wanted: &str| {
        containers(pod)
            .any(|(at, item)| name(item) == wanted && at.starts_with("/spec/initContainers"))
    };
    if !CONTAINERS.iter().all(|wanted| has(wanted)) {
        let key = sidecar::INJECTED_ANNOTATION;
        let message = format!("`{key}` says that the pod has a sidecar, but it has none");
        let refusal = Refusal { at, mark: true, message, help: "take the annotation away".into() };
        return Err(Decision::Refused(vec![refusal]));
    }
    let mut refusals = Vec::new();
    if pod.pointer("/spec/hostNetwork") == Some(&Json::Bool(true)) {
        let message = "the pod has a sidecar, whose capture would be its node's: it uses the network of its node (`hostNetwork`)";
        let help = "take `hostNetwork` away, or what injection added";
        refusals.push(refused("/spec/hostNetwork", message.to_owned(), help));
    }
    users(pod, &mut refusals);
    if !refusals.is_empty() {
        return Err(Decision::Refused(refusals));
    }
    if let Some((at, first)) = containers(pod).next().filter(|(_, it)| name(it) != CONTAINERS[0]) {
        let message = format!(
            "{} starts before the capture, so what it calls is not called through the mesh",
            quoted(name(first))
        );
        warnings.push(Warning { at, message });
    }
    let version = version.as_str().unwrap_or_default();
    if version != settings.version {
        let message = format!(
            "it has the sidecar of version {}, this is {}",
            quoted(version),
            settings.version
        );
        warnings.push(Warning { at, message });
    }
    Err(Decision::Skipped(Skip::Already))
}

/// Pods that no sidecar can be given to.
fn impossible(pod: &Json, by_itself: bool, warnings: &mut Vec<Warning>) -> Result<(), Decision> {
    let text = |at: &str| pod.pointer(at).and_then(Json::as_str);
    let windows = "/spec/os/name";
    let selected = "/spec/nodeSelector/kubernetes.io~1os";
    let (skip, at) = if pod.pointer("/spec/hostNetwork") == Some(&Json::Bool(true)) {
        (Skip::HostNetwork, "/spec/hostNetwork")
    } else if text(windows) == Some("windows") {
        (Skip::Windows, windows)
    } else if text(selected) == Some("windows") {
        (Skip::Windows, selected)
    } else {
        return Ok(());
    };
    if by_itself {
        let help = "take its label `meshctl.dev/inject` away, or what stands against it";
        let message = format!("the pod asks for a sidecar, but {skip}");
        return Err(Decision::Refused(vec![refused(at, message, help)]));
    }
    warnings.push(Warning { at: at.to_owned(), message: format!("not in the mesh: {skip}") });
    Err(Decision::Skipped(skip))
}

/// Applications that would run as the sidecar's user, whose connections are not captured.
fn users(pod: &Json, refusals: &mut Vec<Refusal>) {
    let uid = u64::from(sidecar::SIDECAR_UID);
    let applications = containers(pod).filter(|(_, item)| !CONTAINERS.contains(&name(item)));
    for at in std::iter::once("/spec".to_owned()).chain(applications.map(|(at, _)| at)) {
        let at = format!("{at}/securityContext/runAsUser");
        if pod.pointer(&at).and_then(Json::as_u64) == Some(uid) {
            let message = format!("user {uid} is the sidecar's, no application may run as it");
            refusals.push(refused(at, message, "choose another `runAsUser`"));
        }
    }
}

/// What of the pod and what of the sidecar cannot both be.
fn clashes(pod: &Json, refusals: &mut Vec<Refusal>) {
    users(pod, refusals);
    for (at, container) in containers(pod) {
        let name = name(container);
        if CONTAINERS.contains(&name) {
            let message = format!("the name `{name}` is that of a container of the mesh");
            refusals.push(refused(format!("{at}/name"), message, "choose another name"));
        }
        if let Some((_, mesh)) = FOREIGN.iter().find(|(foreign, _)| *foreign == name) {
            let message =
                format!("`{name}` is the sidecar of {mesh}: two meshes cannot both capture a pod");
            let help = format!(
                "switch the injection of {mesh} off for this pod, or ours by `meshctl.dev/inject: disabled`"
            );
            refusals.push(refused(format!("{at}/name"), message, help));
        }
        let ports = container.get("ports").and_then(Json::as_array);
        for (index, port) in ports.into_iter().flatten().enumerate() {
            let number = port.get("containerPort").and_then(Json::as_u64).unwrap_or_default();
            if PORTS.iter().any(|own| u64::from(*own) == number) {
                let message = format!(
                    "port {number} of container `{name}` is one that the sidecar itself listens on"
                );
                let at = format!("{at}/ports/{index}/containerPort");
                refusals.push(refused(at, message, "let the application listen elsewhere"));
            }
        }
    }
    let volumes = pod.pointer("/spec/volumes").and_then(Json::as_array);
    for (index, volume) in volumes.into_iter().flatten().enumerate() {
        let name = name(volume);
        if VOLUMES.contains(&name) {
            let message = format!("the name `{name}` is that of a volume of the mesh");
            let at = format!("/spec/volumes/{index}/name");
            refusals.push(refused(at, message, "choose another name"));
        }
    }
}

/// What is possible, and worth a word.
fn risks(
    pod: &Json,
    labels: &Map<String, Json>,
    annotations: &Map<String, Json>,
    warnings: &mut Vec<Warning>,
) {
    if pod.pointer("/spec/shareProcessNamespace") == Some(&Json::Bool(true)) {
        let message = "with `shareProcessNamespace` an application that runs as root can read the sidecar's keys".to_owned();
        warnings.push(Warning { at: "/spec/shareProcessNamespace".to_owned(), message });
    }
    let foreign = [
        (labels, "labels", "sidecar.istio.io/inject", "true", "Istio"),
        (annotations, "annotations", "sidecar.istio.io/inject", "true", "Istio"),
        (annotations, "annotations", "linkerd.io/inject", "enabled", "Linkerd"),
    ];
    for (marks, kind, key, value, mesh) in foreign {
        if marks.get(key).and_then(Json::as_str) == Some(value) {
            let message = format!(
                "`{key}` asks for the sidecar of {mesh} too: two meshes cannot both capture a pod"
            );
            warnings.push(Warning { at: format!("/metadata/{kind}/{}", escaped(key)), message });
        }
    }
}
