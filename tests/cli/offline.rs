//! Commands that need no control plane: validate, apply's own check, version, install's dry run.

use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::process::Stdio;

use super::binary::{command, meshctl, meshctl_in};

const ROUTE: &str = "\
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: reviews}
spec:
  parentRefs: [{group: \"\", kind: Service, name: reviews, port: 80}]
  rules:
  - backendRefs: [{name: reviews-v1, port: 80, weight: 90}, {name: reviews-v2, port: 80, weight: 10}]
";

fn dir_with(text: &str) -> tempfile::TempDir {
    let dir = tempfile::tempdir().expect("a directory");
    std::fs::write(dir.path().join("rules.yaml"), text).expect("written");
    dir
}

#[test]
fn good_rules_are_counted() {
    let dir = dir_with(ROUTE);
    let run = meshctl_in(dir.path(), &["validate", "-f", "rules.yaml"], "");
    run.is(0, "1 rule checked, no problem found\n", "");
    let run = meshctl_in(dir.path(), &["validate", "-f", "-", "-o", "json"], ROUTE);
    assert_eq!((run.code, run.stderr.as_str()), (0, ""), "{run:?}");
    let report: serde_json::Value = serde_json::from_str(&run.stdout).expect("JSON");
    assert_eq!(report["kind"], "ValidationReport");
    assert_eq!(report["valid"], true);
    assert_eq!(report["diagnostics"], serde_json::json!([]));
}

#[test]
fn a_misspelt_field_is_found_by_place_and_by_name() {
    let wrong = ROUTE.replace("parentRefs", "parentRef");
    let dir = dir_with(&wrong);
    let run = meshctl_in(dir.path(), &["validate", "-f", "rules.yaml", "-o", "json"], "");
    assert_eq!((run.code, run.stderr.as_str()), (3, ""), "{run:?}");
    let report: serde_json::Value = serde_json::from_str(&run.stdout).expect("JSON");
    let first = &report["diagnostics"][0];
    assert_eq!((&first["file"], &first["line"]), (&"rules.yaml".into(), &5.into()), "{first}");
    assert!(first["help"].as_str().expect("text").contains("parentRefs"), "{first}");
    let run = meshctl_in(dir.path(), &["validate", "-f", "rules.yaml"], "");
    assert_eq!((run.code, run.stderr.as_str()), (3, ""), "{run:?}");
    assert!(run.stdout.contains("rules.yaml:5:3"), "{}", run.stdout);
}

#[test]
fn apply_tells_the_same_without_a_control_plane() {
    let dir = dir_with(&ROUTE.replace("parentRefs", "parentRef"));
    let run = meshctl_in(dir.path(), &["apply", "-f", "rules.yaml"], "");
    assert_eq!((run.code, run.stdout.as_str()), (1, ""), "{run:?}");
    assert!(run.stderr.contains("rules.yaml:5:3"), "{}", run.stderr);
    let last = run.stderr.lines().last().expect("a line");
    assert!(last.starts_with("error: the rules have ") && last.ends_with(", nothing was changed"));
}

#[test]
fn a_client_dry_run_needs_no_control_plane() {
    let dir = dir_with(ROUTE);
    let words = ["apply", "-f", "rules.yaml", "--dry-run=client"];
    meshctl_in(dir.path(), &words, "").is(0, "httproute/reviews checked (dry run)\n", "");
}

#[test]
fn other_products_are_skipped_by_validate_and_refused_by_apply() {
    let dir = dir_with("apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: web}\n");
    let run = meshctl_in(dir.path(), &["validate", "-f", "rules.yaml"], "");
    run.is(0, "0 rules checked, no problem found, 1 document of other products skipped\n", "");
    let run = meshctl_in(dir.path(), &["validate", "-f", "rules.yaml", "--strict-kinds"], "");
    assert_eq!(run.code, 3, "{run:?}");
    let run = meshctl_in(dir.path(), &["apply", "-f", "rules.yaml"], "");
    assert_eq!(run.code, 1, "{run:?}");
}

#[test]
fn version_tells_that_no_control_plane_runs() {
    let version = env!("CARGO_PKG_VERSION");
    let text = format!("client         {version}\ncontrol plane  not running\n");
    meshctl(&["version"]).is(0, &text, "");
    meshctl(&["version", "--client", "-o", "name"]).is(0, "meshctl\n", "");
    let run = meshctl(&["version", "-o", "json"]);
    let value: serde_json::Value = serde_json::from_str(&run.stdout).expect("JSON");
    assert_eq!((&value["product"], &value["client"]), (&"meshctl".into(), &version.into()));
}

#[test]
fn a_dry_run_of_install_says_what_it_would_do_and_does_nothing() {
    let dir = tempfile::tempdir().expect("a directory");
    let run = meshctl_in(dir.path(), &["install", "--dry-run"], "");
    let program = env!("CARGO_BIN_EXE_meshctl");
    let steps = format!(
        "create the directory `DIR/home`, mode 0700\n\
         create the root certificate of the trust domain `cluster.local`\n\
         create the store of the rules\n\
         start in the background: {program} control-plane run --home DIR/home\n\
         log to `DIR/home/control-plane.log`\n\
         wait until it is ready\n"
    );
    run.is(0, &steps, "");
    assert!(!dir.path().join("home").exists());
    let run = meshctl_in(dir.path(), &["install", "--service-unit"], "");
    assert!(
        run.stdout.contains(&format!("ExecStart={program} control-plane run --home DIR/home\n"))
    );
    assert!(!dir.path().join("home").exists());
}

#[test]
fn uninstall_where_nothing_runs_says_so() {
    meshctl(&["uninstall"]).is(0, "no control plane was running\n", "");
    meshctl(&["uninstall", "--purge", "--yes"]).is(0, "no control plane was running\n", "");
}

#[test]
fn purge_asks_and_refuses_what_no_mesh_has_made() {
    let dir = tempfile::tempdir().expect("a directory");
    let home = dir.path().join("home");
    std::fs::create_dir(&home).expect("a directory");
    meshctl_in(dir.path(), &["uninstall", "--purge"], "").is(
        2,
        "",
        "error: to delete all of the mesh's data in `DIR/home` needs a confirmation, and this is no terminal\n\
         help: pass `--yes` if you mean it\n",
    );
    std::fs::write(home.join("thesis.tex"), "").expect("written");
    meshctl_in(dir.path(), &["uninstall", "--purge", "--yes"], "").is(
        1,
        "",
        "error: `DIR/home` does not look like the home of a mesh\n\
         help: nothing was deleted; say which directory it is with `--home`\n",
    );
    assert!(home.join("thesis.tex").exists());
}

#[test]
fn check_without_a_control_plane_fails_with_a_remedy() {
    let run = meshctl(&["check"]);
    assert_eq!((run.code, run.stderr.as_str()), (3, ""), "{run:?}");
    assert!(run.stdout.contains("× the control plane runs and answers\n"), "{}", run.stdout);
    assert!(run.stdout.contains("remedy: meshctl install\n"), "{}", run.stdout);
    let run = meshctl(&["check", "--pre", "-o", "json"]);
    let report: serde_json::Value = serde_json::from_str(&run.stdout).expect("JSON");
    assert_eq!(
        (run.code, &report["kind"], &report["ok"]),
        (0, &"CheckReport".into(), &true.into())
    );
}

#[test]
fn a_closed_pipe_is_no_error() {
    let dir = tempfile::tempdir().expect("a directory");
    let (reader, writer) = std::io::pipe().expect("a pipe");
    drop(reader);
    let mut command = command(dir.path());
    let output =
        command.args(["man"]).stdout(writer).stderr(Stdio::piped()).output().expect("runs");
    assert_eq!((output.status.code(), output.stderr.len()), (Some(0), 0), "{output:?}");
}

#[test]
fn colour_is_for_terminals_and_for_those_who_ask() {
    let dir = tempfile::tempdir().expect("a directory");
    let coloured = |words: &[&str], variable: &str| {
        let mut command = command(dir.path());
        let output = command.env(variable, "1").args(words).output().expect("runs");
        output.stderr.contains(&0x1b) || output.stdout.contains(&0x1b)
    };
    assert!(!coloured(&["status"], "X"));
    assert!(coloured(&["status", "--color", "always"], "NO_COLOR"));
    assert!(coloured(&["--color=always", "statsu"], "X"));
    assert!(coloured(&["status"], "CLICOLOR_FORCE"));
    assert!(!coloured(&["status", "--color=never"], "CLICOLOR_FORCE"));
}

#[test]
fn without_any_home_the_way_out_is_named() {
    let output = std::process::Command::new(env!("CARGO_BIN_EXE_meshctl"))
        .env_clear()
        .env("XDG_STATE_HOME", "/nonexistent/state")
        .args(["status"])
        .output()
        .expect("runs");
    let stderr = String::from_utf8(output.stderr).expect("UTF-8");
    assert!(
        stderr.contains("`/nonexistent/state/meshctl`")
            || stderr.contains("there is no home directory"),
        "{stderr}"
    );
}

#[test]
fn rules_are_fetched_from_a_url_and_named_by_it() {
    let server = TcpListener::bind("127.0.0.1:0").expect("a port");
    let url = format!("http://{}/r.yaml", server.local_addr().expect("an address"));
    std::thread::spawn(move || {
        let (mut stream, _) = server.accept().expect("a connection");
        let mut head = [0; 4096];
        assert!(stream.read(&mut head).expect("a request") > 0);
        let answer = "HTTP/1.1 200 OK\r\nconnection: close\r\n\r\nkind: 1\n";
        stream.write_all(answer.as_bytes()).expect("sent");
    });
    let run = meshctl(&["validate", "-f", &url, "-o", "json"]);
    assert_eq!((run.code, run.stderr.as_str()), (3, ""), "{run:?}");
    assert!(run.stdout.contains(&format!("\"file\": \"{url}\"")), "{run:?}");
    let gone = meshctl(&["validate", "-f", &url]);
    assert_eq!((gone.code, gone.stdout.as_str()), (1, ""), "{gone:?}");
    assert!(gone.stderr.starts_with(&format!("error: cannot fetch `{url}`\n")), "{gone:?}");
}
