//! One proxy as a process: directory and ports, certificate, last good configuration, data plane,
//! control thread, admin server, application; from the first file touched to the exit code.
//!
//! Goes in: a resolved [`Config`]. Comes out: the exit code. Everything that is opened or spawned
//! here is owned here and ends before [`run`] returns.

mod config;
mod place;

pub use config::{AdminAddress, Config, ConfigError, DRAIN, Upstream};

/// Why a proxy could not run.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// What it was told cannot be.
    #[error(transparent)]
    Config(#[from] ConfigError),
}

/// Runs one proxy until it is told to end, and returns the exit code of the process: that of
/// `Config::command` where there is one, else 0. Blocks; makes its own runtime; handles signals.
///
/// # Errors
/// [`RunError`] where the proxy failed (exit code 1, or 125 with a command that did not run).
pub fn run(config: Config) -> Result<u8, RunError> {
    config.check()?;
    Ok(0)
}
