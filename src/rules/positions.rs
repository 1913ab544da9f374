//! Where the parts of a document stand that problems may be about which show only after it was read.
//!
//! The tree of a document is gone by then; of it only the places of what refers to other objects, of
//! rules and their matches and times, and of the fields of `spec` are kept, as many as the bounds on
//! those lists allow.

use std::collections::BTreeMap;

use crate::rules::tree::{Node, Position, Value};

/// Places by the path of the field, `spec.rules[0].backendRefs[1]`.
#[derive(Debug, Clone)]
pub(super) struct Positions {
    start: Position,
    fields: BTreeMap<String, Position>,
    /// Texts that stand in lists of names, with their paths.
    texts: Vec<(String, String)>,
}

impl Positions {
    /// Those of a document.
    pub(super) fn of(document: &Node<'_>) -> Self {
        let mut positions = Self { start: document.at, fields: BTreeMap::new(), texts: Vec::new() };
        if let Some(spec) = document.field("spec") {
            positions.children("spec", spec);
            if let Some(outliers) = spec.field("outlierDetection") {
                positions.children("spec.outlierDetection", outliers);
            }
            positions.references("spec.parentRefs", spec.field("parentRefs"));
            positions.references("spec.targetRefs", spec.field("targetRefs"));
            positions.callers(spec.field("from"));
            for (index, rule) in items(spec.field("rules")).iter().enumerate() {
                positions.rule(&format!("spec.rules[{index}]"), rule);
            }
        }
        positions
    }

    /// Where a field stands; the beginning of the document where that was not kept.
    pub(super) fn get(&self, path: &str) -> Position {
        self.fields.get(path).copied().unwrap_or(self.start)
    }

    /// The path under `above` at which a name stands.
    pub(super) fn of_text(&self, above: &str, text: &str) -> Option<&str> {
        let mut found = self.texts.iter().filter(|(_, known)| known == text);
        found.find(|(path, _)| path.starts_with(above)).map(|(path, _)| path.as_str())
    }

    fn rule(&mut self, path: &str, rule: &Node<'_>) {
        self.fields.insert(path.to_owned(), rule.at);
        self.references(&format!("{path}.backendRefs"), rule.field("backendRefs"));
        for (index, matched) in items(rule.field("matches")).iter().enumerate() {
            self.fields.insert(format!("{path}.matches[{index}]"), matched.at);
        }
        if let Some(timeouts) = rule.field("timeouts") {
            self.children(&format!("{path}.timeouts"), timeouts);
        }
        if let Some(retry) = rule.field("retry") {
            self.fields.insert(format!("{path}.retry"), retry.at);
        }
    }

    fn children(&mut self, path: &str, node: &Node<'_>) {
        let Value::Map(entries) = &node.value else { return };
        for entry in entries {
            self.fields.insert(format!("{path}.{}", entry.key), entry.value.at);
        }
    }

    fn callers(&mut self, list: Option<&Node<'_>>) {
        for (index, item) in items(list).iter().enumerate() {
            for part in ["identities", "namespaces"] {
                for (inner, name) in items(item.field(part)).iter().enumerate() {
                    let path = format!("spec.from[{index}].{part}[{inner}]");
                    self.fields.insert(path.clone(), name.at);
                    self.texts.extend(name.as_text().map(|text| (path, text.to_owned())));
                }
            }
        }
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
