//! What happens to requests when parts of the mesh go, come back or change: nothing.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::JoinHandle;

use crate::support::{Conn, Mesh, Origin, Proxy, eventually};

mod certificates;
mod churn;
mod crash;
mod down;
mod endpoints;
mod retries;
mod soak;
mod storm;

const POST: &str = "POST / HTTP/1.1\r\nhost: app\r\ncontent-length: 2\r\n\r\nhi";

/// Requests that go on until they are told to stop; the application's own connections to its
/// proxy are new now and then, so that both new and kept ones are tried.
pub(super) struct Traffic {
    stop: Arc<AtomicBool>,
    done: Arc<AtomicUsize>,
    thread: Option<JoinHandle<Vec<String>>>,
}

impl Traffic {
    /// From `web` to `app`.
    pub(super) fn start(mesh: &Mesh) -> Self {
        let outbound = mesh.proxy("web").addresses().outbound;
        let (stop, done) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
        let (stopped, count) = (Arc::clone(&stop), Arc::clone(&done));
        let thread = std::thread::spawn(move || {
            let mut failed = Vec::new();
            while !stopped.load(Ordering::SeqCst) {
                let mut conn = Conn::connect(outbound);
                for turn in 0..6 {
                    // Every other one may not be repeated once it was sent.
                    let answer = match turn % 2 {
                        0 => conn.get("app", "/"),
                        _ => conn.ask(POST),
                    };
                    if answer.status != 200 {
                        failed.push(answer.head.clone());
                    }
                    count.fetch_add(1, Ordering::SeqCst);
                    if answer.field("connection").is_some() {
                        break;
                    }
                }
            }
            failed
        });
        let traffic = Self { stop, done, thread: Some(thread) };
        traffic.goes_on(10);
        traffic
    }

    /// Waits for so many more requests.
    #[track_caller]
    pub(super) fn goes_on(&self, more: usize) {
        let until = self.done.load(Ordering::SeqCst) + more;
        eventually("requests go on", || {
            let thread = self.thread.as_ref().expect("it runs");
            let over = self.done.load(Ordering::SeqCst) >= until || thread.is_finished();
            over.then_some(())
        });
    }

    /// Ends it; no request may have failed.
    #[track_caller]
    pub(super) fn none_failed(mut self) {
        self.stop.store(true, Ordering::SeqCst);
        let thread = self.thread.take().expect("it runs");
        let failed = thread.join().expect("no request went without an answer");
        let done = self.done.load(Ordering::SeqCst);
        assert!(failed.is_empty(), "{} of {done} failed: {}", failed.len(), failed.join("\n"));
    }
}

impl Drop for Traffic {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::SeqCst);
    }
}

pub(super) fn with(app: &Origin) -> Mesh {
    Mesh::new().caller("web").service("app", app).start()
}

#[test]
fn a_control_plane_that_stops_or_is_killed_costs_no_request() {
    let app = Origin::saying("here");
    let mut mesh = with(&app);
    let traffic = Traffic::start(&mesh);
    for kill in [false, true] {
        let control_plane = mesh.take_control_plane();
        match kill {
            false => control_plane.stop(),
            true => control_plane.kill(),
        }
        eventually("the proxies notice", || {
            let away = |proxy: &Proxy| proxy.view()["status"]["connected"] == false;
            mesh.proxies().iter().all(away).then_some(())
        });
        traffic.goes_on(200);
        mesh.start_control_plane();
        eventually("the proxies are back", || {
            let status = mesh.read("/v1/status");
            let proxies = status["proxies"].as_array()?;
            let synced = proxies.iter().filter(|it| it["state"] == "Synced").count();
            (synced == 2).then_some(())
        });
        traffic.goes_on(100);
    }
    traffic.none_failed();
}

#[test]
fn rules_that_change_after_the_control_plane_is_back_arrive() {
    let app = Origin::saying("here");
    let mut mesh = with(&app);
    assert_eq!(mesh.call("web").get("app", "/").status, 200);
    mesh.take_control_plane().kill();
    mesh.start_control_plane();
    let gone = "
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: gone}
spec:
  parentRefs: [{group: '', kind: Service, name: app, port: 80}]
  rules: [{backendRefs: [{name: ghost, port: 80}]}]
";
    mesh.apply(gone);
    eventually("the change arrives", || {
        (mesh.call("web").get("app", "/").reason() == "missing_backend").then_some(())
    });
}

#[test]
fn proxies_that_restart_without_the_control_plane_serve_what_they_had() {
    let app = Origin::saying("here");
    let mut mesh = with(&app);
    assert_eq!(mesh.call("web").get("app", "/").status, 200);
    mesh.take_control_plane().kill();
    for name in ["web-0", "app-0"] {
        let proxy = mesh.take(name);
        let before = (proxy.addresses().inbound, proxy.addresses().outbound);
        let config = proxy.config().clone();
        assert_eq!(proxy.end(), 0);
        let again = mesh.start_again(name, config).addresses();
        assert_eq!((again.inbound, again.outbound), before, "the ports are kept");
    }
    let answer = mesh.call("web").get("app", "/");
    assert_eq!((answer.status, answer.text().as_str()), (200, "here"), "{}", answer.head);
    let seen = app.last().field("x-forwarded-client-cert").expect("still with certificates");
    assert!(seen.ends_with("URI=spiffe://cluster.local/ns/default/sa/web"), "{seen}");
    assert_eq!(mesh.proxy("web").view()["status"]["lastGood"], true);
    // What nobody asked for before is not guessed.
    let answer = mesh.call("web").get("unheard-of", "/");
    assert_eq!((answer.status, answer.reason().as_str()), (503, "config_pending"));
}
