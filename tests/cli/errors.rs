//! Every mistake on the command line is told in one line and a remedy, on stderr, with exit 2.

use super::binary::meshctl;

#[test]
fn mistakes_are_named_with_a_remedy() {
    let later = "is not supported in this version yet";
    let cases: &[(&str, String, &str)] = &[
        ("instal", "there is no command `instal`".into(), "did you mean `install`?"),
        ("aply -f x", "there is no command `aply`".into(), "did you mean `apply`?"),
        ("proxy cnfig", "there is no command `cnfig`".into(), "did you mean `config`?"),
        ("frobnicate", "there is no command `frobnicate`".into(), "see `meshctl --help`"),
        ("tap", format!("`meshctl tap` {later}"), "see `meshctl --help`"),
        ("status --edgs", "there is no flag `--edgs`".into(), "did you mean `--edges`?"),
        ("status --replicas 2", "there is no flag `--replicas`".into(), "see `meshctl status --help`"),
        ("status --frobnicate", "there is no flag `--frobnicate`".into(), "see `meshctl status --help`"),
        ("status -o yml", "`--output` cannot be `yml`".into(), "did you mean `yaml`?"),
        ("status -o x", "`--output` cannot be `x`".into(), "one of `table`, `wide`, `json`, `yaml`, `name`"),
        ("status --color", "`--color` needs a value".into(), "see `meshctl status --help`"),
        ("status --quiet=3", "`--quiet` takes no value".into(), "see `meshctl status --help`"),
        ("status --edges --edges", "`--edges` was given twice".into(), "see `meshctl status --help`"),
        ("status extra", "`extra` is one argument too many".into(), "see `meshctl status --help`"),
        ("validate -f x -o xml", "`--output` cannot be `xml`".into(), "one of `text`, `json`, `github`, `sarif`, `junit`"),
        ("apply", "`--filename <FILE>` is missing".into(), "see `meshctl apply --help`"),
        ("apply -f x --prune", "`--apply-set <NAME>` is missing".into(), "see `meshctl apply --help`"),
        ("apply -f x --timeout=5", "`--timeout`: `5` has no unit, write `5s` for seconds".into(), "see `meshctl apply --help`"),
        ("apply -f x -n A", "`--namespace`: `A` is not a valid namespace: at most 63 lower case letters, digits and `-`, with a letter or digit at both ends (DNS-1123 label)".into(), "see `meshctl apply --help`"),
        ("install --namespace x", "`--namespace` is for `--platform kubernetes`".into(), "add `--platform kubernetes`, or leave `--namespace` out"),
        ("install --context x --listen 127.0.0.1:1", "`--listen` is for `--platform local`".into(), "add `--platform local`, or leave `--listen` out"),
        ("uninstall --force", "`--force` is for a mesh on a cluster".into(), "name the cluster with `--context`, or leave `--force` out"),
        ("install --listen 15012", "`--listen`: `15012` is not of the form `ADDR:PORT`, write for example `127.0.0.1:15012`".into(), "see `meshctl install --help`"),
        ("install --platform x", "`--platform` cannot be `x`".into(), "one of `local`, `kubernetes`"),
        ("install --dry-run --service-unit", "`--dry-run` cannot be used with `--service-unit`".into(), "see `meshctl install --help`"),
        ("get", "`KIND` is missing".into(), "see `meshctl get --help`"),
        ("describe service", "which Service?".into(), "write `meshctl describe service NAME`"),
        ("delete httproute", "which HTTPRoute?".into(), "name it, or pass `--all` for all of the namespace"),
        ("delete httproute a", "to delete httproute/a in default needs a confirmation, and this is no terminal".into(), "pass `--yes` if you mean it"),
        ("trace xyz", "`xyz` is not the id of a trace, which has 32 hexadecimal digits".into(), "see the recent ones with `meshctl trace`"),
        ("trace --limit 0", "`--limit`: `0` is not a whole number from 1 to 1000".into(), "see `meshctl trace --help`"),
        ("trace --limit many", "`--limit`: `many` is not a whole number".into(), "see `meshctl trace --help`"),
        ("trace --status 600", "`--status`: `600` is not a whole number from 100 to 599".into(), "see `meshctl trace --help`"),
        ("certs rotate --root", format!("`--root` {later}"), "see `meshctl certs rotate --help`"),
        ("proxy run", "`--service <NAME>` is missing".into(), "see `meshctl proxy run --help`"),
        ("proxy run --service a --capture", "`--capture-user <USER>` is missing".into(), "see `meshctl proxy run --help`"),
        ("proxy run --service a --upstream b", "`--upstream b` is not of the form `NAME:PORT=LOCALPORT`".into(), "write for example `--upstream ratings:9080=9080`"),
        ("proxy run --service a --app localhost:9080", "`--app`: `localhost:9080` is not of the form `ADDR:PORT`, write for example `127.0.0.1:9080`".into(), "see `meshctl proxy run --help`"),
        ("proxy run --service a --app 127.0.0.1:0", "`--app`: `127.0.0.1:0` has no port to connect to".into(), "see `meshctl proxy run --help`"),
        ("proxy run --service a --workers 100000", "`--workers`: `100000` is not a whole number from 1 to 64".into(), "see `meshctl proxy run --help`"),
        ("proxy run --service a --label a=b/c", "`--label`: `a=b/c` is not a label (letters, digits, `-`, `_`, `.`; values of at most 63)".into(), "see `meshctl proxy run --help`"),
        ("apply -f missing.yaml", "there is no file `missing.yaml`".into(), "name a file, a directory or a URL; `-` is standard input"),
        ("apply -f ftp://a/b.yaml", "`ftp://a/b.yaml` cannot be fetched".into(), "`http` and `https` are spoken, `ftp` is not"),
        ("proxy run --service a --outbound 0.0.0.0:80", "`--outbound 0.0.0.0:80` is not a loopback address: whoever reaches it calls as this workload".into(), "listen on loopback: `--outbound 127.0.0.1:80`"),
        ("install --platform kubernetes --set imgae=x", "there is no value `imgae`".into(), "did you mean `image`?"),
        ("explain no_rout", "`no_rout` is neither a reason nor a request".into(), "did you mean `no_route`?"),
        ("completions cmd", "`SHELL` cannot be `cmd`".into(), "one of `bash`, `zsh`, `fish`, `powershell`, `elvish`"),
    ];
    for (words, error, help) in cases {
        let words: Vec<&str> = words.split(' ').collect();
        meshctl(&words).is(2, "", &format!("error: {error}\nhelp: {help}\n"));
    }
}

