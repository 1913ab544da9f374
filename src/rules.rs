//! What users write: YAML and JSON documents, strictly read, validated, their defaults resolved.
//!
//! Text goes in; [`crate::mesh`] objects and diagnostics come out: [`read`] gets the files,
//! [`parse`] reads the documents in them, [`cross_check`] compares objects with one another,
//! [`render`] draws the diagnostics, [`resolved`] writes the defaults out. Every problem of every
//! file is reported, and nothing that a document says is ignored.
//!
//! There is one parser, `saphyr-parser`: its events carry positions, so the tree that is validated
//! and the place that a diagnostic names cannot disagree, and the text is walked once. What a plain
//! scalar means is decided by the type of its field (`on` and `12:30` are texts, a port is digits).
//! `yaml_serde` only writes documents out.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::Arc;

use serde_json::Value as Json;

use crate::mesh::{Object, ObjectKind, ObjectRef};
use crate::names::Namespace;

mod at;
mod check;
pub mod codes;
mod config;
mod diagnostic;
mod document;
mod fault;
mod json;
mod kinds;
mod policy;
mod positions;
mod problems;
mod read;
mod render;
mod resolved;
mod route;
mod scalar;
pub mod schema;
mod seen;
mod service;
#[cfg(test)]
mod tests;
mod tree;
mod values;
mod yaml;

pub use check::{aged, cross_check};
pub use diagnostic::{Diagnostic, Severity};
pub use read::{MAX_FILE_BYTES, MAX_FILES, MAX_TOTAL_BYTES, ReadError, read};
pub use render::render;
pub use resolved::{default_config, resolved};
pub use seen::Seen;
pub use service::app_protocol;

pub(crate) use problems::{alternatives, nearest, quoted};
pub(crate) use scalar::{Scalar, resolve};

use document::{Read, Revision};
use positions::Positions;
use problems::Problems;
use tree::Node;

/// What stands for the file of a document that comes from the store.
const STORED: &str = "stored document";

/// A file with rules.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Document {
    /// The file as the user named it; `-` for standard input.
    pub source: String,
    /// Its content.
    pub text: String,
}

/// How documents are read.
#[derive(Debug, Clone)]
pub struct Options {
    /// The namespace of objects that do not name one.
    pub default_namespace: Namespace,
    /// What happens to documents of other products.
    pub unknown_kinds: UnknownKinds,
}

/// What happens to documents that a mesh has nothing to do with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UnknownKinds {
    /// They are skipped and counted.
    Skip,
    /// They are errors.
    Refuse,
}

/// What was in the files.
#[derive(Debug, Clone, Default)]
pub struct Parsed {
    /// The objects without errors, in the order written. Use them only where no diagnostic is an
    /// error: all of an input holds, or nothing.
    pub objects: Vec<ParsedObject>,
    /// Errors and warnings, by file and place.
    pub diagnostics: Vec<Diagnostic>,
    /// How many documents of other products were skipped.
    pub skipped: usize,
    /// The documents that could be told apart, good or bad, in the order written; the first
    /// 100,000 of them.
    pub documents: Vec<Seen>,
}

impl Parsed {
    /// Whether any diagnostic is an error.
    pub fn has_errors(&self) -> bool {
        self.diagnostics.iter().any(|d| d.severity == Severity::Error)
    }
}

/// An object and where it was written.
#[derive(Debug, Clone)]
pub struct ParsedObject {
    /// Which object.
    pub reference: ObjectRef,
    /// What it means; generation 1, created at 0.
    pub object: Object,
    /// The document as written, with its namespace filled in.
    pub source: Json,
    /// The file.
    pub file: Arc<str>,
    /// The line on which the document begins, from 1.
    pub line: usize,
    /// Where what it refers to stands.
    positions: Positions,
}

impl ParsedObject {
    /// Puts a label on the document, in place of one of that name.
    pub fn label(&mut self, name: &str, value: &str) {
        let metadata = self.source.get_mut("metadata").and_then(Json::as_object_mut);
        let Some(metadata) = metadata else { return };
        let labels = metadata.entry("labels").or_insert_with(|| Json::Object(Default::default()));
        if labels.is_null() {
            *labels = Json::Object(Default::default());
        }
        if let Some(labels) = labels.as_object_mut() {
            labels.insert(name.to_owned(), Json::String(value.to_owned()));
        }
    }
}

