//! `proxy run --take-over`: whose place a proxy takes, and what is said where it is not to be had.

use std::io;

use clap::{Args, ValueEnum};

use super::super::exit::Failure;
use crate::proxy::handover::Inherited;
use crate::proxy::run::{self, Config, PlaceError, RunError};

/// Whether another proxy's place is taken.
#[derive(Debug, Clone, Args)]
pub(super) struct TakeOverArgs {
    /// Take the place of the proxy that runs under this name, and lose no connection: it passes its
    /// listeners, drains and ends.
    #[arg(
        long,
        value_name = "WHEN",
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = "required",
        conflicts_with = "command"
    )]
    take_over: Option<When>,
}

/// What `--take-over` takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum When {
    /// One must run.
    Required,
    /// Start as usual where none runs.
    IfRunning,
}

impl TakeOverArgs {
    /// Asks the proxy that runs for its place, where that is wanted.
    ///
    /// # Errors
    /// It does not hand over, none runs, or several could be meant.
    pub(super) fn begin(&self, config: &Config) -> Result<Option<Inherited>, Failure> {
        let Some(when) = self.take_over else { return Ok(None) };
        match run::ask(config) {
            Ok(None) if when == When::Required => {
                let what = match &config.name {
                    Some(name) => format!("no proxy `{}/{name}` runs", config.service.namespace),
                    None => format!("no proxy of `{}` runs", config.service),
                };
                Err(Failure::new(format!("{what}, so there is no place to take over")).help(
                    "leave `--take-over` out, or write `--take-over=if-running` to start one then",
                ))
            }
            Ok(inherited) => Ok(inherited),
            Err(error @ RunError::Several(_)) => {
                Err(Failure::from(error).help("say with `--name` whose place to take"))
            }
            Err(error) => Err(Failure::from(error).help(
                "it goes on as before; where it cannot hand over, end it with SIGTERM first",
            )),
        }
    }
}

/// What to do where a name or a port is in use by a proxy whose place could be taken.
pub(super) fn instead(error: &RunError, config: &Config) -> Option<String> {
    let is_busy = match error {
        RunError::Listen { error, .. } => error.kind() == io::ErrorKind::AddrInUse,
        RunError::Place(PlaceError::Taken(..)) => true,
        _ => false,
    };
    let running = if is_busy { run::running(config) } else { return None };
    let proxy = running.first()?;
    Some(format!("`{proxy}` runs already; `--take-over` takes its place without a lost connection"))
}
