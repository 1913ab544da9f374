//! The commands about proxies, with proxies that run: `apply --wait`, status, certs, proxy, trace.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::time::Duration;

use super::binary::command;
use super::generated::offered_in;
use super::installed::{Mesh, eventually};

const RULES: &str = "\
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: reviews}
spec:
  parentRefs: [{group: \"\", kind: Service, name: reviews, port: 80}]
  rules:
  - backendRefs: [{name: reviews-v1, port: 80}]
";

/// A process that is killed when the test ends, however it ends.
pub(super) struct Killed(pub(super) Child);

impl Drop for Killed {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A proxy that is ready.
pub(super) struct Proxy {
    process: Killed,
    ready: serde_json::Value,
}

impl Proxy {
    pub(super) fn start(mesh: &Mesh, service: &str, words: &[&str]) -> Self {
        Self::begin(command(&mesh.home()), &mesh.home(), service, words)
    }

    /// By a command that runs the program.
    pub(super) fn begin(mut command: Command, home: &Path, service: &str, words: &[&str]) -> Self {
        let file = home.join(format!("{service}.ready"));
        command.args(["proxy", "run", "--service", service, "--ready-file"]).arg(&file);
        command.args(words).stdout(Stdio::null()).stderr(Stdio::null());
        let process = Killed(command.spawn().expect("runs"));
        eventually("the ready file is written", || file.exists());
        let text = std::fs::read(&file).expect("the ready file");
        Self { process, ready: serde_json::from_slice(&text).expect("JSON") }
    }

    /// Whether its process still runs.
    pub(super) fn runs(&mut self) -> bool {
        matches!(self.process.0.try_wait(), Ok(None))
    }

    pub(super) fn pid(&self) -> u32 {
        self.process.0.id()
    }

    pub(super) fn address(&self, field: &str) -> SocketAddr {
        self.ready[field].as_str().expect("a text").parse().expect("an address")
    }
}

/// An application that answers every request with 200.
pub(super) fn application() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("an address");
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            std::thread::spawn(move || stream.and_then(answer));
        }
    });
    address
}

fn answer(mut stream: TcpStream) -> std::io::Result<()> {
    let mut lines = BufReader::new(stream.try_clone()?).lines();
    while let Some(line) = lines.next().transpose()? {
        if line.is_empty() {
            stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok")?;
        }
    }
    Ok(())
}

/// The status line of one request through a proxy's outbound side, traced under this id.
pub(super) fn request(outbound: SocketAddr, host: &str, trace: &str) -> String {
    let mut stream = TcpStream::connect(outbound).expect("the outbound side");
    let head = format!(
        "GET /x HTTP/1.1\r\nhost: {host}\r\ntraceparent: 00-{trace}-00f067aa0ba902b7-01\r\nconnection: close\r\n\r\n"
    );
    stream.write_all(head.as_bytes()).expect("sent");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("an answer");
    answer.lines().next().unwrap_or_default().to_owned()
}

pub(super) const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";

#[test]
fn a_rule_reaches_the_proxies_that_use_it_and_all_of_it_is_seen() {
    let mesh = Mesh::install();
    let app = application().to_string();
    let _reviews = Proxy::start(&mesh, "reviews", &["--version", "v1", "--app", &app]);
    let web = Proxy::start(&mesh, "web", &[]);
    assert_eq!(request(web.address("outbound"), "reviews", TRACE), "HTTP/1.1 200 OK");

    let applied = mesh.feed("apply -f - --wait", RULES);
    assert_eq!((applied.code, applied.stdout.as_str()), (0, "httproute/reviews created\n"));
    assert!(applied.stderr.contains("acknowledged by 1 of 1 proxy in "), "{applied:?}");

    let rule = mesh.run("explain --rule HTTPRoute/default/reviews/0");
    assert_eq!(rule.code, 0, "{rule:?}");
    assert!(rule.stdout.contains("default/reviews port 80: tried as 1 of 1"), "{rule:?}");

    eventually("traffic is counted", || {
        let status = mesh.json("status -o json");
        let edge = &status["edges"][0];
        edge["from"] == "web" && edge["to"] == "reviews" && edge["mtls"] == true
    });
    let status = mesh.run("status");
    for proxy in ["reviews-v1-0", "web-0"] {
        let line = status.stdout.lines().find(|line| line.starts_with(proxy)).expect("the proxy");
        assert!(line.contains("Synced"), "{status:?}");
    }
    eventually("both halves of the trace have arrived", || {
        mesh.run(&format!("trace {TRACE}")).stdout.contains(": 2 spans over 2 services")
    });
    let named = mesh.run("trace -o name");
    let drawn = mesh.run(&format!("trace {}", named.stdout.trim()));
    assert_eq!(drawn.code, 0, "{}", drawn.stderr);
    let drawn = mesh.run("trace 4bf92f35…");
    assert!(drawn.stdout.starts_with(&format!("trace {TRACE}: ")), "{drawn:?}");
    assert!(drawn.stdout.contains("default/web → default/reviews  GET /x"), "{drawn:?}");

    let follow = follow(&mesh);
    let next = TRACE.replace("4bf9", "5bf9");
    assert_eq!(request(web.address("outbound"), "reviews", &next), "HTTP/1.1 200 OK");
    let line = follow.1.recv_timeout(Duration::from_secs(30)).expect("the trace comes");
    assert_eq!(line, format!("trace/{next}"), "and not those that were there before");

    let check = mesh.run("check --proxy --wait");
    assert_eq!(check.code, 0, "{check:?}");
    assert!(check.stdout.ends_with("\nall is well\n"), "{check:?}");
}

