//! From a JSON pointer to the place in the text that it means.

use super::tree::{Entry, Flaw, Node, Position, Value};
use crate::platform::kubernetes::inject::edit::{split, unescaped};
use crate::rules::codes;

/// Where something is written inside of its list or mapping.
pub(super) struct Place<'t> {
    /// The list or mapping.
    pub(super) parent: &'t Node,
    /// Which of its items or entries.
    pub(super) index: usize,
}

impl<'t> Place<'t> {
    /// The field, where it is one of a mapping.
    pub(super) fn entry(&self) -> Option<&'t Entry> {
        match &self.parent.value {
            Value::Map { entries, .. } => entries.get(self.index),
            _ => None,
        }
    }

    /// What stands there.
    pub(super) fn node(&self) -> Option<&'t Node> {
        match &self.parent.value {
            Value::Map { entries, .. } => entries.get(self.index).map(|entry| &entry.value),
            Value::List { items, .. } => items.get(self.index),
            Value::Scalar { .. } => None,
        }
    }
}

impl Node {
    /// Which item or entry a part of a pointer means.
    fn step(&self, part: &str) -> Option<usize> {
        match &self.value {
            Value::Map { entries, .. } => {
                let key = unescaped(part);
                entries.iter().position(|entry| entry.key == key)
            }
            Value::List { items, .. } => part.parse().ok().filter(|index| *index < items.len()),
            Value::Scalar { .. } => None,
        }
    }

    /// What a pointer means, aliases followed.
    pub(super) fn at_pointer(&self, pointer: &str) -> Option<&Self> {
        pointer.split('/').skip(1).try_fold(self, |node, part| {
            let index = node.step(part)?;
            Place { parent: node, index }.node()
        })
    }

    /// Where the field that a pointer means begins, or as much of the way as is there.
    pub(super) fn nearest(&self, pointer: &str) -> Position {
        let (mut node, mut at) = (self, self.at);
        for part in pointer.split('/').skip(1) {
            let Some(index) = node.step(part) else { break };
            let place = Place { parent: node, index };
            let Some(next) = place.node() else { break };
            at = place.entry().map_or(next.at, |entry| entry.at);
            node = next;
        }
        at
    }

    /// A list or mapping that is written where it stands, so that it can be changed there.
    pub(super) fn written(&self, pointer: &str) -> Result<&Self, Flaw> {
        let mut node = self;
        for part in pointer.split('/').skip(1) {
            let next = node.step(part).and_then(|index| Place { parent: node, index }.node());
            node = next.filter(|next| !next.alias).ok_or_else(|| shared(node.at))?;
        }
        Ok(node)
    }

    /// An item or field of such a list or mapping.
    pub(super) fn place(&self, pointer: &str) -> Result<Place<'_>, Flaw> {
        let (parent, last) = split(pointer);
        let parent = self.written(parent)?;
        let index = parent.step(last).ok_or_else(|| shared(parent.at))?;
        Ok(Place { parent, index })
    }
}

/// What comes from an alias or a merge key cannot be changed where it is used.
pub(super) fn shared(at: Position) -> Flaw {
    let code = codes::SHARED_TEXT;
    Flaw { at, code, message: code.summary.to_owned() }
}

/// A pointer as people write a field's path: `spec.containers[0].name`.
pub(super) fn dotted(pointer: &str) -> String {
    let mut path = String::new();
    for part in pointer.split('/').skip(1).map(unescaped) {
        match part.parse::<usize>() {
            Ok(index) => path.push_str(&format!("[{index}]")),
            Err(_) if path.is_empty() => path = part,
            Err(_) => path = format!("{path}.{part}"),
        }
    }
    path
}
