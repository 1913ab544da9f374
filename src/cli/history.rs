//! `history`: the revisions of the rules, and what one of them changed.

use std::fmt::Write as _;

use clap::Args;
use clap_complete::engine::ArgValueCandidates;
use diffy::{DiffOptions, Line};
use jiff::Timestamp;

use super::args::Context;
use super::client::Client;
use super::exit::{Exit, Failure, Outcome};
use super::installation::Installation;
use super::output::{Cell, FormatArgs, Table, View, age, yaml};
use super::{complete, kind};
use crate::control::api::NO_HISTORY;
use crate::control::api::shapes::{
    API_VERSION, Action, RevisedObject, Revision, RevisionList, RevisionState,
};

#[cfg(test)]
mod tests;

/// Lines around a change that are shown.
const AROUND: usize = 2;

/// Show the revisions of the rules: who changed what when; or what one of them changed.
///
/// The control plane keeps the last 1,000 revisions, and the documents from before each change up to
/// 4 MiB of them. A cluster keeps none: there the rules are its objects.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  meshctl history               the last revisions, newest first
  meshctl history 7             what revision 7 changed
  meshctl history -o json
  meshctl rollback 6            back to what the rules were before it")]
pub(crate) struct HistoryArgs {
    /// Show what this one changed.
    #[arg(
        value_name = "REVISION",
        value_parser = number,
        add = ArgValueCandidates::new(complete::revisions)
    )]
    revision: Option<u64>,
    /// How many revisions are listed.
    #[arg(
        long,
        value_name = "N",
        default_value_t = 20,
        value_parser = clap::value_parser!(u64).range(1..),
        conflicts_with = "revision"
    )]
    limit: u64,
    #[command(flatten)]
    format: FormatArgs,
}

pub(crate) fn run(args: &HistoryArgs, context: &Context) -> Outcome {
    local(context)?;
    let client = Client::of(context)?;
    let view = match args.revision {
        Some(number) => one(&client.get(&format!("/v1/history/{number}"), &[])?)?,
        None => {
            let limit = args.limit.to_string();
            list(&client.get("/v1/history", &[("limit", &limit)])?, Timestamp::now())?
        }
    };
    context.printer.view(args.format.output, &view)?;
    Ok(Exit::Done)
}

/// The number of a revision.
pub(crate) fn number(text: &str) -> Result<u64, String> {
    text.parse().map_err(|_| "not the number of a revision".to_owned())
}

/// Refuses a mesh on a cluster, whose API server keeps no revisions; whether it can be reached or not.
pub(crate) fn local(context: &Context) -> Result<(), Failure> {
    match context.installation()? {
        Installation::Local => Ok(()),
        Installation::Kubernetes(_) => Err(Failure::new(
            "the rules of this mesh are objects of its cluster, which keeps no revisions of them",
        )
        .help(NO_HISTORY)),
    }
}

fn list(all: &RevisionList, now: Timestamp) -> Result<View, Failure> {
    let mut table = Table::new(&[">REVISION", ">AGE", "BY", "WHAT", "RULES", "+AT"]);
    for it in &all.revisions {
        let names: Vec<String> = it.objects.iter().map(short).collect();
        table.row([
            it.revision.to_string().into(),
            age(it.at, now).into(),
            it.by.as_str().into(),
            what(it),
            names.join(", ").into(),
            it.at.to_string().into(),
        ]);
    }
    Ok(View {
        value: serde_json::to_value(all)?,
        tables: vec![table],
        names: all.revisions.iter().map(|it| it.revision.to_string()).collect(),
        empty: "the rules were never changed".into(),
        ..View::default()
    })
}

/// `rollback to 3: 1 configured, 1 deleted`.
fn what(revision: &Revision) -> Cell {
    let actions: Vec<_> = revision.objects.iter().map(|it| it.action).collect();
    let counts = counts(&actions);
    let note = &revision.note;
    match (revision.state, note.is_empty()) {
        (RevisionState::Damaged, _) => Cell::bad("damaged"),
        (RevisionState::Forgotten, true) => "no longer kept".into(),
        (RevisionState::Forgotten, false) => note.as_str().into(),
        (RevisionState::Kept, true) => counts.into(),
        (RevisionState::Kept, false) => format!("{note}: {counts}").into(),
    }
}

/// `2 created, 1 deleted`.
pub(crate) fn counts(actions: &[Action]) -> String {
    let count = |action: Action| {
        let count = actions.iter().filter(|it| **it == action).count();
        (count > 0).then(|| format!("{count} {}", action.as_str()))
    };
    let all = [Action::Created, Action::Configured, Action::Deleted];
    all.into_iter().filter_map(count).collect::<Vec<_>>().join(", ")
}

fn short(object: &RevisedObject) -> String {
    format!("{}/{}", kind::word(&object.kind), object.name)
}

fn one(revision: &Revision) -> Result<View, Failure> {
    let mut value = serde_json::to_value(revision)?;
    value["apiVersion"] = API_VERSION.into();
    value["kind"] = "Revision".into();
    let mut lead = vec![
        format!("revision  {}", revision.revision),
        format!("at        {}", revision.at),
        format!("by        {}", revision.by),
    ];
    if !revision.note.is_empty() {
        lead.push(format!("what      {}", revision.note));
    }
    match revision.state {
        RevisionState::Kept => {}
        RevisionState::Forgotten => lead.push("what it changed is no longer kept".into()),
        RevisionState::Damaged => lead.push("what it changed is damaged in the store".into()),
    }
    for object in &revision.objects {
        let (name, namespace) = (short(object), &object.namespace);
        let text = format!("\n{name} in {namespace} {}", object.action.as_str());
        lead.push(text);
        lead.extend(difference(object)?.lines().map(str::to_owned));
    }
    let names = revision.objects.iter().map(short).collect();
    Ok(View { value, lead, names, ..View::default() })
}

/// The lines that differ, with few around them.
fn difference(object: &RevisedObject) -> Result<String, Failure> {
    let text = |value: &serde_json::Value| match value.is_null() {
        true => Ok(String::new()),
        false => yaml(value),
    };
    let (before, after) = (text(&object.before)?, text(&object.after)?);
    let patch = DiffOptions::new().set_context_len(AROUND).create_patch(&before, &after);
    let mut shown = String::new();
    for (index, hunk) in patch.hunks().iter().enumerate() {
        if index > 0 {
            shown.push_str("  …\n");
        }
        for line in hunk.lines() {
            let (before, text, after) = match line {
                Line::Delete(text) => (format!("{GONE}- "), text, format!("{GONE:#}")),
                Line::Insert(text) => (format!("{NEW}+ "), text, format!("{NEW:#}")),
                Line::Context(text) => ("  ".to_owned(), text, String::new()),
            };
            let _ = writeln!(shown, "{before}{}{after}", text.trim_end_matches('\n'));
        }
    }
    Ok(shown)
}

const GONE: anstyle::Style =
    anstyle::Style::new().fg_color(Some(anstyle::Color::Ansi(anstyle::AnsiColor::Red)));
const NEW: anstyle::Style =
    anstyle::Style::new().fg_color(Some(anstyle::Color::Ansi(anstyle::AnsiColor::Green)));
