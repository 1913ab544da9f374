//! One proxy as a process: directory and ports, certificate, last good configuration, data plane,
//! control thread, admin server, application; from the first file touched to the exit code.
//!
//! Goes in: a resolved [`Config`]. Comes out: the exit code. Everything that is opened or spawned
//! here is owned here and ends before [`run`] returns. The thread that calls it is the control
//! thread: requests are the workers' and never wait for it.

use std::io;
use std::path::PathBuf;

use tokio::sync::{mpsc, oneshot};

use crate::certs::CredentialError;
use crate::names::ProxyId;
use crate::net::descriptors;
use crate::proxy::handover::{Inherited, Rules, TakeOverError};
use crate::proxy::join::JoinError;
use crate::proxy::ready::Ready;
use crate::telemetry::logging::LogLevel;

mod bind;
mod config;
mod life;
mod place;
mod signals;
mod start;
mod succession;
#[cfg(test)]
mod tests;
mod wait;

pub use config::{APP_WAIT, AdminAddress, Config, ConfigError, DRAIN, Upstream};
pub use place::PlaceError;
pub use signals::{Signal, SignalKind};
pub use succession::{ask, running};

/// Why a proxy could not run.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// What it was told cannot be.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// It has no directory to itself.
    #[error(transparent)]
    Place(#[from] PlaceError),
    /// A listener could not be bound.
    #[error("cannot listen: {what}")]
    Listen {
        /// Which one, with the address.
        what: String,
        /// Why.
        #[source]
        error: io::Error,
    },
    /// It has no certificate.
    #[error("no certificate for this workload")]
    Join(#[from] JoinError),
    /// The certificate cannot be used.
    #[error("the certificate of this workload cannot be used")]
    Credential(#[from] CredentialError),
    /// It may not be what it is to be; by name, service or identity.
    #[error("the control plane does not take this proxy: {0}")]
    Refused(String),
    /// The ready file could not be written.
    #[error("cannot write the ready file `{0}`")]
    ReadyFile(PathBuf, #[source] io::Error),
    /// The application could not be started.
    #[error("cannot start `{0}`")]
    Command(String, #[source] io::Error),
    /// The system refused something basic.
    #[error("cannot {0}")]
    System(&'static str, #[source] io::Error),
    /// The place of another process was not to be had.
    #[error(transparent)]
    TakeOver(#[from] TakeOverError),
    /// It is not said whose place is meant.
    #[error("several proxies could be meant: {}", .0.iter().map(|one| format!("`{one}`")).collect::<Vec<_>>().join(", "))]
    Several(Vec<ProxyId>),
    /// It was told to end before it was ready.
    #[error("ended by a signal before it was ready")]
    Interrupted,
    /// A part that must not end has ended.
    #[error("the {0} ended unexpectedly")]
    Ended(&'static str),
}

impl RunError {
    /// What to do about it; empty where there is nothing to say, and for [`Self::Join`], where it
    /// depends on how the proxy was to join.
    pub fn help(&self) -> String {
        match self {
            Self::Config(error) => error.help(),
            Self::Place(error) => error.help(),
            Self::Listen { .. } => "give it another address; port 0 is any that is free".to_owned(),
            Self::ReadyFile(..) => {
                "name a file in a directory that is there, and where this user may write".to_owned()
            }
            Self::Command(..) => {
                "name a program after `--` that is there and may be run, by its path or as it is \
                 found on `PATH`"
                    .to_owned()
            }
            _ => String::new(),
        }
    }
}

/// Runs one proxy until it is told to end, and returns the exit code of the process: that of
/// `Config::command` where there is one, else 0. Blocks; makes its own runtime; handles signals.
/// `log` is what changes the log level later, `hands` what it has of others.
///
/// # Errors
/// [`RunError`] where the proxy failed (exit code 1, or 125 with a command that did not run).
pub fn run(config: Config, log: Option<LogLevel>, hands: Hands) -> Result<u8, RunError> {
    config.check()?;
    let raised = descriptors::raise();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| RunError::System("start the control thread", error))?;
    let ended = runtime.block_on(async {
        let signals =
            signals::listen().map_err(|error| RunError::System("handle signals", error))?;
        let (ready, _) = oneshot::channel();
        serve(Process { config, log, raised: Some(raised), signals, ready, hands }).await
    });
    // Files that are being written are small; nothing else is left in the background.
    drop(runtime);
    ended
}

/// What a proxy has of others when it starts.
#[derive(Debug, Default)]
pub struct Hands {
    /// What it was given by the process whose place it takes.
    pub inherited: Option<Inherited>,
    /// What redirects connections to it, until it ends or hands that over.
    pub rules: Option<Rules>,
}

/// A proxy to be run, and its strings to the outside.
#[derive(Debug)]
pub struct Process {
    /// What it is told to be; checked by [`Config::check`].
    pub config: Config,
    /// What changes the log level of this process.
    pub log: Option<LogLevel>,
    /// What the limit of open descriptors was, for the application.
    pub raised: Option<descriptors::Raised>,
    /// Stands for the signals of a process; when the sender is gone that counts as SIGTERM.
    pub signals: mpsc::Receiver<Signal>,
    /// Told once when the proxy is ready.
    pub ready: oneshot::Sender<Ready>,
    /// What it has of others.
    pub hands: Hands,
}

/// As [`run`], on the caller's runtime and with the caller's signals; several may run in one
/// process.
///
/// # Errors
/// As [`run`].
pub async fn serve(process: Process) -> Result<u8, RunError> {
    let Process { config, log, raised, mut signals, ready, hands } = process;
    let started = tokio::select! {
        started = start::start(&config, log, hands) => started?,
        () = signals::told_to_end(&mut signals) => return Err(RunError::Interrupted),
    };
    life::live(started, &config, raised, signals, ready).await
}
