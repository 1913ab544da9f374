//! The schemas that editors get, against the reader: they take what it takes, and refuse what has
//! another structure. What needs more than structure only the reader refuses.

use std::fs;

use jsonschema::Validator;
use meshctl::mesh::ObjectKind;
use meshctl::rules::schema::editor;
use meshctl::rules::{Document, parse};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{Case, cases, directory, options};

fn validator(schema: &Value) -> Validator {
    let options = jsonschema::draft7::options();
    options.should_validate_formats(true).build(schema).expect("a schema")
}

/// What is wrong with a document, by the schema of all kinds and by that of its own.
fn problems(document: &Value) -> Vec<String> {
    let mut schemas = vec![editor::of_all()];
    let kinds = ObjectKind::ALL.into_iter();
    let own = kinds.filter(|kind| document["kind"] == kind.as_str());
    schemas.extend(own.map(editor::of_kind));
    let found = schemas.iter().map(|schema| {
        let validator = validator(schema);
        let errors = validator.iter_errors(document);
        errors.map(|it| format!("{}: {it}", it.instance_path())).collect::<Vec<_>>()
    });
    let found: Vec<Vec<String>> = found.collect();
    if let [all, own] = &found[..] {
        assert_eq!(all.is_empty(), own.is_empty(), "{all:?} {own:?} {document:#}");
    }
    found.concat()
}

#[test]
fn the_schemas_are_schemas() {
    assert!(jsonschema::draft7::meta::is_valid(&editor::of_all()));
    for kind in ObjectKind::ALL {
        assert!(jsonschema::draft7::meta::is_valid(&editor::of_kind(kind)), "{kind:?}");
    }
}

#[test]
fn schemas_take_every_good_document() {
    let mut kinds = Vec::new();
    for case in cases("ok").into_iter().chain(cases("warn")) {
        for object in case.parsed().objects {
            assert_eq!(problems(&object.source), [""; 0], "{}: {:#}", case.name, object.source);
            kinds.push(object.reference.kind);
        }
    }
    assert!(ObjectKind::ALL.iter().all(|kind| kinds.contains(kind)), "a kind has no case");
}

/// Codes of problems that structure alone shows. Names, paths and durations are bounded by patterns
/// which take a little more than the reader does.
const STRUCTURAL: &[&str] = &[
    "MC0102", "MC0201", "MC0202", "MC0203", "MC0204", "MC0205", "MC0207", "MC0208", "MC0209",
    "MC0302", "MC0303", "MC0305", "MC0306", "MC0902", "MC0903",
];

/// Documents that no schema of ours tells from good ones, by file and what they are about.
const ONLY_READER: &[(&str, &str)] = &[];

#[test]
fn schemas_refuse_every_document_of_another_structure() {
    let mut refused = 0;
    for case in cases("bad") {
        for (index, document) in documents(&case).into_iter().enumerate() {
            let text = document.to_string();
            let read = Document { source: case.name.clone(), text };
            let parsed = parse(&[read], &options());
            let mut codes = parsed.diagnostics.iter().map(|it| it.code.as_str());
            if !codes.any(|code| STRUCTURAL.contains(&code)) {
                continue;
            }
            let known = ONLY_READER
                .iter()
                .any(|(file, about)| *file == case.name && document.to_string().contains(about));
            let found = problems(&document);
            assert_eq!(
                found.is_empty(),
                known,
                "{} document {index}: {:?} {document:#}",
                case.name,
                parsed.diagnostics
            );
            refused += usize::from(!known);
        }
    }
    assert!(refused > 40, "only {refused} documents were refused");
}

/// The documents of a file as an editor sees them; those after a syntax error are not read.
fn documents(case: &Case) -> Vec<Value> {
    let Ok(text) = fs::read_to_string(directory("bad").join(&case.name)) else { return Vec::new() };
    let documents = serde_yaml::Deserializer::from_str(&text).map(Value::deserialize);
    documents.map_while(Result::ok).collect()
}

#[test]
fn other_products_are_let_through_and_unknown_kinds_of_ours_are_not() {
    let kind = |version: &str, kind: &str| json!({"apiVersion": version, "kind": kind, "spec": 1});
    assert_eq!(problems(&kind("apps/v1", "Deployment")), [""; 0]);
    assert_eq!(problems(&kind("v1", "ConfigMap")), [""; 0]);
    for (version, word) in [
        ("meshctl.dev/v1alpha1", "TraficPolicy"),
        ("meshctl.dev/v1alpha1", "HTTPRoute"),
        ("gateway.networking.k8s.io/v1", "GRPCRoute"),
    ] {
        assert_ne!(problems(&kind(version, word)), [""; 0], "{version} {word}");
    }
    let item =
        json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "a"}, "spec": {}});
    let list = json!({"apiVersion": "v1", "kind": "List", "items": [item]});
    assert_eq!(problems(&list).len(), 1, "the ports are missing");
}

#[test]
fn every_field_is_described() {
    fn undescribed(schema: &Value, path: &str, found: &mut Vec<String>) {
        for (name, field) in schema["properties"].as_object().into_iter().flatten() {
            let path = format!("{path}.{name}");
            if field["description"].as_str().is_none_or(str::is_empty) && field.is_object() {
                found.push(path.clone());
            }
            undescribed(field, &path, found);
            undescribed(&field["items"], &format!("{path}[]"), found);
        }
    }
    let mut found = Vec::new();
    for kind in ObjectKind::ALL {
        undescribed(&editor::of_kind(kind), kind.as_str(), &mut found);
    }
    assert_eq!(found, [""; 0]);
}
