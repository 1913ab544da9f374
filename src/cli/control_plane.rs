//! `control-plane run`: what the background process runs, in the foreground here.

use std::net::SocketAddr;

use clap::{Args, Subcommand};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio_util::sync::CancellationToken;

use super::args::Context;
use super::exit::{Exit, Failure, Outcome};
use crate::control::{self, ControlPlaneConfig};
use crate::names::TrustDomain;
use crate::platform::local::{self, Launch};
use crate::telemetry::logging;

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
    #[arg(long, value_name = "ADDR:PORT", value_parser = super::address::listen)]
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

/// Serves until SIGTERM, SIGINT or the admin API says stop; a second signal ends it at once.
fn serve(args: &RunArgs, context: &Context) -> Outcome {
    let config = ControlPlaneConfig {
        home: context.home()?.to_owned(),
        listen: args.listen,
        trust_domain: args.trust_domain.clone(),
    };
    let _logging = logging::init(logging::Format::default(), &args.log).map_err(Failure::misuse)?;
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let shutdown = CancellationToken::new();
    let ended = runtime.block_on(async {
        let signals = [SignalKind::terminate(), SignalKind::interrupt()].map(signal);
        let [term, interrupt] = signals;
        tokio::spawn(stop(term?, interrupt?, shutdown.clone()));
        control::run(config, shutdown).await.map_err(Failure::from)
    });
    // What still runs in the background was given its time.
    runtime.shutdown_background();
    ended.map(|()| Exit::Done)
}

async fn stop(mut term: Signal, mut interrupt: Signal, shutdown: CancellationToken) {
    loop {
        tokio::select! {
            _ = term.recv() => {}
            _ = interrupt.recv() => {}
        }
        if shutdown.is_cancelled() {
            std::process::exit(1);
        }
        shutdown.cancel();
    }
}
