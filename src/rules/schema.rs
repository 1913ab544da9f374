//! What documents look like, as schemas: one description of each kind, for API servers and for editors.
//!
//! An API server gets OpenAPI v3, structural, with CEL where a schema has no words; an editor gets
//! JSON Schema without CEL, with unions instead ([`editor`]). `tests/rules` holds both against the
//! reader, which is stricter than any schema. Texts are bounded, because an API server reckons what
//! a CEL rule may cost at worst before it takes a definition.

use serde_json::{Map, Value, json};

use crate::mesh::ObjectKind;

pub mod editor;
mod fault;
mod matches;
mod policy;
mod route;
mod service;

/// What only editors get; see [`also`].
const EDITOR: &str = "x-meshctl-editor";

/// The structural schema of a kind of ours, with CEL, as an API server wants it; of a standard kind
/// only what the editors' is made of.
pub fn structural(kind: ObjectKind) -> Value {
    let mut schema = described(kind);
    without_editor(&mut schema);
    schema
}

fn described(kind: ObjectKind) -> Value {
    match kind {
        ObjectKind::MeshConfig => mesh_config(),
        ObjectKind::TrafficPolicy => policy::traffic_policy(),
        ObjectKind::FaultPolicy => fault::fault_policy(),
        ObjectKind::HttpRoute => route::http_route(),
        ObjectKind::Service => service::service(),
    }
}

fn without_editor(schema: &mut Value) {
    match schema {
        Value::Object(fields) => {
            fields.remove(EDITOR);
            fields.values_mut().for_each(without_editor);
        }
        Value::Array(items) => items.iter_mut().for_each(without_editor),
        _ => {}
    }
}

/// `schema` with what JSON Schema says in place of its rules in CEL.
fn also(mut schema: Value, words: Value) -> Value {
    schema[EDITOR] = words;
    schema
}

/// One and only one of these fields.
fn one_of(fields: &[&str]) -> Value {
    let required: Vec<Value> = fields.iter().map(|field| json!({"required": [field]})).collect();
    json!({"oneOf": required})
}

/// At least one of these fields.
fn any_of(fields: &[&str]) -> Value {
    let required: Vec<Value> = fields.iter().map(|field| json!({"required": [field]})).collect();
    json!({"anyOf": required})
}

/// A DNS-1123 subdomain, as most objects are called.
const SUBDOMAIN: &str = "^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$";

/// A DNS-1123 label, as services are called.
const LABEL: &str = "^[a-z0-9]([-a-z0-9]*[a-z0-9])?$";

/// GEP-2257: one to four of a number of at most five digits and a unit.
const DURATION: &str = "^([0-9]{1,5}(h|m|s|ms)){1,4}$";

/// `0%` to `100%` with at most four decimals.
const PERCENT: &str = r"^(0?[0-9]{1,2}(\.[0-9]{1,4})?|100(\.0{1,4})?)%$";

/// `targetRefs` of every kind of policy; `several` says what becomes of several about one service.
fn target_refs(several: &str) -> Value {
    let target = object(
        "What the policy is about: a service of its own namespace.",
        json!({
            "group": words("The group of the target: that of services.", &["", "core"]),
            "kind": words("The kind of the target.", &["Service"]),
            "name": text("The name of the service.", 63, LABEL),
        }),
        &["kind", "name"],
    );
    with(
        json!({
            "description": format!("The services that the policy is about. {several}"),
            "type": "array",
            "minItems": 1,
            "maxItems": 16,
            "x-kubernetes-list-type": "atomic",
            "items": target,
        }),
        &rule(
            "self.all(one, self.exists_one(other, other.name == one.name))",
            "a target stands twice; keep one of the two",
        ),
    )
}

fn mesh_config() -> Value {
    let sampling = text("The share of new traces that is kept. Default `1%`.", 9, PERCENT);
    let lifetime = duration("The life of a workload's certificate. Default 24h.", "10s", "720h");
    let spec = json!({
        "mtls": words(
            "What is demanded of inbound connections: `Strict` (default) takes mutual TLS alone, `Permissive` plaintext as well.",
            &["Strict", "Permissive"],
        ),
        "outbound": words(
            "What may be called outside of the mesh: everything (`AllowAny`, default) or nothing (`RegistryOnly`).",
            &["AllowAny", "RegistryOnly"],
        ),
        "tracing": object("Traces.", json!({"sampling": sampling}), &[]),
        "certificates": object("Certificates.", json!({"lifetime": lifetime}), &[]),
    });
    let spec = object("What is wanted. Whatever is left out keeps its default.", spec, &[]);
    let name = "self.metadata.name == 'default'";
    with(
        root("Mesh-wide settings. There is one, named `default`.", &spec, &[]),
        &rule(name, "there is one MeshConfig; its name is `default`"),
    )
}

