//! Whatever surrounds the program: directories that cannot be written, terminals that can little,
//! a control plane that says nothing, somebody who presses Ctrl-C twice.

use std::os::unix::net::UnixListener;
use std::process::{Command, Output, Stdio};

use super::binary::{command, meshctl};
use super::generated::offered_in;
use super::installed::Mesh;
use super::killed::Bed;

#[test]
fn a_home_that_cannot_be_made_is_named() {
    // Not even root can make a directory there.
    let run = meshctl(&["install", "--home", "/proc/mesh"]);
    assert_eq!((run.code, run.stdout.as_str()), (1, ""), "{run:?}");
    assert!(run.stderr.contains("error: cannot create `/proc/mesh`"), "{run:?}");
    let run = meshctl(&["history", "--home", "/proc/mesh"]);
    assert_eq!(run.code, 1, "{run:?}");
    assert!(run.stderr.contains("no control plane is running in `/proc/mesh`"), "{run:?}");
}

/// Runs words of a shell on a terminal of this kind; `M` is the program.
fn on_terminal(mesh: &Mesh, term: &str, words: &str) -> Output {
    let words = words.replace("M ", &format!("{} ", env!("CARGO_BIN_EXE_meshctl")));
    let mut script = Command::new("timeout");
    script.env_clear();
    for (name, value) in command(&mesh.home()).get_envs() {
        script.env(name, value.unwrap_or_default());
    }
    script
        .env("TERM", term)
        .args(["60", "script", "-qec", &words, "/dev/null"])
        .stdin(Stdio::null());
    script.output().expect("util-linux is there")
}

#[test]
fn a_dumb_terminal_gets_no_escapes_and_a_clever_one_colours() {
    let mesh = Mesh::install();
    let escapes = |term, words| on_terminal(&mesh, term, words).stdout.contains(&0x1b);
    for words in ["M status", "M check", "M --help", "M get", "M uninstall"] {
        assert!(!escapes("dumb", words), "{words}");
    }
    // Terminals of CI jobs are often no terminals at all, and are taken for clever ones.
    for words in ["CI=true M --help", "CI=true M get", "CLICOLOR=1 M get"] {
        assert!(!escapes("dumb", words), "{words}");
    }
    assert!(escapes("dumb", "CLICOLOR_FORCE=1 M --help"));
    assert!(escapes("xterm", "M --help"));
    assert!(!escapes("xterm", "NO_COLOR=1 M --help"));
}

#[test]
fn twenty_columns_and_the_c_locale_are_enough() {
    let mesh = Mesh::install();
    let service = "apiVersion: v1\nkind: Service\nmetadata: {name: a-name-longer-than-the-line}\n\
                   spec: {ports: [{port: 80, name: http}]}\n";
    assert_eq!(mesh.feed("apply -f -", service).code, 0);
    for words in ["status", "get all", "history", "history 1", "check", "--help", "apply --help"] {
        let words = format!("export LC_ALL=C; stty cols 20; M {words}");
        let output = on_terminal(&mesh, "xterm", &words);
        let text = String::from_utf8(output.stdout).expect("UTF-8");
        assert!(output.status.success() && !text.is_empty(), "{words}: {text}");
        assert!(!text.contains("panicked"), "{words}: {text}");
    }
    let narrow = on_terminal(&mesh, "dumb", "stty cols 20; M get services").stdout;
    let narrow = String::from_utf8(narrow).expect("UTF-8");
    assert!(narrow.contains('…'), "what does not fit is cut: {narrow}");
    assert!(narrow.lines().all(|line| line.chars().count() <= 42), "{narrow}");
}

#[test]
fn a_control_plane_that_says_nothing_holds_up_no_completion() {
    let dir = tempfile::tempdir().expect("a directory");
    let home = dir.path().join("home");
    std::fs::create_dir(&home).expect("it is ours");
    let _silent = UnixListener::bind(home.join("admin.sock")).expect("it is ours");
    // Each would wait for its answer for half a minute if it were a command.
    assert!(offered_in(&home, &["get", ""]).contains(&"httproute".to_owned()));
    let names = offered_in(&home, &["get", "httproute", ""]);
    assert!(names.iter().all(|it| it.starts_with('-')), "{names:?}");
    assert!(
        !offered_in(&home, &["rollback", ""]).iter().any(|it| it.starts_with(char::is_numeric))
    );
    assert!(offered_in(&home, &["endpoints", "list", "--wat"]).contains(&"--watch".to_owned()));
}

#[test]
fn ctrl_c_twice_leaves_the_rules_whole() {
    let bed = Bed::new();
    let mut running = bed.start(&[]);
    assert!(bed.apply(&bed.rules(1)).wait().expect("it ends").success());
    let mut apply = bed.apply(&bed.rules(2));
    for process in [&running.0, &apply, &running.0, &apply] {
        let pid = i32::try_from(process.id()).ok().and_then(rustix::process::Pid::from_raw);
        // Whoever has ended by the first is not there for the second.
        let _ = rustix::process::kill_process(pid.expect("an id"), rustix::process::Signal::INT);
    }
    let told = apply.wait().expect("it ends").success();
    running.0.wait().expect("it ends");
    let _running = bed.start(&[]);
    let found = bed.weight();
    assert!(matches!(found, Some(1 | 2)) && (found == Some(2) || !told), "{found:?}, told: {told}");
}
