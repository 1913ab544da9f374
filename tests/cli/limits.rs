//! The binary with little to live on: few descriptors, little memory.

use std::net::{SocketAddr, TcpStream};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::Stdio;

use super::binary::{command, meshctl_in, with_descriptors};
use super::installed::{Mesh, eventually};
use super::workload::{Killed, Proxy, TRACE, application, request};

mod soak;

/// Descriptors that a process gets.
const DESCRIPTORS: u32 = 256;

/// Clients that come at once: several times as many.
const CLIENTS: usize = 1_000;

const OK: &str = "HTTP/1.1 200 OK";

/// Clients that say nothing, as many as this process can hold open.
fn crowd(to: SocketAddr) -> Vec<TcpStream> {
    meshctl::net::descriptors::raise();
    let crowd: Vec<_> = (0..CLIENTS).map_while(|_| TcpStream::connect(to).ok()).collect();
    assert!(crowd.len() > 2 * DESCRIPTORS as usize, "only {} clients", crowd.len());
    crowd
}

/// What an HTTP server says of itself.
fn get(mut stream: impl std::io::Read + std::io::Write, path: &str) -> String {
    let head = format!("GET {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n");
    let mut answer = String::new();
    // Nobody is home where there is no descriptor left: that is no answer.
    let _ = stream
        .write_all(head.as_bytes())
        .and_then(|()| stream.read_to_string(&mut answer).map(drop));
    answer
}

/// Whether metrics have a limit above 0.
fn is_hit(metrics: &str, of: &str, limit: &str) -> bool {
    let sample = format!("meshctl_limit_hits_total{{proxy=\"{of}\",limit=\"{limit}\"}} ");
    metrics.lines().any(|line| line.strip_prefix(&sample).is_some_and(|count| count != "0"))
}

#[test]
fn a_proxy_outlives_more_clients_than_it_has_descriptors() {
    let mesh = Mesh::install();
    let app = application().to_string();
    let few = with_descriptors(&mesh.home(), DESCRIPTORS);
    let words = ["--app", app.as_str()];
    let mut reviews = Proxy::begin(few, &mesh.home(), "reviews", &words);
    let web = Proxy::begin(command(&mesh.home()), &mesh.home(), "web", &[]);
    assert_eq!(request(web.address("outbound"), "reviews", TRACE), OK);

    let crowd = crowd(reviews.address("inbound"));
    let admin = reviews.address("admin");
    eventually("the clients that are too many are counted", || {
        let metrics = TcpStream::connect(admin).map(|stream| get(stream, "/metrics"));
        metrics.is_ok_and(|metrics| is_hit(&metrics, "default/reviews-0", "connections"))
    });
    assert!(reviews.runs());
    // Who is connected is served.
    assert_eq!(request(web.address("outbound"), "reviews", TRACE), OK);
    drop(crowd);
    eventually("a new caller gets in", || {
        let new = Proxy::begin(command(&mesh.home()), &mesh.home(), "new", &[]);
        request(new.address("outbound"), "reviews", TRACE) == OK
    });
    assert!(reviews.runs());
    eventually("the control plane tells of it", || {
        let socket = UnixStream::connect(mesh.home().join("admin.sock")).expect("it serves");
        is_hit(&get(socket, "/metrics"), "default/reviews-0", "connections")
    });
}

#[test]
fn a_control_plane_outlives_more_clients_than_it_has_descriptors() {
    let dir = tempfile::tempdir().expect("a directory");
    let home = dir.path().join("home");
    let mut command = with_descriptors(&home, DESCRIPTORS);
    command.args(["control-plane", "run"]).stdout(Stdio::null()).stderr(Stdio::null());
    let mut process = Killed(command.spawn().expect("runs"));
    let file = home.join("control-plane.json");
    eventually("the control plane serves", || file.exists());
    let running: serde_json::Value =
        serde_json::from_slice(&std::fs::read(&file).expect("it serves")).expect("JSON");
    let address = running["address"].as_str().expect("a text").parse().expect("an address");

    let crowd = crowd(address);
    eventually("the clients that are too many are counted", || {
        let socket = UnixStream::connect(home.join("admin.sock")).expect("it serves");
        is_hit(&get(socket, "/metrics"), "control-plane", "connections")
    });
    assert_eq!(status(dir.path()), 0, "the command line has descriptors of its own");
    drop(crowd);
    let mut web = Proxy::begin(super::binary::command(&home), &home, "web", &[]);
    assert!(web.runs(), "it has joined");
    assert!(matches!(process.0.try_wait(), Ok(None)), "the control plane runs on");
}

fn status(dir: &Path) -> i32 {
    meshctl_in(dir, &["status"], "").code
}

#[test]
fn a_proxy_at_the_end_of_its_memory_says_so_and_lives() {
    let mesh = Mesh::install();
    let app = application().to_string();
    let words = ["--app", app.as_str()];
    let reviews = Proxy::begin(command(&mesh.home()), &mesh.home(), "reviews", &words);
    let words = ["--memory-limit", "1MiB"];
    let mut web = Proxy::begin(command(&mesh.home()), &mesh.home(), "web", &words);
    // Everything is refused: at the accept, or with an answer where that was earlier.
    let outbound = web.address("outbound");
    eventually("what is refused is counted", || {
        let refused = get(TcpStream::connect(outbound).expect("it listens"), "/");
        assert!(refused.is_empty() || refused.contains("meshctl-reason: "), "{refused}");
        let admin = TcpStream::connect(web.address("admin")).expect("it serves");
        is_hit(&get(admin, "/metrics"), "default/web-0", "memory")
    });
    assert!(web.runs());
    drop(reviews);
}
