//! From the version before to this one: planned, done while proxies serve, and not undone.

use std::io::{BufRead as _, BufReader, Write as _};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use super::binary::{command, meshctl_in};
use super::installed::{Mesh, eventually};
use super::workload::{Proxy, application, request};

const OWN: &str = env!("CARGO_PKG_VERSION");
const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4738";

/// A service with an application, and who calls it.
fn shop_and_caller(mesh: &Mesh) -> (Proxy, Proxy) {
    let app = application().to_string();
    let shop = Proxy::start(mesh, "shop", &["--app", &app]);
    (shop, Proxy::start(mesh, "web", &[]))
}

#[track_caller]
fn served(web: &Proxy) {
    assert_eq!(request(web.address("outbound"), "shop", TRACE), "HTTP/1.1 200 OK");
}

#[test]
fn this_very_version_is_not_upgraded() {
    let mesh = Mesh::install();
    let pid = mesh.pid();
    let _web = Proxy::start(&mesh, "web", &[]);
    mesh.run("upgrade").is(
        0,
        &format!("control plane runs version {OWN} already, nothing changed\n"),
        "",
    );
    let plan = mesh.run("upgrade --plan");
    assert!(plan.stdout.starts_with(&format!("control plane   {OWN} → {OWN}\n")), "{plan:?}");
    assert!(plan.stdout.contains("starts again    nothing\n"), "{plan:?}");
    let proxies = format!("1 proxy, with the version that they have: 1 of {OWN}\n");
    assert!(plan.stdout.contains(&format!("goes on         {proxies}")), "{plan:?}");
    assert_eq!(mesh.pid(), pid);
    for words in ["upgrade --image x:1", "upgrade --namespace mesh --plan"] {
        let refused = mesh.run(words);
        assert_eq!((refused.code, refused.stdout.as_str()), (2, ""), "{refused:?}");
        assert!(refused.stderr.contains("` is for a mesh on a cluster"), "{refused:?}");
    }
}

/// Puts a store of the first version in the place of that of `home`.
fn go_back(home: &Path) {
    for name in ["store.db-wal", "store.db-shm", "store.prev.db", "store.mark"] {
        let _ = std::fs::remove_file(home.join(name));
    }
    let kept = Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata/store/schema-1.db");
    std::fs::copy(kept, home.join("store.db")).expect("it is in the repository");
}

#[test]
fn a_store_of_the_first_version_is_upgraded_while_proxies_serve() {
    let mesh = Mesh::install();
    let (_shop, web) = shop_and_caller(&mesh);
    let call = || served(&web);
    call();
    assert_eq!(mesh.run("uninstall").code, 0);
    go_back(&mesh.home());

    let refused = mesh.run("install");
    assert_eq!(refused.code, 1, "{refused:?}");
    assert!(refused.stderr.contains("is of an earlier version"), "{refused:?}");
    assert!(refused.stderr.contains("`meshctl upgrade --plan`, then `meshctl upgrade`"));
    let plan = mesh.json("upgrade --plan -o json");
    assert_eq!((&plan["due"], &plan["schema"]["from"]), (&true.into(), &1.into()), "{plan:#}");
    call();
    let done = mesh.run("upgrade");
    assert_eq!(done.code, 0, "{done:?}");
    let line = format!("control plane upgraded from a stopped one to {OWN}, at ");
    assert!(done.stdout.starts_with(&line), "{done:?}");
    assert!(done.stderr.contains("store copied to `DIR/home/before-upgrade.db`"), "{done:?}");
    call();
    mesh.run("get httproutes -o name").is(0, "httproute/a\nhttproute/b\n", "");
    for copy in ["before-upgrade.db", "store.v1.db"] {
        assert!(mesh.home().join(copy).exists(), "{copy}");
    }
    eventually("both proxies are back", || {
        let status = mesh.json("status -o json");
        let proxies = status["proxies"].as_array().expect("a list");
        proxies.iter().filter(|it| it["state"] == "Synced").count() == 2
    });
    call();
    let history = mesh.json("history -o json");
    assert_eq!(history["revisions"][0]["state"], "Forgotten", "{history:#}");
}

/// This program with words in it replaced by others of their length: one of another version, or one
/// that does not get ready.
fn changed(mesh: &Mesh, words: &[(&str, &str)]) -> PathBuf {
    let mut program = std::fs::read(env!("CARGO_BIN_EXE_meshctl")).expect("it was built");
    for (from, to) in words {
        assert_eq!(from.len(), to.len());
        let found = regex::bytes::Regex::new(&regex::escape(from)).expect("it is escaped");
        assert!(found.is_match(&program), "`{from}` is not in the program");
        program = found.replace_all(&program, regex::bytes::NoExpand(to.as_bytes())).into_owned();
    }
    let path = mesh.home().with_file_name(format!("meshctl-{}", words.len()));
    std::fs::write(&path, program).expect("it is ours");
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o700);
    std::fs::set_permissions(&path, mode).expect("it is ours");
    path
}

