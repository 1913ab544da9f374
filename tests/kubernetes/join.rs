//! Joining by a service-account token: a sidecar outside the cluster, with the token of a pod that
//! never runs, and a control plane outside, which shares authority and rules with the one inside.

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::time::Duration;

use meshctl::net::ports::listen_quietly;

use super::support::{Mesh, Namespace, SYSTEM};

/// How long a program may take to say what it is waited for.
const PATIENCE: Duration = Duration::from_secs(60);

const PODS: &str = r#"
apiVersion: v1
kind: Pod
metadata: {name: web-0, annotations: {meshctl.dev/injected: test}}
spec:
  schedulingGates: [{name: meshctl.dev/never}]
  serviceAccountName: default
  containers: [{name: web, image: APPLICATIONS}, {name: meshctl-proxy, image: IMAGE}]
"#;

/// A program that runs, and what it writes on its standard error.
struct Program {
    child: Child,
    lines: Receiver<String>,
}

impl Program {
    fn start(words: &[&str], home: &Path) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_meshctl"));
        command.env_clear().args(words).env("MESHCTL_HOME", home);
        for name in ["KUBECONFIG", "PATH"] {
            command.env(name, std::env::var_os(name).unwrap_or_default());
        }
        let command = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
        let mut child = command.spawn().expect("it starts");
        let lines = BufReader::new(child.stderr.take().expect("piped")).lines();
        let (sender, received) = mpsc::channel();
        std::thread::spawn(move || {
            for line in lines.map_while(Result::ok) {
                // Nobody may be listening any more.
                let _ = sender.send(line);
            }
        });
        Self { child, lines: received }
    }

    /// Waits for a line with these words in it.
    #[track_caller]
    fn says(&self, words: &str) -> String {
        let mut before = Vec::new();
        loop {
            match self.lines.recv_timeout(PATIENCE) {
                Ok(line) if line.contains(words) => return line,
                Ok(line) => before.push(line),
                Err(why) => panic!("`{words}` was not said ({why}):\n{}", before.join("\n")),
            }
        }
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Addresses for one control plane.
fn addresses() -> [String; 4] {
    // Held together, so that they differ.
    let held = [(); 4].map(|()| listen_quietly().expect("a port"));
    held.map(|listener| listener.local_addr().expect("bound").to_string())
}

fn control_plane(at: &[String; 4], home: &Path) -> Program {
    let [proxies, api, webhook, metrics] = at.each_ref().map(String::as_str);
    let words = ["control-plane", "run", "--platform", "kubernetes", "--namespace", SYSTEM];
    let listen = ["--image", "unused", "--listen", proxies, "--listen-api", api];
    let more = ["--listen-webhook", webhook, "--listen-metrics", metrics];
    Program::start(&[&words[..], &listen, &more].concat(), home)
}

fn token(shop: &Namespace<'_>, more: &[&str]) -> String {
    let words = ["create", "token", "default"];
    shop.kubectl(&[&words[..], more].concat()).ok()
}

fn proxy(shop: &Namespace<'_>, name: &str, at: &str, token: &str, dir: &Path) -> Program {
    let (token_file, roots_file) = (dir.join("token"), dir.join("root.pem"));
    fs::write(&token_file, token).expect("written");
    let root = ["get", "configmap", "meshctl-root", "--output=jsonpath={.data.root\\.pem}"];
    fs::write(&roots_file, shop.kubectl(&root).ok()).expect("written");
    let [token_file, roots_file] = [token_file, roots_file].map(|it| it.display().to_string());
    let url = format!("https://{at}");
    let who = ["--service", "web", "--namespace", &shop.name, "--name", name];
    let how = ["--control-plane", &url, "--token-file", &token_file, "--roots-file", &roots_file];
    let account = ["--service-account", "default"];
    let words = [&["proxy", "run"], &who[..], &account, &how].concat();
    Program::start(&words, &dir.join("home"))
}

#[test]
#[ignore = "needs a cluster: .ci/kubernetes makes one"]
fn a_pod_waits_for_the_control_plane_and_joins_by_its_token() {
    let mesh = Mesh::shared();
    let shop = mesh.cluster.namespace("join");
    shop.wait("create", &["configmap/meshctl-root"]);
    shop.apply(PODS);
    let uid = shop.kubectl(&["get", "pod", "web-0", "--output=jsonpath={.metadata.uid}"]).ok();
    let ours = ["--audience", "meshctl"];
    let bound = ["--bound-object-kind", "Pod", "--bound-object-name", "web-0"];
    let bound = [&bound[..], &["--bound-object-uid", &uid]].concat();
    let (dir, at) = (tempfile::tempdir().expect("a directory"), addresses());
    let own = token(&shop, &[&ours[..], &bound].concat());
    let joining = proxy(&shop, "web-0", &at[0], &own, dir.path());
    joining.says("waiting for the control plane");
    let _control_plane = control_plane(&at, dir.path());
    let ready = joining.says("is ready as");
    let identity = format!("ns/{}/sa/default", shop.name);
    assert!(ready.contains(&identity), "{ready}");

    let wrong = [
        // Of another pod, of no pod, and for the API server.
        ("web-1", own),
        ("web-0", token(&shop, &ours)),
        ("web-0", token(&shop, &bound)),
    ];
    for (name, token) in wrong {
        let dir = tempfile::tempdir().expect("a directory");
        let refused = proxy(&shop, name, &at[0], &token, dir.path());
        let why = refused.says("waiting for the control plane");
        assert!(why.contains("the token does not prove that"), "{why}");
    }
}
