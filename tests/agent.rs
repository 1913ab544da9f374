//! The control side of proxies against a real control plane in the same process: joining, ready
//! file, admin server, registration, last good configuration, the wrapped application.
//!
//! Each proxy runs on a thread of its own, as it does in life; nothing waits without a deadline.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::num::NonZeroUsize;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use meshctl::control::{ControlPlaneConfig, run as run_control_plane};
use meshctl::names::Protocol;
use meshctl::proxy::ready::Ready;
use meshctl::proxy::run::{
    AdminAddress, Config, DRAIN, Hands, Process, RunError, Signal, SignalKind, Upstream, serve,
};
use serde_json::Value;
use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;

mod addresses;
mod late;
mod ports;

/// Nothing in here takes longer, on a busy machine either.
const DEADLINE: Duration = Duration::from_secs(30);

struct ControlPlane {
    stop: CancellationToken,
    thread: Option<JoinHandle<()>>,
}

impl ControlPlane {
    fn start(home: &Path) -> Self {
        let stop = CancellationToken::new();
        let config = ControlPlaneConfig { home: home.to_owned(), listen: None, trust_domain: None };
        let token = stop.clone();
        let thread = std::thread::spawn(move || {
            let runtime = tokio::runtime::Runtime::new().expect("a runtime");
            runtime.block_on(run_control_plane(config, token)).expect("it runs");
        });
        let file = home.join("control-plane.json");
        eventually("the control plane serves", || {
            assert!(!thread.is_finished(), "the control plane ended");
            file.exists().then_some(())
        });
        Self { stop, thread: Some(thread) }
    }
}

