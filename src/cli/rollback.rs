//! `rollback`: makes the rules what they were at a revision, which is a new revision.
//!
//! What would change is asked for first and shown; what is then done is exactly that, or nothing
//! where somebody else has changed the rules meanwhile.

use clap::Args;
use clap_complete::engine::ArgValueCandidates;

use super::args::Context;
use super::changes::{ChangeArgs, Changes};
use super::client::Client;
use super::confirm::{self, ConfirmArgs};
use super::exit::{Exit, Outcome};
use super::history::{counts, local, number};
use super::wait::{self, TimeoutArgs};
use super::{apply, complete, kind};
use crate::control::api::shapes::{ApplyResult, RollbackRequest};

/// Make the rules what they were at a revision, all of them or none.
///
/// Shows what changes, asks, and does it as one new revision, which can be taken back in turn.
/// Revision 0 is before the first rule.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  meshctl history                      which revisions there are
  meshctl rollback 6 --dry-run         what would change
  meshctl rollback 6 --yes --wait      do it, return when every proxy has acknowledged")]
pub(crate) struct RollbackArgs {
    /// The revision after which the rules were as they are to be.
    #[arg(
        value_name = "REVISION",
        value_parser = number,
        add = ArgValueCandidates::new(complete::revisions)
    )]
    revision: u64,
    /// Only say what would change.
    #[arg(long)]
    dry_run: bool,
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

pub(crate) fn run(args: &RollbackArgs, context: &Context) -> Outcome {
    local(context)?;
    let client = Client::of(context)?;
    let ask = |dry_run, expected| RollbackRequest {
        revision: args.revision,
        expected,
        dry_run,
        actor: apply::actor(),
    };
    let planned: ApplyResult = client.post("/v1/rollback", &ask(true, None))?;
    let revision = args.revision;
    if planned.objects.is_empty() || args.dry_run {
        if planned.objects.is_empty() {
            let text = format!("the rules are what they were at revision {revision} already");
            context.printer.note(&text);
        }
        Changes::done(planned, args.dry_run).print(args.format, context)?;
        return Ok(Exit::Done);
    }
    let home = context.home()?.display();
    let now = planned.revision;
    context.printer.note(&format!("mesh in `{home}`, from revision {now} to {revision}:"));
    for it in &planned.objects {
        let (name, namespace) = (format!("{}/{}", kind::word(&it.kind), it.name), &it.namespace);
        context.printer.note(&format!("  {name} in {namespace}: {}", it.action.as_str()));
    }
    let actions: Vec<_> = planned.objects.iter().map(|it| it.action).collect();
    let counts = counts(&actions);
    let what = format!("roll the rules back to revision {revision} ({counts})");
    confirm::confirm(args.confirm, context.printer, &what)?;
    if args.wait {
        wait::returned(&client, context, args.timeout)?;
    }
    let result: ApplyResult = client.post("/v1/rollback", &ask(false, Some(now)))?;
    let made = result.revision;
    Changes::done(result, false).print(args.format, context)?;
    if args.wait {
        wait::propagation(&client, context, made, args.timeout)?;
    }
    Ok(Exit::Done)
}