/// `trace --follow` that has begun to look, and the lines that it prints.
fn follow(mesh: &Mesh) -> (Killed, Receiver<String>) {
    let mut command = command(&mesh.home());
    command.args(["trace", "--follow", "-o", "name"]);
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("runs");
    let mut stderr = BufReader::new(child.stderr.take().expect("piped"));
    let stdout = BufReader::new(child.stdout.take().expect("piped"));
    let mut began = String::new();
    stderr.read_line(&mut began).expect("readable");
    assert_eq!(began, "waiting for traces, Ctrl-C ends\n");
    let (sender, lines) = mpsc::channel();
    std::thread::spawn(move || {
        for line in stdout.lines().map_while(Result::ok) {
            if sender.send(line).is_err() {
                return;
            }
        }
    });
    (Killed(child), lines)
}

#[test]
fn a_proxy_is_asked_and_its_certificate_renewed() {
    let mesh = Mesh::install();
    let _web = Proxy::start(&mesh, "web", &[]);
    let serial = || {
        let list = mesh.json("certs list -o json");
        list["certificates"][0]["serial"].as_str().expect("a serial number").to_owned()
    };
    let before = serial();
    let rotated = mesh.run("certs rotate web");
    assert_eq!((rotated.code, rotated.stderr.as_str()), (0, ""), "{rotated:?}");
    assert!(rotated.stdout.contains("default/web-0") && rotated.stdout.contains("renewed"));
    eventually("the new certificate is told of", || serial() != before);
    let inspected = mesh.run("certs inspect web-0");
    assert!(
        inspected.stdout.contains("spiffe://cluster.local/ns/default/sa/web\n"),
        "{inspected:?}"
    );

    for (words, kind) in [("config web-0", "ProxyConfig"), ("stats default/web-0", "ProxyStats")] {
        let answer = mesh.json(&format!("proxy {words} -o json"));
        assert_eq!(
            (&answer["apiVersion"], &answer["kind"]),
            (&"meshctl.dev/v1alpha1".into(), &kind.into())
        );
    }
    assert_eq!(offered_in(&mesh.home(), &["proxy", "config", "we"]), ["web-0"]);
    mesh.run("proxy log web-0 debug").is(0, "", "default/web-0 logs at `debug` now\n");
    let refused = mesh.run("proxy log web-0 a=[b");
    assert_eq!((refused.code, refused.stdout.as_str()), (1, ""), "{refused:?}");
    assert!(refused.stderr.contains("is not a log filter"), "{refused:?}");
}

