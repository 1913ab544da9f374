//! `diff`: what `apply` would change in the rules, and in what proxies do.

use clap::Args;
use serde::Serialize;
use serde_json::{Value, json};

use super::apply_set::ApplySetArgs;
use super::args::{Context, NamespaceArgs};
use super::client::Client;
use super::cluster::failed;
use super::cluster::rules::refused;
use super::exit::{Exit, Failure, Outcome};
use super::input::{Input, InputArgs};
use super::output::{FormatArgs, View};
use super::{apply, delete, kind};
use crate::control::api::shapes::{API_VERSION, Effect, ObjectId, ObjectList};
use crate::mesh::ObjectRef;
use crate::platform::kubernetes::rules;
use crate::rules::ParsedObject;

mod effect;
mod text;

/// Show what `apply` would change: in the rules, and with `--effect` in what proxies do.
///
/// On a cluster the API server is asked, by a dry run, so that defaults and what others have written
/// are seen.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  meshctl diff -f rules.yaml             each rule that would change, line by line
  meshctl diff -f rules/ -R --effect     and which requests would go elsewhere
  meshctl diff -f rules.yaml -o name     only which

Exit codes: 0 nothing would change, 1 it failed, 2 wrong command line, 3 something would change.")]
pub(crate) struct DiffArgs {
    #[command(flatten)]
    input: InputArgs,
    #[command(flatten)]
    namespace: NamespaceArgs,
    #[command(flatten)]
    set: ApplySetArgs,
    /// Say also what would change in what proxies do: destinations, limits, faults.
    #[arg(long)]
    effect: bool,
    #[command(flatten)]
    format: FormatArgs,
}

/// What would be done to a rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
enum Action {
    Created,
    Configured,
    Unchanged,
    Deleted,
}

/// One rule, now and then.
#[derive(Debug, Serialize)]
struct Compared {
    #[serde(flatten)]
    id: ObjectId,
    action: Action,
    /// Unified; empty where nothing would change.
    diff: String,
}

pub(crate) fn run(args: &DiffArgs, context: &Context) -> Outcome {
    let input = Input::read(&args.input.filename, args.input.recursive)?;
    let mut parsed = apply::parse(&input, &args.namespace.namespace, context)?;
    args.set.mark(&mut parsed);
    let client = Client::of(context)?;
    let gone = args.set.leftovers(&client, &parsed)?;
    let each = parsed.objects.iter().map(|object| compare(&client, object));
    let pruned = gone.iter().map(|reference| pruned(&client, reference));
    let compared = each.chain(pruned).collect::<Result<Vec<_>, Failure>>()?;
    let effects = match args.effect {
        true => {
            let gone = gone.iter().map(kind::id).collect();
            Some(effect::ask(&client, &input, (&args.namespace.namespace, gone))?)
        }
        false => None,
    };
    context.printer.note(&summary(&compared));
    context.printer.view(args.format.output, &view(&compared, effects.as_deref())?)?;
    let differs = compared.iter().any(|it| it.action != Action::Unchanged);
    match differs || effects.is_some_and(|effects| !effects.is_empty()) {
        true => Ok(Exit::Findings),
        false => Ok(Exit::Done),
    }
}

fn compare(client: &Client, object: &ParsedObject) -> Result<Compared, Failure> {
    let (before, after) = match client.cluster() {
        Some(cluster) => {
            let (rule, document) = (&object.reference, &object.source);
            let asked = rules::compare(&cluster.connection, rule, document);
            client.block_on(asked).map_err(refused)?
        }
        None => (stored(client, &object.reference)?, object.source.clone()),
    };
    let id = kind::id(&object.reference);
    let name = delete::short(&id);
    let (from, to) = (format!("{name}, now"), format!("{name}, {}:{}", object.file, object.line));
    let (was, is) = (before.as_ref().map(text::written).transpose()?, text::written(&after)?);
    let action = match &was {
        None => Action::Created,
        Some(was) if *was == is => Action::Unchanged,
        Some(_) => Action::Configured,
    };
    let diff = text::unified(was.as_deref().unwrap_or_default(), &is, (&from, &to));
    Ok(Compared { id, action, diff })
}

/// A rule that the set no longer has.
fn pruned(client: &Client, reference: &ObjectRef) -> Result<Compared, Failure> {
    let before = match client.cluster() {
        Some(cluster) => {
            client.block_on(rules::read(&cluster.connection, reference)).map_err(failed)?
        }
        None => stored(client, reference)?,
    };
    let id = kind::id(reference);
    let name = delete::short(&id);
    let was = before.as_ref().map(text::written).transpose()?.unwrap_or_default();
    let (from, to) = (format!("{name}, now"), format!("{name}, pruned"));
    Ok(Compared { id, action: Action::Deleted, diff: text::unified(&was, "", (&from, &to)) })
}

/// The rule as it was applied, where there is one.
fn stored(client: &Client, reference: &ObjectRef) -> Result<Option<Value>, Failure> {
    let (kind, namespace) = (reference.kind.as_str(), reference.namespace.as_str());
    let query = [("kind", kind), ("namespace", namespace), ("name", reference.name.as_str())];
    let list: ObjectList = client.get("/v1/objects", &query)?;
    Ok(list.items.into_iter().next())
}

/// How many there are of each action.
fn summary(compared: &[Compared]) -> String {
    let count = |action: Action| compared.iter().filter(|it| it.action == action).count();
    let (created, configured) = (count(Action::Created), count(Action::Configured));
    let (deleted, unchanged) = (count(Action::Deleted), count(Action::Unchanged));
    let pruned = if deleted > 0 { format!("deleted: {deleted}, ") } else { String::new() };
    format!("rules created: {created}, configured: {configured}, {pruned}unchanged: {unchanged}")
}

fn view(compared: &[Compared], effects: Option<&[Effect]>) -> Result<View, Failure> {
    let mut value = json!({
        "apiVersion": API_VERSION,
        "kind": "DiffReport",
        "objects": serde_json::to_value(compared)?,
    });
    if let (Some(fields), Some(effects)) = (value.as_object_mut(), effects) {
        fields.insert("effects".to_owned(), serde_json::to_value(effects)?);
    }
    let changed = || compared.iter().filter(|it| it.action != Action::Unchanged);
    let mut lead: Vec<_> = changed().map(|it| text::coloured(&it.diff)).collect();
    lead.extend(effects.map(effect::told));
    let names = changed().map(|it| format!("{}/{}", kind::word(&it.id.kind), it.id.name));
    Ok(View { value, lead, names: names.collect(), ..View::default() })
}
