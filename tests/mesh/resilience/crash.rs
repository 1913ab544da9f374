//! An endpoint that is killed: a process of its own, which gets SIGKILL.

use std::net::{SocketAddr, TcpListener};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use super::Traffic;
use crate::support::{Answer, Conn, DEADLINE, Mesh, Origin, eventually, ok};

/// A sidecar of the service `app`, as a process; killed with the value.
pub(super) struct Sidecar {
    child: Child,
    pub(super) inbound: SocketAddr,
}

impl Sidecar {
    fn start(mesh: &Mesh, number: usize, app: &Origin) -> Self {
        let home = mesh.home();
        let file = home.dir().join(format!("app-{number}.ready"));
        let mut command = Command::new(env!("CARGO_BIN_EXE_meshctl"));
        command.arg("--home").arg(home.dir()).args(["proxy", "run", "--service", "app"]);
        command.args(["--name", &format!("app-{number}"), "--protocol", "http"]);
        command.args(["--app", &app.address().to_string()]).arg("--ready-file").arg(&file);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let child = command.spawn().expect("the binary was built");
        let mut sidecar = Self { child, inbound: ([127, 0, 0, 1], 0).into() };
        let ready = eventually("the sidecar is ready", || std::fs::read(&file).ok());
        let ready: serde_json::Value = serde_json::from_slice(&ready).expect("JSON");
        let inbound = ready["inbound"].as_str().expect("it serves");
        sidecar.inbound = inbound.parse().expect("an address");
        sidecar
    }

    pub(super) fn kill(&mut self) {
        self.child.kill().expect("it runs");
        self.child.wait().expect("it is our child");
    }
}

impl Drop for Sidecar {
    fn drop(&mut self) {
        // It may have been killed.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// `web`, which calls `app`, of which there are three.
pub(super) fn three(apps: &[Origin; 3], rules: &str) -> (Mesh, Vec<Sidecar>) {
    let mesh = Mesh::new().caller("web").rules(rules).start();
    let start = |(number, app)| Sidecar::start(&mesh, number, app);
    let sidecars = apps.iter().enumerate().map(start).collect();
    eventually("three endpoints", || {
        (mesh.service("app")?["endpoints"]["ready"] == 3).then_some(())
    });
    assert_eq!(mesh.call("web").get("app", "/").status, 200);
    (mesh, sidecars)
}

/// Three applications that keep `/hold` until they are told to go on.
struct Holding {
    apps: [Origin; 3],
    asked: Receiver<usize>,
    go: std::sync::mpsc::Sender<()>,
}

impl Holding {
    fn new() -> Self {
        let (told, asked) = channel();
        let (go, may) = channel::<()>();
        let may = Arc::new(Mutex::new(may));
        let app = |number: usize| {
            let (told, may) = (told.clone(), Arc::clone(&may));
            Origin::http(move |request| {
                if request.path() == "/hold" {
                    let _ = told.send(number);
                    // The end of the sender says it to all of them.
                    let _ = may.lock().expect("no panic while held").recv();
                }
                ok("done")
            })
        };
        Self { apps: [0, 1, 2].map(app), asked, go }
    }
}

/// Nine requests are in flight when the first of three is killed. How many of them were there, and
/// what came of all of them; others that come after go through in any case.
fn kill_one_of_three(rules: &str) -> (usize, Vec<Answer>) {
    let holding = Holding::new();
    let (mesh, mut sidecars) = three(&holding.apps, rules);
    let held = |_| {
        let mut conn = mesh.call("web");
        conn.send("GET /hold HTTP/1.1\r\nhost: app\r\n\r\n");
        conn
    };
    let mut conns: Vec<Conn> = (0..9).map(held).collect();
    let arrived = |_| holding.asked.recv_timeout(DEADLINE).expect("it arrives");
    let there = (0..9).map(arrived).filter(|number| *number == 0).count();
    assert!(there > 0, "none of nine went to the one that is killed");
    sidecars[0].kill();
    let mut conn = mesh.call("web");
    for turn in 0..30 {
        let answer = conn.get("app", "/");
        assert_eq!(answer.status, 200, "turn {turn}: {}", answer.head);
    }
    drop(holding.go);
    (there, conns.iter_mut().map(Conn::answer).collect())
}

#[test]
fn an_endpoint_that_is_killed_takes_along_what_was_in_flight_there_and_nothing_else() {
    let (there, answers) = kill_one_of_three("");
    let failed: Vec<_> = answers.iter().filter(|it| it.status != 200).collect();
    // One that went out on a connection kept from before is repeated: it may have been closed.
    assert!(failed.len() <= there, "{} of nine failed, of which {there} were there", failed.len());
    for answer in failed {
        assert_eq!((answer.status, answer.reason().as_str()), (502, "upstream_reset"));
    }
}

#[test]
fn with_retries_an_endpoint_that_is_killed_costs_no_idempotent_request() {
    let (_, answers) = kill_one_of_three(
        "
apiVersion: meshctl.dev/v1alpha1
kind: TrafficPolicy
metadata: {name: app}
spec:
  targetRefs: [{kind: Service, name: app}]
  retry: {attempts: 2, on: [connect-failure, reset], budget: {percent: 100, minPerSecond: 10}}
",
    );
    for answer in answers {
        assert_eq!(answer.status, 200, "{}", answer.head);
    }
}

/// Accepts and closes at once; when it did.
fn closes(listener: TcpListener) -> Arc<Mutex<Vec<Instant>>> {
    let times = Arc::new(Mutex::new(Vec::new()));
    let kept = Arc::clone(&times);
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            drop(stream);
            kept.lock().expect("no panic while held").push(Instant::now());
        }
    });
    times
}

#[test]
fn an_endpoint_that_is_killed_is_out_within_a_second_and_rarely_asked_after() {
    let apps = [(); 3].map(|()| Origin::saying("here"));
    let (mesh, mut sidecars) = three(
        &apps,
        "
apiVersion: meshctl.dev/v1alpha1
kind: TrafficPolicy
metadata: {name: app}
spec:
  targetRefs: [{kind: Service, name: app}]
  outlierDetection:
    {consecutiveErrors: 1, interval: 1s, baseEjectionTime: 1s, maxEjectionPercent: 50}
",
    );
    sidecars[0].kill();
    // What dials it now is seen, and gets no further than with a dead one.
    let listener = TcpListener::bind(sidecars[0].inbound).expect("it is free again");
    let dialled = closes(listener);
    let begun = Instant::now();
    let traffic = Traffic::start(&mesh);
    while begun.elapsed() < Duration::from_secs(5) {
        traffic.goes_on(20);
    }
    traffic.none_failed();
    let times = dialled.lock().expect("no panic while held").clone();
    assert!(!times.is_empty(), "it was never tried");
    for second in 1..5 {
        let [from, to] = [second, second + 1].map(Duration::from_secs);
        let asked = times.iter().filter(|&&at| (from..to).contains(&(at - begun))).count();
        assert!(asked <= 1, "asked {asked} times in second {second}: {times:?}");
    }
}
