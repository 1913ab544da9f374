//! What users write: YAML and JSON documents, strictly read, validated, their defaults resolved.
//!
//! Text goes in; [`crate::mesh`] objects and diagnostics come out.

mod diagnostic;

pub use diagnostic::{Diagnostic, Severity};
