//! Which fields of an object are ours, as the API server keeps it (KEP-555, `managedFields`), and with
//! their values of then a document that puts back what we have changed.
//!
//! Fields are a tree (`fieldsV1`): `f:NAME` is a field, `k:{…}` the item of a list that has these
//! keys, `v:…` an item by its value, `.` the thing itself, and nothing below it the whole of it.

use kube::api::DynamicObject;
use serde_json::{Map, Value, json};

use crate::names::sidecar::CONTROL_PLANE;

#[cfg(test)]
mod tests;

/// Whether we have ever applied it.
pub fn is_ours(object: &DynamicObject) -> bool {
    fields(object).is_some()
}

/// The document that, applied, brings back `before` from `after`: every field that was ours, and
/// every one that is now and was there, as it was.
pub fn put_back(before: &DynamicObject, after: &DynamicObject) -> Value {
    let mut tree = fields(before).cloned().unwrap_or_else(|| json!({ ".": {} }));
    if let Some(now) = fields(after) {
        unite(&mut tree, now);
    }
    let whole = serde_json::to_value(before).unwrap_or_default();
    let mut document = taken(&whole, &tree).unwrap_or_else(|| json!({}));
    for field in ["apiVersion", "kind"] {
        document[field] = whole[field].clone();
    }
    for field in ["name", "namespace"] {
        if let Some(value) = whole["metadata"].get(field) {
            document["metadata"][field] = value.clone();
        }
    }
    document
}

/// What we have applied of it.
fn fields(object: &DynamicObject) -> Option<&Value> {
    let entries = object.metadata.managed_fields.iter().flatten();
    let ours = entries.filter(|it| {
        it.manager.as_deref() == Some(CONTROL_PLANE)
            && it.operation.as_deref() == Some("Apply")
            && it.subresource.is_none()
    });
    ours.filter_map(|it| it.fields_v1.as_ref()).map(|fields| &fields.0).next()
}

/// Adds the fields of one tree to those of another; the whole of a thing is more than its parts.
fn unite(tree: &mut Value, more: &Value) {
    let (Some(tree), Some(more)) = (tree.as_object_mut(), more.as_object()) else { return };
    if more.is_empty() {
        tree.clear();
    }
    if tree.is_empty() {
        return;
    }
    for (key, below) in more {
        match tree.get_mut(key) {
            Some(here) => unite(here, below),
            None => drop(tree.insert(key.clone(), below.clone())),
        }
    }
}

/// The part of a value that a tree names; `None` where nothing of it is there.
fn taken(value: &Value, tree: &Value) -> Option<Value> {
    let below = tree.as_object()?;
    if below.keys().all(|key| key == ".") {
        return match value {
            // Only the thing itself: what others have put into it is theirs.
            Value::Object(_) if !below.is_empty() => Some(json!({})),
            Value::Array(_) if !below.is_empty() => Some(json!([])),
            value => Some(value.clone()),
        };
    }
    match value {
        Value::Object(fields) => {
            let each = fields.iter().filter_map(|(name, value)| {
                Some((name.clone(), taken(value, below.get(&format!("f:{name}"))?)?))
            });
            let some: Map<_, _> = each.collect();
            (!some.is_empty() || below.contains_key(".")).then_some(Value::Object(some))
        }
        Value::Array(items) => {
            let each = items.iter().filter_map(|item| taken(item, of_item(below, item)?));
            let some: Vec<_> = each.collect();
            (!some.is_empty() || below.contains_key(".")).then_some(Value::Array(some))
        }
        _ => None,
    }
}

/// The tree of an item of a list, by its keys or its value.
fn of_item<'a>(below: &'a Map<String, Value>, item: &Value) -> Option<&'a Value> {
    let is_it = |key: &str| match key.split_once(':') {
        Some(("k", keys)) => match serde_json::from_str(keys) {
            Ok(Value::Object(keys)) => {
                keys.iter().all(|(name, value)| item.get(name) == Some(value))
            }
            _ => false,
        },
        Some(("v", value)) => serde_json::from_str::<Value>(value).is_ok_and(|it| it == *item),
        _ => false,
    };
    below.iter().find(|(key, _)| is_it(key)).map(|(_, tree)| tree)
}
