//! `delete`: takes rules away, by name or by the file that they came from. All or none; it asks.

use std::path::PathBuf;

use clap::Args;
use clap_complete::engine::ArgValueCandidates;

use super::apply::{self, DryRun};
use super::args::{Context, NamespaceArgs};
use super::changes::{ChangeArgs, Changes};
use super::client::Client;
use super::cluster::rules::{Step, Way, change};
use super::cluster::{Cluster, failed};
use super::confirm::{self, ConfirmArgs};
use super::diagnostics::plural;
use super::exit::{Exit, Failure, Outcome};
use super::input::Input;
use super::wait::{self, TimeoutArgs};
use super::{complete, kind};
use crate::control::api::shapes::{ApplyResult, DeleteRequest, ObjectId, ObjectList};
use crate::mesh::{ObjectKind, ObjectRef};
use crate::platform::kubernetes::rules;

/// Delete rules, all of those named or none.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  meshctl delete httproute reviews           ask, then delete one route
  meshctl delete -f rules.yaml --yes         delete all that a file has
  meshctl delete trafficpolicy --all --yes   delete all of a kind in the namespace")]
pub(crate) struct DeleteArgs {
    /// KIND NAME… or KIND/NAME….
    #[arg(
        value_name = "KIND",
        required_unless_present = "filename",
        conflicts_with = "filename",
        add = ArgValueCandidates::new(complete::objects)
    )]
    what: Vec<String>,
    /// Delete what these files, directories or URLs have; `-` is standard input.
    #[arg(short, long, value_name = "FILE", value_hint = clap::ValueHint::AnyPath)]
    filename: Vec<PathBuf>,
    /// Read directories below directories too.
    #[arg(short = 'R', long, requires = "filename")]
    recursive: bool,
    /// All of the kind in the namespace.
    #[arg(long, conflicts_with = "filename")]
    all: bool,
    /// What is not there is no error.
    #[arg(long)]
    ignore_not_found: bool,
    /// Only say what would go.
    #[arg(long, value_name = "WHERE", value_enum)]
    dry_run: Option<DryRun>,
    /// Wait until every proxy concerned has acknowledged.
    #[arg(long)]
    wait: bool,
    #[command(flatten)]
    timeout: TimeoutArgs,
    #[command(flatten)]
    namespace: NamespaceArgs,
    #[command(flatten)]
    confirm: ConfirmArgs,
    #[command(flatten)]
    format: ChangeArgs,
}

pub(crate) fn run(args: &DeleteArgs, context: &Context) -> Outcome {
    let objects = match args.filename.is_empty() {
        true => named(args, context)?,
        false => written(args, context)?,
    };
    if let Some(DryRun::Client) = args.dry_run {
        let objects = objects.iter().map(kind::id);
        Changes::here(objects, "deleted", Vec::new()).print(args.format, context)?;
        return Ok(Exit::Done);
    }
    if objects.is_empty() {
        context.printer.note("there is nothing to delete");
    }
    let client = Client::of(context)?;
    if args.dry_run.is_none() && !objects.is_empty() {
        // Before the question, which is about it.
        client.announce(context);
        let names: Vec<String> = objects.iter().map(|it| short(&kind::id(it))).collect();
        let what = match names.as_slice() {
            [one] => format!("delete {one}"),
            many => format!("delete {} ({})", plural(many.len(), "rule"), many.join(", ")),
        };
        confirm::confirm(args.confirm, context.printer, &what)?;
    }
    match client.cluster() {
        Some(cluster) => on_cluster(args, &objects, &client, cluster, context),
        None => here(args, &objects, &client, context),
    }
}

/// Everything in one request.
fn here(args: &DeleteArgs, objects: &[ObjectRef], client: &Client, context: &Context) -> Outcome {
    if args.wait && args.dry_run.is_none() {
        wait::returned(client, context, args.timeout)?;
    }
    let request = DeleteRequest {
        objects: objects.iter().map(kind::id).collect(),
        dry_run: args.dry_run.is_some(),
        ignore_not_found: args.ignore_not_found,
        actor: apply::actor(),
    };
    let result: ApplyResult = client.post("/v1/delete", &request)?;
    let revision = result.revision;
    Changes::done(result, args.dry_run.is_some()).print(args.format, context)?;
    if args.wait && args.dry_run.is_none() {
        wait::propagation(client, context, revision, args.timeout)?;
    }
    Ok(Exit::Done)
}

/// One after the other.
fn on_cluster(
    args: &DeleteArgs,
    objects: &[ObjectRef],
    client: &Client,
    cluster: &Cluster,
    context: &Context,
) -> Outcome {
    let step = |object| Step::Delete(object, args.ignore_not_found);
    let steps: Vec<_> = objects.iter().map(step).collect();
    let way = Way { dry_run: args.dry_run.is_some(), format: args.format, context };
    let waits = args.wait && args.dry_run.is_none();
    let before = waits.then(|| wait::returned(client, context, args.timeout)).transpose()?;
    let done = client.block_on(change(cluster, &steps, Vec::new(), way))?;
    if let Some(before) = before {
        wait::written(client, context, (before, &done), args.timeout)?;
    }
    Ok(Exit::Done)
}

/// `httproute/reviews in default`
pub(super) fn short(id: &ObjectId) -> String {
    format!("{}/{} in {}", kind::word(&id.kind), id.name, id.namespace)
}

fn named(args: &DeleteArgs, context: &Context) -> Result<Vec<ObjectRef>, Failure> {
    let within = &args.namespace.namespace;
    let mut objects = Vec::new();
    for (kind, name) in kind::resolve(&args.what)? {
        match (name, args.all) {
            (Some(name), false) => objects.push(kind::reference(kind, within, &name)?),
            (None, true) => {
                for name in all_of(kind, &kind::namespace(kind, within), context)? {
                    objects.push(kind::reference(kind, within, &name)?);
                }
            }
            (Some(_), true) => {
                return Err(Failure::usage("`--all` cannot be used with a name")
                    .help("leave one of the two out"));
            }
            (None, false) => {
                return Err(Failure::usage(format!("which {}?", kind.as_str()))
                    .help("name it, or pass `--all` for all of the namespace"));
            }
        }
    }
    Ok(objects)
}

/// The names of all rules of a kind.
fn all_of(kind: ObjectKind, namespace: &str, context: &Context) -> Result<Vec<String>, Failure> {
    let client = Client::of(context)?;
    if let Some(cluster) = client.cluster() {
        let listed = client.block_on(rules::list(&cluster.connection, kind, namespace));
        return listed.map_err(failed);
    }
    let query = [("kind", kind.as_str()), ("namespace", namespace)];
    let list: ObjectList = client.get("/v1/objects", &query)?;
    let name =
        |item: &serde_json::Value| Some(item.pointer("/metadata/name")?.as_str()?.to_owned());
    Ok(list.items.iter().filter_map(name).collect())
}

fn written(args: &DeleteArgs, context: &Context) -> Result<Vec<ObjectRef>, Failure> {
    let input = Input::read(&args.filename, args.recursive)?;
    let parsed = apply::parse(&input, &args.namespace.namespace, context)?;
    Ok(parsed.objects.into_iter().map(|object| object.reference).collect())
}