fn upgrade_by(program: &Path, mesh: &Mesh) -> (Output, String) {
    let mut upgrade = Command::new(program);
    upgrade.env_clear();
    for (name, value) in command(&mesh.home()).get_envs() {
        upgrade.env(name, value.unwrap_or_default());
    }
    let output = upgrade.arg("upgrade").output().expect("it runs");
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    (output, said)
}

#[test]
fn where_the_new_version_does_not_start_the_one_before_runs_again() {
    let mesh = Mesh::install();
    let (_shop, web) = shop_and_caller(&mesh);
    let call = || served(&web);
    call();
    let (all, patch) = OWN.rsplit_once('.').expect("three numbers");
    let later = format!("{all}.{}", patch.parse::<u32>().expect("a number") + 1);
    let version = || mesh.json("version -o json")["controlPlane"].clone();

    // It wants its socket in a directory that nobody has made.
    let broken = changed(&mesh, &[(OWN, &later), ("join.sock", "join/sock")]);
    let (failed, said) = upgrade_by(&broken, &mesh);
    assert_eq!(failed.status.code(), Some(1), "{said}");
    let error = format!("error: version {later} did not start; version {OWN} runs again\n");
    assert!(said.contains(&error), "{said}");
    assert!(said.contains("help: see the log, `"), "{said}");
    assert!(said.contains("/before-upgrade.meshctl` now\n"), "{said}");
    assert_eq!(version(), OWN);
    call();

    let (done, said) = upgrade_by(&changed(&mesh, &[(OWN, &later)]), &mesh);
    assert_eq!(done.status.code(), Some(0), "{said}");
    let stdout = String::from_utf8_lossy(&done.stdout).into_owned();
    let line = format!("control plane upgraded from {OWN} to {later}, at ");
    assert!(stdout.starts_with(&line), "{stdout}");
    assert_eq!(version(), later.as_str());
    call();
    let install = mesh.run("install");
    assert!(install.stderr.ends_with("help: use that version of meshctl, or a later one\n"));
    let back = mesh.run("upgrade");
    assert_eq!(back.code, 1, "{back:?}");
    assert!(back.stderr.contains(&format!("runs version {later}, which is later than {OWN}")));
}

/// A control plane that says it is of some version, and nothing else.
fn pretend(home: &Path, version: &str) {
    std::fs::create_dir_all(home).expect("it is ours");
    let status = serde_json::json!({
        "apiVersion": "meshctl.dev/v1alpha1", "kind": "MeshStatus",
        "controlPlane": {
            "ready": true, "version": version, "address": "127.0.0.1:1",
            "rootExpires": "2036-01-01T00:00:00Z", "revision": 0, "since": "2026-01-01T00:00:00Z",
        },
        "proxies": [], "services": [], "edges": [], "faults": [],
    });
    let listener = UnixListener::bind(home.join("admin.sock")).expect("it is ours");
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.expect("accepted");
            let lines = BufReader::new(stream.try_clone().expect("shared")).lines();
            let _head = lines.map_while(Result::ok).take_while(|line| !line.is_empty()).count();
            let body = status.to_string();
            let length = body.len();
            let head =
                format!("HTTP/1.1 200 OK\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n");
            let _ = stream.write_all((head + &body).as_bytes());
        }
    });
}

#[test]
fn a_control_plane_of_another_version_is_pointed_to_upgrade_or_refused() {
    let dir = tempfile::tempdir().expect("a directory");
    pretend(&dir.path().join("home"), "0.0.9");
    let run = |words: &[&str]| meshctl_in(dir.path(), words, "");
    let install = run(&["install"]);
    assert_eq!(install.code, 1, "{install:?}");
    assert!(install.stderr.contains("a control plane runs already, of version `0.0.9`"));
    assert!(install.stderr.contains("then `meshctl upgrade`"), "{install:?}");
    let plan = run(&["upgrade", "--plan"]);
    assert!(plan.stdout.starts_with(&format!("control plane   0.0.9 → {OWN}\n")), "{plan:?}");

    let other = tempfile::tempdir().expect("a directory");
    pretend(&other.path().join("home"), "99.0.0");
    let later = meshctl_in(other.path(), &["upgrade"], "");
    assert_eq!(later.code, 1, "{later:?}");
    assert!(later.stderr.contains("runs version 99.0.0, which is later than"), "{later:?}");
}
