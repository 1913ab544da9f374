//! `control-plane run`: what the background process runs, in the foreground here.

use std::net::SocketAddr;

use clap::{Args, Subcommand};

use super::args::Context;
use super::exit::{Exit, Failure, Outcome};
use crate::names::TrustDomain;
use crate::platform::local::{self, Launch};

/// Run the control plane in the foreground.
#[derive(Debug, Args)]
#[command(
    subcommand_required = true,
    after_help = "\
Examples:
  meshctl control-plane run      what `meshctl install` starts in the background"
)]
pub(crate) struct ControlPlaneArgs {
    #[command(subcommand)]
    command: ControlPlaneCommand,
}

#[derive(Debug, Subcommand)]
enum ControlPlaneCommand {
    Run(RunArgs),
}

/// Run the control plane in the foreground until it is told to end.
///
/// Logs go to standard error. SIGTERM and SIGINT end it; `meshctl uninstall` does too.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  meshctl control-plane run
  meshctl control-plane run --home /tmp/mesh --listen 127.0.0.1:15012")]
struct RunArgs {
    /// Where proxies connect; beyond loopback for proxies on other machines [default: as before, at
    /// first a free port of 127.0.0.1].
    #[arg(long, value_name = "ADDR:PORT")]
    listen: Option<SocketAddr>,
    /// Trust domain of the identities, fixed when the mesh is first started [default: cluster.local].
    #[arg(long, value_name = "DOMAIN")]
    trust_domain: Option<TrustDomain>,
    /// What to log: a level, or directives such as `info,meshctl::control=debug`.
    #[arg(
        long,
        value_name = "DIRECTIVES",
        env = "MESHCTL_LOG",
        hide_env_values = true,
        default_value = "info"
    )]
    log: String,
    /// Run as the process that starts the control plane again when it crashes.
    #[arg(long, hide = true)]
    supervise: bool,
}

pub(crate) fn run(args: &ControlPlaneArgs, context: &Context) -> Outcome {
    let ControlPlaneCommand::Run(args) = &args.command;
    if args.supervise {
        let launch = launch(context, args.listen, args.trust_domain.clone())?;
        let code = local::supervise(&launch)?;
        return Ok(if code == 0 { Exit::Done } else { Exit::Command(code) });
    }
    serve(args, context)
}

/// The background process of a home directory, of this very program.
pub(crate) fn launch(
    context: &Context,
    listen: Option<SocketAddr>,
    trust_domain: Option<TrustDomain>,
) -> Result<Launch, Failure> {
    let home = crate::control::home::Home::new(context.home()?);
    let program = std::env::current_exe();
    let program = program
        .map_err(|error| Failure::from(error).context("cannot tell where this program lies"))?;
    Ok(Launch { program, home: home.dir().to_owned(), log: home.log(), listen, trust_domain })
}

fn serve(_args: &RunArgs, _context: &Context) -> Outcome {
    Err(Failure::later("`control-plane run`"))
}
