//! The application that the proxy was asked to run: started when the proxy is ready, told where the
//! mesh is by the environment that common runtimes read, never left behind.
//!
//! It gets the proxy's signals, and the limit of open descriptors that the proxy found. When the
//! proxy dies, however it dies, the kernel ends the application too: by SIGTERM, so that one with
//! processes of its own takes them along.

use std::ffi::OsString;
use std::io;
use std::net::SocketAddr;
use std::os::unix::process::ExitStatusExt;
use std::process::ExitStatus;

use rustix::process::{Pid, Resource, Signal, getrlimit, kill_process, prlimit};
use tokio::process::{Child, Command};

use crate::net::descriptors::Raised;

#[cfg(test)]
mod tests;

/// What is never sent through the proxy: the machine itself.
const NO_PROXY: &str = "localhost,127.0.0.1,::1";

/// A running application.
#[derive(Debug)]
pub struct Application {
    child: Child,
}

impl Application {
    /// Starts `command`, whose HTTP calls are to go to `outbound`. To be called on the main thread:
    /// the kernel ends the application with the thread that started it.
    ///
    /// # Errors
    /// That of the system: not found, not executable.
    pub fn start(
        command: &[OsString],
        outbound: SocketAddr,
        raised: Option<Raised>,
    ) -> io::Result<Self> {
        let (program, arguments) = command.split_first().ok_or(io::ErrorKind::InvalidInput)?;
        let mut command = Command::new(program);
        command.args(arguments).kill_on_drop(true);
        command.envs(environment(outbound, |name| std::env::var_os(name)));
        die_with_parent(&mut command);
        let child = command.spawn()?;
        let application = Self { child };
        if let (Some(raised), Some(pid)) = (raised, application.pid()) {
            let mut limit = getrlimit(Resource::Nofile);
            limit.current = Some(raised.before);
            // It may have ended already; then there is nothing to limit.
            let _ = prlimit(Some(pid), Resource::Nofile, limit);
        }
        Ok(application)
    }

    /// Passes a signal on.
    pub fn signal(&self, signal: Signal) {
        if let Some(pid) = self.pid()
            && let Err(error) = kill_process(pid, signal)
        {
            tracing::debug!(%error, ?signal, "the application did not get a signal");
        }
    }

    /// Waits until it has ended; its exit code, as a shell would put it. Cancel safe.
    ///
    /// # Errors
    /// That of the system.
    pub async fn ended(&mut self) -> io::Result<u8> {
        self.child.wait().await.map(code)
    }

    /// Ends it, and waits until it has ended.
    pub async fn kill(&mut self) {
        if let Err(error) = self.child.kill().await {
            tracing::warn!(%error, "the application could not be ended");
        }
    }

    fn pid(&self) -> Option<Pid> {
        self.child.id().and_then(|id| i32::try_from(id).ok()).and_then(Pid::from_raw)
    }
}

/// The exit code of a process that ended with `status`: its own, or 128 and the signal's number.
fn code(status: ExitStatus) -> u8 {
    let signal = status.signal().map(|signal| 128 + signal);
    status.code().or(signal).and_then(|code| u8::try_from(code).ok()).unwrap_or(u8::MAX)
}

#[cfg(target_os = "linux")]
fn die_with_parent(command: &mut Command) {
    let die =
        || rustix::process::set_parent_process_death_signal(Some(Signal::TERM)).map_err(Into::into);
    #[expect(unsafe_code, reason = "the closure makes one system call, prctl, and nothing else")]
    // SAFETY: between fork and exec only async-signal-safe calls are allowed; prctl is one, and
    // nothing is allocated on the way.
    unsafe {
        command.pre_exec(die);
    }
}

#[cfg(not(target_os = "linux"))]
fn die_with_parent(_: &mut Command) {}

/// What makes common runtimes call through `outbound`, added to what is there (`before`).
fn environment(
    outbound: SocketAddr,
    before: impl Fn(&str) -> Option<OsString>,
) -> Vec<(&'static str, OsString)> {
    let proxy = OsString::from(format!("http://{outbound}"));
    let joined = |name: &str, separator: &str, more: String| match before(name) {
        Some(mut text) if !text.is_empty() => {
            text.push(separator);
            text.push(more);
            text
        }
        _ => more.into(),
    };
    let java = format!(
        "-Dhttp.proxyHost={} -Dhttp.proxyPort={} -Dhttp.nonProxyHosts=localhost|127.*|[::1]",
        outbound.ip(),
        outbound.port(),
    );
    vec![
        ("http_proxy", proxy.clone()),
        ("HTTP_PROXY", proxy),
        ("no_proxy", joined("no_proxy", ",", NO_PROXY.into())),
        ("NO_PROXY", joined("NO_PROXY", ",", NO_PROXY.into())),
        ("NODE_USE_ENV_PROXY", "1".into()),
        ("JAVA_TOOL_OPTIONS", joined("JAVA_TOOL_OPTIONS", " ", java)),
    ]
}
