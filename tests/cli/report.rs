//! What `bug-report` writes down, and what it does not.

use std::collections::BTreeMap;
use std::io::Read as _;
use std::path::Path;

use super::installed::Mesh;
use super::workload::{Proxy, application};

const RULE: &str = "\
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: reviews}
spec:
  parentRefs: [{group: \"\", kind: Service, name: reviews, port: 80}]
  rules:
  - filters:
    - type: RequestHeaderModifier
      requestHeaderModifier: {set: [{name: Authorization, value: Basic cGxhbnRlZDpydWxl}]}
    backendRefs: [{name: reviews, port: 80}]
";

/// What was put into the log, as a careless line would.
const PLANTED: [&str; 3] = [
    "Authorization: Bearer planted-in-the-log-1",
    "token=planted-in-the-log-2",
    "eyJhbGciOiJFUzI1NiJ9.eyJzdWIiOiJwbGFudGVkIn0.c2lnbmF0dXJl",
];

/// The files of an archive.
fn unpack(path: &Path) -> BTreeMap<String, String> {
    let file = std::fs::File::open(path).expect("it was written");
    let mut archive = tar::Archive::new(flate2::read::GzDecoder::new(file));
    let entries = archive.entries().expect("an archive");
    let read = |entry: std::io::Result<tar::Entry<'_, _>>| {
        let mut entry = entry.expect("an entry");
        let name = entry.path().expect("a path").to_string_lossy().into_owned();
        let mut text = String::new();
        entry.read_to_string(&mut text).expect("UTF-8");
        (name, text)
    };
    entries.map(read).collect()
}

/// The long lines of every file below that holds a private key.
fn keys(dir: &Path, found: &mut Vec<String>) {
    for entry in std::fs::read_dir(dir).expect("it is ours") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            keys(&path, found);
        } else if let Ok(text) = std::fs::read_to_string(&path)
            && text.contains("PRIVATE KEY")
        {
            let lines = text.lines().filter(|line| line.len() > 20 && !line.starts_with('-'));
            found.extend(lines.map(str::to_owned));
        }
    }
}

#[test]
fn everything_that_helps_is_in_it_and_no_secret() {
    let mesh = Mesh::install();
    let app = application().to_string();
    let _reviews = Proxy::start(&mesh, "reviews", &["--app", &app]);
    assert_eq!(mesh.feed("apply -f -", RULE).code, 0);
    let log = mesh.home().join("control-plane.log");
    let text = std::fs::read_to_string(&log).expect("there is a log") + &PLANTED.join("\n") + "\n";
    std::fs::write(&log, text).expect("it is ours");

    let run = mesh.run("bug-report out.tar.gz");
    assert_eq!(run.code, 0, "{run:?}");
    assert!(run.stdout.starts_with("out.tar.gz: "), "{run:?}");
    let parts = unpack(&mesh.home().with_file_name("out.tar.gz"));
    for (part, holds) in [
        ("machine.txt", "meshctl "),
        ("machine.txt", "Max open files"),
        ("home.txt", "ca/root.key"),
        ("control-plane.log", "the control plane is ready"),
        ("status.json", "\"reviews-0\""),
        ("rules.json", "\"HTTPRoute\""),
        ("history.json", "\"created\""),
        ("check.txt", "\"checks\""),
        ("proxies/default/reviews-0/config.json", "reviews"),
        ("proxies/default/reviews-0/stats.json", "{"),
        ("missing.txt", ""),
    ] {
        let text = parts.get(&format!("bug-report/{part}"));
        let text = text.unwrap_or_else(|| panic!("{part} is missing: {:?}", parts.keys()));
        assert!(text.contains(holds), "{part}: `{holds}` is missing in\n{text}");
        assert!(run.stderr.contains(&format!("  {part} (")), "{part} is not listed: {run:?}");
    }
    let mut secrets = Vec::new();
    keys(&mesh.home(), &mut secrets);
    assert!(secrets.len() > 4, "the keys of the authority and of a proxy: {secrets:?}");
    secrets.extend(
        ["planted-in-the-log", "cGxhbnRlZDpydWxl", "eyJzdWIiOiJwbGFudGVkIn0"].map(str::to_owned),
    );
    for (name, text) in &parts {
        assert!(!text.contains("PRIVATE KEY"), "{name}");
        for secret in &secrets {
            assert!(!text.contains(secret), "{name} tells `{secret}`");
        }
    }
}

#[test]
fn it_works_when_the_control_plane_is_down() {
    let mesh = Mesh::install();
    assert_eq!(mesh.run("uninstall").code, 0);
    let run = mesh.run("bug-report out.tar.gz");
    assert_eq!(run.code, 0, "{run:?}");
    let parts = unpack(&mesh.home().with_file_name("out.tar.gz"));
    assert!(parts["bug-report/control-plane.log"].contains("the control plane has ended"));
    assert!(parts["bug-report/missing.txt"].contains("no control plane is running"), "{parts:?}");
    assert!(run.stderr.contains("not had: control-plane.json: "), "{run:?}");
    let again = mesh.run("bug-report out.tar.gz");
    assert_eq!(again.code, 1, "{again:?}");
    assert!(again.stderr.contains("`out.tar.gz` is there already"), "{again:?}");
}