#[test]
fn an_endpoint_is_taken_out_seen_and_put_back() {
    let mesh = Mesh::install();
    let app = application().to_string();
    let _reviews = Proxy::start(&mesh, "reviews", &["--app", &app]);
    let web = Proxy::start(&mesh, "web", &[]);
    let early = mesh.run("endpoints eject reviews/reviews-0");
    early.is(
        1,
        "",
        "error: no connected proxy calls the endpoints of `default/reviews`\n\
         help: a proxy calls a service once its application did\n",
    );
    assert_eq!(request(web.address("outbound"), "reviews", TRACE), "HTTP/1.1 200 OK");
    let out = "ENDPOINT            CALLER   RESULT\nreviews/reviews-0   web-0    taken out\n";
    mesh.run("endpoints eject reviews/reviews-0 --for 5m --from web").is(0, out, "");
    let status = mesh.run("status").stdout;
    assert!(status.contains("1/1 (1 ejected)"), "{status}");
    let below = status.split("\nPOOL").nth(1).expect("a table of what is out");
    assert!(below.contains("reviews-0") && below.contains("ByHand"), "{status}");
    let list = mesh.json("endpoints list reviews -o json");
    assert_eq!(
        (&list["apiVersion"], &list["kind"]),
        (&"meshctl.dev/v1alpha1".into(), &"EndpointList".into())
    );
    assert_eq!(list["endpoints"][0]["pool"][0]["state"], "ByHand", "{list:#}");
    assert!(mesh.run("describe service reviews").stdout.contains("ByHand at default/web-0 since "));
    let explained = mesh.run("explain --from web http://reviews/x");
    assert_eq!(explained.code, 3, "{explained:?}");
    let why = "503 no_endpoints, by default/default/reviews";
    assert!(
        explained.stdout.contains(why) && explained.stdout.contains("ByHand for "),
        "{explained:?}"
    );
    let described = mesh.json("endpoints restore default/reviews/reviews-0 -o json");
    assert_eq!(
        (&described["kind"], &described["action"]),
        (&"EndpointReport".into(), &"Restore".into())
    );
    assert!(!mesh.run("status").stdout.contains("POOL"));
    let explained = mesh.json("explain --from web-0 http://reviews/x -o json");
    assert_eq!(
        (&explained["kind"], &explained["outcome"]),
        (&"Explanation".into(), &"Passes".into())
    );
    assert_eq!(explained["backends"][0]["endpoints"][0]["percent"], 100.0, "{explained:#}");
    let unknown = mesh.run("explain --from nobody http://reviews/x");
    assert_eq!((unknown.code, unknown.stdout.as_str()), (1, ""), "{unknown:?}");
    mesh.run("endpoints list -o name").is(0, "endpoint/default/reviews/reviews-0\n", "");

    let offered = |words: &[&str]| offered_in(&mesh.home(), words);
    assert_eq!(offered(&["endpoints", "eject", "rev"]), ["reviews/reviews-0"]);
    assert_eq!(offered(&["endpoints", "eject", "x/y", "--from", "web-"]), ["web-0"]);
    mesh.run("endpoints eject reviews").is(
        2,
        "",
        "error: `reviews` does not name an endpoint\n\
         help: write SERVICE/ENDPOINT; see which there are with `meshctl endpoints list`\n",
    );
    mesh.run("endpoints eject reviews/other").is(
        1,
        "",
        "error: `default/reviews` has no endpoint `other`\nhelp: it has `reviews-0`\n",
    );
}

#[test]
fn who_is_not_taken_says_why_once_and_ends() {
    let mesh = Mesh::install();
    let app = application().to_string();
    let _reviews = Proxy::start(&mesh, "reviews", &["--version", "v1", "--app", &app]);
    let mut second = command(&mesh.home());
    let run = second.args(["proxy", "run", "--service", "reviews-v1"]).output().expect("runs");
    let stderr = String::from_utf8(run.stderr).expect("UTF-8");
    assert_eq!(run.status.code(), Some(1), "{stderr}");
    // Once as it happens, once at the end: it tries again all the while.
    assert_eq!(stderr.matches("service `default/reviews-v1` is taken").count(), 2, "{stderr}");
    assert!(stderr.lines().count() <= 4, "{stderr}");
    assert!(
        stderr.contains("the control plane does not take this proxy; trying again"),
        "{stderr}"
    );
    assert!(!stderr.contains("serving"), "a proxy that knows nothing serves nothing: {stderr}");
}

#[test]
fn a_killed_proxy_takes_its_command_and_the_commands_children_along() {
    let mesh = Mesh::install();
    let held = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = held.local_addr().expect("an address").port().to_string();
    drop(held);
    // As servers with workers do it: the first process ends its children when it is told to end.
    let script = format!(
        "python3 -m http.server {port} --bind 127.0.0.1 & trap 'kill $!; exit' TERM; wait; wait"
    );
    let app = format!("127.0.0.1:{port}");
    let proxy = Proxy::start(&mesh, "web", &["--app", &app, "--", "sh", "-c", &script]);
    TcpStream::connect(&app).expect("ready means that the application listens");
    drop(proxy);
    eventually("nobody listens any more", || TcpStream::connect(&app).is_err());
}

#[test]
fn a_wrapped_command_gives_its_exit_code() {
    let mesh = Mesh::install();
    let run = |script: &str| {
        let mut command = command(&mesh.home());
        command.args(["proxy", "run", "--service", "web", "--", "sh", "-c", script]);
        command.output().expect("runs").status.code()
    };
    assert_eq!(run("test -n \"$http_proxy\""), Some(0));
    assert_eq!(run("exit 7"), Some(7));
}

#[test]
fn a_proxy_without_a_control_plane_fails_and_says_so() {
    let dir = tempfile::tempdir().expect("a directory");
    let mut command = command(&dir.path().join("home"));
    let run =
        command.args(["proxy", "run", "--service", "web", "--", "true"]).output().expect("runs");
    let stderr = String::from_utf8(run.stderr).expect("UTF-8");
    assert_eq!(run.status.code(), Some(125), "{stderr}");
    assert!(stderr.contains("error: "), "{stderr}");
}
