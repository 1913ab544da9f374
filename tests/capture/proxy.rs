//! `proxy run --capture` on an ordinary machine: a control plane and a proxy in a network namespace,
//! and a user whose calls pass through the proxy without knowing of it.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use super::namespace::Link;
use super::{ROOT, SOMEBODY, kernel};
use crate::support::{DEADLINE, eventually};

/// A process that is killed when the test ends, however it ends.
struct Process(Child);

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn meshctl(link: &Link, home: &Path) -> Command {
    let mut command = link.pod.command(env!("CARGO_BIN_EXE_meshctl"));
    command.env_clear().env("PATH", "/usr/bin:/bin").env("MESHCTL_HOME", home);
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    command
}

fn start(link: &Link, home: &Path, words: &[&str]) -> Process {
    Process(meshctl(link, home).args(words).spawn().expect("it runs"))
}

/// A proxy that takes what somebody sends.
fn proxy(link: &Link, home: &Path, more: &[&str]) -> Process {
    let ready = home.join(format!("ready{}", more.concat()));
    let _ = std::fs::remove_file(&ready);
    let file = ready.to_str().expect("UTF-8");
    let user = SOMEBODY.to_string();
    let words = ["proxy", "run", "--service=web", "--capture", "--capture-user", &user];
    let process = start(link, home, &[&words[..], &["--ready-file", file], more].concat());
    eventually("the proxy is ready", || ready.exists().then_some(()));
    process
}

/// An application outside that answers each connection with the port that it comes from.
fn application(link: &Link) -> SocketAddr {
    let listener = link.outside.enter(ROOT, || TcpListener::bind("192.0.2.1:0").expect("a port"));
    let address = listener.local_addr().expect("an address");
    std::thread::spawn(move || {
        for mut stream in listener.incoming().map_while(Result::ok) {
            let port = stream.peer_addr().expect("a peer").port().to_string();
            let mut lines = BufReader::new(stream.try_clone().expect("a socket")).lines();
            while lines.next().is_some_and(|line| line.is_ok_and(|line| !line.is_empty())) {}
            let length = port.len();
            let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {length}\r\n\r\n{port}");
            let _ = stream.write_all(head.as_bytes());
        }
    });
    address
}

/// Whether a call of this user arrives from where it was made; else somebody is in between.
fn is_direct(link: &Link, user: u32, to: SocketAddr) -> bool {
    link.pod.enter(user, move || {
        let mut stream = TcpStream::connect_timeout(&to, DEADLINE).expect("connected");
        stream.set_read_timeout(Some(DEADLINE)).expect("set");
        let head = format!("GET / HTTP/1.1\r\nhost: {to}\r\nconnection: close\r\n\r\n");
        stream.write_all(head.as_bytes()).expect("sent");
        let ours = stream.local_addr().expect("an address").port().to_string();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).expect("an answer");
        let (head, theirs) = answer.split_once("\r\n\r\n").expect("a head");
        assert!(head.starts_with("HTTP/1.1 200 OK"), "{head}");
        ours == theirs
    })
}

/// A control plane that answers.
fn control_plane(link: &Link, home: &Path) -> Process {
    let running = start(link, home, &["control-plane", "run"]);
    eventually("the control plane is there", || {
        meshctl(link, home).arg("status").status().expect("runs").success().then_some(())
    });
    running
}

#[test]
fn the_calls_of_one_user_pass_through_the_proxy_as_long_as_it_runs() {
    let link = Link::new();
    let dir = tempfile::tempdir().expect("a directory");
    let home = dir.path().join("home");
    let _control_plane = control_plane(&link, &home);
    let app = application(&link);
    let tables = || link.pod.enter(ROOT, kernel::tables);

    let mut first = proxy(&link, &home, &[]);
    assert_eq!(tables(), ["meshctl-user-1001"]);
    assert!(is_direct(&link, ROOT, app) && !is_direct(&link, SOMEBODY, app));
    let pid = rustix::process::Pid::from_child(&first.0);
    rustix::process::kill_process(pid, rustix::process::Signal::TERM).expect("signalled");
    assert!(first.0.wait().expect("ends").success());
    assert_eq!(tables(), [""; 0]);
    assert!(is_direct(&link, SOMEBODY, app));

    let second = proxy(&link, &home, &[]);
    assert!(!is_direct(&link, SOMEBODY, app));
    drop(second);
    assert_eq!(tables(), [""; 0], "killed, it leaves nothing either");
    assert!(is_direct(&link, SOMEBODY, app));
}

#[test]
fn a_proxy_that_takes_over_captures_on_by_the_same_rules() {
    let link = Link::new();
    let dir = tempfile::tempdir().expect("a directory");
    let home = dir.path().join("home");
    let _control_plane = control_plane(&link, &home);
    let app = application(&link);
    let tables = || link.pod.enter(ROOT, kernel::tables);
    let mut older = proxy(&link, &home, &[]);
    assert!(!is_direct(&link, SOMEBODY, app));
    // Without `--take-over` the table is another process's.
    let user = SOMEBODY.to_string();
    let words = ["proxy", "run", "--service=web", "--capture", "--capture-user", &user];
    let refused = meshctl(&link, &home).args(words).status().expect("runs");
    assert_eq!(refused.code(), Some(1));

    let newer = proxy(&link, &home, &["--take-over"]);
    assert!(!is_direct(&link, SOMEBODY, app), "there is no moment without");
    assert!(older.0.wait().expect("ends").success());
    assert_eq!(tables(), ["meshctl-user-1001"]);
    assert!(!is_direct(&link, SOMEBODY, app), "the end of the older one took nothing along");
    drop(newer);
    assert_eq!(tables(), [""; 0], "killed, the newer one leaves nothing");
    assert!(is_direct(&link, SOMEBODY, app));
}

#[test]
fn nobody_captures_himself_and_nobody_without_the_right() {
    let link = Link::new();
    let dir = tempfile::tempdir().expect("a directory");
    let run = |words: &[&str]| {
        let mut command = link.pod.command(words[0]);
        let output = command.args(&words[1..]).env("MESHCTL_HOME", dir.path()).output();
        let output = output.expect("it runs");
        (output.status.code(), String::from_utf8(output.stderr).expect("UTF-8"))
    };
    let program = env!("CARGO_BIN_EXE_meshctl");
    let run_as = |user: &str, captured: &str| {
        let words = ["setpriv", "--reuid", user, "--clear-groups", program, "proxy", "run"];
        run(&[&words[..], &["--service=web", "--capture", "--capture-user", captured]].concat())
    };
    let (code, stderr) = run_as("0", "0");
    assert_eq!(code, Some(2), "{stderr}");
    assert!(stderr.contains("`--capture-user` is the user of the proxy"), "{stderr}");
    let (code, stderr) = run_as("1001", "1002");
    assert_eq!(code, Some(1), "{stderr}");
    assert!(stderr.contains("needs the capability `NET_ADMIN`"), "{stderr}");
}
