//! What `apply` and `delete` did to each rule, as lines for people or in the form that `-o` names.

use clap::ValueEnum;
use serde::Serialize;

use super::args::Context;
use super::exit::Failure;
use super::{kind, output};
use crate::control::api::shapes::{API_VERSION, AppliedObject, ApplyResult, ObjectId};
use crate::rules::Diagnostic;

#[cfg(test)]
mod tests;

/// `-o` of every command that changes rules.
#[derive(Debug, Clone, Copy, clap::Args)]
pub(crate) struct ChangeArgs {
    /// Form of the output [default: a line for each rule].
    #[arg(short, long, value_name = "FORMAT")]
    pub(crate) output: Option<ChangeFormat>,
}

/// For scripts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum ChangeFormat {
    Json,
    Yaml,
    Name,
}

/// What was done, or would be.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Changes {
    api_version: &'static str,
    kind: &'static str,
    dry_run: bool,
    /// The revision of the rules after it; `null` where no control plane keeps them.
    revision: Option<u64>,
    objects: Vec<Change>,
    warnings: Vec<Diagnostic>,
}

/// What was done to one rule, or would be.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Change {
    kind: String,
    namespace: String,
    name: String,
    action: &'static str,
    /// `null` where nobody who counts was asked.
    generation: Option<u64>,
}

impl Change {
    /// What was done, in a word.
    pub(crate) fn new(id: ObjectId, action: &'static str, generation: Option<u64>) -> Self {
        let ObjectId { kind, namespace, name } = id;
        Self { kind, namespace, name, action, generation }
    }
}

impl Changes {
    /// What the control plane says that it did.
    pub(crate) fn done(result: ApplyResult, dry_run: bool) -> Self {
        let change = |it: AppliedObject| Change {
            kind: it.kind,
            namespace: it.namespace,
            name: it.name,
            action: it.action.as_str(),
            generation: Some(it.generation),
        };
        let objects = result.objects.into_iter().map(change).collect();
        Self::new(dry_run, Some(result.revision), objects, result.warnings)
    }

    /// What this program alone says, without asking anybody.
    pub(crate) fn here(
        objects: impl IntoIterator<Item = ObjectId>,
        action: &'static str,
        warnings: Vec<Diagnostic>,
    ) -> Self {
        let change = |it: ObjectId| Change::new(it, action, None);
        Self::new(true, None, objects.into_iter().map(change).collect(), warnings)
    }

    /// As it is said.
    pub(crate) fn new(
        dry_run: bool,
        revision: Option<u64>,
        objects: Vec<Change>,
        warnings: Vec<Diagnostic>,
    ) -> Self {
        let (api_version, kind) = (API_VERSION, "ApplyResult");
        Self { api_version, kind, dry_run, revision, objects, warnings }
    }

    /// Prints it.
    pub(crate) fn print(&self, args: ChangeArgs, context: &Context) -> Result<(), Failure> {
        context.printer.data(&self.render(args.output)?)
    }

    fn render(&self, format: Option<ChangeFormat>) -> Result<String, Failure> {
        let suffix = if self.dry_run { " (dry run)" } else { "" };
        let named = |it: &Change| format!("{}/{}", kind::word(&it.kind), it.name);
        let line = |it: &Change| format!("{} {}{suffix}\n", named(it), it.action);
        Ok(match format {
            None => self.objects.iter().map(line).collect(),
            Some(ChangeFormat::Name) => self.objects.iter().map(|it| named(it) + "\n").collect(),
            Some(ChangeFormat::Json) => output::json(self)?,
            Some(ChangeFormat::Yaml) => output::yaml(self)?,
        })
    }
}