/// Reads all documents of all files.
pub fn parse(documents: &[Document], options: &Options) -> Parsed {
    let mut parsed = Parsed::default();
    let mut firsts = HashMap::new();
    let mut repeats = yaml::MAX_REPEATS;
    for document in documents {
        let mut problems = Problems::new(&document.source, parsed.diagnostics.len());
        let text = document.text.strip_prefix('\u{feff}').unwrap_or(&document.text);
        let text = json::without_surrogates(text);
        let file: Arc<str> = document.source.as_str().into();
        yaml::documents(&text, &mut repeats, &mut problems, |node, problems| {
            let mut gathered = Gathered { file: &file, parsed: &mut parsed, firsts: &mut firsts };
            parse_one(node, options, problems, &mut gathered);
        });
        parsed.diagnostics.extend(problems.into_sorted());
    }
    check::headless_parents(&mut parsed);
    parsed
}

/// Where each object was written first.
type Firsts = HashMap<ObjectRef, (Arc<str>, usize)>;

/// What has been read so far, and the file that is read now.
struct Gathered<'g> {
    file: &'g Arc<str>,
    parsed: &'g mut Parsed,
    firsts: &'g mut Firsts,
}

impl Gathered<'_> {
    fn saw(&mut self, node: &Node<'_>, options: &Options, skipped: bool) {
        if self.parsed.documents.len() < seen::MAX_SEEN && !node.is_null() {
            let seen = Seen::new(self.file, node, &options.default_namespace);
            self.parsed.documents.push(Seen { skipped, ..seen });
        }
    }
}

fn parse_one(
    node: &Node<'_>,
    options: &Options,
    problems: &mut Problems<'_>,
    gathered: &mut Gathered<'_>,
) {
    let revision = Revision { generation: 1, created_ms: 0 };
    let read = document::read(node, options, revision, problems);
    if !matches!(read, Read::List) {
        gathered.saw(node, options, matches!(read, Read::Skipped));
    }
    let (reference, object) = match read {
        Read::Object(reference, object) => (reference, object),
        Read::Nothing => return,
        Read::Skipped => {
            gathered.parsed.skipped += 1;
            return;
        }
        Read::List => {
            // Lists nest no deeper than documents do.
            for item in document::items(node, problems) {
                parse_one(item, options, problems, gathered);
            }
            return;
        }
    };
    let line = node.at.line;
    match gathered.firsts.entry(reference.clone()) {
        Entry::Vacant(free) => drop(free.insert((gathered.file.clone(), line))),
        Entry::Occupied(first) => {
            let (file, first_line) = first.get();
            let message = format!("`{reference}` is defined twice: first at {file}:{first_line}");
            let code = codes::SAME_OBJECT;
            problems.error(code, node.at, "metadata.name", message, code.help);
            return;
        }
    }
    let mut source = node.to_json();
    if reference.kind != ObjectKind::MeshConfig
        && let Some(metadata) = source.get_mut("metadata").and_then(Json::as_object_mut)
    {
        // Without it the object would move when it is read again under another default.
        metadata
            .entry("namespace")
            .or_insert_with(|| Json::String(reference.namespace.to_string()));
    }
    let file = gathered.file.clone();
    let positions = Positions::of(node);
    let object = ParsedObject { reference, object, source, file, line, positions };
    gathered.parsed.objects.push(object);
}

/// Reads a document from the store, in the form of [`ParsedObject::source`].
///
/// # Errors
/// What is wrong with it: a store written by another version may hold what this one refuses.
pub fn from_value(
    value: &Json,
    generation: u64,
    created_ms: u64,
) -> Result<Object, Vec<Diagnostic>> {
    let options = Options {
        default_namespace: Namespace::default_namespace(),
        unknown_kinds: UnknownKinds::Refuse,
    };
    let mut problems = Problems::new(STORED, 0);
    let node = Node::from_json(value);
    match document::read(&node, &options, Revision { generation, created_ms }, &mut problems) {
        Read::Object(_, object) => Ok(object),
        _ => {
            if problems.errors() == 0 {
                let (code, message) = (codes::NOT_A_MAPPING, "expected one object".to_owned());
                problems.error(code, node.at, "", message, code.help);
            }
            Err(problems.into_sorted())
        }
    }
}
