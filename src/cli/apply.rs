//! `apply`: hands rules to the control plane, all documents or none, and waits for the proxies. On a
//! cluster they go to the API server, which the control plane watches.
//!
//! The documents are checked here first, with the same words as `validate`, so that a typing
//! mistake is told without a control plane. What the mesh alone knows it says itself.

use clap::{Args, ValueEnum};
use jiff::Timestamp;

use super::apply_set::ApplySetArgs;
use super::args::{Context, NamespaceArgs};
use super::changes::{ChangeArgs, Changes};
use super::client::Client;
use super::cluster::Cluster;
use super::cluster::rules::{Step, Way, change};
use super::confirm::{self, ConfirmArgs};
use super::diagnostics::plural;
use super::exit::{Exit, Failure, Outcome};
use super::input::{Input, InputArgs};
use super::wait::{self, TimeoutArgs};
use super::{delete, diagnostics, kind, validate};
use crate::control::api::shapes::{ApplyRequest, ApplyResult, Source};
use crate::mesh::ObjectRef;
use crate::names::Namespace;
use crate::rules::{self, Diagnostic, Options, Parsed, UnknownKinds};

/// Change the rules of the mesh: all the documents or none.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  meshctl apply -f rules.yaml --wait              return when every proxy has acknowledged
  meshctl apply -f rules/ -R                      all files of a directory
  meshctl apply -f rules.yaml --dry-run=server    what would change
  meshctl apply -f rules/ --apply-set shop --prune   and delete what the files no longer have
  cat rules.yaml | meshctl apply -f -")]
pub(crate) struct ApplyArgs {
    #[command(flatten)]
    input: InputArgs,
    #[command(flatten)]
    namespace: NamespaceArgs,
    #[command(flatten)]
    set: ApplySetArgs,
    /// Change nothing: check here (`client`), or let the control plane say what would change.
    #[arg(long, value_name = "WHERE")]
    dry_run: Option<DryRun>,
    /// Wait until every proxy concerned has acknowledged.
    #[arg(long)]
    wait: bool,
    #[command(flatten)]
    timeout: TimeoutArgs,
    #[command(flatten)]
    confirm: ConfirmArgs,
    #[command(flatten)]
    format: ChangeArgs,
}

/// Who is asked what would change: nobody, only this program checks; or the control plane.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum DryRun {
    Client,
    Server,
}

pub(crate) fn run(args: &ApplyArgs, context: &Context) -> Outcome {
    let input = Input::read(&args.input.filename, args.input.recursive)?;
    let mut parsed = parse(&input, &args.namespace.namespace, context)?;
    let together = rules::cross_check(&parsed.objects, None, Timestamp::now());
    context.printer.notes(&diagnostics::render(&together, &input.documents));
    parsed.diagnostics.extend(together);
    args.set.mark(&mut parsed);
    if let Some(DryRun::Client) = args.dry_run {
        if args.set.prune {
            return Err(Failure::usage("only the mesh knows what there is to prune")
                .help("ask it with `--dry-run=server`"));
        }
        let objects = parsed.objects.iter().map(|object| kind::id(&object.reference));
        let changes = Changes::here(objects, "checked", parsed.diagnostics);
        changes.print(args.format, context)?;
        return Ok(Exit::Done);
    }
    let client = Client::of(context)?;
    client.announce(context);
    let gone = args.set.leftovers(&client, &parsed)?;
    if !gone.is_empty() && args.dry_run.is_none() {
        let names: Vec<_> = gone.iter().map(|it| delete::short(&kind::id(it))).collect();
        let what = format!("prune {} ({})", plural(gone.len(), "rule"), names.join(", "));
        confirm::confirm(args.confirm, context.printer, &what)?;
    }
    match client.cluster() {
        Some(cluster) => on_cluster((args, parsed, &gone), &client, cluster, context),
        None => here((args, &parsed, &gone), &input, &client, context),
    }
}

/// Everything in one request.
fn here(
    (args, parsed, gone): (&ApplyArgs, &Parsed, &[ObjectRef]),
    input: &Input,
    client: &Client,
    context: &Context,
) -> Outcome {
    let request = ApplyRequest {
        sources: input.documents.iter().map(source).collect(),
        dry_run: args.dry_run.is_some(),
        namespace: args.namespace.namespace.to_string(),
        actor: actor(),
        apply_set: args.set.apply_set.clone().unwrap_or_default(),
        prune: gone.iter().map(kind::id).collect(),
    };
    if args.wait && args.dry_run.is_none() {
        wait::returned(client, context, args.timeout)?;
    }
    let result: ApplyResult = client.post("/v1/apply", &request)?;
    // The control plane checks again what was checked here, and knows more.
    let told = |it: &Diagnostic| parsed.diagnostics.contains(it);
    let warnings: Vec<_> = result.warnings.iter().filter(|it| !told(it)).cloned().collect();
    context.printer.notes(&diagnostics::render(&warnings, &input.documents));
    let revision = result.revision;
    Changes::done(result, args.dry_run.is_some()).print(args.format, context)?;
    if args.wait && args.dry_run.is_none() {
        wait::propagation(client, context, revision, args.timeout)?;
    }
    Ok(Exit::Done)
}

/// One after the other.
fn on_cluster(
    (args, parsed, gone): (&ApplyArgs, Parsed, &[ObjectRef]),
    client: &Client,
    cluster: &Cluster,
    context: &Context,
) -> Outcome {
    let set = args.set.apply_set.as_deref().unwrap_or_default();
    // What refers to something goes before it.
    let prune = gone.iter().rev().map(|it| Step::Prune(it, set));
    let steps: Vec<_> = parsed.objects.iter().map(Step::Apply).chain(prune).collect();
    let way = Way { dry_run: args.dry_run.is_some(), format: args.format, context };
    let waits = args.wait && args.dry_run.is_none();
    let before = waits.then(|| wait::returned(client, context, args.timeout)).transpose()?;
    let done = client.block_on(change(cluster, &steps, parsed.diagnostics, way))?;
    if let Some(before) = before {
        wait::written(client, context, (before, &done), args.timeout)?;
    }
    Ok(Exit::Done)
}

/// The rules of an input, without an error, or the failure that shows all problems.
pub(crate) fn parse(
    input: &Input,
    namespace: &Namespace,
    context: &Context,
) -> Result<Parsed, Failure> {
    let options =
        Options { default_namespace: namespace.clone(), unknown_kinds: UnknownKinds::Refuse };
    let parsed = rules::parse(&input.documents, &options);
    if parsed.has_errors() || !input.unread.is_empty() {
        let found = [input.unread.clone(), parsed.diagnostics].concat();
        return Err(validate::refused(&found, input));
    }
    if parsed.objects.is_empty() {
        return Err(Failure::new("there are no rules in what was given")
            .help("name a file with documents that have `apiVersion` and `kind`"));
    }
    context.printer.notes(&diagnostics::render(&parsed.diagnostics, &input.documents));
    Ok(parsed)
}

/// A file, for the admin API.
pub(crate) fn source(document: &rules::Document) -> Source {
    Source { name: document.source.clone(), text: document.text.clone() }
}

/// Who changes the rules, for the history, where the control plane adds the user that the system
/// knows: the name of that user here.
pub(crate) fn actor() -> String {
    std::env::var("USER").unwrap_or_default()
}
