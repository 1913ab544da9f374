//! One proxy on a thread of its own, which is its control thread; it ends with the value.

use std::net::SocketAddr;
use std::thread::JoinHandle;

use meshctl::proxy::ready::Ready;
use meshctl::proxy::run::{Config, Hands, Process, RunError, Signal, SignalKind, serve};
use serde_json::Value;
use tokio::sync::{mpsc, oneshot};

use super::{Answer, Conn};

/// One that is ready.
pub(crate) struct Proxy {
    config: Config,
    signals: mpsc::Sender<Signal>,
    thread: Option<JoinHandle<Result<u8, RunError>>>,
    ready: Ready,
}

/// One that is not ready yet.
pub(crate) struct Starting {
    config: Config,
    signals: mpsc::Sender<Signal>,
    thread: JoinHandle<Result<u8, RunError>>,
    ready: oneshot::Receiver<Ready>,
}

impl Starting {
    /// Starts one.
    pub(crate) fn new(config: Config) -> Self {
        config.check().expect("a sound configuration");
        let (signals, receiver) = mpsc::channel(4);
        let (told, ready) = oneshot::channel();
        let given = config.clone();
        let thread = std::thread::spawn(move || {
            let process = Process {
                config: given,
                log: None,
                raised: None,
                signals: receiver,
                ready: told,
                hands: Hands::default(),
            };
            let mut runtime = tokio::runtime::Builder::new_current_thread();
            runtime.enable_all().build().expect("a runtime").block_on(serve(process))
        });
        Self { config, signals, thread, ready }
    }

    /// Waits until it is ready.
    #[track_caller]
    pub(crate) fn ready(self) -> Proxy {
        let Self { config, signals, thread, ready } = self;
        match ready.blocking_recv() {
            Ok(ready) => Proxy { config, signals, thread: Some(thread), ready },
            Err(_) => panic!("the proxy did not become ready: {:?}", thread.join()),
        }
    }
}

impl Proxy {
    /// What it said when it was ready.
    pub(crate) fn addresses(&self) -> &Ready {
        &self.ready
    }

    /// The name, `namespace/name`.
    pub(crate) fn name(&self) -> String {
        format!("{}/{}", self.ready.namespace, self.ready.proxy)
    }

    /// The service that it registered under.
    pub(crate) fn config(&self) -> &Config {
        &self.config
    }

    /// A connection of its application.
    #[track_caller]
    pub(crate) fn call(&self) -> Conn {
        Conn::connect(self.ready.outbound)
    }

    /// What its admin server says.
    #[track_caller]
    pub(crate) fn ask(&self, path: &str) -> Answer {
        let admin: SocketAddr = self.ready.admin.parse().expect("the tests use TCP");
        Conn::connect(admin).get(&admin.to_string(), path)
    }

    /// The configuration in use.
    #[track_caller]
    pub(crate) fn view(&self) -> Value {
        serde_json::from_slice(&self.ask("/config").body).expect("JSON")
    }

    /// Whether it has a service with endpoints.
    pub(crate) fn knows(&self, service: &str) -> Option<()> {
        let view = self.view();
        let resources = view["resources"].as_array()?;
        let cluster = |it: &&Value| it["kind"] == "Cluster" && it["name"] == service;
        let endpoints = &resources.iter().find(cluster)?["resource"]["endpoints"];
        let loaded = view["services"].as_array()?.iter().any(|name| name == service);
        (loaded && !endpoints.as_array()?.is_empty()).then_some(())
    }

    /// Tells it to end, as SIGTERM does, and does not wait.
    pub(crate) fn terminate(&self) {
        // It may have ended by itself.
        let _ = self.signals.blocking_send(Signal(SignalKind::Terminate));
    }

    /// Tells it to end and waits for its exit code.
    #[track_caller]
    pub(crate) fn end(mut self) -> u8 {
        self.terminate();
        let thread = self.thread.take().expect("it is joined once");
        thread.join().expect("no panic").expect("no error")
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        // Twice: the second time nothing is waited for.
        for _ in 0..2 {
            let _ = self.signals.try_send(Signal(SignalKind::Terminate));
        }
        let Some(thread) = self.thread.take() else { return };
        let ended = thread.join();
        if !std::thread::panicking() {
            ended.expect("the proxy does not panic").expect("the proxy does not fail");
        }
    }
}
