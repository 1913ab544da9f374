//! Golden tests of what is on the wire: every file of `testdata/http` says what one side sends, byte
//! by byte, and what the client and the application must see of it.
//!
//! `requests/` is what clients send, each case played at the outbound and at the inbound listener;
//! `paths/` is that, too, where a rule lets nothing through but `/public`; `answers/` is what applications send, each played behind two sidecars and behind the caller's
//! alone. Adding a case is adding a file (`testdata/http/README.md` says how);
//! `UPDATE_GOLDEN=1` writes the expectations anew.

use std::path::{Path, PathBuf};

use crate::support::{Conn, Forger, Mesh, Tunnel};

mod app;
mod case;

use app::App;
use case::{Case, bytes_as_lines};

/// A request that every case ends with, and whose answer says what became of the connections.
const PROBE: &str = "GET /probe HTTP/1.1\r\nhost: app\r\n\r\n";

#[test]
fn what_clients_send() {
    let app = App::start();
    let mesh = Mesh::new().caller("web").service("app", app.origin()).start();
    let tls = Forger::of(&mesh).tls("web", &mesh);
    let inbound = mesh.proxy("app").addresses().inbound;
    walk("requests", |case| {
        let mut seen = Vec::new();
        if case.is_played("outbound") {
            seen.push(request(mesh.call("web"), case, &app));
        }
        if case.is_played("inbound") {
            let conn = Tunnel::open(&tls, inbound, "app", b"meshctl/http1.1");
            seen.push(request(conn, case, &app));
        }
        seen
    });
}

/// Nothing but what is below `/public` gets through, and the probe.
const PUBLIC: &str = r#"
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: app}
spec:
  parentRefs: [{group: "", kind: Service, name: app, port: 80}]
  rules:
  - matches: [{path: {value: /public}}, {path: {type: Exact, value: /probe}}]
    backendRefs: [{name: app, port: 80}]
"#;

#[test]
fn what_clients_ask_for_where_rules_look_at_paths() {
    let app = App::start();
    let mesh = Mesh::new().caller("web").service("app", app.origin()).rules(PUBLIC).start();
    walk("paths", |case| vec![request(mesh.call("web"), case, &app)]);
}

#[test]
fn what_applications_send() {
    let app = App::start();
    let mesh = Mesh::new().caller("web").service("app", app.origin()).start();
    let outside = app.origin().address().to_string();
    walk("answers", |case| {
        let calls = || [mesh.call("web"), mesh.call("web")];
        let behind = answer(calls(), case, &app, "app");
        let alone = answer(calls(), case, &app, &outside);
        // What the application sees differs in the headers that only sidecars set.
        let client = |seen: &str| seen.split("application:").next().map(str::to_owned);
        assert_eq!(client(&behind), client(&alone), "behind two and behind one: {}", case.name);
        vec![behind]
    });
}

/// Plays every case of a directory; all that differ are reported together.
fn walk(directory: &str, play: impl Fn(&Case) -> Vec<String>) {
    let top = Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata/http").join(directory);
    let entries = std::fs::read_dir(&top).expect("a directory of the repository");
    let mut files: Vec<PathBuf> = entries.map(|entry| entry.expect("readable").path()).collect();
    files.sort();
    assert!(files.len() > 10, "the directory of cases is not empty");
    let update = std::env::var_os("UPDATE_GOLDEN").is_some();
    let mut wrong = Vec::new();
    for file in files {
        let case = Case::read(&file);
        let seen = play(&case);
        let (first, others) = seen.split_first().expect("it is played somewhere");
        assert!(others.iter().all(|other| other == first), "{}: {seen:#?}", case.name);
        if update {
            case.write(&file, first);
        } else if case.expected != *first {
            wrong.push(format!("{}: expected\n{}\nfound\n{first}", case.name, case.expected));
        }
    }
    assert!(wrong.is_empty(), "{} differ:\n{}", wrong.len(), wrong.join("\n"));
}

/// What came of what a client sends.
fn request(conn: Conn, case: &Case, app: &App) -> String {
    app.begin(case);
    let client = client(conn, &case.sent, PROBE);
    format!("client: {client}\napplication: {}\n", app.saw())
}

/// What came of what an application answers.
fn answer([conn, mut again]: [Conn; 2], case: &Case, app: &App, host: &str) -> String {
    app.begin(case);
    let to = |request: &[u8]| {
        let text = String::from_utf8(request.to_vec()).expect("requests are text here");
        text.replace("host: app\r\n", &format!("host: {host}\r\n"))
    };
    let probe = to(PROBE.as_bytes());
    let seen = client(conn, to(&case.sent).as_bytes(), &probe);
    if app.connection_of_probe().is_none() {
        // The client's connection was closed; another one tells.
        again.ask(&probe);
    }
    let next = app.connection_of_probe().expect("it was asked");
    format!("client: {seen}\nnext request: {next} connection\napplication: {}\n", app.saw())
}

/// What a client sees that sends `bytes`, and `probe` when it has read the head of an answer.
fn client(mut conn: Conn, bytes: &[u8], probe: &str) -> String {
    // It may be refused before all of it is sent.
    let _ = conn.try_send(bytes);
    let mut seen = conn.until(|seen| seen.windows(4).any(|four| four == b"\r\n\r\n"));
    let _ = conn.try_send(probe);
    seen.extend(conn.until(|rest| rest.ends_with(app::PROBED.as_bytes())));
    let end = match seen.strip_suffix(app::PROBED.as_bytes()) {
        Some(before) => {
            let length = before.len();
            seen.truncate(length);
            "kept"
        }
        None => "closed",
    };
    match own_answer(&seen) {
        Some(own) => format!("{own}, {end}"),
        None => format!("{end}\n{}", bytes_as_lines(&seen).trim_end()),
    }
}

/// `status reason` of one answer that a proxy made itself.
fn own_answer(seen: &[u8]) -> Option<String> {
    let text = std::str::from_utf8(seen).ok()?;
    let (_, after) = text.split_once("meshctl-reason: ")?;
    let (reason, _) = after.split_once("\r\n")?;
    let status = text.strip_prefix("HTTP/1.1 ")?.get(..3)?;
    let (_, body) = text.split_once("\r\n\r\n")?;
    body.starts_with(reason).then(|| format!("{status} {reason}"))
}
