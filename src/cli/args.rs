//! The root of the command line: flags that every command takes, and the list of commands.
//!
//! First stage of two: what was typed. [`Context`] is the second: the home directory found, colour
//! decided. Each command keeps its own arguments beside its run. Nothing is derived from the name
//! that the program was started under.

use std::path::{Path, PathBuf};

use clap::{Args, Parser, Subcommand};

use super::exit::Failure;
use super::installation::{ClusterArgs, Installation};
use super::output::{Color, Printer};
use super::{
    apply, backup, bug_report, certs, check, completions, control_plane, delete, demo, describe,
    diff, endpoints, explain, get, history, inject, install, man, proxy, restore, rollback, schema,
    status, token, trace, uninstall, upgrade, validate, version,
};
use crate::names::Namespace;

const EXAMPLES: &str = "\
Examples:
  meshctl install                                start the control plane of this machine
  meshctl proxy run --service web -- ./web       run an application behind its proxy
  meshctl apply -f rules.yaml --wait             change the rules, wait for every proxy
  meshctl status --watch                         see the mesh at a glance

Exit codes:
  0  done
  1  it failed
  2  the command line was wrong
  3  it worked and found something (`validate`, `check`, `diff`, `explain`)
`proxy run -- COMMAND` ends with the code of COMMAND.";

/// A service mesh in one binary: command line, control plane and proxy.
#[derive(Debug, Parser)]
#[command(
    name = "meshctl",
    bin_name = "meshctl",
    version,
    after_help = EXAMPLES,
    max_term_width = 100,
    subcommand_required = true
)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) global: GlobalArgs,
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// Flags of every command.
#[derive(Debug, Args)]
pub(crate) struct GlobalArgs {
    /// Directory of the local mesh [default: `meshctl` under `XDG_STATE_HOME`].
    #[arg(
        long,
        global = true,
        env = "MESHCTL_HOME",
        hide_env_values = true,
        value_name = "DIR",
        value_hint = clap::ValueHint::DirPath,
        help_heading = "Global options"
    )]
    pub(crate) home: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) cluster: ClusterArgs,
    /// When to colour the output.
    #[arg(
        long,
        global = true,
        value_name = "WHEN",
        default_value = "auto",
        help_heading = "Global options"
    )]
    pub(crate) color: Color,
    /// Say nothing but data and errors.
    #[arg(long, global = true, help_heading = "Global options")]
    pub(crate) quiet: bool,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    Install(install::InstallArgs),
    Uninstall(uninstall::UninstallArgs),
    Upgrade(upgrade::UpgradeArgs),
    Check(check::CheckArgs),
    Inject(inject::InjectArgs),
    Uninject(inject::UninjectArgs),
    Validate(validate::ValidateArgs),
    Diff(diff::DiffArgs),
    Apply(apply::ApplyArgs),
    Get(get::GetArgs),
    Describe(describe::DescribeArgs),
    Delete(delete::DeleteArgs),
    Explain(explain::ExplainArgs),
    History(history::HistoryArgs),
    Rollback(rollback::RollbackArgs),
    Backup(backup::BackupArgs),
    Restore(restore::RestoreArgs),
    BugReport(bug_report::BugReportArgs),
    Status(status::StatusArgs),
    Trace(trace::TraceArgs),
    Certs(certs::CertsArgs),
    Endpoints(endpoints::EndpointsArgs),
    Proxy(proxy::ProxyArgs),
    ControlPlane(control_plane::ControlPlaneArgs),
    Token(token::TokenArgs),
    Demo(demo::DemoArgs),
    Schema(schema::SchemaArgs),
    Completions(completions::CompletionsArgs),
    Man(man::ManArgs),
    Version(version::VersionArgs),
}

/// `-n` of commands that deal with things in a namespace.
#[derive(Debug, Clone, Args)]
pub(crate) struct NamespaceArgs {
    /// Namespace of what names none.
    #[arg(
        short,
        long,
        env = "MESHCTL_NAMESPACE",
        hide_env_values = true,
        default_value = "default"
    )]
    pub(crate) namespace: Namespace,
}

/// The flags of every command, resolved.
#[derive(Debug)]
pub(crate) struct Context {
    /// Where output goes.
    pub(crate) printer: Printer,
    /// The cluster that was named.
    pub(crate) cluster: ClusterArgs,
    home: Option<PathBuf>,
}

impl Context {
    /// Resolves the flags of every command; touches no file.
    pub(crate) fn new(global: &GlobalArgs) -> Self {
        Self {
            printer: Printer::new(global.color, global.quiet),
            cluster: global.cluster.clone(),
            home: home(global.home.as_deref()),
        }
    }

    /// The mesh that is meant: by `--context` and `--kubeconfig`, else as `install` recorded it.
    pub(crate) fn installation(&self) -> Result<Installation, Failure> {
        // A cluster that is named needs no directory.
        let recorded = self.home.as_deref().map(Installation::read).transpose()?.flatten();
        Ok(Installation::meant(&self.cluster, recorded))
    }

    /// The home directory, absolute; it need not exist.
    pub(crate) fn home(&self) -> Result<&Path, Failure> {
        self.home.as_deref().ok_or_else(|| {
            Failure::new("there is no home directory: neither `MESHCTL_HOME` nor `HOME` is set")
                .help("say where the mesh's data lies with `--home DIR`")
        })
    }
}

/// `--home` and `MESHCTL_HOME`, else `meshctl` under `XDG_STATE_HOME`.
pub(crate) fn home(given: Option<&Path>) -> Option<PathBuf> {
    use etcetera::BaseStrategy as _;
    match given {
        Some(dir) => std::path::absolute(dir).ok(),
        None => Some(etcetera::base_strategy::Xdg::new().ok()?.state_dir()?.join("meshctl")),
    }
}
