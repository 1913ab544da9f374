//! Runs the binary: words in, `Run` out. Nothing of the tester's environment gets in.

use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};

/// What a run came to.
#[derive(Debug)]
pub(super) struct Run {
    pub(super) stdout: String,
    pub(super) stderr: String,
    pub(super) code: i32,
}

/// The binary with a home directory and otherwise an empty environment.
pub(super) fn command(home: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_meshctl"));
    command.env_clear().env("MESHCTL_HOME", home).env("PATH", "/usr/bin:/bin");
    command.stdin(Stdio::null());
    command
}

/// The same, with so many descriptors at most.
pub(super) fn with_descriptors(home: &Path, most: u32) -> Command {
    let program = command(home);
    let mut command = Command::new("/bin/sh");
    command.args(["-c", &format!("ulimit -n {most} && exec \"$0\" \"$@\"")]);
    command.arg(program.get_program()).env_clear();
    command.envs(program.get_envs().filter_map(|(name, value)| Some((name, value?))));
    command.stdin(Stdio::null());
    command
}

/// Runs it in a directory that is gone afterwards, which is also its home's parent.
pub(super) fn meshctl(words: &[&str]) -> Run {
    let dir = tempfile::tempdir().expect("a directory");
    meshctl_in(dir.path(), words, "")
}

/// The same with the directory given (home is `home` in it), and standard input.
pub(super) fn meshctl_in(dir: &Path, words: &[&str], input: &str) -> Run {
    let mut command = command(&dir.join("home"));
    command.current_dir(dir).args(words);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().expect("the binary runs");
    let mut stdin = child.stdin.take().expect("piped");
    // A run that fails early does not read its input.
    let _ = stdin.write_all(input.as_bytes());
    drop(stdin);
    let output = child.wait_with_output().expect("it ends");
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("UTF-8");
    Run {
        stdout: text(output.stdout).replace(&*dir.to_string_lossy(), "DIR"),
        stderr: text(output.stderr).replace(&*dir.to_string_lossy(), "DIR"),
        code: output.status.code().expect("not killed"),
    }
}

impl Run {
    /// Asserts all three at once, so that a failure shows all three.
    #[track_caller]
    pub(super) fn is(&self, code: i32, stdout: &str, stderr: &str) {
        let found = (self.code, self.stdout.as_str(), self.stderr.as_str());
        assert!(
            found == (code, stdout, stderr),
            "exit {}\n--- stdout\n{}--- stderr\n{}--- wanted exit {code}\n--- stdout\n{stdout}--- stderr\n{stderr}",
            self.code,
            self.stdout,
            self.stderr
        );
    }
}
