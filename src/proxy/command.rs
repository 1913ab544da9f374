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

use rustix::process::{Pid, Resource, Rlimit, Signal, getrlimit, kill_process, setrlimit};
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
        prepare(&mut command, raised.filter(|it| it.now != it.before).map(|it| it.before));
        Ok(Self { child: command.spawn()? })
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

/// What becomes of the child before it is the application: it dies with its parent, and has this soft
/// limit of descriptors from its first instruction on.
#[cfg(target_os = "linux")]
fn prepare(command: &mut Command, descriptors: Option<u64>) {
    let prepare = move || {
        if let Some(current) = descriptors {
            let limit = Rlimit { current: Some(current), ..getrlimit(Resource::Nofile) };
            // A lower one than there is may always be set.
            let _ = setrlimit(Resource::Nofile, limit);
        }
        rustix::process::set_parent_process_death_signal(Some(Signal::TERM)).map_err(Into::into)
    };
    #[expect(unsafe_code, reason = "the closure makes system calls (prlimit, prctl) and no others")]
    // SAFETY: between fork and exec only async-signal-safe calls are allowed; these are plain system
    // calls, and nothing is allocated on the way.
    unsafe {
        command.pre_exec(prepare);
    }
}

#[cfg(not(target_os = "linux"))]
fn prepare(_: &mut Command, _: Option<u64>) {}

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
