//! Endpoints that come and go all the time, in order: one of ten every 100 ms.

use std::collections::{BTreeSet, VecDeque};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use meshctl::proxy::run::Config;
use serde_json::Value;

use super::Traffic;
use crate::support::{Conn, Mesh, Origin, Proxy, Starting, eventually};

const ENDPOINTS: usize = 10;
const EVERY: Duration = Duration::from_millis(100);

/// What a caller knew of the service, and from when on.
type History = Vec<(Instant, BTreeSet<String>)>;

/// Looks at a caller's configuration all the time; what it saw change is kept.
struct Watcher {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<History>,
}

impl Watcher {
    fn start(proxy: &Proxy) -> Self {
        let admin: SocketAddr = proxy.addresses().admin.parse().expect("the tests use TCP");
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let thread = std::thread::spawn(move || {
            let mut history = History::new();
            let mut conn = Conn::connect(admin);
            while !stopped.load(Ordering::SeqCst) {
                let answer = conn.get(&admin.to_string(), "/config");
                let now = Instant::now();
                let known = endpoints(&serde_json::from_slice(&answer.body).expect("JSON"));
                if history.last().is_none_or(|(_, last)| *last != known) {
                    history.push((now, known));
                }
                if answer.field("connection").is_some() {
                    conn = Conn::connect(admin);
                }
                std::thread::sleep(Duration::from_millis(5));
            }
            history
        });
        Self { stop, thread }
    }

    fn end(self) -> History {
        self.stop.store(true, Ordering::SeqCst);
        self.thread.join().expect("the proxy answers")
    }
}

/// The workloads of the service `app` in a proxy's view.
fn endpoints(view: &Value) -> BTreeSet<String> {
    let resources = view["resources"].as_array().into_iter().flatten();
    let cluster = |it: &&Value| it["kind"] == "Cluster" && it["name"] == "default/app";
    let endpoints = resources.filter(cluster).flat_map(|it| it["resource"]["endpoints"].as_array());
    let name = |it: &Value| it["workload"].as_str().expect("a name").to_owned();
    endpoints.flatten().map(name).collect()
}

/// One endpoint that went or came.
struct Change {
    at: Instant,
    name: String,
    comes: bool,
}

impl Change {
    /// How long it took until the caller knew; `None` where it never did.
    fn propagation(&self, history: &History) -> Option<Duration> {
        let known = |(at, known): &&(Instant, BTreeSet<String>)| {
            *at >= self.at && known.contains(&self.name) == self.comes
        };
        let before = history.iter().rev().find(|(at, _)| *at < self.at);
        if before.is_some_and(|(_, known)| known.contains(&self.name) == self.comes) {
            return Some(Duration::ZERO);
        }
        history.iter().find(known).map(|(at, _)| *at - self.at)
    }
}

/// Proxies that are inside, on their way out, out, and on their way in.
struct Churn {
    inside: VecDeque<Proxy>,
    outside: Receiver<(String, Config)>,
    left: Sender<(String, Config)>,
    arriving: Receiver<(Proxy, Instant)>,
    arrived: Sender<(Proxy, Instant)>,
    changes: Vec<Change>,
}

impl Churn {
    fn new(inside: VecDeque<Proxy>) -> Self {
        let ((left, outside), (arrived, arriving)) = (channel(), channel());
        Self { inside, outside, left, arriving, arrived, changes: Vec::new() }
    }

    fn change(&mut self) {
        self.welcome();
        match self.outside.try_recv() {
            Ok((name, config)) => self.add(&name, config),
            // Half of them may be away at most: starting takes as long as it takes.
            Err(_) if self.inside.len() > ENDPOINTS / 2 => self.remove(),
            Err(_) => {}
        }
    }

    fn remove(&mut self) {
        let leaving = self.inside.pop_front().expect("some are inside");
        let name = leaving.addresses().proxy.clone();
        let config = leaving.config().clone();
        self.changes.push(Change { at: Instant::now(), name: name.clone(), comes: false });
        let left = self.left.clone();
        std::thread::spawn(move || {
            // Told once: a second time it would cut what is going on.
            assert_eq!(leaving.end(), 0);
            let _ = left.send((name, config));
        });
    }

    fn add(&mut self, name: &str, config: Config) {
        let arrived = self.arrived.clone();
        let name = Some(name.parse().expect("a name"));
        std::thread::spawn(move || {
            let proxy = Starting::new(Config { name, ..config }).ready();
            let _ = arrived.send((proxy, Instant::now()));
        });
    }

    fn welcome(&mut self) {
        while let Ok((proxy, at)) = self.arriving.try_recv() {
            let name = proxy.addresses().proxy.clone();
            self.changes.push(Change { at, name, comes: true });
            self.inside.push_back(proxy);
        }
    }

    /// Brings all of them back.
    fn settle(&mut self) {
        eventually("all are inside again", || {
            while let Ok((name, config)) = self.outside.try_recv() {
                self.add(&name, config);
            }
            self.welcome();
            (self.inside.len() == ENDPOINTS).then_some(())
        });
    }
}

/// Runs it for so long; no request may fail. How long each change took to reach the caller.
#[track_caller]
pub(super) fn run(length: Duration) -> Vec<Duration> {
    let app = Origin::saying("here");
    let service = |mesh: crate::support::Builder, _| mesh.service("app", &app);
    let mut mesh = (0..ENDPOINTS).fold(Mesh::new().caller("web"), service).start();
    let name = |number| format!("app-{number}");
    let mut churn = Churn::new((0..ENDPOINTS).map(|number| mesh.take(&name(number))).collect());
    let traffic = Traffic::start(&mesh);
    let watcher = Watcher::start(mesh.proxy("web"));
    let begun = Instant::now();
    let mut next = begun;
    while begun.elapsed() < length {
        churn.change();
        next += EVERY;
        std::thread::sleep(next.saturating_duration_since(Instant::now()));
    }
    churn.settle();
    eventually("the caller knows them all", || {
        (endpoints(&mesh.proxy("web").view()).len() == ENDPOINTS).then_some(())
    });
    traffic.goes_on(20);
    traffic.none_failed();
    let history = watcher.end();
    let took = |change: &Change| {
        let what = if change.comes { "came" } else { "went" };
        let took = change.propagation(&history);
        took.unwrap_or_else(|| panic!("nobody noticed that {} {what}", change.name))
    };
    churn.changes.iter().map(took).collect()
}

#[test]
fn endpoints_that_come_and_go_all_the_time_cost_no_request() {
    let changes = run(Duration::from_secs(2));
    assert!(changes.len() >= 8, "only {} changes", changes.len());
}
