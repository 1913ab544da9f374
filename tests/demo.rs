//! `meshctl demo` as a user runs it: played through to its end, and broken off half way.
//!
//! Either way nothing may be left: no process that descends from it, and no file in its temporary
//! directory.

use std::fs;
use std::io::Read;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// The longest that the script may take in a build without optimization on a busy machine.
const PATIENCE: Duration = Duration::from_secs(180);

/// The variable that marks every process that descends from a demo.
const MARK: &str = "MESHCTL_DEMO_TEST";

struct Demo {
    child: Child,
    directory: tempfile::TempDir,
}

impl Demo {
    fn start() -> Self {
        let directory = tempfile::tempdir().expect("a temporary directory can be made");
        let temporary = directory.path().join("tmp");
        fs::create_dir(&temporary).expect("the directory is ours");
        let out = fs::File::create(directory.path().join("out")).expect("the directory is ours");
        let child = Command::new(env!("CARGO_BIN_EXE_meshctl"))
            .args(["demo", "--script"])
            .env("TMPDIR", &temporary)
            .env("HOME", directory.path())
            .env(MARK, directory.path())
            .stdin(Stdio::null())
            .stdout(out.try_clone().expect("a file can be shared"))
            .stderr(out)
            .spawn()
            .expect("the binary was built");
        Self { child, directory }
    }

    fn said(&self) -> String {
        fs::read_to_string(self.directory.path().join("out")).expect("it was written")
    }

    /// Waits for the end; its code.
    fn wait(&mut self) -> Option<i32> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(status) = self.child.try_wait().expect("it is our child") {
                return status.code();
            }
            assert!(Instant::now() < deadline, "it did not end; it said:\n{}", self.said());
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    #[track_caller]
    fn assert_nothing_is_left(&self) {
        let deadline = Instant::now() + Duration::from_secs(10);
        while !marked(self.directory.path()).is_empty() && Instant::now() < deadline {
            std::thread::sleep(Duration::from_millis(50));
        }
        assert_eq!(marked(self.directory.path()), Vec::<String>::new(), "{}", self.said());
        let files = fs::read_dir(self.directory.path().join("tmp")).expect("it is there");
        let files: Vec<_> = files.map(|file| file.expect("it is ours").path()).collect();
        assert!(files.is_empty(), "{files:?} are left; it said:\n{}", self.said());
    }
}

impl Drop for Demo {
    fn drop(&mut self) {
        // Only where the test failed: a demo that is told to end cleans up after itself.
        if let Ok(None) = self.child.try_wait() {
            terminate(&self.child);
            let _ = self.child.wait();
        }
    }
}

fn terminate(child: &Child) {
    let pid = rustix::process::Pid::from_child(child);
    rustix::process::kill_process(pid, rustix::process::Signal::TERM).expect("it is our child");
}

/// The command lines of processes with the mark in their environment.
fn marked(directory: &Path) -> Vec<String> {
    let mark = format!("{MARK}={}", directory.display());
    let mut found = Vec::new();
    for entry in fs::read_dir("/proc").expect("this is Linux").flatten() {
        let mut environment = Vec::new();
        let opened = fs::File::open(entry.path().join("environ"));
        // A process of somebody else, or one that has just ended.
        if opened.and_then(|mut file| file.read_to_end(&mut environment)).is_err() {
            continue;
        }
        if environment.split(|&byte| byte == 0).any(|one| one == mark.as_bytes()) {
            let line = fs::read_to_string(entry.path().join("cmdline")).unwrap_or_default();
            found.push(line.replace('\0', " "));
        }
    }
    found
}

#[test]
fn the_script_sees_every_step_and_leaves_nothing_behind() {
    let mut demo = Demo::start();
    let code = demo.wait();
    let said = demo.said();
    assert_eq!(code, Some(0), "{said}");
    for step in 1..=7 {
        assert!(said.contains(&format!("step {step} of 7")), "{said}");
    }
    assert!(said.contains("web calls reviews over mutual TLS"), "{said}");
    assert!(said.contains("  0 pages by v1"), "{said}");
    assert!(said.contains("  reviews-v2-0: Ejected, "), "{said}");
    demo.assert_nothing_is_left();
}

#[test]
fn a_demo_that_is_broken_off_leaves_nothing_behind() {
    let mut demo = Demo::start();
    let deadline = Instant::now() + PATIENCE;
    while !demo.said().contains("step 1 of 7") {
        assert!(demo.child.try_wait().expect("it is our child").is_none(), "{}", demo.said());
        assert!(Instant::now() < deadline, "{}", demo.said());
        std::thread::sleep(Duration::from_millis(50));
    }
    assert!(!marked(demo.directory.path()).is_empty(), "the mark does not reach its processes");
    terminate(&demo.child);
    demo.wait();
    demo.assert_nothing_is_left();
}