fn root(description: &str, spec: &Value, required: &[&str]) -> Value {
    let fields = json!({
        "apiVersion": {"type": "string"},
        "kind": {"type": "string"},
        "metadata": {"type": "object"},
        "spec": spec,
        "status": status(),
    });
    object(description, fields, required)
}

/// What the control plane writes back: conditions as all of Kubernetes has them.
fn status() -> Value {
    let condition = object(
        "One condition.",
        json!({
            "type": text("What is judged.", 316, "^[A-Za-z0-9]([-A-Za-z0-9_./]*[A-Za-z0-9])?$"),
            "status": words("How it stands.", &["True", "False", "Unknown"]),
            "reason": text("Why, in one word.", 1_024, "^[A-Za-z]([A-Za-z0-9_,:]*[A-Za-z0-9_])?$"),
            "message": {"type": "string", "maxLength": 32_768, "description": "Why, for people."},
            "observedGeneration": {
                "type": "integer", "format": "int64", "minimum": 0,
                "description": "The generation of the object that was judged.",
            },
            "lastTransitionTime": {
                "type": "string", "format": "date-time",
                "description": "When `status` changed last.",
            },
        }),
        &["type", "status", "reason", "message", "lastTransitionTime"],
    );
    let conditions = json!({
        "description": "`Accepted` and `Programmed`, of faults also `Active`.",
        "type": "array",
        "maxItems": 8,
        "x-kubernetes-list-type": "map",
        "x-kubernetes-list-map-keys": ["type"],
        "items": condition,
    });
    object("What the mesh made of it.", json!({"conditions": conditions}), &[])
}

fn object(description: &str, fields: Value, required: &[&str]) -> Value {
    let mut schema = Map::new();
    schema.insert("description".to_owned(), json!(description));
    schema.insert("type".to_owned(), json!("object"));
    if !required.is_empty() {
        schema.insert("required".to_owned(), json!(required));
    }
    schema.insert("properties".to_owned(), fields);
    Value::Object(schema)
}

fn text(description: &str, longest: u32, pattern: &str) -> Value {
    json!({"description": description, "type": "string", "maxLength": longest, "pattern": pattern})
}

fn words(description: &str, words: &[&str]) -> Value {
    json!({"description": description, "type": "string", "enum": words})
}

/// A duration of at least `least` and at most `most`.
fn duration(description: &str, least: &str, most: &str) -> Value {
    // Four times five digits and a unit of two.
    let schema = text(description, 28, DURATION);
    let within =
        format!("duration(self) >= duration('{least}') && duration(self) <= duration('{most}')");
    with(schema, &rule(&within, &format!("expected a duration from {least} to {most}")))
}

fn rule(rule: &str, message: &str) -> Value {
    json!({"rule": rule, "message": message})
}

/// `schema` and one rule in CEL.
fn with(mut schema: Value, rule: &Value) -> Value {
    schema["x-kubernetes-validations"] = json!([rule]);
    schema
}

/// `schema` and several rules in CEL, each with its message.
fn when(mut schema: Value, rules: &[(&str, &str)]) -> Value {
    let rules: Vec<Value> = rules.iter().map(|(cel, message)| rule(cel, message)).collect();
    schema["x-kubernetes-validations"] = json!(rules);
    schema
}

fn number(description: &str, least: u32, most: u32) -> Value {
    json!({
        "description": description, "type": "integer", "format": "int64",
        "minimum": least, "maximum": most,
    })
}

fn list(description: &str, (least, most): (u32, u32), item: &Value) -> Value {
    let mut list = json!({
        "description": description,
        "type": "array",
        "maxItems": most,
        "x-kubernetes-list-type": "atomic",
        "items": item,
    });
    if least > 0 {
        list["minItems"] = json!(least);
    }
    list
}
