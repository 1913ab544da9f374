//! The guide about another machine, as a reader would follow it: its `sh` blocks on one machine, its
//! `sh other` blocks on the other, each a network namespace with the address that the page names.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use crate::guides::path_with_meshctl;
use crate::support::Namespace;

const PAGE: &str = "docs/guides/another-machine.md";

/// Both machines, each with a home directory; what was started there ends with the value.
struct Reader {
    dir: tempfile::TempDir,
    here: Namespace,
    there: Namespace,
    path: String,
}

impl Reader {
    fn new() -> Self {
        let (here, there) = Namespace::wired("192.0.2.1/24", "192.0.2.2/24");
        let dir = tempfile::tempdir().expect("a directory");
        for name in ["bin", "here", "there"] {
            fs::create_dir(dir.path().join(name)).expect("it is ours");
        }
        let path = path_with_meshctl(&dir.path().join("bin"));
        Self { dir, here, there, path }
    }

    fn home(&self, other: bool) -> PathBuf {
        self.dir.path().join(if other { "there" } else { "here" })
    }

    /// Types a block on one of the machines; what was said.
    fn types(&self, other: bool, block: &str) -> String {
        let machine = if other { &self.there } else { &self.here };
        let out = self.dir.path().join("out");
        let file = fs::File::create(&out).expect("it is ours");
        let mut command = machine.command("timeout");
        command.args(["--kill-after=10", "60", "bash", "-euo", "pipefail", "-c", block]);
        command.current_dir(self.home(other)).env_clear();
        command.env("PATH", &self.path).env("HOME", self.home(other));
        let file_too = file.try_clone().expect("a file can be shared");
        let status = command.stdin(Stdio::null()).stdout(file).stderr(file_too).status();
        let said = fs::read_to_string(&out).expect("it was written");
        assert!(status.expect("there is a bash").success(), "{block}\n{said}");
        said
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        for home in [self.home(false), self.home(true)] {
            for ready in fs::read_dir(home).into_iter().flatten().flatten() {
                end(&ready.path());
            }
        }
        let mut command = self.here.command("meshctl");
        command.env("PATH", &self.path).env("HOME", self.home(false));
        let _ = command.args(["uninstall", "--purge", "--yes"]).output();
    }
}

/// Ends the proxy that has written this file, where it is one of those.
fn end(ready: &Path) {
    let text = fs::read(ready).unwrap_or_default();
    let said: Option<serde_json::Value> = serde_json::from_slice(&text).ok();
    let pid = said.and_then(|said| i32::try_from(said["pid"].as_i64()?).ok());
    if let Some(pid) = pid.and_then(rustix::process::Pid::from_raw) {
        let _ = rustix::process::kill_process(pid, rustix::process::Signal::KILL);
    }
}

#[test]
fn another_machine_joins_as_its_guide_says() {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join(PAGE);
    let page = fs::read_to_string(page).expect("the page is in the repository");
    let block = regex::Regex::new(r"(?s)```sh( other)?\n(.*?)```").expect("constant");
    let reader = Reader::new();
    let mut said = String::new();
    for found in block.captures_iter(&page) {
        let other = found.get(1).is_some();
        let token = reader.home(false).join("token");
        if other && token.exists() {
            fs::copy(token, reader.home(true).join("token")).expect("as by `scp`");
        }
        said += &reader.types(other, &found[2]);
    }
    for text in [
        "control plane installed, version ",
        "on the other machine: meshctl proxy run --control-plane https://192.0.2.1:15012",
        "hello from the first machine",
        "Used",
        "for other machines too",
    ] {
        assert!(said.contains(text), "`{text}` is missing in\n{said}");
    }
}
