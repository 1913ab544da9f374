//! `meshctl inject` and `meshctl uninject` as functions from text to text.
//!
//! Only what injection changes is spliced in at the places of the parsed documents; comments, order,
//! quotes and line ends of everything else stay. Both ways are checked before the text is given out:
//! read again it must mean what the edits say, and taken back it must be the text that came in.
//! Whatever cannot be done like that is an error, never a text that means something else.

use std::collections::BTreeMap;

use serde_json::{Map, Value as Json};

use super::{Decision, Edit, Origin, Refusal, Settings, edit, undo};
use crate::names::sidecar;
use crate::rules::codes::{self, Code};
use crate::rules::{Diagnostic, Document, Severity};

mod places;
mod splice;
#[cfg(test)]
mod tests;
mod tree;
mod workloads;

use splice::Splicer;
use tree::{Flaw, Node, Position};
use workloads::{Found, found};

/// What came of all documents of a run.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Filtered {
    /// The text of each file, in order; use them only without errors.
    pub texts: Vec<String>,
    /// Each workload, in the order written.
    pub workloads: Vec<Workload>,
    /// Errors and warnings, by file and place.
    pub diagnostics: Vec<Diagnostic>,
}

impl Filtered {
    /// Whether any diagnostic is an error.
    pub fn has_errors(&self) -> bool {
        self.diagnostics.iter().any(|found| found.severity == Severity::Error)
    }
}

/// A workload, and what became of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Workload {
    /// The file.
    pub file: String,
    /// The line on which it begins, from 1.
    pub line: usize,
    /// Such as `Deployment`.
    pub kind: String,
    /// Its namespace.
    pub namespace: String,
    /// Its name; may be empty.
    pub name: String,
    /// Whether its text changed.
    pub changed: bool,
    /// Why, or why not; for people.
    pub why: String,
}

/// What a run does.
#[derive(Debug, Clone, Copy)]
pub enum Direction<'a> {
    /// Gives workloads their sidecars.
    Inject(&'a Settings),
    /// Takes them away.
    Uninject,
}

/// Filters files; `namespace` is that of documents that name none.
pub fn filter(documents: &[Document], namespace: &str, direction: Direction<'_>) -> Filtered {
    let mut filtered = Filtered::default();
    let mut files = Vec::new();
    for document in documents {
        let text = document.text.strip_prefix('\u{feff}').unwrap_or(&document.text);
        match tree::parse(text) {
            Ok(roots) => files.push((document, text, roots)),
            Err(flaw) => filtered.diagnostics.push(flaw.diagnostic(&document.source)),
        }
    }
    let labels = labels(files.iter().flat_map(|(_, _, roots)| roots));
    for (document, text, roots) in files {
        let mut file = File {
            source: &document.source,
            text,
            roots,
            namespace,
            labels: &labels,
            out: &mut filtered,
        };
        let mark = document.text.len() - text.len();
        match file.filter(direction) {
            Ok(changed) => {
                let mark = document.text.get(..mark).unwrap_or_default();
                filtered.texts.push(format!("{mark}{changed}"));
            }
            Err(flaw) => filtered.diagnostics.push(flaw.diagnostic(&document.source)),
        }
    }
    let order =
        |found: &Diagnostic| documents.iter().position(|document| document.source == found.file);
    filtered.diagnostics.sort_by_key(|found| (order(found), found.line, found.column));
    filtered
}

/// What the namespaces in the input say about injection.
fn labels<'a>(roots: impl Iterator<Item = &'a Node>) -> BTreeMap<String, String> {
    let label = format!("/metadata/labels/{}", edit::escaped(sidecar::INJECT_LABEL));
    roots
        .map(Node::to_json)
        .filter(|json| json["kind"] == "Namespace" && json["apiVersion"] == "v1")
        .filter_map(|json| {
            let name = json.pointer("/metadata/name")?.as_str()?.to_owned();
            Some((name, json.pointer(&label)?.as_str()?.to_owned()))
        })
        .collect()
}

struct File<'a> {
    source: &'a str,
    text: &'a str,
    roots: Vec<Node>,
    namespace: &'a str,
    labels: &'a BTreeMap<String, String>,
    out: &'a mut Filtered,
}

/// The edits of one workload.
struct Work {
    root: usize,
    at: String,
    edits: Vec<Edit>,
    source: Map<String, Json>,
}

