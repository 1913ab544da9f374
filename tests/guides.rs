//! The commands of the guides, typed as a reader would: each page's `sh` blocks, in one shell.
//!
//! The page runs in an empty directory with a home directory of its own; `meshctl` is the binary of
//! this build, and the ports that the page names are replaced by free ones. A command that fails
//! fails the test.

use std::fs;
use std::net::TcpListener;
use std::path::Path;
use std::process::{Command, Stdio};

/// What a page prints is compared with nothing but this: what must have come out of it somewhere.
struct Guide {
    page: &'static str,
    ports: &'static [&'static str],
    says: &'static [&'static str],
}

const FIRST_MESH: Guide = Guide {
    page: "docs/guides/first-mesh.md",
    ports: &["9001", "9002", "9080"],
    says: &[
        "hello from v1",
        "hello from v2",
        "Synced",
        "spiffe://cluster.local/ns/default/sa/hello",
    ],
};

const MAKE_IT_SURVIVE: Guide = Guide {
    page: "docs/guides/make-it-survive.md",
    ports: &["9101", "9102", "9103", "9180"],
    says: &["30 200", "3/3 (1 ejected)", "ByHand", "Unhealthy", "max_requests", "rehearsal"],
};

const RULES_IN_CI: Guide = Guide {
    page: "docs/guides/rules-in-ci.md",
    ports: &[],
    says: &[
        "rules/shop/mistake.yaml:12:36",
        "did you mean `weight`?",
        "1 rule checked, no problem found",
        "testcase name=\"HTTPRoute/shop/reviews\"",
        "there is no service `shop/reviews`",
    ],
};

const UPGRADE_A_PROXY: Guide = Guide {
    page: "docs/guides/upgrade-a-proxy.md",
    ports: &["9001", "9080"],
    says: &["hello", "Synced"],
};

const KEEP_AND_RESTORE: Guide = Guide {
    page: "docs/guides/keep-and-restore.md",
    ports: &[],
    says: &[
        "-     request: 5s",
        "trafficpolicy/shop configured (dry run)",
        "request: 5s",
        "brought back 2 rules at revision 3",
        "rollback to 1: 1 configured",
        "nothing changed",
        "mesh.tar.gz: ",
    ],
};

/// Ends everything that the page started, however far it came.
const BEFORE: &str = "set -euo pipefail\n\
    trap 'kill $(jobs -p) 2>/dev/null || :; wait; meshctl uninstall --purge --yes >&2 || :' EXIT\n";

/// The text of every ```` ```sh ```` block.
pub(crate) fn commands(page: &str) -> String {
    let block = regex::Regex::new(r"(?s)```sh\n(.*?)```").expect("the pattern is constant");
    block.captures_iter(page).map(|found| found[1].to_owned()).collect()
}

/// The script of a page, with every port that it names replaced by one that is free now.
fn script(guide: &Guide, page: &str) -> String {
    let held: Vec<TcpListener> = guide
        .ports
        .iter()
        .map(|_| meshctl::net::ports::listen_quietly().expect("loopback has free ports"))
        .collect();
    let mut script = commands(page);
    for (port, listener) in guide.ports.iter().zip(&held) {
        assert!(script.contains(port), "{} does not name {port}", guide.page);
        let free = listener.local_addr().expect("it is bound").port();
        script = script.replace(port, &free.to_string());
    }
    format!("{BEFORE}{script}")
}

/// `PATH` with this build's `meshctl`, which gets a link in `directory`.
pub(crate) fn path_with_meshctl(directory: &Path) -> String {
    std::os::unix::fs::symlink(env!("CARGO_BIN_EXE_meshctl"), directory.join("meshctl"))
        .expect("the directory is ours");
    let path = std::env::var("PATH").unwrap_or_default();
    format!("{}:{path}", directory.display())
}

#[track_caller]
fn follow(guide: &Guide) {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join(guide.page);
    let page = fs::read_to_string(page).expect("the page is in the repository");
    let directory = tempfile::tempdir().expect("a temporary directory can be made");
    let [bin, work] = ["bin", "work"].map(|name| directory.path().join(name));
    fs::create_dir_all(&bin).and_then(|()| fs::create_dir_all(&work)).expect("it is ours");
    let out = fs::File::create(directory.path().join("out")).expect("it is ours");
    let status = Command::new("timeout")
        .args(["--kill-after=10", "120", "bash", "-c", &script(guide, &page)])
        .current_dir(&work)
        .env("PATH", path_with_meshctl(&bin))
        .env("HOME", &work)
        .env_remove("http_proxy")
        .env_remove("no_proxy")
        .env_remove("XDG_STATE_HOME")
        .stdin(Stdio::null())
        .stdout(out.try_clone().expect("a file can be shared"))
        .stderr(out)
        .status()
        .expect("there is a bash");
    let said = fs::read_to_string(directory.path().join("out")).expect("it was written");
    assert!(status.success(), "{} ended with {status}:\n{said}", guide.page);
    for text in guide.says {
        assert!(said.contains(text), "{}: `{text}` is missing in\n{said}", guide.page);
    }
    assert!(!work.join("mesh").exists(), "the home directory was left behind:\n{said}");
}

#[test]
fn the_first_mesh_comes_to_life_as_its_guide_says() {
    follow(&FIRST_MESH);
}

#[test]
fn a_service_survives_as_its_guide_says() {
    follow(&MAKE_IT_SURVIVE);
}

#[test]
fn a_proxy_is_replaced_as_its_guide_says() {
    follow(&UPGRADE_A_PROXY);
}

#[test]
fn rules_are_checked_in_ci_as_the_guide_says() {
    follow(&RULES_IN_CI);
}

/// What the workflows run is what the page's commands do, which are run by the test above.
#[test]
fn the_workflows_of_a_guide_run_its_commands() {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join(RULES_IN_CI.page);
    let page = fs::read_to_string(page).expect("the page is in the repository");
    let block = regex::Regex::new(r"(?s)```yaml\n(.*?)```").expect("the pattern is constant");
    let call = regex::Regex::new(r"meshctl validate.*").expect("the pattern is constant");
    let commands = commands(&page);
    let mut found = 0;
    for workflow in block.captures_iter(&page) {
        let parsed: Result<serde_json::Value, _> = serde_yaml::from_str(&workflow[1]);
        assert!(parsed.is_ok_and(|it| it.is_object()), "no YAML: {}", &workflow[1]);
        for call in call.find_iter(&workflow[1]) {
            assert!(commands.contains(call.as_str()), "no command is `{}`", call.as_str());
            found += 1;
        }
    }
    assert_eq!(found, 4);
}

#[test]
fn what_a_mesh_knows_is_kept_and_comes_back_as_its_guide_says() {
    follow(&KEEP_AND_RESTORE);
}

#[test]
fn only_shell_blocks_are_commands() {
    let page = "a\n```sh\none\n```\n```text\ntwo\n```\n```sh\nthree\n```\n";
    assert_eq!(commands(page), "one\nthree\n");
}
