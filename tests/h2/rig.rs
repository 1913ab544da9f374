//! A mesh in one process: control plane, one sidecar that calls, sidecars that are called.

use std::net::SocketAddr;
use std::num::NonZeroUsize;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use meshctl::control::{ControlPlaneConfig, run as run_control_plane};
use meshctl::names::Protocol;
use meshctl::proxy::ready::Ready;
use meshctl::proxy::run::{
    APP_WAIT, AdminAddress, Config, Hands, Process, Signal, SignalKind, Upstream, serve,
};
use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;

/// Nothing in here takes longer, on a busy machine either.
pub(super) const DEADLINE: Duration = Duration::from_secs(60);

/// What is called, and what it is declared to speak.
pub(super) type Called = (&'static str, SocketAddr, Protocol);

/// A mesh; everything ends with it.
pub(super) struct Mesh {
    web: Proxy,
    // Dropped in this order: callers, called, control plane, home.
    _called: Vec<Proxy>,
    _control: ControlPlane,
    _home: tempfile::TempDir,
}

impl Mesh {
    /// Starts one sidecar per service, and `web`, which calls them all.
    pub(super) fn start(called: &[Called]) -> Self {
        let private = std::fs::Permissions::from_mode(0o700);
        let home =
            tempfile::Builder::new().prefix("meshctl-h2-").permissions(private).tempdir().unwrap();
        let control = ControlPlane::start(home.path());
        let sidecar = |(service, app, protocol): &Called| {
            let base = config(home.path(), service);
            Proxy::start(Config { app: Some(*app), protocol: *protocol, ..base })
        };
        let called_by_web = |(service, ..): &Called| Upstream {
            service: format!("default/{service}").parse().unwrap(),
            port: 80,
            local_port: 0,
        };
        let sidecars = called.iter().map(sidecar).collect();
        let upstreams = called.iter().map(called_by_web).collect();
        let web = Proxy::start(Config { upstreams, ..config(home.path(), "web") });
        Self { web, _called: sidecars, _control: control, _home: home }
    }

    /// Where `web` calls by authority.
    pub(super) fn outbound(&self) -> SocketAddr {
        self.web.ready.outbound
    }

    /// Tells `web` to end.
    pub(super) fn terminate(&self) {
        self.web.signals.try_send(Signal(SignalKind::Terminate)).unwrap();
    }

    /// Where `web` calls one service.
    pub(super) fn upstream(&self, service: &str) -> SocketAddr {
        self.web.ready.upstreams[&format!("{service}:80")]
    }
}

/// Waits for something that must come.
pub(super) fn eventually<T>(what: &str, mut check: impl FnMut() -> Option<T>) -> T {
    let began = Instant::now();
    loop {
        if let Some(found) = check() {
            return found;
        }
        assert!(began.elapsed() < DEADLINE, "not in time: {what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

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
            let runtime = tokio::runtime::Runtime::new().unwrap();
            runtime.block_on(run_control_plane(config, token)).unwrap();
        });
        let file = home.join("control-plane.json");
        eventually("the control plane serves", || file.exists().then_some(()));
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
    thread: Option<JoinHandle<()>>,
    ready: Ready,
}

impl Proxy {
    fn start(config: Config) -> Self {
        config.check().unwrap();
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
            runtime.enable_all().build().unwrap().block_on(serve(process)).unwrap();
        });
        let ready = ready.blocking_recv().expect("the proxy became ready");
        Self { signals, thread: Some(thread), ready }
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        let _ = self.signals.try_send(Signal(SignalKind::Terminate));
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn config(home: &Path, service: &str) -> Config {
    let loopback: SocketAddr = "127.0.0.1:0".parse().unwrap();
    Config {
        home: home.to_owned(),
        token: None,
        service: format!("default/{service}").parse().unwrap(),
        version: None,
        name: None,
        service_account: service.parse().unwrap(),
        labels: Default::default(),
        app: None,
        app_wait: APP_WAIT,
        protocol: Protocol::Detect,
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
        drain: Duration::from_millis(500),
        command: Vec::new(),
    }
}