impl File<'_> {
    fn filter(&mut self, direction: Direction<'_>) -> Result<String, Flaw> {
        let roots = std::mem::take(&mut self.roots);
        let wanted: Vec<Json> = roots.iter().map(Node::to_json).collect();
        let mut works = Vec::new();
        for (index, json) in wanted.iter().enumerate() {
            for found in found(json, self.namespace) {
                let Some(root) = roots.get(index) else { continue };
                let Some(pod) = json.pointer(&found.at) else { continue };
                let work = match direction {
                    Direction::Inject(settings) => self.inject(root, &found, pod, settings)?,
                    Direction::Uninject => self.uninject(root, &found, pod),
                };
                works.extend(work.map(|work| Work { root: index, ..work }));
            }
        }
        let text = self.spliced(&roots, &wanted, &works)?;
        if let (Direction::Inject(_), false) = (direction, works.is_empty()) {
            let back = [Document { source: self.source.to_owned(), text: text.clone() }];
            let back = filter(&back, self.namespace, Direction::Uninject);
            if back.texts.first().map(String::as_str) != Some(self.text) {
                return Err(unfaithful());
            }
        }
        Ok(text)
    }

    fn inject(
        &mut self,
        root: &Node,
        found: &Found,
        pod: &Json,
        settings: &Settings,
    ) -> Result<Option<Work>, Flaw> {
        let label = self.labels.get(&found.namespace).map_or("enabled", String::as_str);
        let mut origin = Origin {
            namespace: &found.namespace,
            namespace_label: Some(label),
            workload: Some(&found.name).filter(|_| !found.at.is_empty()).map(String::as_str),
            source: Map::new(),
        };
        let mut injection = super::inject(pod, &origin, settings);
        origin.source = Splicer::new(self.text, root, &found.at).written(&injection.edits, pod)?;
        if !origin.source.is_empty() {
            injection = super::inject(pod, &origin, settings);
        }
        for warning in &injection.warnings {
            let code = codes::INJECTION_RISK;
            self.diagnose(
                root,
                found,
                Severity::Warning,
                code,
                &warning.at,
                &warning.message,
                code.help,
            );
        }
        self.misplaced(root, found);
        if let Decision::Refused(refusals) = &injection.decision {
            for Refusal { at, mark, message, help } in refusals {
                let code = if *mark { codes::BAD_MARK } else { codes::NOT_INJECTABLE };
                let help = if help.is_empty() { code.help } else { help };
                self.diagnose(root, found, Severity::Error, code, at, message, help);
            }
        }
        let changed = injection.decision == Decision::Injected;
        let why = match &injection.decision {
            Decision::Injected => "injected".to_owned(),
            Decision::Skipped(skip) => format!("left alone: {skip}"),
            Decision::Refused(_) => "refused".to_owned(),
        };
        self.report(root, found, changed, why);
        let Origin { source, .. } = origin;
        let work = Work { root: 0, at: found.at.clone(), edits: injection.edits, source };
        Ok(Some(work).filter(|_| changed))
    }

    /// Warns of our label where it stands on the workload instead of on its pod.
    fn misplaced(&mut self, root: &Node, found: &Found) {
        let outer = Found { at: found.workload.clone(), ..found.clone() };
        for kind in ["labels", "annotations"] {
            let at = format!("/metadata/{kind}/{}", edit::escaped(sidecar::INJECT_LABEL));
            let there = root.at_pointer(&format!("{}{at}", outer.at)).is_some();
            if there && found.at != outer.at {
                let label = sidecar::INJECT_LABEL;
                let message =
                    format!("`{label}` has no effect here: put it on the pod's own labels");
                let help = "labels of the pod are in `template.metadata.labels`";
                let code = codes::INJECTION_RISK;
                self.diagnose(root, &outer, Severity::Warning, code, &at, &message, help);
            }
        }
    }

    fn uninject(&mut self, root: &Node, found: &Found, pod: &Json) -> Option<Work> {
        let undone = undo::uninject(pod);
        let why = match &undone {
            Some(_) => "sidecar taken away",
            None => "left alone: it has no sidecar",
        };
        self.report(root, found, undone.is_some(), why.to_owned());
        let undone = undone?;
        let (edits, source) = (undone.edits, undone.source);
        Some(Work { root: 0, at: found.at.clone(), edits, source })
    }

    /// The text with the edits, which means what they say.
    fn spliced(&self, roots: &[Node], before: &[Json], works: &[Work]) -> Result<String, Flaw> {
        let mut wanted = before.to_vec();
        for work in works {
            let pod = wanted.get_mut(work.root).and_then(|json| json.pointer_mut(&work.at));
            if let Some(pod) = pod {
                edit::apply(pod, &work.edits);
            }
        }
        // What was kept as text no longer fits where another tool has indented anew.
        for verbatim in [true, false] {
            let mut splices = Vec::new();
            for work in works {
                let Some(root) = roots.get(work.root) else { continue };
                let splicer = Splicer::new(self.text, root, &work.at);
                let empty = Map::new();
                let source = if verbatim { &work.source } else { &empty };
                splices.extend(splicer.splices(&work.edits, source)?);
            }
            let text = splice::apply(self.text, splices);
            let again = tree::parse(&text);
            if again.is_ok_and(|roots| roots.iter().map(Node::to_json).eq(wanted.iter().cloned())) {
                return Ok(text);
            }
        }
        Err(unfaithful())
    }

    fn report(&mut self, root: &Node, found: &Found, changed: bool, why: String) {
        let line = root.at_pointer(&found.workload).map_or(root.at, |node| node.at).line;
        self.out.workloads.push(Workload {
            file: self.source.to_owned(),
            line,
            kind: found.kind.clone(),
            namespace: found.namespace.clone(),
            name: found.name.clone(),
            changed,
            why,
        });
    }

    #[expect(clippy::too_many_arguments, reason = "a diagnostic has that many parts")]
    fn diagnose(
        &mut self,
        root: &Node,
        found: &Found,
        severity: Severity,
        code: &Code,
        at: &str,
        message: &str,
        help: &str,
    ) {
        let pointer = format!("{}{at}", found.at);
        let at = root.nearest(&pointer);
        self.out.diagnostics.push(Diagnostic {
            severity,
            code: code.code.to_owned(),
            message: format!("{} `{}`: {message}", found.kind, found.name),
            file: self.source.to_owned(),
            line: at.line,
            column: at.column,
            field: places::dotted(&pointer),
            help: help.to_owned(),
            missing: String::new(),
        });
    }
}

fn unfaithful() -> Flaw {
    let code = codes::SHARED_TEXT;
    Flaw { at: Position::START, code, message: code.summary.to_owned() }
}
