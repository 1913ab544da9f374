//! One document: `apiVersion`, `kind` and `metadata`, then the reader of its kind.
//!
//! The envelope is the same for every kind. A document with an error gives no object; what is
//! wrong with its `spec` is reported even when its `metadata` is wrong too.

use std::sync::Arc;

use crate::mesh::{MeshConfig, Object, ObjectKind, ObjectRef};
use crate::names::{Namespace, ObjectName};
use crate::rules::at::{At, Shape};
use crate::rules::codes;
use crate::rules::kinds::{self, Known};
use crate::rules::problems::{Problems, quoted};
use crate::rules::tree::{Node, Value};
use crate::rules::{Options, UnknownKinds, config, fault, policy, route, service, values};

/// The longest label or annotation key, with its prefix.
const MAX_KEY: usize = 253 + 1 + 63;
/// The longest annotation.
const MAX_ANNOTATION: usize = 256 << 10;

/// Who an object is and in which revision, for the readers of the kinds.
#[derive(Debug, Clone)]
pub(super) struct Meta {
    pub(super) namespace: Namespace,
    pub(super) name: ObjectName,
    pub(super) generation: u64,
    pub(super) created_ms: u64,
}

/// What a document came to.
pub(super) enum Read {
    /// An object without errors.
    Object(ObjectRef, Object),
    /// Nothing: empty, or with errors that are reported.
    Nothing,
    /// Somebody else's kind.
    Skipped,
    /// A list of documents.
    List,
}

/// Revision of the object that is read: `generation` and `created_ms`.
#[derive(Debug, Clone, Copy)]
pub(super) struct Revision {
    pub(super) generation: u64,
    pub(super) created_ms: u64,
}

/// The documents of a list, as `kubectl get -o yaml` writes it.
pub(super) fn items<'a>(node: &'a Node<'a>, problems: &mut Problems<'_>) -> &'a [Node<'a>] {
    match node.field("items").map(|items| &items.value) {
        Some(Value::List(items)) => items,
        _ => {
            let root = At::root(node);
            let message = "a `List` needs a list of `items`".to_owned();
            root.error(problems, codes::MISSING_FIELD, message);
            &[]
        }
    }
}

/// Reads one document.
pub(super) fn read<'a>(
    node: &'a Node<'a>,
    options: &Options,
    revision: Revision,
    problems: &mut Problems<'_>,
) -> Read {
    if node.is_null() {
        return Read::Nothing;
    }
    let root = At::root(node);
    if !matches!(node.value, Value::Map(_)) {
        let message =
            format!("expected a document with `apiVersion` and `kind`, found {}", root.found());
        root.error(problems, codes::NOT_A_MAPPING, message);
        return Read::Nothing;
    }
    let before = problems.errors();
    let kind = match kind(&root, options, problems) {
        Ok(kind) => kind,
        Err(read) => return read,
    };
    let object = body(&root, kind, options, revision, problems);
    match object {
        Some((reference, object)) if problems.errors() == before => Read::Object(reference, object),
        _ => Read::Nothing,
    }
}

/// Finds the kind, or what else the document is.
fn kind<'a>(
    root: &'a At<'a>,
    options: &Options,
    problems: &mut Problems<'_>,
) -> Result<ObjectKind, Read> {
    let Some(fields) = root.any_fields(problems) else { return Err(Read::Nothing) };
    let version = fields.need(problems, "apiVersion").and_then(|at| at.text(problems));
    let kind_at = fields.need(problems, "kind");
    let kind = kind_at.and_then(|at| at.text(problems));
    let (Some(version), Some(kind), Some(kind_at)) = (version, kind, kind_at) else {
        return Err(Read::Nothing);
    };
    let known = kinds::find(version, kind);
    let (version, kind_word) = (quoted(version), quoted(kind));
    match known {
        Known::Kind(kind) => return Ok(kind),
        Known::List => return Err(Read::List),
        Known::Later => {
            let message = format!("kind {kind_word} is not supported yet in this version");
            kind_at.error(problems, codes::KIND_NOT_YET, message);
        }
        Known::OtherVersion(known) => {
            let message =
                format!("unknown apiVersion {version} of {kind_word}: this build knows `{known}`");
            let help =
                format!("write `apiVersion: {known}`, or use a meshctl that knows the other");
            let at = fields.get("apiVersion").unwrap_or(kind_at);
            at.error_with(problems, codes::UNKNOWN_VERSION, message, &help);
        }
        Known::Unknown(near) => {
            let help = match near {
                Some(word) => format!("did you mean `{word}`?"),
                None => format!("this build reads {}", kinds::supported()),
            };
            let message = format!("unknown kind {kind_word} in {version}");
            kind_at.error_with(problems, codes::UNKNOWN_KIND, message, &help);
        }
        Known::Foreign if options.unknown_kinds == UnknownKinds::Skip => return Err(Read::Skipped),
        Known::Foreign => {
            let message = format!("{kind_word} of {version} is no kind of a mesh");
            kind_at.error(problems, codes::FOREIGN_KIND, message);
        }
    }
    Err(Read::Nothing)
}

