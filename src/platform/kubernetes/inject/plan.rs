//! What injection changes in a pod that gets a sidecar, as edits.
//!
//! Probes come first, because what follows moves the init containers that they may stand in.

use serde_json::{Map, Value as Json, json};

use super::annotations::Wishes;
use super::edit::Edit;
use super::{Origin, Settings, Warning, containers, probes};
use crate::names::sidecar;
use crate::platform::kubernetes::naming::Names;

pub(super) fn plan(
    pod: &Json,
    origin: &Origin<'_>,
    settings: &Settings,
    wishes: &Wishes,
    warnings: &mut Vec<Warning>,
) -> Vec<Edit> {
    let probes = probes::rewrite(pod, wishes, warnings);
    let mut edits = probes.edits;
    let service = service(pod, origin);
    let own = vec![
        containers::capture(settings, wishes),
        containers::proxy(settings, wishes, &service, &probes.resolved),
    ];
    let mut fields = Map::new();
    for (key, values) in [("initContainers", own), ("volumes", containers::volumes())] {
        let at = format!("/spec/{key}");
        match pod.pointer(&at) {
            None => drop(fields.insert(key.to_owned(), Json::Array(values))),
            Some(Json::Array(items)) if !items.is_empty() => {
                edits.push(Edit::Items { at, values });
            }
            Some(_) => edits.push(Edit::Value { at, value: Json::Array(values) }),
        }
    }
    if !fields.is_empty() {
        edits.push(Edit::Fields { at: "/spec".to_owned(), fields });
    }
    let mut marks = Map::new();
    marks.insert(sidecar::INJECTED_ANNOTATION.to_owned(), json!(settings.version));
    for (key, content) in [
        (sidecar::PROBES_ANNOTATION, &probes.originals),
        (sidecar::SOURCE_ANNOTATION, &origin.source),
    ] {
        if !content.is_empty() {
            marks.insert(key.to_owned(), json!(json!(content).to_string()));
        }
    }
    edits.push(annotate(pod, marks));
    edits
}

/// Adds annotations, with the mappings around them where they are missing.
fn annotate(pod: &Json, marks: Map<String, Json>) -> Edit {
    let mut fields = marks;
    let mut place =
        ["/metadata/annotations", "/metadata", ""].into_iter().zip(["annotations", "metadata", ""]);
    loop {
        let Some((at, key)) = place.next() else {
            return Edit::Fields { at: String::new(), fields };
        };
        match pod.pointer(at) {
            Some(Json::Object(map)) if !map.is_empty() => {
                return Edit::Fields { at: at.to_owned(), fields };
            }
            Some(_) => return Edit::Value { at: at.to_owned(), value: Json::Object(fields) },
            None => fields = Map::from_iter([(key.to_owned(), Json::Object(fields))]),
        }
    }
}

/// The name under which the workload is seen.
fn service(pod: &Json, origin: &Origin<'_>) -> String {
    let text = |at: &str| pod.pointer(at).and_then(Json::as_str);
    let names = Names {
        workload: origin.workload,
        owner: text("/metadata/ownerReferences/0/name"),
        generated: text("/metadata/generateName"),
        own: text("/metadata/name"),
    };
    let labels = pod.pointer("/metadata/labels");
    names.service(|key| labels?.get(key)?.as_str()).to_string()
}
