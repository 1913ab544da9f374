//! The command line: one file per subcommand, its arguments beside its run.
//!
//! [`run`] goes from words to an exit code: completion when the shell asks for it, parse, resolve,
//! dispatch, one form for every error. Only `output` writes, only `exit` knows codes, only `client`
//! talks to the control plane.

use std::ffi::OsString;
use std::process::ExitCode;

use clap::{CommandFactory as _, FromArgMatches as _};

mod address;
mod apply;
mod apply_set;
mod args;
mod backup;
mod bug_report;
mod certs;
mod changes;
mod check;
mod client;
mod cluster;
mod complete;
mod completions;
mod confirm;
mod control_plane;
mod delete;
mod demo;
mod describe;
mod diagnostics;
mod diff;
mod duration;
mod endpoints;
mod exit;
mod explain;
mod get;
mod history;
mod inject;
mod input;
mod install;
mod installation;
mod kind;
mod man;
mod on_cluster;
mod output;
mod passphrase;
mod proxy;
mod restore;
mod rollback;
mod schema;
mod size;
mod status;
mod token;
mod trace;
mod uninstall;
mod upgrade;
mod usage;
mod validate;
mod version;
mod wait;
mod watch;

use args::{Cli, Command, Context};
use exit::{Exit, Outcome};
use output::Printer;

/// Runs the command line of this process.
pub fn run() -> ExitCode {
    if complete::answered() {
        return Exit::Done.into();
    }
    output::spare_dumb_terminals();
    let words: Vec<OsString> = std::env::args_os().collect();
    let early = Printer::new(usage::color(&words), false);
    let mut command = Cli::command();
    let cli = match parse(&mut command, &words) {
        Ok(cli) => cli,
        Err(error) => return usage::report(&error, &mut command, &words, early).into(),
    };
    let context = Context::new(&cli.global);
    match dispatch(cli.command, &context) {
        Ok(exit) => exit.into(),
        Err(failure) if failure.is_closed_pipe() => Exit::Done.into(),
        Err(failure) => {
            context.printer.complain(&failure.render());
            failure.exit.into()
        }
    }
}

fn parse(command: &mut clap::Command, words: &[OsString]) -> Result<Cli, clap::Error> {
    let matches = command.try_get_matches_from_mut(words)?;
    Cli::from_arg_matches(&matches)
}

fn dispatch(command: Command, context: &Context) -> Outcome {
    match command {
        Command::Install(args) => install::run(&args, context),
        Command::Uninstall(args) => uninstall::run(&args, context),
        Command::Upgrade(args) => upgrade::run(&args, context),
        Command::Check(args) => check::run(&args, context),
        Command::Inject(args) => inject::run(&args, context),
        Command::Uninject(args) => inject::undo(&args, context),
        Command::Validate(args) => validate::run(&args, context),
        Command::Apply(args) => apply::run(&args, context),
        Command::Get(args) => get::run(&args, context),
        Command::Describe(args) => describe::run(&args, context),
        Command::Diff(args) => diff::run(&args, context),
        Command::Explain(args) => explain::run(&args, context),
        Command::Delete(args) => delete::run(&args, context),
        Command::History(args) => history::run(&args, context),
        Command::Rollback(args) => rollback::run(&args, context),
        Command::Backup(args) => backup::run(&args, context),
        Command::Restore(args) => restore::run(&args, context),
        Command::BugReport(args) => bug_report::run(&args, context),
        Command::Demo(args) => demo::run(args, context),
        Command::Status(args) => status::run(&args, context),
        Command::Token(args) => token::run(&args, context),
        Command::Trace(args) => trace::run(&args, context),
        Command::Certs(args) => certs::run(&args, context),
        Command::Endpoints(args) => endpoints::run(&args, context),
        Command::Proxy(args) => proxy::run(args, context),
        Command::ControlPlane(args) => control_plane::run(&args, context),
        Command::Schema(args) => schema::run(&args, context),
        Command::Completions(args) => completions::run(&args, context),
        Command::Man(args) => man::run(&args, context),
        Command::Version(args) => version::run(&args, context),
    }
}
