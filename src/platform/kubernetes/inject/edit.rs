//! What is changed in a pod, by its places: once as JSON, once as a JSON patch (RFC 6902).
//!
//! Places are JSON pointers (RFC 6901). Edits hold in their order; whoever makes them puts those
//! that shift the indices of a list after those that use them.

use serde_json::{Map, Value as Json, json};

/// One change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Edit {
    /// Puts a field in the place of another, or of itself with another value.
    Swap {
        /// The mapping.
        at: String,
        /// The field that goes.
        old: &'static str,
        /// The field that comes.
        new: &'static str,
        /// What it holds.
        value: Json,
        /// Under which name the text that goes is kept.
        name: String,
    },
    /// Puts a value where nothing, or an empty list or mapping, stands.
    Value {
        /// The place.
        at: String,
        /// What stands there then.
        value: Json,
    },
    /// Puts items before all others of a list.
    Items {
        /// The list; not empty.
        at: String,
        /// What comes, in order.
        values: Vec<Json>,
    },
    /// Puts fields before all others of a mapping.
    Fields {
        /// The mapping; not empty.
        at: String,
        /// What comes, in order.
        fields: Map<String, Json>,
    },
    /// Takes an item or a field away.
    Remove {
        /// The place.
        at: String,
    },
}

/// A word as a part of a JSON pointer.
pub fn escaped(word: &str) -> String {
    word.replace('~', "~0").replace('/', "~1")
}

/// A part of a JSON pointer as the word it is.
pub fn unescaped(part: &str) -> String {
    part.replace("~1", "/").replace("~0", "~")
}

/// The parent of a place, and the last part of the pointer.
pub(super) fn split(at: &str) -> (&str, &str) {
    at.rsplit_once('/').unwrap_or(("", at))
}

/// Makes the changes; what has no such place stays as it is.
pub fn apply(json: &mut Json, edits: &[Edit]) {
    for edit in edits {
        apply_one(json, edit);
    }
}

fn apply_one(json: &mut Json, edit: &Edit) {
    match edit {
        Edit::Swap { at, old, new, value, .. } => {
            if let Some(Json::Object(map)) = json.pointer_mut(at) {
                map.shift_remove(*old);
                map.insert((*new).to_owned(), value.clone());
            }
        }
        Edit::Value { at, value } => {
            if let Some(place) = json.pointer_mut(at) {
                *place = value.clone();
            }
        }
        Edit::Items { at, values } => {
            if let Some(Json::Array(items)) = json.pointer_mut(at) {
                items.splice(0..0, values.iter().cloned());
            }
        }
        Edit::Fields { at, fields } => {
            if let Some(Json::Object(map)) = json.pointer_mut(at) {
                map.extend(fields.clone());
            }
        }
        Edit::Remove { at } => {
            let (parent, last) = split(at);
            match json.pointer_mut(parent) {
                Some(Json::Object(map)) => drop(map.shift_remove(&unescaped(last))),
                Some(Json::Array(items)) => {
                    if let Ok(index) = last.parse::<usize>()
                        && index < items.len()
                    {
                        items.remove(index);
                    }
                }
                _ => {}
            }
        }
    }
}

/// The changes as operations of a JSON patch.
pub fn patch(edits: &[Edit]) -> Json {
    let mut operations = Vec::new();
    for edit in edits {
        match edit {
            Edit::Swap { at, old, new, value, .. } if old == new => {
                operations
                    .push(json!({"op": "replace", "path": format!("{at}/{new}"), "value": value}));
            }
            Edit::Swap { at, old, new, value, .. } => {
                operations.push(json!({"op": "remove", "path": format!("{at}/{old}")}));
                operations
                    .push(json!({"op": "add", "path": format!("{at}/{new}"), "value": value}));
            }
            Edit::Value { at, value } => {
                operations.push(json!({"op": "replace", "path": at, "value": value}));
            }
            Edit::Items { at, values } => {
                operations.extend(
                    values.iter().rev().map(
                        |value| json!({"op": "add", "path": format!("{at}/0"), "value": value}),
                    ),
                );
            }
            Edit::Fields { at, fields } => {
                operations.extend(fields.iter().map(|(key, value)| {
                    json!({"op": "add", "path": format!("{at}/{}", escaped(key)), "value": value})
                }));
            }
            Edit::Remove { at } => operations.push(json!({"op": "remove", "path": at})),
        }
    }
    Json::Array(operations)
}
