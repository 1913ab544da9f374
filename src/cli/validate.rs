//! `validate`: the check of rules, for people and for CI; offline, or against a running mesh.
//!
//! Every form of the report says the same: text and JSON here, those of CI systems in a file each.

use clap::{Args, ValueEnum};
use jiff::Timestamp;
use reqwest::StatusCode;
use serde_json::json;

use super::apply;
use super::args::{Context, NamespaceArgs};
use super::client::{Client, Fault};
use super::diagnostics::{self, plural};
use super::exit::{Exit, Failure, Outcome};
use super::input::{Input, InputArgs};
use super::output;
use crate::control::api::shapes::{API_VERSION, ValidateRequest, ValidateResult};
use crate::rules::{self, Diagnostic, Options, Parsed, Severity, UnknownKinds};

mod github;
mod junit;
mod sarif;

/// Check rules without a mesh: every problem of every file.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  meshctl validate -f rules.yaml                       one file
  meshctl validate -f rules/ -R --warnings-as-errors   a directory, strictly
  meshctl validate -f rules/ --against                 also: is what they name in the mesh?
  meshctl validate -f rules/ -o github                 annotations, in a GitHub workflow
  meshctl validate -f rules/ -o junit > report.xml     a test report, for GitLab and others
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
    /// Check also, with the running mesh, that what the rules name is there.
    #[arg(long)]
    against: bool,
    /// Form of the report.
    #[arg(short, long, value_name = "FORMAT", default_value = "text")]
    output: ReportFormat,
}

/// How the report is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum ReportFormat {
    Text,
    Json,
    Github,
    Sarif,
    Junit,
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
    let mut found = input.unread.clone();
    found.append(&mut parsed.diagnostics);
    found.extend(match args.against {
        true => against(args, &input, context)?,
        false => rules::cross_check(&parsed.objects, None, Timestamp::now()),
    });
    let strict = args.warnings_as_errors;
    let report = Report { input: &input, parsed: &parsed, found: &found, strict };
    match args.output {
        ReportFormat::Json => context.printer.data(&report.json()?)?,
        ReportFormat::Text => context.printer.data(&report.text())?,
        ReportFormat::Github => context.printer.verbatim(&github::render(&report))?,
        ReportFormat::Sarif => context.printer.verbatim(&sarif::render(&report)?)?,
        ReportFormat::Junit => context.printer.verbatim(&junit::render(&report))?,
    }
    match report.is_valid() {
        true => Ok(Exit::Done),
        false => Ok(Exit::Findings),
    }
}

/// What the running mesh finds: it looks at the rules as if they were applied, and changes nothing.
fn against(
    args: &ValidateArgs,
    input: &Input,
    context: &Context,
) -> Result<Vec<Diagnostic>, Failure> {
    let request = ValidateRequest {
        sources: input.documents.iter().map(apply::source).collect(),
        namespace: args.namespace.namespace.to_string(),
    };
    let client = Client::of(context)?;
    let answer = client.tell("/v1/validate", &request);
    let result: ValidateResult = answer.map_err(|fault| match fault {
        Fault::Refused(StatusCode::NOT_FOUND, _) => {
            Failure::new("the control plane is older than this program, and cannot be asked")
                .help("upgrade it, or leave `--against` out")
        }
        fault => client.failure(fault),
    })?;
    Ok(result.diagnostics)
}

/// What a check came to, for every form of it.
struct Report<'a> {
    input: &'a Input,
    parsed: &'a Parsed,
    /// Every problem, by file and place.
    found: &'a [Diagnostic],
    /// Warnings count as errors.
    strict: bool,
}

impl Report<'_> {
    fn is_fatal(&self, it: &Diagnostic) -> bool {
        self.strict || it.severity == Severity::Error
    }

    fn is_valid(&self) -> bool {
        !self.found.iter().any(|it| self.is_fatal(it))
    }

    fn json(&self) -> Result<String, Failure> {
        output::json(&json!({
            "apiVersion": API_VERSION,
            "kind": "ValidationReport",
            "valid": self.is_valid(),
            "objects": self.parsed.objects.len(),
            "skipped": self.parsed.skipped,
            "diagnostics": self.found,
        }))
    }

    fn text(&self) -> String {
        let problems = diagnostics::render(self.found, &self.input.documents);
        format!("{problems}{}\n", self.ending())
    }

    /// The last line: what there was, and how it fared.
    fn ending(&self) -> String {
        let (objects, skipped) = (self.parsed.objects.len(), self.parsed.skipped);
        let mut line = match diagnostics::summary(self.found) {
            none if none.is_empty() => {
                format!("{} checked, no problem found", plural(objects, "rule"))
            }
            some => format!("{some} found, {} without error", plural(objects, "rule")),
        };
        if skipped > 0 {
            line += &format!(", {} of other products skipped", plural(skipped, "document"));
        }
        line
    }
}

/// A problem in words without its place: what, at which field, what to do.
fn paragraph(it: &Diagnostic) -> String {
    let mut text = it.message.clone();
    if !it.field.is_empty() {
        text += &format!("\nfield: {}", it.field);
    }
    if !it.help.is_empty() {
        text += &format!("\nhelp: {}", it.help);
    }
    text
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
