//! `proxy capture` as an init container runs it, and the text that it prints, held against what
//! `nft` shows where there is such a program.

use std::process::{Command, Output};

use super::namespace::Link;
use super::{SOMEBODY, kernel};

const MESHCTL: &str = env!("CARGO_BIN_EXE_meshctl");

const FLAGS: [&str; 6] = [
    "--exclude-inbound-ports",
    "9090,9091",
    "--exclude-outbound-ports=5432",
    "--exclude-outbound-cidrs",
    "10.0.0.0/8,192.0.2.7",
    "--exclude-outbound-cidrs=fd00:1::/64",
];

fn run(mut command: Command, words: &[&str]) -> (i32, String, String) {
    let Output { status, stdout, stderr } =
        command.args(["proxy", "capture", "--yes"]).args(words).output().expect("it runs");
    let text = |bytes| String::from_utf8(bytes).expect("UTF-8");
    (status.code().expect("not killed"), text(stdout), text(stderr))
}

#[test]
fn the_command_captures_again_and_again_and_undoes_it() {
    let link = Link::new();
    let meshctl = || link.pod.command(MESHCTL);
    let said =
        "TCP is captured: inbound to port 14706, outbound to port 14701, but for user 14700\n";
    let rules = || link.pod.enter(0, kernel::rules);
    assert_eq!(run(meshctl(), &FLAGS), (0, String::new(), said.to_owned()));
    let first = rules();
    assert_eq!(run(meshctl(), &FLAGS), (0, String::new(), said.to_owned()));
    assert_eq!((first.len(), &rules()), (14, &first));

    assert_eq!(run(meshctl(), &["--undo"]).2, "table inet meshctl removed\n");
    assert_eq!(
        run(meshctl(), &["--undo"]),
        (0, String::new(), "there is no table inet meshctl\n".to_owned())
    );
    assert_eq!(rules(), [""; 0]);
}

#[test]
fn without_a_terminal_and_a_yes_nothing_is_captured() {
    let link = Link::new();
    let mut command = link.pod.command(MESHCTL);
    let refused = command.args(["proxy", "capture"]).stdin(std::process::Stdio::null()).output();
    let refused = refused.expect("it runs");
    let said = String::from_utf8(refused.stderr).expect("UTF-8");
    assert_eq!(refused.status.code(), Some(2), "{said}");
    assert!(said.contains("pass `--yes` if you mean it"), "{said}");
    assert_eq!(link.pod.enter(0, kernel::tables), vec![""; 0]);
}

#[test]
fn what_is_printed_is_what_nft_shows() {
    let link = Link::new();
    let words = [&FLAGS[..], &["--print"]].concat();
    let (code, printed, _) = run(link.pod.command(MESHCTL), &words);
    assert_eq!((code, link.pod.enter(0, kernel::tables)), (0, vec![]), "printing does nothing");
    let (replacing, table) = printed.split_at(printed.find("table inet meshctl {").expect("it"));
    assert_eq!(replacing, "add table inet meshctl\ndelete table inet meshctl\n");
    let shown = |link: &Link| {
        let mut nft = link.pod.command("nft");
        nft.args(["--numeric-priority", "list", "ruleset"]);
        String::from_utf8(nft.output().expect("`nsenter` runs").stdout).expect("UTF-8")
    };
    run(link.pod.command(MESHCTL), &FLAGS);
    assert_eq!(shown(&link), table);

    let file = tempfile::NamedTempFile::new().expect("a file");
    std::fs::write(file.path(), &printed).expect("written");
    for _ in 0..2 {
        let loaded = link.pod.command("nft").arg("-f").arg(file.path()).status();
        assert!(loaded.expect("`nsenter` runs").success());
        assert_eq!(shown(&link), table);
    }
}

#[test]
fn without_the_right_the_command_says_which_one_is_missing() {
    let link = Link::new();
    let mut command = link.pod.command("setpriv");
    let user = SOMEBODY.to_string();
    command.args(["--reuid", &user, "--clear-groups", MESHCTL]);
    let (code, stdout, stderr) = run(command, &[]);
    assert_eq!((code, stdout.as_str()), (1, ""));
    let lines: Vec<&str> = stderr.lines().collect();
    assert_eq!(lines[0], "error: cannot capture connections");
    assert!(lines[1].contains("needs the capability `NET_ADMIN`"), "{stderr}");
    assert!(lines[2].starts_with("help: ") && lines[2].contains("NET_ADMIN"), "{stderr}");
}
