//! A reader of structural schemas: enough of OpenAPI v3 for our own, unknown fields refused.
//!
//! CEL it does not read; of the words of a schema it refuses those that it does not know.

use serde_json::{Map, Number, Value};

/// What of `value` the schema does not allow, by path.
pub(super) fn problems(schema: &Value, value: &Value) -> Vec<String> {
    let mut found = Vec::new();
    check(schema, value, "", &mut found);
    found
}

const KNOWN: &[&str] = &[
    "description",
    "type",
    "properties",
    "required",
    "items",
    "enum",
    "pattern",
    "minLength",
    "maxLength",
    "minItems",
    "maxItems",
    "minimum",
    "maximum",
    "minProperties",
    "maxProperties",
    "format",
    "x-kubernetes-validations",
    "x-kubernetes-list-type",
    "x-kubernetes-list-map-keys",
];

fn check(schema: &Value, value: &Value, path: &str, found: &mut Vec<String>) {
    let words = schema.as_object().expect("a schema is a mapping");
    let unread = words.keys().find(|word| !KNOWN.contains(&word.as_str()));
    assert_eq!(unread, None, "a word of the schema at `{path}` is not read here");
    match (schema["type"].as_str(), value) {
        (Some("object"), Value::Object(fields)) => object(words, fields, path, found),
        (Some("array"), Value::Array(items)) => array(schema, items, path, found),
        (Some("string"), Value::String(text)) => string(schema, text, path, found),
        (Some("integer"), Value::Number(it)) if it.is_i64() => number(schema, it, path, found),
        (Some("number"), Value::Number(it)) => number(schema, it, path, found),
        (Some("boolean"), Value::Bool(_)) => word(schema, value, path, found),
        (kind, _) => found.push(format!("{path}: expected {kind:?}")),
    }
}

fn object(
    schema: &Map<String, Value>,
    fields: &Map<String, Value>,
    path: &str,
    found: &mut Vec<String>,
) {
    // The metadata is the API server's own business.
    let Some(properties) = schema.get("properties") else { return };
    for name in schema.get("required").and_then(Value::as_array).into_iter().flatten() {
        if !fields.contains_key(name.as_str().expect("a name")) {
            found.push(format!("{path}: `{name}` is missing"));
        }
    }
    let bound = |word: &str| schema.get(word).and_then(Value::as_u64);
    let count = fields.len() as u64;
    if bound("minProperties").is_some_and(|least| count < least)
        || bound("maxProperties").is_some_and(|most| count > most)
    {
        found.push(format!("{path}: {count} fields"));
    }
    for (name, value) in fields {
        let path = format!("{path}.{name}");
        match properties.get(name) {
            Some(schema) => check(schema, value, &path, found),
            None => found.push(format!("{path}: unknown")),
        }
    }
}

fn number(schema: &Value, number: &Number, path: &str, found: &mut Vec<String>) {
    let number = number.as_f64().expect("a number");
    let few = schema["minimum"].as_f64().is_some_and(|least| number < least);
    if few || schema["maximum"].as_f64().is_some_and(|most| number > most) {
        found.push(format!("{path}: {number} is out of range"));
    }
}

fn word(schema: &Value, value: &Value, path: &str, found: &mut Vec<String>) {
    let words = schema["enum"].as_array();
    if words.is_some_and(|words| !words.contains(value)) {
        found.push(format!("{path}: `{value}` is no word of it"));
    }
}

fn array(schema: &Value, items: &[Value], path: &str, found: &mut Vec<String>) {
    let bound = |word: &str| schema[word].as_u64().map(|it| usize::try_from(it).expect("small"));
    let few = bound("minItems").is_some_and(|least| items.len() < least);
    if few || bound("maxItems").is_some_and(|most| items.len() > most) {
        found.push(format!("{path}: {} items", items.len()));
    }
    let is_set = schema["x-kubernetes-list-type"] == "set";
    for (index, item) in items.iter().enumerate() {
        if is_set && items[..index].contains(item) {
            found.push(format!("{path}: `{item}` stands twice"));
        }
        check(&schema["items"], item, &format!("{path}[{index}]"), found);
    }
}

fn string(schema: &Value, text: &str, path: &str, found: &mut Vec<String>) {
    word(schema, &text.into(), path, found);
    let shortest = schema["minLength"].as_u64();
    if shortest.is_some_and(|shortest| (text.chars().count() as u64) < shortest) {
        found.push(format!("{path}: `{text}` is too short"));
    }
    let longest = schema["maxLength"].as_u64();
    if longest.is_some_and(|longest| text.chars().count() as u64 > longest) {
        found.push(format!("{path}: `{text}` is too long"));
    }
    if let Some(pattern) = schema["pattern"].as_str() {
        let pattern = regex::Regex::new(pattern).expect("a pattern");
        if !pattern.is_match(text) {
            found.push(format!("{path}: `{text}` does not match"));
        }
    }
}
