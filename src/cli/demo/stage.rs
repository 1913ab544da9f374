//! The processes and files of the demo: a temporary directory, a control plane, five proxies.
//!
//! Everything is done with this very program, by the commands that a user would type. Whatever was
//! started or written is gone when the stage ends, also when it ends by an error half way up.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};

use super::Stop;
use super::steps;

/// How long a proxy may take to become ready.
const READY: Duration = Duration::from_secs(30);

/// How long proxies may drain before they are told a second time, and then killed.
const DRAIN: [Duration; 2] = [Duration::from_secs(3), Duration::from_secs(2)];

/// How often something that is waited for is looked at.
const LOOK: Duration = Duration::from_millis(20);

/// The application of a proxy: the role in the shop and the version.
struct Part {
    service: &'static str,
    version: Option<&'static str>,
    role: Option<&'static str>,
}

/// In the order of starting: who is called comes first.
const PARTS: &[Part] = &[
    Part { service: "ratings", version: None, role: Some("ratings") },
    Part { service: "reviews", version: Some("v1"), role: Some("reviews-v1") },
    Part { service: "reviews", version: Some("v2"), role: Some("reviews-v2") },
    Part { service: "web", version: None, role: Some("web") },
    Part { service: "visitors", version: None, role: None },
];

/// A proxy that was started.
struct Running {
    name: String,
    child: Child,
    ready: PathBuf,
    log: PathBuf,
}

/// All of it.
pub(super) struct Stage {
    program: PathBuf,
    directory: tempfile::TempDir,
    proxies: Vec<Running>,
    installed: bool,
}

impl Stage {
    /// Makes the directory; nothing is started yet.
    pub(super) fn new() -> anyhow::Result<Self> {
        let program = std::env::current_exe().context("cannot find this program's own file")?;
        let directory = tempfile::Builder::new()
            .prefix("meshctl-demo-")
            .tempdir()
            .context("cannot make a temporary directory")?;
        Ok(Self { program, directory, proxies: Vec::new(), installed: false })
    }

    /// The home directory of the demo's mesh.
    pub(super) fn home(&self) -> PathBuf {
        self.directory.path().join("home")
    }

    /// The rules that the demo applies.
    pub(super) fn rules(&self) -> PathBuf {
        self.directory.path().join("rules.yaml")
    }

    /// While this file is there, version 2 of reviews answers with errors.
    fn sick(&self) -> PathBuf {
        self.directory.path().join("reviews-v2.sick")
    }

    /// Breaks version 2 of reviews, or mends it.
    pub(super) fn set_sick(&self, sick: bool) -> anyhow::Result<()> {
        let changed = match sick {
            true => File::create(self.sick()).map(drop),
            false => std::fs::remove_file(self.sick()),
        };
        changed.with_context(|| format!("cannot change {}", self.sick().display()))
    }

    /// What a user types for this program: its name where `PATH` leads to it, else its file.
    pub(super) fn typed(&self) -> String {
        let paths = std::env::var_os("PATH").unwrap_or_default();
        let on_path = std::env::split_paths(&paths)
            .map(|directory| directory.join("meshctl"))
            .find(|file| file.is_file())
            .and_then(|file| file.canonicalize().ok());
        match on_path.is_some() && on_path == self.program.canonicalize().ok() {
            true => "meshctl".to_owned(),
            false => self.program.display().to_string(),
        }
    }

    /// Starts the control plane as `meshctl install` does.
    pub(super) fn install(&mut self) -> anyhow::Result<()> {
        self.installed = true;
        self.meshctl(&["install", "--platform", "local"])?;
        let config = self.directory.path().join("mesh-config.yaml");
        std::fs::write(&config, steps::MESH_CONFIG)?;
        self.meshctl(&["apply", "-f", &config.to_string_lossy()])?;
        Ok(())
    }

    /// Opens the shop: every application behind its proxy, all of them ready.
    pub(super) fn open(&mut self, stop: &Stop) -> anyhow::Result<()> {
        for part in PARTS {
            self.start(part)?;
        }
        let deadline = Instant::now() + READY;
        for at in 0..self.proxies.len() {
            while !self.proxies.get(at).is_none_or(Running::is_ready) {
                self.look()?;
                if stop.is_told() {
                    return Ok(());
                }
                if Instant::now() > deadline {
                    bail!(self.complaint(at, "was not ready in time"));
                }
                std::thread::sleep(LOOK);
            }
        }
        Ok(())
    }

    fn start(&mut self, part: &Part) -> anyhow::Result<()> {
        let name = match part.version {
            Some(version) => format!("{}-{version}", part.service),
            None => part.service.to_owned(),
        };
        let ready = self.directory.path().join(format!("{name}.ready"));
        let log = self.directory.path().join(format!("{name}.log"));
        let out = File::create(&log)?;
        let mut command = self.command(&["proxy", "run", "--service", part.service]);
        command.arg("--ready-file").arg(&ready).args(["--workers", "1"]);
        if let Some(version) = part.version {
            command.args(["--version", version]);
        }
        if let Some(role) = part.role {
            let port = free_port()?;
            let address = format!("127.0.0.1:{port}");
            command.args(["--app", &address, "--"]).arg(&self.program);
            command.args(["demo", "shop", role, "--listen", &address, "--sick"]).arg(self.sick());
        }
        command.stdin(Stdio::null()).stdout(out.try_clone()?).stderr(out);
        let child = command.spawn().with_context(|| format!("cannot start the proxy of {name}"))?;
        self.proxies.push(Running { name, child, ready, log });
        Ok(())
    }

