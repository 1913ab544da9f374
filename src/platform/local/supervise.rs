//! The supervisor: runs the control plane, starts it again when it crashes, ends with it.
//!
//! A control plane that ends with 0 was told to; one that ends by itself before it ever held for a
//! second would only fail again, so the supervisor passes its code on. SIGTERM and SIGINT are handed
//! down, and the control plane is given time to end.

use std::process::{ExitStatus, Stdio};
use std::time::{Duration, Instant};

use tokio::process::{Child, Command};
use tokio::signal::unix::{Signal, SignalKind, signal};

use super::backoff::Backoff;
use super::holder::Held;
use super::{Launch, StartError};

/// A control plane that ran so long has started.
const STARTED: Duration = Duration::from_secs(1);
/// How long the control plane may take to end; then it is killed.
const GRACE: Duration = Duration::from_secs(35);

/// Why there is nothing to supervise.
#[derive(Debug, thiserror::Error)]
pub enum SuperviseError {
    /// Another supervisor is at work.
    #[error("another supervisor is at work in this home directory")]
    Held,
    /// The log or the program.
    #[error(transparent)]
    Start(#[from] StartError),
    /// The system.
    #[error(transparent)]
    Io(#[from] std::io::Error),
}

/// Runs the control plane until it is told to end; returns its exit code, 0 when it was told.
/// Blocks; leaves the session of its starter; makes its own runtime.
///
/// # Errors
/// [`SuperviseError`], before anything was started.
pub fn supervise(launch: &Launch) -> Result<u8, SuperviseError> {
    // Refused where this process leads a group already, as under a service manager: then there is
    // no terminal to leave either.
    let _ = rustix::process::setsid();
    let _held = Held::take(&launch.home)?.ok_or(SuperviseError::Held)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(run(launch))
}

async fn run(launch: &Launch) -> Result<u8, SuperviseError> {
    let mut term = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    // The terminal going away is no reason to end.
    let _hangup = signal(SignalKind::hangup())?;
    let mut backoff = Backoff::default();
    let mut steady = false;
    loop {
        let began = Instant::now();
        let mut child = spawn(launch)?;
        let status = tokio::select! {
            status = child.wait() => status?,
            () = told(&mut term, &mut interrupt) => return end(&mut child).await,
        };
        steady |= began.elapsed() >= STARTED;
        match status.code() {
            Some(0) => return Ok(0),
            Some(code) if !steady => return Ok(u8::try_from(code).unwrap_or(1)),
            _ => {}
        }
        let wait = backoff.after(began.elapsed());
        say(&status, wait);
        tokio::select! {
            () = tokio::time::sleep(wait) => {}
            () = told(&mut term, &mut interrupt) => return Ok(0),
        }
    }
}

fn spawn(launch: &Launch) -> Result<Child, SuperviseError> {
    let log = launch.open_log()?;
    let second = log.try_clone()?;
    let child = Command::new(&launch.program)
        .args(launch.words())
        .stdin(Stdio::null())
        .stdout(log)
        .stderr(second)
        .spawn();
    Ok(child.map_err(|error| StartError::Spawn(launch.program.clone(), error))?)
}

async fn told(term: &mut Signal, interrupt: &mut Signal) {
    tokio::select! {
        _ = term.recv() => {}
        _ = interrupt.recv() => {}
    }
}

/// Hands the end down and waits for it.
async fn end(child: &mut Child) -> Result<u8, SuperviseError> {
    // Not reaped yet, so its id is still its own.
    let id = child.id().and_then(|id| i32::try_from(id).ok());
    if let Some(pid) = id.and_then(rustix::process::Pid::from_raw) {
        let _ = rustix::process::kill_process(pid, rustix::process::Signal::TERM);
    }
    if tokio::time::timeout(GRACE, child.wait()).await.is_err() {
        child.kill().await?;
    }
    Ok(0)
}

/// Into the log, which is this process's stderr.
fn say(status: &ExitStatus, wait: Duration) {
    use std::io::Write as _;
    let line =
        format!("supervisor: the control plane ended ({status}), starting it again in {wait:?}\n");
    let _ = std::io::stderr().write_all(line.as_bytes());
}
