//! Edits as changes of the text, leaving alone every byte that they are not about.
//!
//! Everything new is put before the first of what stands there already, in the style of the place:
//! whole lines in block style, JSON in flow style. So it can be told where it ends, and be cut out
//! again to the byte.

use std::ops::Range;

use serde_json::{Map, Value as Json, json};

use super::places::{Place, shared};
use super::tree::{Flaw, Node, Value};
use crate::platform::kubernetes::inject::edit::Edit;

/// One change of a text: the bytes that go, and what comes in their place.
#[derive(Debug, Clone)]
pub(super) struct Splice {
    range: Range<usize>,
    text: String,
}

/// Makes changes that do not overlap, but where both only take away.
pub(super) fn apply(text: &str, mut splices: Vec<Splice>) -> String {
    splices.sort_by_key(|splice| splice.range.start);
    let mut out = String::with_capacity(text.len() + 4096 * splices.len().min(64));
    let mut done = 0;
    for Splice { range, text: new } in splices {
        out.push_str(text.get(done..range.start).unwrap_or_default());
        out.push_str(&new);
        done = done.max(range.end);
    }
    out.push_str(text.get(done..).unwrap_or_default());
    out
}

/// Turns the edits of one pod into changes of the text of its document.
pub(super) struct Splicer<'t> {
    text: &'t str,
    root: &'t Node,
    /// Where in the document the pod is.
    base: &'t str,
    eol: &'static str,
}

impl<'t> Splicer<'t> {
    pub(super) fn new(text: &'t str, root: &'t Node, base: &'t str) -> Self {
        let first = text.split_inclusive('\n').next().unwrap_or_default();
        let eol = if first.ends_with("\r\n") { "\r\n" } else { "\n" };
        Self { text, root, base, eol }
    }

    fn at(&self, pointer: &str) -> String {
        format!("{}{pointer}", self.base)
    }

    /// How what the edits replace is written, where it is not as it would be written anew.
    pub(super) fn written(&self, edits: &[Edit], pod: &Json) -> Result<Map<String, Json>, Flaw> {
        let mut written = Map::new();
        for edit in edits {
            match edit {
                Edit::Swap { at, old, name, .. } => {
                    let place = self.root.place(&self.at(&format!("{at}/{old}")))?;
                    let range = self.field(&place)?;
                    let is = self.text.get(range.clone()).unwrap_or_default();
                    let value = pod.pointer(&format!("{at}/{old}")).unwrap_or(&Json::Null);
                    if is != self.rendered(&place, old, value, range) {
                        written.insert(name.clone(), json!(is));
                    }
                }
                Edit::Value { at, .. } => {
                    let place = self.root.place(&self.at(at))?;
                    let is = self.text.get(self.behind_key(&place)?).unwrap_or_default();
                    written.insert(at.clone(), json!(is));
                }
                _ => {}
            }
        }
        Ok(written)
    }

    /// The changes; `source` is what [`Self::written`] gave when they were made the other way.
    pub(super) fn splices(
        &self,
        edits: &[Edit],
        source: &Map<String, Json>,
    ) -> Result<Vec<Splice>, Flaw> {
        edits.iter().map(|edit| self.splice(edit, source)).collect()
    }

    fn splice(&self, edit: &Edit, source: &Map<String, Json>) -> Result<Splice, Flaw> {
        let kept = |name: &str| source.get(name).and_then(Json::as_str).map(str::to_owned);
        match edit {
            Edit::Swap { at, old, new, value, name } => {
                let place = self.root.place(&self.at(&format!("{at}/{old}")))?;
                let range = self.field(&place)?;
                let text =
                    kept(name).unwrap_or_else(|| self.rendered(&place, new, value, range.clone()));
                Ok(Splice { range, text })
            }
            Edit::Value { at, value } => {
                let place = self.root.place(&self.at(at))?;
                let range = self.behind_key(&place)?;
                Ok(Splice { range, text: kept(at).unwrap_or_else(|| format!(" {value}")) })
            }
            Edit::Items { at, values } => self.before(at, &Json::Array(values.clone())),
            Edit::Fields { at, fields } => self.before(at, &Json::Object(fields.clone())),
            Edit::Remove { at } => self.remove(&self.root.place(&self.at(at))?),
        }
    }

    /// Puts what is in `values` before everything in a list or mapping.
    fn before(&self, at: &str, values: &Json) -> Result<Splice, Flaw> {
        let parent = self.root.written(&self.at(at))?;
        let start = self.start(parent, 0)?;
        let indent = self.indent(start);
        let text = match flow(parent) {
            false => self.block(values, &indent) + self.eol + &indent,
            true => {
                let opening = self.text.get(parent.start..start).unwrap_or_default();
                let lines = opening.contains('\n');
                let next = if lines { format!(",{}{indent}", self.eol) } else { ", ".to_owned() };
                let one = |value: &Json| self.inline(value, lines, &indent);
                match values {
                    Json::Array(items) => items.iter().map(|item| one(item) + &next).collect(),
                    Json::Object(fields) => fields
                        .iter()
                        .map(|(key, value)| format!("{}: {}{next}", json!(key), one(value)))
                        .collect(),
                    other => one(other) + &next,
                }
            }
        };
        Ok(Splice { range: start..start, text })
    }