impl Drop for ControlPlane {
    fn drop(&mut self) {
        self.stop.cancel();
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

struct Proxy {
    signals: mpsc::Sender<Signal>,
    thread: JoinHandle<Result<u8, RunError>>,
    ready: Option<Ready>,
}

impl Proxy {
    /// Starts one and waits until it is ready or has ended.
    fn start(config: Config) -> Self {
        config.check().expect("the configuration can be run");
        let (signals, receiver) = mpsc::channel(4);
        let (told, ready) = oneshot::channel();
        let thread = std::thread::spawn(move || {
            let process = Process {
                config,
                log: None,
                raised: None,
                signals: receiver,
                ready: told,
                hands: Hands::default(),
            };
            let mut runtime = tokio::runtime::Builder::new_current_thread();
            runtime.enable_all().build().expect("a runtime").block_on(serve(process))
        });
        let ready = ready.blocking_recv().ok();
        Self { signals, thread, ready }
    }

    fn ready(&self) -> &Ready {
        self.ready.as_ref().expect("the proxy became ready")
    }

    fn end(self) -> Result<u8, RunError> {
        let _ = self.signals.blocking_send(Signal(SignalKind::Terminate));
        self.thread.join().expect("the proxy does not panic")
    }

    fn get(&self, path: &str) -> (u16, String) {
        let admin: SocketAddr = self.ready().admin.parse().expect("an address");
        get(admin, path, &admin.to_string())
    }

    fn config(&self) -> Value {
        serde_json::from_str(&self.get("/config").1).expect("JSON")
    }
}

fn get(admin: SocketAddr, path: &str, host: &str) -> (u16, String) {
    let mut stream = TcpStream::connect(admin).expect("the admin server listens");
    stream.set_read_timeout(Some(DEADLINE)).expect("a timeout");
    write!(stream, "GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n")
        .expect("sent");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("an answer");
    let status = answer.split(' ').nth(1).and_then(|status| status.parse().ok());
    let body = answer.split_once("\r\n\r\n").map(|(_, body)| body.to_owned());
    (status.expect("a status"), body.unwrap_or_default())
}

/// One call of the control plane's admin API.
fn admin(home: &Path, method: &str, path: &str, body: &str) -> Value {
    let mut stream = UnixStream::connect(home.join("admin.sock")).expect("the API listens");
    stream.set_read_timeout(Some(DEADLINE)).expect("a timeout");
    let length = body.len();
    write!(
        stream,
        "{method} {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n\
         Content-Length: {length}\r\nConnection: close\r\n\r\n{body}"
    )
    .expect("sent");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("an answer");
    let (_, body) = answer.split_once("\r\n\r\n").expect("a head");
    serde_json::from_str(body).unwrap_or_else(|error| panic!("{error}: {answer}"))
}

fn eventually<T>(what: &str, mut check: impl FnMut() -> Option<T>) -> T {
    let began = Instant::now();
    loop {
        if let Some(found) = check() {
            return found;
        }
        assert!(began.elapsed() < DEADLINE, "not in time: {what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

fn home() -> tempfile::TempDir {
    use std::os::unix::fs::PermissionsExt;
    let private = std::fs::Permissions::from_mode(0o700);
    tempfile::Builder::new()
        .prefix("meshctl-agent-")
        .permissions(private)
        .tempdir()
        .expect("a directory")
}

fn config(home: &Path, service: &str) -> Config {
    let loopback: SocketAddr = "127.0.0.1:0".parse().expect("an address");
    Config {
        home: home.to_owned(),
        token: None,
        service: format!("default/{service}").parse().expect("a name"),
        version: None,
        name: None,
        service_account: service.parse().expect("a name"),
        labels: Default::default(),
        app: None,
        // Nothing listens there, and nothing is called.
        app_wait: Duration::ZERO,
        protocol: Protocol::Http,
        service_port: None,
        advertise: None,
        inbound: loopback,
        outbound: loopback,
        admin: AdminAddress::Tcp(loopback),
        captured: Default::default(),
        probes: None,
        upstreams: Vec::new(),
        workers: NonZeroUsize::MIN,
        memory_limit: None,
        ready_file: None,
        drain: DRAIN.min(Duration::from_secs(2)),
        command: Vec::new(),
    }
}

fn serving(home: &Path, service: &str) -> Config {
    Config { app: Some("127.0.0.1:9".parse().expect("an address")), ..config(home, service) }
}

fn calling(home: &Path, service: &str, callee: &str) -> Config {
    let service_called = format!("default/{callee}").parse().expect("a name");
    let upstream = Upstream { service: service_called, port: 80, local_port: 0 };
    Config { upstreams: vec![upstream], ..config(home, service) }
}

fn proxy_directory(home: &Path, name: &str) -> PathBuf {
    home.join("proxies/default").join(name)
}

#[test]
fn a_proxy_joins_serves_and_leaves() {
    let home = home();
    let _control_plane = ControlPlane::start(home.path());
    let file = home.path().join("ready.json");
    let proxy =
        Proxy::start(Config { ready_file: Some(file.clone()), ..serving(home.path(), "web") });
    let ready = proxy.ready().clone();
    let said: Value = serde_json::from_slice(&std::fs::read(&file).unwrap()).unwrap();
    assert_eq!(said["proxy"], "web-0");
    assert_eq!(said["identity"], "spiffe://cluster.local/ns/default/sa/web");
    assert_eq!(said["inbound"], ready.inbound.to_string());
    assert_eq!(proxy.get("/ready"), (200, "ready\n".into()));
    assert_eq!(get(ready.admin.parse().unwrap(), "/config", "evil.example").0, 403);
    let config = proxy.config();
    let kinds: Vec<_> = config["resources"].as_array().unwrap().iter().collect();
    assert!(kinds.iter().any(|one| one["name"] == "default/web-0"), "{config}");
    assert_eq!(config["status"]["lastGood"], false);
    assert_eq!(proxy.get("/stats").0, 200);
    assert!(proxy.get("/metrics").1.ends_with("# EOF\n"));
    assert_eq!(proxy.end().unwrap(), 0);
    assert!(!file.exists(), "the ready file goes with the proxy");
}

#[test]
fn names_are_the_lowest_free_and_ports_are_kept() {
    let home = home();
    let _control_plane = ControlPlane::start(home.path());
    let first = Proxy::start(serving(home.path(), "web"));
    let second = Proxy::start(serving(home.path(), "web"));
    assert_eq!((&*first.ready().proxy, &*second.ready().proxy), ("web-0", "web-1"));
    let before = first.ready().clone();
    first.end().unwrap();
    let again = Proxy::start(serving(home.path(), "web"));
    assert_eq!(*again.ready(), before);
    let name = Some("web-1".parse().unwrap());
    let taken = Proxy::start(Config { name, ..serving(home.path(), "web") });
    let error = taken.end().unwrap_err().to_string();
    assert!(error.contains("`default/web-1` runs already"), "{error}");
    second.end().unwrap();
    again.end().unwrap();
}

#[test]
fn a_service_that_is_called_is_loaded_with_its_cluster_and_survives_the_control_plane() {
    let home = home();
    let control_plane = ControlPlane::start(home.path());
    let ratings = Proxy::start(serving(home.path(), "ratings"));
    let web = Proxy::start(calling(home.path(), "web", "ratings"));
    let endpoints = |proxy: &Proxy| {
        let config = proxy.config();
        let cluster = config["resources"]
            .as_array()?
            .iter()
            .find(|one| one["kind"] == "Cluster" && one["name"] == "default/ratings")?
            .clone();
        let endpoints = cluster["resource"]["endpoints"].as_array()?.len();
        let loaded = config["services"].as_array()?.iter().any(|one| one == "default/ratings");
        (loaded && endpoints == 1).then_some(())
    };
    eventually("ratings is loaded", || endpoints(&web));
    drop(control_plane);
    eventually("the loss is noticed", || {
        (web.config()["status"]["connected"] == false).then_some(())
    });
    endpoints(&web).expect("what is known stays");
    assert_eq!(web.end().unwrap(), 0);
    // The whole mesh's control plane is away: what was good last is good.
    let web = Proxy::start(calling(home.path(), "web", "ratings"));
    endpoints(&web).expect("ready means that the last good configuration is in use");
    assert_eq!(web.config()["status"]["lastGood"], true);
    let control_plane = ControlPlane::start(home.path());
    eventually("it is synced again", || {
        let status = &web.config()["status"];
        (status["connected"] == true && status["lastGood"] == false).then_some(())
    });
    web.end().unwrap();
    ratings.end().unwrap();
    drop(control_plane);
}

#[test]
fn a_damaged_last_good_configuration_is_not_used() {
    let home = home();
    let _control_plane = ControlPlane::start(home.path());
    let web = Proxy::start(calling(home.path(), "web", "nobody"));
    web.end().unwrap();
    let path = proxy_directory(home.path(), "web-0").join("last-good");
    let mut content = std::fs::read(&path).unwrap();
    *content.last_mut().unwrap() ^= 1;
    std::fs::write(&path, content).unwrap();
    let web = Proxy::start(calling(home.path(), "web", "nobody"));
    assert_eq!(web.get("/ready").0, 200);
    assert_eq!(web.config()["status"]["lastGood"], false);
    web.end().unwrap();
}

#[test]
fn a_wrapped_application_gets_the_way_into_the_mesh_and_gives_the_exit_code() {
    let home = home();
    let _control_plane = ControlPlane::start(home.path());
    let told = home.path().join("told");
    let script = format!("printf %s \"$http_proxy\" > {}; exit 7", told.display());
    let command = ["sh", "-c", &script].map(Into::into).to_vec();
    let web = Proxy::start(Config { command, ..config(home.path(), "web") });
    let outbound = web.ready().outbound;
    assert_eq!(web.thread.join().unwrap().unwrap(), 7);
    assert_eq!(std::fs::read_to_string(told).unwrap(), format!("http://{outbound}"));
}

#[test]
fn a_signal_reaches_the_wrapped_application_and_its_answer_is_the_exit_code() {
    let home = home();
    let _control_plane = ControlPlane::start(home.path());
    let up = home.path().join("up");
    let script =
        format!("trap 'exit 9' TERM; touch {}; while :; do sleep 0.05; done", up.display());
    let command = ["sh", "-c", &script].map(Into::into).to_vec();
    let web = Proxy::start(Config { command, ..config(home.path(), "web") });
    eventually("the application runs", || up.exists().then_some(()));
    assert_eq!(web.end().unwrap(), 9);
}

#[test]
fn without_a_control_plane_a_first_start_says_so() {
    let home = home();
    let web = Proxy::start(config(home.path(), "web"));
    assert!(web.ready.is_none());
    let error = web.thread.join().unwrap().unwrap_err();
    assert!(matches!(error, RunError::Join(_)), "{error}");
}

#[test]
fn rotation_puts_a_new_certificate_into_use_without_a_restart() {
    let home = home();
    let _control_plane = ControlPlane::start(home.path());
    let web = Proxy::start(serving(home.path(), "web"));
    let serial = |proxy: &Proxy| proxy.config()["certificate"]["serial"].clone();
    let before = serial(&web);
    let result = admin(home.path(), "POST", "/v1/rotate", r#"{"workloads": ["default/web-0"]}"#);
    let rotated = &result["workloads"][0];
    assert_eq!(rotated["error"], "", "{result}");
    let now = serial(&web);
    assert_ne!(now, before);
    assert_eq!(rotated["serial"], now, "{result}");
    assert_eq!(web.config()["status"]["connected"], true);
    web.end().unwrap();
    // The new one is what a restart begins with.
    let again = Proxy::start(serving(home.path(), "web"));
    assert_eq!(serial(&again), now);
    again.end().unwrap();
}

#[test]
fn the_control_plane_knows_how_a_proxy_is() {
    let home = home();
    let _control_plane = ControlPlane::start(home.path());
    let web = Proxy::start(serving(home.path(), "web"));
    let (proxy, whole) = eventually("it is synced and ready", || {
        let status = admin(home.path(), "GET", "/v1/status", "");
        let proxy = status["proxies"].as_array()?.iter().find(|one| one["name"] == "web-0")?;
        let done = proxy["state"] == "Synced" && status["services"][0]["endpoints"]["ready"] == 1;
        done.then(|| (proxy.clone(), status.clone()))
    });
    assert_eq!(proxy["identity"], "spiffe://cluster.local/ns/default/sa/web");
    assert!(proxy["certificateExpires"].is_string(), "{proxy}");
    assert_eq!(whole["services"][0]["name"], "web");
    web.end().unwrap();
    let ready = |status: &Value| status["services"][0]["endpoints"]["ready"] == 1;
    eventually("the endpoint goes with the proxy", || {
        (!ready(&admin(home.path(), "GET", "/v1/status", ""))).then_some(())
    });
}