/// Reads everything of a known kind.
fn body<'a>(
    root: &'a At<'a>,
    kind: ObjectKind,
    options: &Options,
    revision: Revision,
    problems: &mut Problems<'_>,
) -> Option<(ObjectRef, Object)> {
    // `status` is what the mesh itself writes back; it says nothing about what is wanted.
    const SHAPE: Shape =
        Shape { known: &["apiVersion", "kind", "metadata", "spec", "status"], later: &[] };
    let fields = root.fields(problems, &SHAPE)?;
    let metadata = fields.need(problems, "metadata");
    let named = metadata.and_then(|at| metadata_of(&at, kind, options, problems));
    // Where the metadata is wrong the spec is read all the same, for its own problems.
    let meta = match &named {
        Some((namespace, name)) => Meta {
            namespace: namespace.clone(),
            name: name.clone(),
            generation: revision.generation,
            created_ms: revision.created_ms,
        },
        None => Meta {
            namespace: options.default_namespace.clone(),
            name: "unnamed".parse().ok()?,
            generation: revision.generation,
            created_ms: revision.created_ms,
        },
    };
    let object = match (kind, fields.get("spec")) {
        (ObjectKind::MeshConfig, None) => {
            let config = MeshConfig { generation: meta.generation, ..MeshConfig::default() };
            Some(Object::MeshConfig(Arc::new(config)))
        }
        (ObjectKind::MeshConfig, Some(spec)) => {
            config::read(&spec, &meta, problems).map(|c| Object::MeshConfig(Arc::new(c)))
        }
        (_, None) => {
            fields.need(problems, "spec");
            None
        }
        (ObjectKind::Service, Some(spec)) => {
            service::read(&spec, &meta, problems).map(|s| Object::Service(Arc::new(s)))
        }
        (ObjectKind::HttpRoute, Some(spec)) => {
            route::read(&spec, &meta, problems).map(|r| Object::HttpRoute(Arc::new(r)))
        }
        (ObjectKind::TrafficPolicy, Some(spec)) => {
            policy::read(&spec, &meta, problems).map(|p| Object::TrafficPolicy(Arc::new(p)))
        }
        (ObjectKind::FaultPolicy, Some(spec)) => {
            fault::read(&spec, &meta, problems).map(|p| Object::FaultPolicy(Arc::new(p)))
        }
    };
    let (namespace, name) = named?;
    Some((ObjectRef { kind, namespace, name }, object?))
}

/// Reads `metadata`: the name and namespace, and the form of the rest.
fn metadata_of<'a>(
    at: &'a At<'a>,
    kind: ObjectKind,
    options: &Options,
    problems: &mut Problems<'_>,
) -> Option<(Namespace, ObjectName)> {
    // The last seven are written by an API server; they say nothing about what is wanted.
    const SHAPE: Shape = Shape {
        known: &[
            "name",
            "namespace",
            "labels",
            "annotations",
            "creationTimestamp",
            "generation",
            "resourceVersion",
            "uid",
            "managedFields",
            "ownerReferences",
            "finalizers",
        ],
        later: &["generateName"],
    };
    let fields = at.fields(problems, &SHAPE)?;
    if let Some(labels) = fields.get("labels") {
        service::labels(&labels, problems);
    }
    if let Some(annotations) = fields.get("annotations") {
        for (_, value) in annotations.any_fields(problems).iter().flat_map(|f| f.all()) {
            value.bounded_text(problems, 0, MAX_ANNOTATION);
        }
    }
    let namespace = fields.get("namespace");
    let name = fields.need(problems, "name");
    let namespace = match namespace {
        None if kind == ObjectKind::MeshConfig => Some(Namespace::root()),
        None => Some(options.default_namespace.clone()),
        Some(at) => values::name::<Namespace>(&at, problems).filter(|namespace| {
            let scoped = kind != ObjectKind::MeshConfig || *namespace == Namespace::root();
            if !scoped {
                let message = "`MeshConfig` holds for the whole mesh and has no namespace";
                at.error(problems, codes::WRONG_SCOPE, message.to_owned());
            }
            scoped
        }),
    };
    let name = name.and_then(|at| object_name(&at, kind, problems));
    Some((namespace?, name?))
}

fn object_name(at: &At<'_>, kind: ObjectKind, problems: &mut Problems<'_>) -> Option<ObjectName> {
    let name: ObjectName = values::name(at, problems)?;
    if kind == ObjectKind::Service {
        // A service's name becomes a host name, so it must be a label.
        values::name::<crate::names::ServiceLabel>(at, problems)?;
    }
    if kind == ObjectKind::MeshConfig && name.as_str() != config::NAME {
        let message = format!("expected `{}`, found {}", config::NAME, quoted(name.as_str()));
        let help = format!("there is one MeshConfig; its name is `{}`", config::NAME);
        at.error_with(problems, codes::BAD_NAME, message, &help);
        return None;
    }
    Some(name)
}

/// Checks the key of a label.
pub(super) fn is_label_key(key: &str) -> bool {
    let (prefix, name) = match key.split_once('/') {
        Some((prefix, name)) => (Some(prefix), name),
        None => (None, key),
    };
    let prefix_good =
        prefix.is_none_or(|p| crate::names::check_subdomain("label prefix", p).is_ok());
    key.len() <= MAX_KEY && prefix_good && !name.is_empty() && is_label_value(name)
}

/// Checks the value of a label: empty, or at most 63 letters, digits, `-`, `_`, `.` with a letter
/// or digit at both ends.
pub(super) fn is_label_value(value: &str) -> bool {
    let inside = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.');
    let ends = [value.bytes().next(), value.bytes().next_back()];
    value.len() <= 63
        && value.bytes().all(inside)
        && ends.iter().flatten().all(u8::is_ascii_alphanumeric)
}
