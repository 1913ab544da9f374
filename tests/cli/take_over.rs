//! `proxy run --take-over` with real processes: a newer one takes the place of one that serves, and no call
//! and no byte is lost; one that never gets ready leaves everything as it was.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::{Child, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};

use super::binary::command;
use super::installed::{Mesh, eventually};
use super::workload::{Killed, application};
use load::Load;

mod frames;
mod load;

const DEADLINE: Duration = Duration::from_secs(30);

/// A proxy, and what it says.
struct Proxy {
    process: Killed,
    lines: Receiver<String>,
    ready: serde_json::Value,
}

/// Starts one that need not become ready.
fn begin(mesh: &Mesh, words: &[&str]) -> (Killed, Receiver<String>) {
    let mut command = command(&mesh.home());
    command.args(["proxy", "run"]).args(words).stdout(Stdio::null()).stderr(Stdio::piped());
    let mut process = Killed(command.spawn().expect("runs"));
    let stderr = BufReader::new(process.0.stderr.take().expect("piped"));
    let (sender, lines) = mpsc::channel();
    std::thread::spawn(move || {
        for line in stderr.lines().map_while(Result::ok) {
            // Nobody may be listening any more; the proxy is to be able to write all the same.
            let _ = sender.send(line);
        }
    });
    (process, lines)
}

impl Proxy {
    /// Starts one and waits until it is ready; `generation` tells processes of one service apart.
    fn start(mesh: &Mesh, service: &str, generation: u32, words: &[&str]) -> Self {
        let file = mesh.home().join(format!("{service}-{generation}.ready"));
        let path = file.to_str().expect("UTF-8");
        let (mut process, lines) =
            begin(mesh, &[&["--service", service, "--ready-file", path], words].concat());
        let deadline = std::time::Instant::now() + DEADLINE;
        while !file.exists() {
            let ended = process.0.try_wait().expect("a child");
            let said = || lines.try_iter().collect::<Vec<_>>().join("\n");
            assert!(ended.is_none(), "{service}: {ended:?}\n{}", said());
            assert!(std::time::Instant::now() < deadline, "{service} in time\n{}", said());
            std::thread::sleep(Duration::from_millis(10));
        }
        let ready = serde_json::from_slice(&std::fs::read(&file).expect("there")).expect("JSON");
        Self { process, lines, ready }
    }

    fn address(&self, field: &str) -> SocketAddr {
        self.ready[field].as_str().expect("a text").parse().expect("an address")
    }

    fn upstream(&self, name: &str) -> SocketAddr {
        self.ready["upstreams"][name].as_str().expect("a text").parse().expect("an address")
    }

    /// Waits until it has said so.
    #[track_caller]
    fn says(&self, what: &str) {
        while !self.lines.recv_timeout(DEADLINE).expect("it says so").contains(what) {}
    }

    fn runs(&mut self) -> bool {
        matches!(self.process.0.try_wait(), Ok(None))
    }

    /// Waits for its end.
    #[track_caller]
    fn ends(mut self) {
        let deadline = std::time::Instant::now() + DEADLINE;
        loop {
            if let Some(status) = self.process.0.try_wait().expect("a child") {
                return assert!(status.success(), "{status}");
            }
            assert!(std::time::Instant::now() < deadline, "it does not end");
            std::thread::sleep(Duration::from_millis(10));
        }
    }
}

fn signal(process: &Child, signal: Signal) {
    kill_process(Pid::from_child(process), signal).expect("signalled");
}

/// An application that gives back every byte.
fn echo() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("an address");
    std::thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            std::thread::spawn(move || std::io::copy(&mut &stream, &mut &stream));
        }
    });
    address
}

/// A stream that lives through everything.
struct Stream(TcpStream);

impl Stream {
    fn open(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).expect("connects");
        stream.set_read_timeout(Some(DEADLINE)).expect("a timeout");
        let mut stream = Self(stream);
        stream.is_whole();
        stream
    }

    /// What is sent comes back.
    #[track_caller]
    fn is_whole(&mut self) {
        self.0.write_all(b"there and back").expect("sent");
        let mut back = [0; 14];
        self.0.read_exact(&mut back).expect("received");
        assert_eq!(&back, b"there and back");
    }
}

/// What the mesh knows of the proxy of a service.
fn is_synced(mesh: &Mesh, service: &str) -> bool {
    let status = mesh.json("status -o json");
    let is = |it: &&serde_json::Value| it["name"] == format!("{service}-0");
    let ours: Vec<_> = status["proxies"].as_array().expect("a list").iter().filter(is).collect();
    assert_eq!(ours.len(), 1, "one proxy, whatever happens: {status}");
    ours[0]["state"] == "Synced"
}

