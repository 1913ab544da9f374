//! A control plane on a thread and a runtime of its own, so that it can end as one does that is
//! stopped, and as one does that is killed.

use std::path::{Path, PathBuf};
use std::thread::JoinHandle;

use meshctl::control::home::Home;
use meshctl::control::{ControlPlaneConfig, run};
use tokio_util::sync::CancellationToken;

use super::eventually;

/// One that runs.
pub(crate) struct ControlPlane {
    stop: CancellationToken,
    kill: CancellationToken,
    thread: Option<JoinHandle<()>>,
}

impl ControlPlane {
    /// Starts one and waits until it serves.
    pub(crate) fn start(home: &Path) -> Self {
        let home = home.to_owned();
        // One that was killed has left its files behind.
        Home::new(home.clone()).clear_running();
        let (stop, kill) = (CancellationToken::new(), CancellationToken::new());
        let tokens = (stop.clone(), kill.clone());
        let thread = std::thread::spawn({
            let home = home.clone();
            move || live(home, &tokens.0, &tokens.1)
        });
        let home = Home::new(home);
        eventually("the control plane serves", || {
            assert!(!thread.is_finished(), "the control plane ended");
            home.read_running()
        });
        Self { stop, kill, thread: Some(thread) }
    }

    /// Ends it in order.
    pub(crate) fn stop(mut self) {
        self.stop.cancel();
        self.join();
    }

    /// Ends it from one moment to the next: nobody is told, no file is tidied up.
    pub(crate) fn kill(mut self) {
        self.kill.cancel();
        self.join();
    }

    fn join(&mut self) {
        let Some(thread) = self.thread.take() else { return };
        let ended = thread.join();
        if !std::thread::panicking() {
            ended.expect("the control plane does not panic");
        }
    }
}

impl Drop for ControlPlane {
    fn drop(&mut self) {
        self.kill.cancel();
        self.join();
    }
}

fn live(home: PathBuf, stop: &CancellationToken, kill: &CancellationToken) {
    let mut runtime = tokio::runtime::Builder::new_multi_thread();
    let runtime = runtime.worker_threads(1).enable_all().build().expect("a runtime");
    let config = ControlPlaneConfig { home, listen: None, trust_domain: None };
    runtime.block_on(async {
        tokio::select! {
            ended = run(config, stop.clone()) => ended.expect("the control plane runs"),
            () = kill.cancelled() => {}
        }
    });
    runtime.shutdown_background();
}