    fn remove(&self, place: &Place<'_>) -> Result<Splice, Flaw> {
        let start = self.start(place.parent, place.index)?;
        let end = place.node().map_or(start, |node| node.end);
        let gap = |next: usize| self.text.get(end..next).unwrap_or_default();
        let range = match self.start(place.parent, place.index + 1) {
            Ok(next) if flow(place.parent) => start..next,
            Ok(next) if gap(next).trim().is_empty() => start..next,
            _ if flow(place.parent) => self.behind_previous(place, start)..end,
            _ => self.line_start(start)..self.line_end(end),
        };
        Ok(Splice { range, text: String::new() })
    }

    /// Where the item before ends, or the bracket before the first.
    fn behind_previous(&self, place: &Place<'_>, start: usize) -> usize {
        let index = place.index.checked_sub(1);
        let before = index.and_then(|index| Place { index, ..*place }.node());
        before.map_or(start, |node| node.end)
    }

    /// Where an item, dash included, or a field begins.
    fn start(&self, parent: &Node, index: usize) -> Result<usize, Flaw> {
        let missing = || shared(parent.at);
        match &parent.value {
            Value::Map { entries, .. } => entries.get(index).map(|it| it.start).ok_or_else(missing),
            Value::List { items, flow: true } => {
                items.get(index).map(|it| it.start).ok_or_else(missing)
            }
            Value::List { items, flow: false } => {
                let item = items.get(index).ok_or_else(missing)?;
                self.dash(item.start).ok_or_else(missing)
            }
            Value::Scalar { .. } => Err(missing()),
        }
    }

    /// The dash before an item, which may stand on a line above it.
    fn dash(&self, item: usize) -> Option<usize> {
        let mut end = item;
        loop {
            let start = self.line_start(end);
            let line = self.text.get(start..end)?;
            let line = if end == item { line } else { line.split(" #").next()? };
            let line = line.trim_end();
            if line.ends_with('-') {
                return Some(start + line.len() - 1);
            }
            if end == item || line.is_empty() || line.trim_start().starts_with('#') {
                end = start.checked_sub(1)?;
                continue;
            }
            return None;
        }
    }

    /// A field from its key to the end of its value.
    fn field(&self, place: &Place<'_>) -> Result<Range<usize>, Flaw> {
        let entry = place.entry().ok_or_else(|| shared(place.parent.at))?;
        Ok(entry.start..entry.value.end.max(entry.end))
    }

    /// What stands behind the colon of a field.
    fn behind_key(&self, place: &Place<'_>) -> Result<Range<usize>, Flaw> {
        let entry = place.entry().ok_or_else(|| shared(place.parent.at))?;
        let rest = self.text.get(entry.end..).unwrap_or_default();
        let colon = rest.find(':').ok_or_else(|| shared(entry.at))?;
        let start = entry.end + colon + 1;
        Ok(start..entry.value.end.max(start))
    }

    /// A field as it is written anew where another one stands.
    fn rendered(&self, place: &Place<'_>, key: &str, value: &Json, range: Range<usize>) -> String {
        let indent = self.indent(range.start);
        match flow(place.parent) {
            false => self.block(&json!({key: value}), &indent),
            true => {
                let lines = self.text.get(range).unwrap_or_default().contains('\n');
                format!("{}: {}", json!(key), self.inline(value, lines, &indent))
            }
        }
    }

    /// A value in block style; the first line stands behind the indentation already.
    fn block(&self, value: &Json, indent: &str) -> String {
        let text = serde_yaml::to_string(value).unwrap_or_default();
        text.trim_end().replace('\n', &format!("{}{indent}", self.eol))
    }

    /// A value as JSON, over several lines where those around it are.
    fn inline(&self, value: &Json, lines: bool, indent: &str) -> String {
        match lines {
            true => format!("{value:#}").replace('\n', &format!("{}{indent}", self.eol)),
            false => value.to_string(),
        }
    }

    /// The blanks that put a line under a place.
    fn indent(&self, at: usize) -> String {
        let line = self.text.get(self.line_start(at)..at).unwrap_or_default();
        line.chars().map(|c| if c == '\t' { '\t' } else { ' ' }).collect()
    }

    fn line_start(&self, at: usize) -> usize {
        let before = self.text.get(..at).unwrap_or_default();
        before.rfind('\n').map_or(0, |newline| newline + 1)
    }

    /// Behind the line break of the line.
    fn line_end(&self, at: usize) -> usize {
        let rest = self.text.get(at..).unwrap_or_default();
        rest.find('\n').map_or(self.text.len(), |newline| at + newline + 1)
    }
}

fn flow(node: &Node) -> bool {
    matches!(node.value, Value::List { flow: true, .. } | Value::Map { flow: true, .. })
}
