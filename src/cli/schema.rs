//! `schema`: JSON Schema of rules, for editors.

use clap::Args;
use clap_complete::engine::ArgValueCandidates;

use super::args::Context;
use super::exit::{Exit, Outcome};
use super::{complete, kind, output};
use crate::mesh::ObjectKind;
use crate::rules::schema::editor;

/// Print the JSON Schema of rules, for editors.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  meshctl schema > rules.schema.json    of every kind, told apart by `apiVersion` and `kind`
  meshctl schema httproute              of one kind

In a file of rules, for editors with the YAML language server:
  # yaml-language-server: $schema=rules.schema.json")]
pub(crate) struct SchemaArgs {
    /// The kind; all of them where none is named.
    #[arg(
        value_name = "KIND",
        value_parser = kind::parse,
        add = ArgValueCandidates::new(complete::kinds)
    )]
    kind: Option<ObjectKind>,
}

pub(crate) fn run(args: &SchemaArgs, context: &Context) -> Outcome {
    let schema = match args.kind {
        Some(kind) => editor::of_kind(kind),
        None => editor::of_all(),
    };
    context.printer.verbatim(&output::json(&schema)?)?;
    Ok(Exit::Done)
}
