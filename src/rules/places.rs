//! Where the references of a document stand, kept beside its object for problems that only show
//! when objects are seen together, when the tree is gone.
//!
//! Only lists of references are kept: parents, targets, and the backends of every rule.

use crate::rules::tree::{Node, Position, Value};

/// Places of references by the paths of their fields, `spec.rules[0].backendRefs[1]`.
#[derive(Debug, Clone, Default)]
pub struct Places(Vec<(String, Position)>);

impl Places {
    /// Those of a document.
    pub(super) fn of(document: &Node<'_>) -> Self {
        let mut places = Self::default();
        let Some(spec) = document.field("spec") else { return places };
        places.add(spec, "spec", "parentRefs");
        places.add(spec, "spec", "targetRefs");
        for (index, rule) in spec.field("rules").map(items).into_iter().flatten().enumerate() {
            places.add(rule, &format!("spec.rules[{index}]"), "backendRefs");
        }
        places
    }

    /// Where the field at `path` stands, or the reference that it is a part of.
    pub(super) fn find(&self, path: &str) -> Option<Position> {
        let of = |(place, _): &&(String, Position)| {
            path.strip_prefix(place.as_str()).is_some_and(|rest| matches!(rest, "" | ".port"))
        };
        self.0.iter().find(of).map(|(_, at)| *at)
    }

    fn add(&mut self, parent: &Node<'_>, path: &str, list: &str) {
        let Some(list_node) = parent.field(list) else { return };
        self.0.push((format!("{path}.{list}"), list_node.at));
        for (index, item) in items(list_node).iter().enumerate() {
            self.0.push((format!("{path}.{list}[{index}]"), item.at));
        }
    }
}

fn items<'n, 'a>(node: &'n Node<'a>) -> &'n [Node<'a>] {
    match &node.value {
        Value::List(items) => items,
        _ => &[],
    }
}