#[test]
fn mistakes_without_a_remedy_stand_alone() {
    meshctl(&["get", "htproute"]).is(
        2,
        "",
        "error: `htproute` is not a kind of rule, did you mean `httproute`?\n",
    );
}

#[test]
fn a_variable_that_is_empty_is_named() {
    let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_meshctl"));
    let output = command.env_clear().env("MESHCTL_HOME", "").arg("status").output();
    let stderr = String::from_utf8(output.expect("runs").stderr).expect("UTF-8");
    assert_eq!(
        stderr,
        "error: the environment variable `MESHCTL_HOME` is empty\n\
         help: give it a value, or unset it\n"
    );
}

#[test]
fn without_a_command_help_goes_to_stderr() {
    for words in [&[][..], &["certs"], &["proxy"]] {
        let run = meshctl(words);
        assert_eq!((run.code, run.stdout.as_str()), (2, ""), "{run:?}");
        assert!(run.stderr.contains("\nCommands:\n"), "{run:?}");
    }
    // Without a single variable clap has another word for the same.
    let bare = std::process::Command::new(env!("CARGO_BIN_EXE_meshctl")).env_clear().output();
    let stderr = String::from_utf8(bare.expect("runs").stderr).expect("UTF-8");
    assert!(stderr.contains("\nCommands:\n") && !stderr.contains("error: "), "{stderr}");
}

#[test]
fn without_a_control_plane_what_to_do_is_said() {
    let told =
        "error: no control plane is running in `DIR/home`\nhelp: start it with `meshctl install`\n";
    let cases = [
        "status",
        "get all",
        "describe service a",
        "delete service a --yes",
        "trace",
        "certs list",
        "certs rotate",
        "certs inspect a",
        "proxy config a",
        "proxy stats a",
        "proxy log a debug",
    ];
    for words in cases {
        let words: Vec<&str> = words.split(' ').collect();
        meshctl(&words).is(1, "", told);
    }
}

#[test]
fn nothing_is_derived_from_the_programs_own_name() {
    let dir = tempfile::tempdir().expect("a directory");
    let other = dir.path().join("another-name");
    std::os::unix::fs::symlink(env!("CARGO_BIN_EXE_meshctl"), &other).expect("a link");
    let run = |words: &[&str]| {
        let output =
            std::process::Command::new(&other).env_clear().args(words).output().expect("runs");
        String::from_utf8(output.stdout).expect("UTF-8")
    };
    for words in [&["--help"][..], &["apply", "--help"], &["completions", "bash"], &["man"]] {
        assert!(!run(words).contains("another-name"), "{words:?}");
    }
    assert_eq!(run(&["--version"]), format!("meshctl {}\n", env!("CARGO_PKG_VERSION")));
}
