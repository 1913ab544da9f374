//! A document with its defaults: what an object means, written back as the `spec` of its document.
//!
//! In go a document and the object that was read from it, out comes the document with every field
//! that the object knows of as it holds; what a mesh does not read stays as written. The invariant:
//! reading the result gives the same object again. What is off when it is left out, such as a
//! request timeout, stays left out, because no word stands for it.

use serde_json::{Map, Value as Json, json};

use crate::mesh::{MeshConfig, Object, PolicyTarget, Service, TargetPort};
use crate::names::Protocol;
use crate::rules::values::{self, show};

mod fault;
mod policy;
mod route;

/// The document of `object` with its defaults filled in.
pub fn resolved(document: &Json, object: &Object) -> Json {
    let spec = match object {
        Object::Service(service) => self::service(service),
        Object::HttpRoute(route) => route::spec(route),
        Object::TrafficPolicy(policy) => policy::spec(policy),
        Object::FaultPolicy(policy) => fault::spec(policy),
        Object::MeshConfig(config) => self::config(config),
    };
    let mut document = document.clone();
    let Some(fields) = document.as_object_mut() else { return document };
    let place = fields.entry("spec").or_insert_with(|| Json::Object(Map::new()));
    match place.as_object_mut() {
        Some(written) => written.extend(spec),
        None => *place = Json::Object(spec),
    }
    document
}

/// The settings that hold while nobody has written any, as a document.
pub fn default_config() -> Json {
    let reference = MeshConfig::reference();
    let document = json!({
        "apiVersion": reference.kind.api_version(),
        "kind": reference.kind.as_str(),
        "metadata": {"name": reference.name.as_str()},
    });
    resolved(&document, &Object::MeshConfig(std::sync::Arc::default()))
}

fn service(service: &Service) -> Map<String, Json> {
    let ports = service.ports.iter().map(|port| {
        let mut fields = Map::new();
        if !port.name.is_empty() {
            put(&mut fields, "name", port.name.as_str());
        }
        put(&mut fields, "port", port.port);
        match &port.target {
            TargetPort::Number(number) => put(&mut fields, "targetPort", *number),
            TargetPort::Named(name) => put(&mut fields, "targetPort", name.as_str()),
            // Left out, it is the only one that there is.
            TargetPort::Only | TargetPort::Unsaid => {}
        }
        put(&mut fields, "protocol", "TCP");
        // Left out it is found out, for which there is no word.
        if port.protocol != Protocol::Detect {
            put(&mut fields, "appProtocol", port.protocol.as_str());
        }
        Json::Object(fields)
    });
    let mut spec = Map::new();
    put(&mut spec, "type", "ClusterIP");
    put(&mut spec, "sessionAffinity", "None");
    put(&mut spec, "internalTrafficPolicy", "Cluster");
    put(&mut spec, "ports", ports.collect::<Vec<_>>());
    if let Some(selector) = &service.selector {
        let labels = selector.iter().map(|(key, value)| (key.to_string(), json!(&**value)));
        put(&mut spec, "selector", labels.collect::<Map<_, _>>());
    }
    spec
}

/// What a policy of any kind is about.
fn target_refs(targets: &[PolicyTarget]) -> Vec<Json> {
    let target = |target: &PolicyTarget| json!({"group": "", "kind": "Service", "name": target.service.name.as_str()});
    targets.iter().map(target).collect()
}

fn config(config: &MeshConfig) -> Map<String, Json> {
    let mut spec = Map::new();
    put(&mut spec, "mtls", config.mtls.as_str());
    put(&mut spec, "certificates", json!({"lifetime": show(config.certificate_lifetime)}));
    put(&mut spec, "tracing", json!({"sampling": values::show_percent(config.sampling_ppm)}));
    put(&mut spec, "outbound", config.outbound.as_str());
    spec
}

fn put(fields: &mut Map<String, Json>, key: &str, value: impl Into<Json>) {
    fields.insert(key.to_owned(), value.into());
}
