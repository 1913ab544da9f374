//! `proxy`: run a sidecar, and ask one what it has and does.

use clap::{Args, Subcommand};

use super::args::Context;
use super::exit::Outcome;

mod ask;
mod capture;
mod join;
mod pod;
mod run;
mod take_over;
mod wait;

/// Run a sidecar, or ask one what it has and does.
#[derive(Debug, Args)]
#[command(
    subcommand_required = true,
    after_help = "\
Examples:
  meshctl proxy run --service web -- ./web     an application behind its proxy
  meshctl proxy config web-0                   the configuration that a proxy uses
  meshctl proxy log web-0 debug                change its log level now"
)]
pub(crate) struct ProxyArgs {
    #[command(subcommand)]
    command: ProxyCommand,
}

#[derive(Debug, Subcommand)]
enum ProxyCommand {
    Run(Box<run::RunArgs>),
    Capture(capture::CaptureArgs),
    Config(ask::ConfigArgs),
    Stats(ask::StatsArgs),
    Log(ask::LogArgs),
    Wait(wait::WaitArgs),
}

pub(crate) fn run(args: ProxyArgs, context: &Context) -> Outcome {
    match args.command {
        ProxyCommand::Run(args) => run::run(*args, context),
        ProxyCommand::Capture(args) => capture::run(&args, context),
        ProxyCommand::Config(args) => ask::config(&args, context),
        ProxyCommand::Stats(args) => ask::stats(&args, context),
        ProxyCommand::Log(args) => ask::log(&args, context),
        ProxyCommand::Wait(args) => wait::run(&args),
    }
}