#[test]
fn a_newer_process_takes_the_place_and_nothing_is_lost() {
    let mesh = Mesh::install();
    let (app, echo) = (application().to_string(), echo().to_string());
    let reviews = ["--app", &app];
    let tcp = ["--app", &echo, "--protocol", "tcp"];
    let web = ["--upstream", "echo:80=0", "--drain", "60s"];
    let served = Proxy::start(&mesh, "reviews", 1, &reviews);
    let _echo = Proxy::start(&mesh, "echo", 1, &tcp);
    let two = frames::application().0.to_string();
    let _two = Proxy::start(&mesh, "two", 1, &["--app", &two, "--protocol", "http2"]);
    let mut older = Proxy::start(&mesh, "web", 1, &web);
    let outbound = older.address("outbound");
    let loads =
        [Load::keep_alive(outbound), Load::new_connections(outbound), Load::http2(outbound)];
    let all_go_on = || loads.iter().for_each(Load::goes_on);
    let mut long = Stream::open(older.upstream("echo:80"));
    all_go_on();

    // The callee, then the caller, each while everything is on its way through it.
    let newer_served =
        Proxy::start(&mesh, "reviews", 2, &[&reviews[..], &["--take-over"]].concat());
    assert_eq!(newer_served.address("inbound"), served.address("inbound"));
    all_go_on();
    let newer = Proxy::start(&mesh, "web", 2, &[&web[..], &["--take-over"]].concat());
    for field in ["outbound", "admin", "inbound", "proxy", "upstreams"] {
        assert_eq!(newer.ready[field], older.ready[field]);
    }
    all_go_on();
    served.ends();
    assert!(older.runs(), "it finishes what it began");
    assert!(!mesh.home().join("web-1.ready").exists());
    eventually("both are synced", || is_synced(&mesh, "web") && is_synced(&mesh, "reviews"));
    long.is_whole();
    Stream::open(newer.upstream("echo:80"));
    all_go_on();
    drop(long);
    older.ends();
    all_go_on();
    eventually("both are synced", || is_synced(&mesh, "web") && is_synced(&mesh, "reviews"));
    loads.into_iter().for_each(Load::end);

    // What took over is a proxy like any other: it hands over in its turn.
    let third = Proxy::start(&mesh, "web", 3, &[&web[..], &["--take-over"]].concat());
    assert_eq!(third.ready["outbound"], newer.ready["outbound"]);
    newer.ends();
    let mut kept = BufReader::new(TcpStream::connect(outbound).expect("connects"));
    assert!(load::request(&mut kept, "").is_ok());
    drop((third, newer_served));
}

#[test]
fn a_stream_of_http2_runs_to_its_end_after_goaway_was_said_twice() {
    let mesh = Mesh::install();
    let (app, finish) = frames::application();
    let app = app.to_string();
    let _slow = Proxy::start(&mesh, "slow", 1, &["--app", &app, "--protocol", "http2"]);
    let web = ["--drain", "60s"];
    let older = Proxy::start(&mesh, "web", 1, &web);
    let mut connection = frames::Connection::open(older.address("outbound"), "slow");
    connection.until_data();
    let newer = Proxy::start(&mesh, "web", 2, &[&web[..], &["--take-over"]].concat());
    let said = connection.until_goaways(2);
    assert_eq!(said, [0x7fff_ffff, 1], "the largest there is, then the last that is served");
    finish.add_permits(1);
    assert_eq!(connection.rest(), b"the end", "the stream is whole");
    older.ends();
    drop(newer);
}

#[test]
fn a_newer_process_that_never_gets_ready_leaves_the_older_one_serving() {
    let mesh = Mesh::install();
    let app = application().to_string();
    let _reviews = Proxy::start(&mesh, "reviews", 1, &["--app", &app]);
    let log = "info,meshctl::proxy::control=debug";
    let mut web = Proxy::start(&mesh, "web", 1, &["--log", log]);
    let load = Load::keep_alive(web.address("outbound"));
    load.goes_on();
    let control_plane = Pid::from_raw(mesh.pid()).expect("it runs");
    let (mut killed, mut left) = (None, None);
    for how in [Signal::KILL, Signal::TERM] {
        // It cannot register, and so does not get ready.
        kill_process(control_plane, Signal::STOP).expect("signalled");
        let (newer, _lines) = begin(&mesh, &["--service", "web", "--take-over"]);
        web.says("a newer process asks for the place of this one");
        load.goes_on();
        signal(&newer.0, how);
        web.says("this one goes on");
        load.goes_on();
        kill_process(control_plane, Signal::CONT).expect("signalled");
        web.says("registered");
        eventually("it is the proxy again", || is_synced(&mesh, "web"));
        *(if how == Signal::KILL { &mut killed } else { &mut left }) = Some(newer);
    }
    assert!(web.runs());
    load.goes_on();
    let newer = Proxy::start(&mesh, "web", 2, &["--take-over"]);
    load.goes_on();
    web.ends();
    load.end();
    drop((newer, killed, left));
}

#[test]
fn whose_place_is_not_to_be_had_is_said_with_what_to_do() {
    let mesh = Mesh::install();
    let refused = |words: &str| {
        let run = mesh.run(&format!("proxy run {words}"));
        assert_eq!((run.code, run.stdout.as_str()), (1, ""), "{run:?}");
        run.stderr
    };
    let stderr = refused("--service web --take-over");
    assert!(stderr.contains("no proxy of `default/web` runs"), "{stderr}");
    assert!(stderr.contains("`--take-over=if-running`"), "{stderr}");

    let first = Proxy::start(&mesh, "web", 1, &["--take-over=if-running"]);
    let outbound = first.address("outbound");
    let stderr = refused(&format!("--service web --outbound {outbound}"));
    let pid = first.process.0.id();
    assert!(stderr.contains(&format!("the port is in use by `meshctl` (pid {pid})")), "{stderr}");
    assert!(stderr.contains("`default/web-0` runs already; `--take-over`"), "{stderr}");
    let stderr = refused("--service web --name web-0");
    assert!(stderr.contains("`default/web-0` runs already; `--take-over`"), "{stderr}");

    let second = Proxy::start(&mesh, "web", 2, &[]);
    let stderr = refused("--service web --take-over");
    let both = "several proxies could be meant: `default/web-0`, `default/web-1`";
    assert!(stderr.contains(both) && stderr.contains("help: say with `--name`"), "{stderr}");

    let wrapping = Proxy::start(&mesh, "app", 1, &["--", "sleep", "60"]);
    let stderr = refused("--service app --take-over");
    assert!(stderr.contains("it runs its application, `sleep`, which would end"), "{stderr}");
    for mut proxy in [first, second, wrapping] {
        assert!(proxy.runs(), "nobody was ended by mistake");
    }
}
