//! Where the references of a document stand, for problems that show only after it was read.
//!
//! The tree of a document is gone by then; of it only the places of what refers to other objects
//! are kept, as many as the bounds on those lists allow.

use std::collections::BTreeMap;

use crate::rules::tree::{Node, Position, Value};

/// Places by the path of the field, `spec.rules[0].backendRefs[1]`.
#[derive(Debug, Clone)]
pub(super) struct Positions {
    start: Position,
    fields: BTreeMap<String, Position>,
}

impl Positions {
    /// Those of a document.
    pub(super) fn of(document: &Node<'_>) -> Self {
        let mut positions = Self { start: document.at, fields: BTreeMap::new() };
        if let Some(spec) = document.field("spec") {
            positions.references("spec.parentRefs", spec.field("parentRefs"));
            positions.references("spec.targetRefs", spec.field("targetRefs"));
            for (index, rule) in items(spec.field("rules")).iter().enumerate() {
                let path = format!("spec.rules[{index}].backendRefs");
                positions.references(&path, rule.field("backendRefs"));
            }
        }
        positions
    }

    /// Where a field stands; the beginning of the document where that was not kept.
    pub(super) fn get(&self, path: &str) -> Position {
        self.fields.get(path).copied().unwrap_or(self.start)
    }

    fn references(&mut self, path: &str, list: Option<&Node<'_>>) {
        for (index, item) in items(list).iter().enumerate() {
            let path = format!("{path}[{index}]");
            for part in ["port", "sectionName"] {
                if let Some(part_at) = item.field(part) {
                    self.fields.insert(format!("{path}.{part}"), part_at.at);
                }
            }
            self.fields.insert(path, item.at);
        }
    }
}

fn items<'n, 'a>(node: Option<&'n Node<'a>>) -> &'n [Node<'a>] {
    match node.map(|node| &node.value) {
        Some(Value::List(items)) => items,
        _ => &[],
    }
}
