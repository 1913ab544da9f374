//! Inputs that want too much: files without end, devices, bombs. Each is refused within a bounded
//! memory, which the system enforces, and nothing of it is applied.

use std::path::Path;
use std::process::Stdio;

use super::binary::{command, meshctl_in};
use super::installed::Mesh;

/// What a run may have of private memory, KiB: twice what is aimed at, because the system counts what
/// is reserved as well.
const DATA_KIB: u32 = 128 << 10;

/// Runs within the bound; an allocation beyond it ends the process by a signal.
fn bounded(dir: &Path, words: &str, input: Stdio) -> (Option<i32>, String) {
    let mut bounded = std::process::Command::new("bash");
    let meshctl = command(dir);
    let script = format!("ulimit -d {DATA_KIB} && exec {} {words}", env!("CARGO_BIN_EXE_meshctl"));
    bounded.args(["-c", &script]).current_dir(dir).stdin(input).env_clear();
    bounded.envs(meshctl.get_envs().filter_map(|(name, value)| Some((name, value?))));
    let output = bounded.output().expect("there is a bash");
    let text = [output.stdout, output.stderr].concat();
    (output.status.code(), String::from_utf8(text).expect("UTF-8"))
}

/// The bound is one: what does not keep to it ends.
#[test]
fn the_bound_on_memory_is_enforced() {
    let script = "ulimit -d 131072 && head -c 300000000 /dev/zero | tail -c 299999999 >/dev/null";
    let output = std::process::Command::new("bash").args(["-c", script]).output();
    assert!(!output.expect("there is a bash").status.success());
}

#[test]
fn bombs_are_refused_within_bounds() {
    let dir = tempfile::tempdir().expect("a directory");
    let laughs: String = ('b'..='z')
        .zip('a'..)
        .map(|(next, before)| {
            format!("{next}: &{next} [{}]\n", vec![format!("*{before}"); 9].join(", "))
        })
        .collect();
    let cases = [
        ("laughs.yaml", format!("a: &a [x, x, x, x, x, x, x, x, x]\n{laughs}"), "MC0105"),
        ("flow.yaml", format!("a: {}", "[".repeat(10_000)), "MC0104"),
        ("block.yaml", (0..5_000).map(|n| format!("{}a:\n", " ".repeat(n))).collect(), "MC0104"),
        ("keys.yaml", "{".repeat(10_000), "MC0104"),
        ("wide.yaml", format!("a: [{}]", "1,".repeat(7 << 20)), "MC0105"),
        ("errors.yaml", "---\n@\n".repeat(2 << 20), "MC0101"),
        ("long.yaml", format!("a: {}", "x".repeat(15 << 20)), "MC0202"),
    ];
    for (name, text, code) in cases {
        std::fs::write(dir.path().join(name), &text).expect("written");
        let (exit, said) = bounded(dir.path(), &format!("validate -f {name}"), Stdio::null());
        assert_eq!(exit, Some(3), "{name}: {}", said.chars().take(2_000).collect::<String>());
        assert!(said.contains(&format!("error[{code}]")), "{name}: {code}");
        let (exit, _) = bounded(dir.path(), &format!("apply -f {name}"), Stdio::null());
        assert_eq!(exit, Some(1), "{name}");
    }
}

#[test]
fn files_that_are_too_large_say_the_limit() {
    let dir = tempfile::tempdir().expect("a directory");
    let file = std::fs::File::create(dir.path().join("large.yaml")).expect("made");
    file.set_len(200 << 20).expect("sparse");
    let told = "error[MC0003]: more than 16 MiB in one file\n\
                --> large.yaml\n = help: split the rules over several files and runs\n\n";
    let (exit, said) = bounded(dir.path(), "validate -f large.yaml", Stdio::null());
    assert_eq!(exit, Some(3), "{said}");
    assert_eq!(said, format!("{told}1 error found, 0 rules without error\n"));
    let (exit, said) = bounded(dir.path(), "apply -f large.yaml", Stdio::null());
    assert_eq!(exit, Some(1), "{said}");
    assert!(said.ends_with("error: the rules have 1 error, nothing was changed\n"), "{said}");
}

#[test]
fn an_input_that_never_ends_is_left_at_the_limit() {
    let dir = tempfile::tempdir().expect("a directory");
    let mut writer = std::process::Command::new("yes").stdout(Stdio::piped()).spawn();
    let writer = writer.as_mut().expect("there is `yes`");
    let endless = writer.stdout.take().expect("piped");
    let (exit, said) = bounded(dir.path(), "validate -f -", endless.into());
    // Without a reader it ends by itself.
    writer.wait().expect("it ends");
    assert_eq!(exit, Some(3), "{said}");
    assert!(said.starts_with("error[MC0003]: more than 16 MiB in one file\n--> -\n"), "{said}");
}

#[test]
fn devices_and_pipes_are_neither_opened_nor_waited_for() {
    let dir = tempfile::tempdir().expect("a directory");
    let fifo = dir.path().join("fifo.yaml");
    let mode = rustix::fs::Mode::RUSR | rustix::fs::Mode::WUSR;
    rustix::fs::mknodat(rustix::fs::CWD, &fifo, rustix::fs::FileType::Fifo, mode, 0).expect("made");
    for name in ["/dev/zero", "/dev/stdin", "fifo.yaml", "."] {
        let run = meshctl_in(dir.path(), &["validate", "-f", name], "kind: a\n");
        assert_eq!((run.code, run.stderr.as_str()), (3, ""), "{name}: {run:?}");
        assert!(run.stdout.starts_with("error[MC0002]: neither a regular file"), "{name}: {run:?}");
    }
}

#[test]
fn of_fifty_documents_with_one_bad_none_is_applied() {
    let mesh = Mesh::install();
    let text = include_str!("../../testdata/rules/bad/07-seventh-of-fifty.yaml");
    let refused = mesh.feed("apply -f -", text);
    assert_eq!((refused.code, refused.stdout.as_str()), (1, ""), "{refused:?}");
    assert!(refused.stderr.contains(" --> -:35:23\n"), "{}", refused.stderr);
    mesh.run("get all -o name").is(0, "", "");
    let applied = mesh.feed("apply -f -", &text.replace("port: 0", "port: 80"));
    assert_eq!(applied.code, 0, "{applied:?}");
    assert_eq!(mesh.run("get service -o name").stdout.lines().count(), 50);
}
