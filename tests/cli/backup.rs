//! Backups by the binary: made while the control plane runs, brought back when it does not.

use std::os::unix::fs::PermissionsExt as _;
use std::process::{Command, Stdio};

use super::binary::{command, meshctl_in};
use super::installed::Mesh;

const SERVICE: &str = "\
apiVersion: v1
kind: Service
metadata: {name: reviews}
spec: {ports: [{port: 80, name: http}]}
";

const WORDS: &str = "correct horse battery\n";

/// A mesh with one rule, and the backup of it.
fn backed_up() -> (Mesh, std::path::PathBuf) {
    let mesh = Mesh::install();
    assert_eq!(mesh.feed("apply -f -", SERVICE).code, 0);
    let made = mesh.feed("backup mesh.backup --passphrase-file -", WORDS);
    assert_eq!((made.code, made.stdout.as_str()), (0, "mesh.backup\n"), "{made:?}");
    assert!(made.stderr.contains("1 rule at revision 1, their history"), "{made:?}");
    let file = mesh.home().with_file_name("mesh.backup");
    (mesh, file)
}

#[test]
fn a_backup_brings_rules_and_authority_back_where_they_were_lost() {
    let (mesh, file) = backed_up();
    let mode = std::fs::metadata(&file).expect("written").permissions().mode() & 0o777;
    assert_eq!(mode, 0o600, "it holds the key of the mesh");
    let root = std::fs::read(mesh.home().join("ca/root.pem")).expect("an authority");
    assert_eq!(
        mesh.feed("backup mesh.backup --passphrase-file -", WORDS).code,
        1,
        "never overwritten"
    );

    let nowhere = mesh.feed("backup none/mesh.backup --passphrase-file -", WORDS);
    assert!(nowhere.stderr.contains("there is no directory `none`"), "{nowhere:?}");
    let none = mesh.feed("restore other.backup --passphrase-file -", WORDS);
    assert!(none.stderr.contains("help: nothing was changed; name a file that"), "{none:?}");

    let running = mesh.feed("restore mesh.backup --yes --passphrase-file -", WORDS);
    assert_eq!(running.code, 1, "{running:?}");
    assert!(running.stderr.contains("a control plane runs in `DIR/home`"), "{running:?}");
    assert!(running.stderr.contains("help: stop it with `meshctl uninstall`"), "{running:?}");
    assert_eq!(mesh.run("delete service reviews --yes").code, 0);
    assert_eq!(mesh.run("uninstall").code, 0);

    let unasked = mesh.feed("restore mesh.backup --passphrase-file -", WORDS);
    assert_eq!(unasked.code, 2, "{unasked:?}");
    assert!(unasked.stderr.contains("replace the rules and the authority"), "{unasked:?}");
    let wrong = mesh.feed("restore mesh.backup --yes --passphrase-file -", "not these words\n");
    assert_eq!(wrong.code, 1, "{wrong:?}");
    assert!(wrong.stderr.contains("the passphrase is wrong"), "{wrong:?}");
    let done = mesh.feed("restore mesh.backup --yes --passphrase-file -", WORDS);
    assert_eq!(done.code, 0, "{done:?}");
    assert!(done.stdout.starts_with("brought back 1 rule at revision 1 of 2"), "{done:?}");

    std::fs::remove_dir_all(mesh.home()).expect("it is ours");
    let done = mesh.feed("restore mesh.backup --passphrase-file -", WORDS);
    assert_eq!(done.code, 0, "an empty home is not asked about: {done:?}");
    assert_eq!(mesh.run("install").code, 0);
    mesh.run("get services -o name").is(0, "service/reviews\n", "");
    assert_eq!(std::fs::read(mesh.home().join("ca/root.pem")).expect("an authority"), root);
    assert_eq!(mesh.run("history -o name").stdout, "1\n");
}

#[test]
fn a_file_that_is_damaged_or_none_changes_nothing() {
    let (mesh, file) = backed_up();
    assert_eq!(mesh.run("uninstall").code, 0);
    let whole = std::fs::read(&file).expect("written");
    let store = std::fs::read(mesh.home().join("store.db")).expect("there is a store");
    let (half, mut flipped) = (whole[..whole.len() / 2].to_vec(), whole.clone());
    *flipped.last_mut().expect("not empty") ^= 1;
    for (bytes, why) in [
        (half, "it is damaged"),
        (flipped, "it is damaged"),
        (Vec::new(), "it is not a backup of meshctl"),
    ] {
        std::fs::write(&file, bytes).expect("ours");
        let run = mesh.feed("restore mesh.backup --yes --passphrase-file -", WORDS);
        assert_eq!(run.code, 1, "{run:?}");
        assert!(
            run.stderr.contains("cannot open `mesh.backup`") && run.stderr.contains(why),
            "{run:?}"
        );
        assert_eq!(std::fs::read(mesh.home().join("store.db")).expect("it is there"), store);
    }
}

#[test]
fn passphrases_are_asked_for_or_read_and_short_ones_refused() {
    let mesh = Mesh::install();
    let none = mesh.run("backup x.backup");
    assert_eq!(none.code, 2, "{none:?}");
    assert!(none.stderr.contains("help: pass `--passphrase-file FILE`"), "{none:?}");
    let short = mesh.feed("backup x.backup --passphrase-file -", "short\n");
    assert_eq!(short.code, 1, "{short:?}");
    assert!(short.stderr.contains("fewer than 8 characters"), "{short:?}");
    assert!(!mesh.home().with_file_name("x.backup").exists());
    let dir = tempfile::tempdir().expect("a directory");
    let nothing = meshctl_in(dir.path(), &["backup", "--passphrase-file", "-"], WORDS);
    assert!(nothing.stderr.starts_with("error: there is no mesh in `DIR/home`"), "{nothing:?}");
}

/// What `script` shows when these lines are typed on a terminal.
fn typed(mesh: &Mesh, words: &str, lines: &str) -> String {
    let words = format!("{} {words}", env!("CARGO_BIN_EXE_meshctl"));
    let mut script = Command::new("timeout");
    for (name, value) in command(&mesh.home()).get_envs() {
        script.env(name, value.unwrap_or_default());
    }
    script.current_dir(mesh.home().with_file_name("")).args([
        "60",
        "script",
        "-qec",
        &words,
        "/dev/null",
    ]);
    let mut child =
        script.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("util-linux is there");
    let mut input = child.stdin.take().expect("piped");
    std::io::Write::write_all(&mut input, lines.as_bytes()).expect("it reads");
    let output = child.wait_with_output().expect("it ends");
    drop(input);
    String::from_utf8_lossy(&output.stdout).into_owned()
}

#[test]
fn on_a_terminal_the_passphrase_is_asked_for_twice() {
    let mesh = Mesh::install();
    let shown = typed(&mesh, "backup a.backup", "correct horse\ncorrect house\n");
    assert!(shown.contains("the two passphrases differ"), "{shown}");
    assert!(!mesh.home().with_file_name("a.backup").exists());
    let shown = typed(&mesh, "backup a.backup", "correct horse\ncorrect horse\n");
    assert!(shown.contains("a.backup") && shown.contains("the same again: "), "{shown}");
    assert!(mesh.home().with_file_name("a.backup").exists(), "{shown}");
}
