//! `apply` and `delete` on a cluster: everything is judged by the API server before anything is
//! done, then it is done in order. There are no transactions: on a failure it stops, and says what
//! was done and what was not.

use super::{Cluster, failed};
use crate::cli::args::Context;
use crate::cli::changes::{Change, ChangeArgs, Changes};
use crate::cli::diagnostics::plural;
use crate::cli::exit::Failure;
use crate::cli::kind;
use crate::mesh::ObjectRef;
use crate::names::APPLY_SET_LABEL;
use crate::platform::kubernetes::client::fault::RequestError;
use crate::platform::kubernetes::rules::{self, Action, Run, Written};
use crate::rules::{Diagnostic, ParsedObject};

/// What `apply` and `delete` do to one rule.
#[derive(Debug)]
pub(crate) enum Step<'a> {
    /// Create or change it.
    Apply(&'a ParsedObject),
    /// Delete it; `true`: it may be missing.
    Delete(&'a ObjectRef, bool),
    /// Delete it if it is of this set still.
    Prune(&'a ObjectRef, &'a str),
}

/// How the changes are made and told.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Way<'a> {
    pub(crate) dry_run: bool,
    pub(crate) format: ChangeArgs,
    pub(crate) context: &'a Context,
}

/// What was changed, for those who wait for it.
pub(crate) type Done = Vec<(ObjectRef, Written)>;

impl Step<'_> {
    fn reference(&self) -> &ObjectRef {
        match self {
            Self::Apply(object) => &object.reference,
            Self::Delete(reference, _) | Self::Prune(reference, _) => reference,
        }
    }

    /// `None` where there was nothing to delete, and that is fine.
    async fn take(&self, cluster: &Cluster, run: Run) -> Result<Option<Written>, Problem> {
        let to = &cluster.connection;
        match self {
            Self::Apply(object) => {
                let written = rules::apply(to, &object.reference, &object.source, run).await;
                written.map(Some).map_err(Problem::Refused)
            }
            Self::Delete(reference, may_be_missing) => {
                match rules::delete(to, reference, None, run).await.map_err(Problem::Refused)? {
                    None if !may_be_missing => Err(Problem::Missing),
                    written => Ok(written),
                }
            }
            Self::Prune(reference, set) => {
                let of_it = Some((APPLY_SET_LABEL, *set));
                rules::delete(to, reference, of_it, run).await.map_err(Problem::Refused)
            }
        }
    }

    /// The problem with where the rule was written.
    fn told(&self, problem: &Problem) -> String {
        let what = match problem {
            Problem::Refused(error) => error.why().to_owned(),
            Problem::Missing => "it is not there".to_owned(),
        };
        match self {
            Self::Apply(ParsedObject { reference, file, line, .. }) => {
                format!("{file}:{line}: {reference}: {what}\n")
            }
            Self::Delete(reference, _) | Self::Prune(reference, _) => {
                format!("{reference}: {what}\n")
            }
        }
    }
}

/// Why a step cannot be taken.
#[derive(Debug)]
enum Problem {
    Refused(RequestError),
    Missing,
}

impl Problem {
    fn help(&self) -> String {
        match self {
            Self::Refused(error) => help(error),
            Self::Missing => {
                "see what there is with `meshctl get`, or pass `--ignore-not-found`".to_owned()
            }
        }
    }
}

/// What to do about a rule that the API server refuses.
fn help(error: &RequestError) -> String {
    match error.status() {
        Some(409) => {
            "somebody else owns that field: change it where it was written, or leave it out"
        }
        _ if error.why().starts_with("namespaces ") => {
            "make that namespace first, with `kubectl create namespace`"
        }
        _ => error.help(),
    }
    .to_owned()
}

/// The failure of a command that only asks about a rule.
pub(crate) fn refused(error: RequestError) -> Failure {
    let help = help(&error);
    Failure::from(error).help(help)
}

/// Takes all steps, or none where the API server refuses one beforehand.
pub(crate) async fn change(
    cluster: &Cluster,
    steps: &[Step<'_>],
    warnings: Vec<Diagnostic>,
    way: Way<'_>,
) -> Result<Done, Failure> {
    let judged = judge(cluster, steps).await?;
    if way.dry_run {
        print(&judged, warnings, way)?;
        return Ok(Vec::new());
    }
    let mut done: Done = Vec::new();
    for (at, step) in steps.iter().enumerate() {
        match step.take(cluster, Run::Real).await {
            Ok(written) => {
                done.extend(written.map(|written| (step.reference().clone(), written)));
            }
            Err(problem) => {
                print(&done, warnings, way)?;
                return Err(stopped(&done, steps.get(at..).unwrap_or_default(), problem));
            }
        }
    }
    print(&done, warnings, way)?;
    Ok(done)
}

/// Has every step judged, and reports all that are refused at once.
async fn judge(cluster: &Cluster, steps: &[Step<'_>]) -> Result<Done, Failure> {
    let (mut judged, mut detail, mut help) = (Vec::new(), String::new(), None);
    let mut refused = 0;
    for step in steps {
        match step.take(cluster, Run::Dry).await {
            Ok(written) => {
                judged.extend(written.map(|written| (step.reference().clone(), written)));
            }
            // Nobody is asked again who does not answer.
            Err(Problem::Refused(error)) if error.status().is_none() => return Err(failed(error)),
            Err(problem) => {
                refused += 1;
                detail += &step.told(&problem);
                help.get_or_insert_with(|| problem.help());
            }
        }
    }
    if refused == 0 {
        return Ok(judged);
    }
    let context = &cluster.connection.context;
    let of = plural(steps.len(), "rule");
    let what = format!("context `{context}` refuses {refused} of {of}; nothing was changed");
    Err(Failure::new(what).with_detail(detail).help(help.unwrap_or_default()))
}

/// It went wrong on the way. What was done is printed already.
fn stopped(done: &Done, left: &[Step<'_>], problem: Problem) -> Failure {
    let names = |all: Vec<&ObjectRef>| all.iter().map(|it| format!("  {it}\n")).collect::<String>();
    let help = problem.help();
    let failure = match problem {
        Problem::Refused(error) => Failure::from(error),
        Problem::Missing => Failure::new("a rule was deleted by somebody else meanwhile"),
    };
    let mut detail = String::new();
    if !done.is_empty() {
        detail += &format!("changed:\n{}", names(done.iter().map(|(it, _)| it).collect()));
    }
    detail += &format!("not changed:\n{}", names(left.iter().map(Step::reference).collect()));
    failure.with_detail(detail).help(help)
}

fn print(done: &Done, warnings: Vec<Diagnostic>, way: Way<'_>) -> Result<(), Failure> {
    let change = |(reference, written): &(ObjectRef, Written)| {
        let action = match written.action {
            Action::Created => "created",
            Action::Configured => "configured",
            Action::Unchanged => "unchanged",
            Action::Deleted => "deleted",
        };
        Change::new(kind::id(reference), action, written.generation)
    };
    let changes = done.iter().map(change).collect();
    Changes::new(way.dry_run, None, changes, warnings).print(way.format, way.context)
}
