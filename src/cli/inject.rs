//! `inject` and `uninject`: manifests in, the same with or without sidecars out.
//!
//! Filters: the text goes to stdout only when all of it is good; what is worth knowing, and with
//! `--explain` the reason for each workload, goes to stderr.

use clap::Args;

use super::args::{Context, NamespaceArgs};
use super::diagnostics::{self, plural};
use super::exit::{Exit, Failure, Outcome};
use super::input::{Input, InputArgs};
use crate::names::{Namespace, ROOT_NAMESPACE};
use crate::platform::kubernetes::inject::annotations::{cpu, level, memory};
use crate::platform::kubernetes::inject::text::{Direction, Filtered, Workload, filter};
use crate::platform::kubernetes::inject::{Resources, Settings, default_image};

/// Give the workloads of manifests their sidecars: YAML or JSON in, the same out.
///
/// Works without a cluster. Only the sidecar is added, everything else stays to the byte; `uninject`
/// takes it away again. Pods and the templates of Deployments, StatefulSets, DaemonSets,
/// ReplicaSets, Jobs, CronJobs and Lists are looked at; other documents pass through.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  meshctl inject -f web.yaml | kubectl apply -f -      put a workload into the mesh
  meshctl inject -f manifests/ -R --explain            see what would be injected, and why not
  kubectl get deploy web -o yaml | meshctl inject -f - | kubectl apply -f -

Exit codes: 0 done, 1 something cannot be injected (nothing is printed), 2 wrong command line.")]
pub(crate) struct InjectArgs {
    #[command(flatten)]
    filter: FilterArgs,
    /// Image of the sidecar [default: that of this version].
    #[arg(long, value_name = "IMAGE", env = "MESHCTL_IMAGE", hide_env_values = true)]
    image: Option<String>,
    /// Namespace of the control plane.
    #[arg(long, value_name = "NAMESPACE", default_value = ROOT_NAMESPACE)]
    mesh_namespace: Namespace,
    /// What sidecars log.
    #[arg(long, value_name = "LEVEL", default_value = "info", value_parser = level)]
    log_level: String,
    /// CPU that a sidecar requests [default: 10m].
    #[arg(long, value_name = "AMOUNT", value_parser = cpu)]
    proxy_cpu: Option<String>,
    /// Memory that a sidecar requests [default: 32Mi].
    #[arg(long, value_name = "AMOUNT", value_parser = memory)]
    proxy_memory: Option<String>,
    /// CPU that a sidecar may use.
    #[arg(long, value_name = "AMOUNT", value_parser = cpu)]
    proxy_cpu_limit: Option<String>,
    /// Memory that a sidecar may use.
    #[arg(long, value_name = "AMOUNT", value_parser = memory)]
    proxy_memory_limit: Option<String>,
}

/// Take the sidecars out of manifests: the text as it was before `inject`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  meshctl uninject -f injected.yaml > plain.yaml       the file as it was, to the byte
  kubectl get deploy web -o yaml | meshctl uninject -f - | kubectl apply -f -

Exit codes: 0 done, 1 it could not be read, 2 wrong command line.")]
pub(crate) struct UninjectArgs {
    #[command(flatten)]
    filter: FilterArgs,
}

/// What both take.
#[derive(Debug, Args)]
struct FilterArgs {
    #[command(flatten)]
    input: InputArgs,
    #[command(flatten)]
    namespace: NamespaceArgs,
    /// Say of each workload what was done with it, and why.
    #[arg(long)]
    explain: bool,
}

pub(crate) fn run(args: &InjectArgs, context: &Context) -> Outcome {
    let defaults = Resources::default();
    let settings = Settings {
        resources: Resources {
            cpu: args.proxy_cpu.clone().unwrap_or(defaults.cpu),
            memory: args.proxy_memory.clone().unwrap_or(defaults.memory),
            cpu_limit: args.proxy_cpu_limit.clone(),
            memory_limit: args.proxy_memory_limit.clone(),
        },
        log: args.log_level.clone(),
        ..Settings::new(
            args.image.clone().unwrap_or_else(default_image),
            args.mesh_namespace.clone(),
        )
    };
    both(&args.filter, Direction::Inject(&settings), context)
}

pub(crate) fn undo(args: &UninjectArgs, context: &Context) -> Outcome {
    both(&args.filter, Direction::Uninject, context)
}

fn both(args: &FilterArgs, direction: Direction<'_>, context: &Context) -> Outcome {
    let input = Input::read(&args.input.filename, args.input.recursive)?;
    let namespace = args.namespace.namespace.as_str();
    let mut filtered = filter(&input.documents, namespace, direction);
    filtered.diagnostics.splice(0..0, input.unread);
    let problems = diagnostics::render(&filtered.diagnostics, &input.documents);
    if filtered.has_errors() {
        let summary = diagnostics::summary(&filtered.diagnostics);
        return Err(
            Failure::new(format!("{summary} found, nothing was printed")).with_detail(problems)
        );
    }
    context.printer.notes(&problems);
    match args.explain {
        true => context.printer.notes(&explained(&filtered.workloads)),
        false => context.printer.notes(&left_alone(&filtered.workloads)),
    }
    context.printer.verbatim(&joined(&filtered))?;
    Ok(Exit::Done)
}

/// One line for each workload.
fn explained(workloads: &[Workload]) -> String {
    let line = |it: &Workload| {
        let Workload { file, line, kind, namespace, name, why, .. } = it;
        format!("{file}:{line}: {kind} `{namespace}/{name}`: {why}\n")
    };
    workloads.iter().map(line).collect()
}

/// A word about workloads that came out as they went in.
fn left_alone(workloads: &[Workload]) -> String {
    let count = workloads.iter().filter(|workload| !workload.changed).count();
    match (workloads.len(), count) {
        (0, _) => "there is no workload in the input\n".to_owned(),
        (_, 0) => String::new(),
        (all, some) => {
            let all = plural(all, "workload");
            format!("{some} of {all} left alone; `--explain` says why\n")
        }
    }
}

/// The texts as one, each file a document of its own.
fn joined(filtered: &Filtered) -> String {
    let mut all = String::new();
    for text in &filtered.texts {
        if !all.is_empty() {
            if !all.ends_with('\n') {
                all.push('\n');
            }
            if !text.starts_with("---") {
                all.push_str("---\n");
            }
        }
        all.push_str(text);
    }
    all
}
