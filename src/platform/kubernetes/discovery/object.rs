//! Objects that users write: the document that the mesh reads, cleaned of what others write into it.
//!
//! Rules are read strictly (`rules`), as those of files are. A Service is not the mesh's alone: what
//! it says to others (load balancers, ports of UDP, nodes) is left out before it is read, so that no
//! Service that a cluster accepts is refused here. The same goes for parents of a route that are none
//! of a mesh's: a route that has no others is not the mesh's at all.

use kube::api::DynamicObject;
use kube::core::ObjectMeta;
use serde_json::{Map, Value, json};

use crate::mesh::{MeshConfig, ObjectKind, ObjectRef};
use crate::rules;

/// Annotations that hold whole copies of objects.
const LAST_APPLIED: &str = "kubectl.kubernetes.io/last-applied-configuration";

/// One object, as the API server told it.
#[derive(Debug, Clone, PartialEq)]
pub struct Seen {
    /// The document: what `rules` reads, with its status where it is a rule.
    pub document: Value,
    /// Goes up with each change of the spec; where the API server does not count, its
    /// `resourceVersion`, which goes up with every change.
    pub generation: u64,
    /// When it was created, milliseconds since the Unix epoch.
    pub created_ms: u64,
}

/// Reads an object; without a body where it is none of a mesh's.
pub(super) fn read(kind: ObjectKind, object: DynamicObject) -> Option<(ObjectRef, Option<Seen>)> {
    let DynamicObject { metadata, mut data, .. } = object;
    let name = metadata.name.as_deref()?.parse().ok()?;
    let namespace = match kind {
        ObjectKind::MeshConfig => MeshConfig::reference().namespace,
        _ => metadata.namespace.as_deref()?.parse().ok()?,
    };
    let reference = ObjectRef { kind, namespace, name };
    let spec = data.get_mut("spec").map(Value::take);
    let spec = match kind {
        ObjectKind::Service => spec.and_then(|spec| service(&spec)),
        ObjectKind::HttpRoute => spec.and_then(mesh_route),
        ObjectKind::TrafficPolicy | ObjectKind::FaultPolicy | ObjectKind::MeshConfig => {
            Some(spec.unwrap_or(json!({})))
        }
    };
    let Some(spec) = spec else { return Some((reference, None)) };
    let mut document = json!({
        "apiVersion": kind.api_version(),
        "kind": kind.as_str(),
        "metadata": self::metadata(&metadata),
        "spec": spec,
    });
    // Of a rule it is what was told about it last, for whoever writes what comes next.
    if let Some(status) = data.get_mut("status").filter(|_| kind != ObjectKind::Service) {
        document["status"] = status.take();
    }
    let version = metadata.resource_version.as_deref().and_then(|version| version.parse().ok());
    let generation = metadata.generation.and_then(|it| u64::try_from(it).ok()).or(version);
    let created = metadata.creation_timestamp.map(|time| time.0.as_millisecond());
    let seen = Seen {
        document,
        generation: generation.unwrap_or(1).max(1),
        created_ms: created.and_then(|ms| u64::try_from(ms).ok()).unwrap_or(0),
    };
    Some((reference, Some(seen)))
}

/// What is kept of the metadata.
fn metadata(metadata: &ObjectMeta) -> Value {
    let mut kept = Map::new();
    let mut put = |key: &str, value: Option<Value>| {
        kept.extend(value.map(|value| (key.to_owned(), value)));
    };
    put("name", metadata.name.clone().map(Value::from));
    put("namespace", metadata.namespace.clone().map(Value::from));
    put("labels", metadata.labels.as_ref().map(|labels| json!(labels)));
    let annotations = metadata.annotations.clone().map(|mut annotations| {
        annotations.remove(LAST_APPLIED);
        annotations
    });
    put("annotations", annotations.filter(|it| !it.is_empty()).map(|it| json!(it)));
    put("creationTimestamp", metadata.creation_timestamp.as_ref().map(|time| json!(time)));
    put("generation", metadata.generation.map(Value::from));
    put("resourceVersion", metadata.resource_version.clone().map(Value::from));
    put("uid", metadata.uid.clone().map(Value::from));
    Value::Object(kept)
}

/// What a mesh reads of a Service; `None` where it has no port of TCP, or is a name of something
/// elsewhere.
fn service(spec: &Value) -> Option<Value> {
    if spec.get("type").and_then(Value::as_str) == Some("ExternalName") {
        return None;
    }
    let ports: Vec<Value> =
        spec.get("ports")?.as_array()?.iter().filter_map(service_port).collect();
    if ports.is_empty() {
        return None;
    }
    let mut kept = Map::new();
    for key in ["selector", "clusterIP", "clusterIPs"] {
        kept.extend(spec.get(key).map(|value| (key.to_owned(), value.clone())));
    }
    kept.insert("ports".to_owned(), Value::Array(ports));
    Some(Value::Object(kept))
}

fn service_port(port: &Value) -> Option<Value> {
    if port.get("protocol").and_then(Value::as_str).is_some_and(|it| it != "TCP") {
        return None;
    }
    let mut kept = Map::new();
    for key in ["name", "port", "targetPort", "appProtocol"] {
        kept.extend(port.get(key).map(|value| (key.to_owned(), value.clone())));
    }
    // A protocol that no mesh knows is found out, as if nothing were said.
    let known = |word: &Value| word.as_str().is_some_and(|it| rules::app_protocol(it).is_some());
    if !kept.get("appProtocol").is_some_and(known) {
        kept.remove("appProtocol");
    }
    Some(Value::Object(kept))
}

/// A route with those of its parents that are Services; `None` where there is none.
fn mesh_route(mut spec: Value) -> Option<Value> {
    let parents = spec.get_mut("parentRefs")?.as_array_mut()?;
    let text =
        |parent: &Value, key: &str| parent.get(key).and_then(Value::as_str).map(str::to_owned);
    parents.retain(|parent| {
        let group = text(parent, "group");
        text(parent, "kind").as_deref() == Some("Service")
            && group.is_none_or(|group| group.is_empty() || group == "core")
    });
    (!parents.is_empty()).then_some(spec)
}
