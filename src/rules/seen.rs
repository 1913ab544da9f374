//! Which documents there were, good or bad, for reports that count them: where each begins and what
//! it calls itself.

use std::sync::Arc;

use crate::names::Namespace;
use crate::rules::problems::escaped;
use crate::rules::tree::Node;

/// How many documents are told apart in one run; the others are in no such report.
pub(super) const MAX_SEEN: usize = 100_000;

/// A document, whatever came of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seen {
    /// The file.
    pub file: Arc<str>,
    /// The line on which it begins, from 1.
    pub line: usize,
    /// `HTTPRoute/default/reviews`; `document` where it does not say its kind and name.
    pub name: String,
    /// It is of another product.
    pub skipped: bool,
}

impl Seen {
    /// A document of `file`; `namespace` is that of documents that do not name one.
    pub(super) fn new(file: &Arc<str>, node: &Node<'_>, namespace: &Namespace) -> Self {
        let metadata = node.field("metadata");
        let text = |field: &str| metadata?.field(field)?.as_text();
        let kind = node.field("kind").and_then(Node::as_text);
        let name = match (kind, text("name")) {
            (Some(kind), Some(name)) => {
                let namespace = text("namespace").unwrap_or(namespace.as_str());
                [kind, namespace, name].map(escaped).join("/")
            }
            _ => "document".to_owned(),
        };
        Self { file: Arc::clone(file), line: node.at.line, name, skipped: false }
    }
}
