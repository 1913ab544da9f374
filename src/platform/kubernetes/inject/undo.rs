//! The way back: a pod with a sidecar goes in, the pod as its author wrote it comes out.
//!
//! What is ours is found by name, so that a pod that went through an API server, or through an
//! editor, loses exactly what injection gave it and keeps what was changed since.

use serde_json::{Map, Value as Json};

use super::edit::{self, Edit, escaped};
use super::judge::{CONTAINERS, VOLUMES, name};
use super::probes;
use crate::names::sidecar;

/// A pod without its sidecar.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Undone {
    /// The pod as it is now.
    pub pod: Json,
    /// How it came to that.
    pub edits: Vec<Edit>,
    /// How what was replaced had been written; see [`sidecar::SOURCE_ANNOTATION`].
    pub source: Map<String, Json>,
}

/// Takes a pod's sidecar away; `None` where it has none.
pub fn uninject(pod: &Json) -> Option<Undone> {
    let annotations = pod.pointer("/metadata/annotations")?.as_object()?;
    annotations.get(sidecar::INJECTED_ANNOTATION)?;
    let kept = |key: &str| {
        let text = annotations.get(key).and_then(Json::as_str).unwrap_or_default();
        serde_json::from_str::<Map<String, Json>>(text).unwrap_or_default()
    };
    let source = kept(sidecar::SOURCE_ANNOTATION);
    let mut edits = probes::restore(pod, &kept(sidecar::PROBES_ANNOTATION));
    for (at, ours) in [("/spec/initContainers", CONTAINERS), ("/spec/volumes", VOLUMES)] {
        let items = pod.pointer(at).and_then(Json::as_array).map(Vec::as_slice);
        let items = items.unwrap_or_default();
        let own = |item: &&Json| ours.contains(&name(item));
        if items.iter().filter(own).count() == items.len() && !items.is_empty() {
            edits.push(emptied(at, &source));
            continue;
        }
        let indices =
            items.iter().enumerate().filter(|(_, item)| own(item)).map(|(index, _)| index);
        edits.extend(indices.rev().map(|index| Edit::Remove { at: format!("{at}/{index}") }));
    }
    edits.extend(unmarked(pod, annotations, &source));
    let mut bare = pod.clone();
    edit::apply(&mut bare, &edits);
    Some(Undone { pod: bare, edits, source })
}

/// A list or mapping in which nothing is left: as it was written, else it was not there.
fn emptied(at: &str, source: &Map<String, Json>) -> Edit {
    let written = source.get(at).and_then(Json::as_str).map(str::trim);
    let read = |text: &str| match text {
        "" => Some(Json::Null),
        text => serde_yaml::from_str(text).ok(),
    };
    match written.and_then(read) {
        Some(value) => Edit::Value { at: at.to_owned(), value },
        None => Edit::Remove { at: at.to_owned() },
    }
}

/// Takes our annotations away, and the mappings around them that held nothing else.
fn unmarked(pod: &Json, annotations: &Map<String, Json>, source: &Map<String, Json>) -> Vec<Edit> {
    let ours =
        [sidecar::INJECTED_ANNOTATION, sidecar::PROBES_ANNOTATION, sidecar::SOURCE_ANNOTATION];
    let at = "/metadata/annotations";
    if annotations.keys().any(|key| !ours.contains(&key.as_str())) {
        let present = ours.into_iter().filter(|key| annotations.contains_key(*key));
        return present.map(|key| Edit::Remove { at: format!("{at}/{}", escaped(key)) }).collect();
    }
    let metadata = pod.get("metadata").and_then(Json::as_object);
    let alone = metadata.is_some_and(|metadata| metadata.len() == 1);
    match alone && !source.contains_key(at) {
        true => vec![emptied("/metadata", source)],
        false => vec![emptied(at, source)],
    }
}
