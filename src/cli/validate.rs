//! `validate`: the offline check of rules, for people and for CI.

use clap::{Args, ValueEnum};
use serde_json::json;

use super::args::{Context, NamespaceArgs};
use super::diagnostics::{self, plural};
use super::exit::{Exit, Failure, Outcome};
use super::input::{Input, InputArgs};
use super::output;
use crate::control::api::shapes::API_VERSION;
use crate::rules::{self, Diagnostic, Options, Severity, UnknownKinds};

/// Check rules without a mesh: every problem of every file.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  meshctl validate -f rules.yaml                       one file
  meshctl validate -f rules/ -R --warnings-as-errors   a directory, strictly
  cat rules.yaml | meshctl validate -f - -o json       for scripts

Exit codes: 0 no problem, 1 it could not be checked, 2 wrong command line, 3 problems found.")]
pub(crate) struct ValidateArgs {
    #[command(flatten)]
    input: InputArgs,
    #[command(flatten)]
    namespace: NamespaceArgs,
    /// Refuse kinds of other products instead of skipping them.
    #[arg(long)]
    strict_kinds: bool,
    /// Let warnings count as errors.
    #[arg(long)]
    warnings_as_errors: bool,
    /// Form of the report.
    #[arg(short, long, value_name = "FORMAT", default_value = "text")]
    output: ReportFormat,
}

/// How the report is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum ReportFormat {
    Text,
    Json,
}

pub(crate) fn run(args: &ValidateArgs, context: &Context) -> Outcome {
    let input = Input::read(&args.input.filename, args.input.recursive)?;
    let options = Options {
        default_namespace: args.namespace.namespace.clone(),
        unknown_kinds: match args.strict_kinds {
            true => UnknownKinds::Refuse,
            false => UnknownKinds::Skip,
        },
    };
    let mut parsed = rules::parse(&input.documents, &options);
    let mut found = input.unread;
    found.append(&mut parsed.diagnostics);
    found.extend(rules::cross_check(&parsed.objects, None));
    let fatal = |it: &Diagnostic| args.warnings_as_errors || it.severity == Severity::Error;
    let valid = !found.iter().any(fatal);
    match args.output {
        ReportFormat::Json => context.printer.data(&output::json(&json!({
            "apiVersion": API_VERSION,
            "kind": "ValidationReport",
            "valid": valid,
            "objects": parsed.objects.len(),
            "skipped": parsed.skipped,
            "diagnostics": found,
        }))?)?,
        ReportFormat::Text => {
            let problems = diagnostics::render(&found, &input.documents);
            let ending = ending(parsed.objects.len(), parsed.skipped, &found);
            context.printer.data(&format!("{problems}{ending}\n"))?;
        }
    }
    match valid {
        true => Ok(Exit::Done),
        false => Ok(Exit::Findings),
    }
}

/// The last line: what there was, and how it fared.
fn ending(objects: usize, skipped: usize, found: &[Diagnostic]) -> String {
    let mut line = match diagnostics::summary(found) {
        none if none.is_empty() => format!("{} checked, no problem found", plural(objects, "rule")),
        some => format!("{some} found, {} without error", plural(objects, "rule")),
    };
    if skipped > 0 {
        line += &format!(", {} of other products skipped", plural(skipped, "document"));
    }
    line
}

/// The failure of a command that changes rules, and needs them without errors.
pub(crate) fn refused(found: &[Diagnostic], input: &Input) -> Failure {
    let summary = diagnostics::summary(found);
    Failure::new(format!("the rules have {summary}, nothing was changed"))
        .with_detail(diagnostics::render(found, &input.documents))
}

/// The failure of a command that only looks at rules, and needs them without errors.
pub(crate) fn unusable(found: &[Diagnostic], input: &Input) -> Failure {
    let summary = diagnostics::summary(found);
    Failure::new(format!("the rules have {summary}"))
        .with_detail(diagnostics::render(found, &input.documents))
}