    /// Where visitors ask for pages.
    pub(super) fn outbound(&self) -> anyhow::Result<String> {
        let visitors = self.proxies.last().context("the shop is not open")?;
        let ready: serde_json::Value = serde_json::from_slice(&std::fs::read(&visitors.ready)?)?;
        let outbound = ready.get("outbound").and_then(serde_json::Value::as_str);
        Ok(outbound.context("the proxy of visitors does not say where its outbound is")?.to_owned())
    }

    /// Fails where a proxy has ended, with what it said.
    pub(super) fn look(&mut self) -> anyhow::Result<()> {
        for at in 0..self.proxies.len() {
            let ended = match self.proxies.get_mut(at) {
                Some(running) => running.child.try_wait()?,
                None => None,
            };
            if let Some(status) = ended {
                bail!(self.complaint(at, &format!("ended with {status}")));
            }
        }
        Ok(())
    }

    fn complaint(&self, at: usize, what: &str) -> String {
        let Some(running) = self.proxies.get(at) else { return what.to_owned() };
        let log = std::fs::read_to_string(&running.log).unwrap_or_default();
        let lines: Vec<&str> = log.lines().collect();
        let last = lines.iter().skip(lines.len().saturating_sub(5)).copied().collect::<Vec<_>>();
        format!("the proxy of `{}` {what}; it said: {}", running.name, last.join(" | "))
    }

    /// Runs this program on the demo's home; what it wrote to stdout and stderr.
    pub(super) fn meshctl(&self, arguments: &[&str]) -> anyhow::Result<(String, String)> {
        let output = self.command(arguments).stdin(Stdio::null()).output()?;
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        if !output.status.success() {
            let error = said.lines().find_map(|line| line.strip_prefix("error: "));
            bail!("`meshctl {}` failed: {}", arguments.join(" "), error.unwrap_or(said.trim()));
        }
        Ok((String::from_utf8_lossy(&output.stdout).into_owned(), said))
    }

    /// This program on the demo's home, in a process group of its own: Ctrl-C is for the demo,
    /// which then ends the rest in order.
    pub(super) fn command(&self, arguments: &[&str]) -> Command {
        use std::os::unix::process::CommandExt as _;
        let mut command = Command::new(&self.program);
        command
            .process_group(0)
            .arg("--home")
            .arg(self.home())
            .args(["--color", "never"])
            .args(arguments);
        command
    }

    /// Ends everything that was started, and removes every file.
    pub(super) fn end(mut self) -> anyhow::Result<()> {
        self.end_processes();
        let directory = self.directory.path().to_owned();
        drop(self);
        match directory.exists() {
            true => bail!("{} could not be removed", directory.display()),
            false => Ok(()),
        }
    }

    fn end_processes(&mut self) {
        // Callers first, so that nobody calls one who is gone.
        for patience in DRAIN {
            for running in self.proxies.iter_mut().rev() {
                running.tell(rustix::process::Signal::TERM);
            }
            let deadline = Instant::now() + patience;
            while self.proxies.iter_mut().any(Running::is_alive) && Instant::now() < deadline {
                std::thread::sleep(LOOK);
            }
        }
        for running in &mut self.proxies {
            running.kill();
        }
        self.proxies.clear();
        if std::mem::take(&mut self.installed) {
            // It fails only where there is nothing to uninstall.
            let _ = self.meshctl(&["uninstall", "--purge", "--yes"]);
        }
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        self.end_processes();
    }
}

impl Running {
    /// Its proxy is ready, and its application listens.
    fn is_ready(&self) -> bool {
        self.ready.exists()
    }

    fn is_alive(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }

    fn tell(&mut self, signal: rustix::process::Signal) {
        if self.is_alive() {
            let _ = rustix::process::kill_process(self.pid(), signal);
        }
    }

    /// Kills what is left of its group: the proxy, and an application that outlived it.
    fn kill(&mut self) {
        let _ = rustix::process::kill_process_group(self.pid(), rustix::process::Signal::KILL);
        let _ = self.child.wait();
    }

    fn pid(&self) -> rustix::process::Pid {
        rustix::process::Pid::from_child(&self.child)
    }
}

/// A port that nobody listens on at this moment.
fn free_port() -> anyhow::Result<u16> {
    let listener = crate::net::ports::listen_quietly().context("loopback has no free port")?;
    Ok(listener.local_addr()?.port())
}

/// Writes rules where the user can read and change them.
pub(super) fn write_rules(path: &Path, rules: &str) -> anyhow::Result<()> {
    std::fs::write(path, rules).context("cannot write the rules")
}
