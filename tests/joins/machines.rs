//! Two machines on one wire, and the binary that is run on either, each with a home of its own.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

use serde_json::Value;

use crate::support::{Conn, Namespace, Origin, Who, eventually};

/// The address of the machine with the control plane.
pub(super) const HERE: &str = "10.78.0.1";

/// The address of the other one.
pub(super) const THERE: &str = "10.78.0.2";

/// Where the control plane listens.
pub(super) const LISTEN: &str = "10.78.0.1:15012";

/// The same as proxies are told.
pub(super) const URL: &str = "https://10.78.0.1:15012";

/// Both machines; what was installed is purged with the value.
pub(super) struct Machines {
    pub(super) here: Namespace,
    pub(super) there: Namespace,
    dir: tempfile::TempDir,
}

/// What a run came to.
#[derive(Debug)]
pub(super) struct Run {
    pub(super) code: i32,
    pub(super) stdout: String,
    pub(super) stderr: String,
}

/// A proxy that is ready; killed with the value.
pub(super) struct Proxy {
    process: Child,
    ready: Value,
}

impl Machines {
    /// Both, and a control plane on the one that listens for the other.
    pub(super) fn new() -> Self {
        let [ours, theirs] = [HERE, THERE].map(|address| format!("{address}/24"));
        let (here, there) = Namespace::wired(&ours, &theirs);
        let machines = Self { here, there, dir: tempfile::tempdir().expect("a directory") };
        let installed = machines.run_here(&["install", "--listen", LISTEN]);
        assert_eq!(installed.code, 0, "{installed:?}");
        machines
    }

    /// A directory of the test's own: the control plane's home is `here`, others are free.
    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// The binary on one machine, with that home.
    pub(super) fn command(&self, on: &Namespace, home: &str) -> Command {
        let mut command = on.command(env!("CARGO_BIN_EXE_meshctl"));
        command.env_clear().env("MESHCTL_HOME", self.path(home)).env("PATH", "/usr/bin:/bin");
        command.current_dir(self.dir.path()).stdin(Stdio::null());
        command
    }

    pub(super) fn run_here(&self, words: &[&str]) -> Run {
        let mut command = self.command(&self.here, "here");
        ran(command.args(words).output().expect("util-linux is there"))
    }

    pub(super) fn json(&self, words: &[&str]) -> Value {
        let run = self.run_here(words);
        assert_eq!(run.code, 0, "{run:?}");
        serde_json::from_str(&run.stdout).expect("JSON")
    }

    /// Makes a token for a service and writes it to a file.
    pub(super) fn token(&self, service: &str) -> PathBuf {
        let made = self.run_here(&["token", "create", "--service", service]);
        assert_eq!(made.code, 0, "{made:?}");
        let words = format!("--control-plane {URL} --token-file FILE --service {service}");
        assert!(made.stderr.contains(&words) && !made.stderr.contains("warning"), "{made:?}");
        let path = self.path(&format!("token-of-{service}"));
        std::fs::write(&path, made.stdout).expect("it is ours");
        path
    }

    /// A proxy on the other machine that is not expected to become ready.
    pub(super) fn refused_there(&self, home: &str, words: &[&str]) -> Run {
        let mut command = self.command(&self.there, home);
        command.args(["proxy", "run", "--control-plane", URL]).args(words);
        ran(command.output().expect("util-linux is there"))
    }

    /// A proxy on one machine, with these words.
    pub(super) fn proxy(&self, on: &Namespace, home: &str, words: &[&str]) -> Proxy {
        let file = self.path(&format!("{home}.ready"));
        let log = self.path(&format!("{home}.log"));
        // One that was killed has left it behind.
        let _ = std::fs::remove_file(&file);
        let stderr = std::fs::File::create(&log).expect("it is ours");
        let mut command = self.command(on, home);
        command.args(["proxy", "run", "--ready-file"]).arg(&file).args(words);
        let process = command.stdout(Stdio::null()).stderr(stderr).spawn().expect("it runs");
        let mut proxy = Proxy { process, ready: Value::Null };
        eventually("the proxy is ready", || {
            let ended = proxy.process.try_wait().expect("it is ours");
            assert!(ended.is_none(), "{ended:?}: {}", read(&log));
            file.exists().then_some(())
        });
        proxy.ready = serde_json::from_str(&read(&file)).expect("JSON");
        proxy
    }
}

impl Drop for Machines {
    fn drop(&mut self) {
        self.run_here(&["uninstall", "--purge", "--yes"]);
    }
}

impl Proxy {
    pub(super) fn told(&self, field: &str) -> &str {
        self.ready[field].as_str().expect("a text")
    }

    /// What its application is answered by a service.
    pub(super) fn ask(&self, on: &Namespace, service: &str) -> (u16, String) {
        let mut conn: Conn = on.connect(Who::Application, self.told("outbound"));
        let answer = conn.get(service, "/");
        (answer.status, answer.text())
    }

    /// Ends it from one moment to the next.
    pub(super) fn kill(mut self) {
        self.end();
    }

    fn end(&mut self) {
        // It may have ended by itself.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.end();
    }
}

/// An application on a machine.
pub(super) fn application(on: &Namespace, says: &'static str) -> Origin {
    on.act(Who::Application, || Origin::saying(says))
}

pub(super) fn read(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap_or_default()
}

fn ran(output: Output) -> Run {
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("UTF-8");
    let (stdout, stderr) = (text(output.stdout), text(output.stderr));
    Run { code: output.status.code().expect("not killed"), stdout, stderr }
}
