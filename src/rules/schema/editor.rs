//! JSON Schema for editors, of one kind or of all: draft-07, which `yaml-language-server` and the
//! editors around it read, and later drafts as well.
//!
//! Made of the one description of each kind: what concerns API servers is left out, unions stand in
//! place of CEL, and unknown fields are refused as the reader refuses them. What no schema can say
//! (names that exist, times that contradict one another) `validate` says.

use indexmap::IndexSet;
use serde_json::{Value, json};

use super::{EDITOR, LABEL, SUBDOMAIN, described, object, text};
use crate::mesh::ObjectKind;
use crate::rules::kinds;

const DRAFT: &str = "http://json-schema.org/draft-07/schema#";

/// Fields of `metadata` that an API server writes; they say nothing about what is wanted.
const WRITTEN_BY_SERVERS: &[&str] = &[
    "creationTimestamp",
    "generation",
    "resourceVersion",
    "uid",
    "managedFields",
    "ownerReferences",
    "finalizers",
];

/// The schema of documents of one kind.
pub fn of_kind(kind: ObjectKind) -> Value {
    let mut schema = adapted(&described(kind));
    schema["$schema"] = json!(DRAFT);
    schema["title"] = json!(kind.as_str());
    let fixed = |value: &str, what: &str| json!({"const": value, "description": what});
    let properties = &mut schema["properties"];
    properties["apiVersion"] = fixed(kind.api_version(), "The version of the kind.");
    properties["kind"] = fixed(kind.as_str(), "The kind.");
    properties["metadata"] = adapted(&metadata(kind));
    let mut required = vec!["apiVersion", "kind", "metadata"];
    if kind != ObjectKind::MeshConfig {
        required.push("spec");
    }
    schema["required"] = json!(required);
    schema
}

/// The schema of documents of every kind, told apart by `apiVersion` and `kind`. Documents of other
/// products are let through, as `validate` does; kinds of the mesh's groups that do not exist are not.
pub fn of_all() -> Value {
    let mut definitions = json!({});
    let mut branches = Vec::new();
    for kind in ObjectKind::ALL {
        let mut schema = of_kind(kind);
        if let Some(fields) = schema.as_object_mut() {
            fields.remove("$schema");
        }
        definitions[kind.as_str()] = schema;
        let version = json!({"pattern": versions(kinds::group_of(kind))});
        let is_it = json!({
            "properties": {"apiVersion": version, "kind": {"const": kind.as_str()}},
            "required": ["apiVersion", "kind"],
        });
        let then = json!({"$ref": format!("#/definitions/{}", kind.as_str())});
        branches.push(json!({"if": is_it, "then": then}));
    }
    for group in [kinds::OURS, kinds::GATEWAY] {
        let of_it = ObjectKind::ALL.into_iter().filter(|kind| kinds::group_of(*kind) == group);
        let list = (group == kinds::OURS).then_some("List");
        let words: Vec<&str> = of_it.map(ObjectKind::as_str).chain(list).collect();
        branches.push(json!({
            "if": {
                "properties": {"apiVersion": {"pattern": versions(group)}},
                "required": ["apiVersion"],
            },
            "then": {"properties": {"kind": {"enum": words}}},
        }));
    }
    let items = json!({"type": "array", "items": {"$ref": "#"}});
    branches.push(json!({
        "if": {"properties": {"kind": {"const": "List"}}, "required": ["kind"]},
        "then": {"required": ["items"], "properties": {"items": items}},
    }));
    json!({
        "$schema": DRAFT,
        "title": "Rules of a meshctl mesh",
        "type": "object",
        "required": ["apiVersion", "kind"],
        "properties": {
            "apiVersion": known("Group and version.", ObjectKind::ALL.map(ObjectKind::api_version)),
            "kind": known("The kind.", ObjectKind::ALL.map(ObjectKind::as_str)),
        },
        "allOf": branches,
        "definitions": definitions,
    })
}

/// Every apiVersion of a group, so that an unknown version is refused by the kind's own schema, which
/// names the right one.
fn versions(group: &str) -> String {
    match group {
        "" => "^[^/]*$".to_owned(),
        group => format!("^{}/", group.replace('.', "[.]")),
    }
}

/// A text that editors complete from a list, and that may be another.
fn known(description: &str, words: impl IntoIterator<Item = &'static str>) -> Value {
    let words: IndexSet<&str> = words.into_iter().collect();
    json!({"description": description, "anyOf": [{"enum": words}, {"type": "string"}]})
}

fn metadata(kind: ObjectKind) -> Value {
    let texts = |description: &str| {
        json!({
            "description": description,
            "type": "object",
            "additionalProperties": {"type": "string"},
        })
    };
    let (name, namespace) = match kind {
        ObjectKind::MeshConfig => (
            json!({"const": "default", "description": "There is one."}),
            json!({"const": crate::names::ROOT_NAMESPACE, "description": "It has none."}),
        ),
        ObjectKind::Service => (text("Its name.", 63, LABEL), namespace()),
        _ => (text("Its name.", 253, SUBDOMAIN), namespace()),
    };
    let mut fields = json!({
        "name": name,
        "namespace": namespace,
        "labels": texts("Labels."),
        "annotations": texts("Notes that no mesh reads."),
    });
    for field in WRITTEN_BY_SERVERS {
        fields[field] = json!({"description": "Written by an API server."});
    }
    object("Who it is.", fields, &["name"])
}

fn namespace() -> Value {
    text("Its namespace. Default that of `--namespace`.", 63, LABEL)
}

/// A schema without what concerns API servers alone, and with what they cannot read.
fn adapted(schema: &Value) -> Value {
    let Value::Object(fields) = schema else { return schema.clone() };
    let mut adapted = serde_json::Map::new();
    for (key, value) in fields {
        match key.as_str() {
            "properties" => {
                let properties = value.as_object().into_iter().flatten();
                let properties = properties.map(|(name, it)| (name.clone(), self::adapted(it)));
                adapted.insert(key.clone(), Value::Object(properties.collect()));
                adapted.insert("additionalProperties".to_owned(), json!(false));
            }
            "items" => drop(adapted.insert(key.clone(), self::adapted(value))),
            "x-kubernetes-list-type" if value == "set" => {
                adapted.insert("uniqueItems".to_owned(), json!(true));
            }
            "format" if value != "date-time" => {}
            EDITOR => adapted.extend(value.as_object().cloned().unwrap_or_default()),
            other if other.starts_with("x-") => {}
            _ => drop(adapted.insert(key.clone(), value.clone())),
        }
    }
    Value::Object(adapted)
}
