//! From the version before to this one: planned, done while proxies serve, and not undone.

use std::io::{BufRead as _, BufReader, Write as _};
use std::os::unix::net::UnixListener;
use std::path::Path;

use super::binary::meshctl_in;
use super::installed::{Mesh, eventually};
use super::workload::{Proxy, application, request};

const OWN: &str = env!("CARGO_PKG_VERSION");
const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4738";

#[test]
fn this_very_version_is_not_upgraded() {
    let mesh = Mesh::install();
    let pid = mesh.pid();
    mesh.run("upgrade").is(
        0,
        &format!("control plane runs version {OWN} already, nothing changed\n"),
        "",
    );
    let plan = mesh.run("upgrade --plan");
    assert!(plan.stdout.starts_with(&format!("control plane   {OWN} → {OWN}\n")), "{plan:?}");
    assert!(plan.stdout.contains("starts again    nothing\n"), "{plan:?}");
    assert_eq!(mesh.pid(), pid);
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
    let app = application().to_string();
    let _shop = Proxy::start(&mesh, "shop", &["--app", &app]);
    let web = Proxy::start(&mesh, "web", &[]);
    let call = || assert_eq!(request(web.address("outbound"), "shop", TRACE), "HTTP/1.1 200 OK");
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
