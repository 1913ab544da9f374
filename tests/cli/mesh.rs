//! The commands against a real control plane in the background: installed, used, killed, gone.

use std::path::Path;

use super::binary::meshctl_in;
use super::generated::offered_in;
use super::installed::{Mesh, eventually};

const ROUTE: &str = "\
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: reviews}
spec:
  parentRefs: [{group: \"\", kind: Service, name: reviews, port: 80}]
  rules:
  - backendRefs: [{name: reviews-v1, port: 80, weight: 90}, {name: reviews-v2, port: 80, weight: 10}]
";

fn alive(pid: i32) -> bool {
    Path::new("/proc").join(pid.to_string()).join("exe").exists()
}

#[test]
fn install_is_idempotent_and_uninstall_keeps_the_data() {
    let mesh = Mesh::install();
    let pid = mesh.pid();
    let again = mesh.run("install");
    assert_eq!((again.code, again.stderr.as_str()), (0, ""), "{again:?}");
    assert!(again.stdout.contains("runs already") && again.stdout.contains("nothing changed"));
    assert_eq!(mesh.pid(), pid);
    let other = mesh.run("install --trust-domain other.example");
    assert_eq!(other.code, 1, "{other:?}");
    assert!(other.stderr.contains("trust domain `cluster.local`"), "{other:?}");
    let check = mesh.run("check");
    assert_eq!(check.code, 0, "{check:?}");

    assert_eq!(mesh.feed("apply -f -", ROUTE).code, 0);
    let address = mesh.json("status -o json")["controlPlane"]["address"].clone();
    let stopped = mesh.run("uninstall");
    stopped.is(
        0,
        "control plane stopped\n",
        "stopping the control plane\ndata kept in `DIR/home`; `--purge` deletes it\n",
    );
    assert!(!alive(pid));
    let started = mesh.run("install");
    assert!(started.stdout.starts_with("control plane started, version "), "{started:?}");
    assert_eq!(mesh.json("status -o json")["controlPlane"]["address"], address, "the port is kept");
    mesh.run("get all -o name").is(0, "httproute/reviews\n", "");
}

#[test]
fn a_control_plane_that_is_killed_comes_back_with_its_rules() {
    let mesh = Mesh::install();
    assert_eq!(mesh.feed("apply -f -", ROUTE).code, 0);
    let pid = rustix::process::Pid::from_raw(mesh.pid()).expect("not 0");
    rustix::process::kill_process(pid, rustix::process::Signal::KILL).expect("allowed");
    eventually("another process answers", || {
        mesh.pid() != pid.as_raw_nonzero().get() && mesh.run("status").code == 0
    });
    mesh.run("get httproutes -o name").is(0, "httproute/reviews\n", "");
}

#[test]
fn rules_come_change_and_go() {
    let mesh = Mesh::install();
    let tried = mesh.feed("apply -f - --dry-run=server", ROUTE);
    assert_eq!(tried.stdout, "httproute/reviews created (dry run)\n", "{tried:?}");
    assert!(tried.stderr.contains("there is no service `default/reviews-v1`"), "{tried:?}");
    assert!(tried.stderr.contains("-:7:19"), "at the backend itself: {tried:?}");
    mesh.run("get all -o name").is(0, "", "");
    mesh.run("get all").is(0, "", "no rules found\n");
    let done = mesh.feed("apply -f - --wait", ROUTE);
    assert_eq!((done.code, done.stdout.as_str()), (0, "httproute/reviews created\n"), "{done:?}");
    assert!(done.stderr.ends_with("no proxy subscribes to what changed\n"), "{done:?}");
    let again = mesh.feed("apply -f - -o json", ROUTE);
    let again: serde_json::Value = serde_json::from_str(&again.stdout).expect("JSON");
    assert_eq!(
        (&again["kind"], &again["objects"][0]["action"]),
        (&"ApplyResult".into(), &"unchanged".into())
    );
    let warned: Vec<_> = again["warnings"].as_array().into_iter().flatten().collect();
    let warned: Vec<_> = warned.iter().map(|it| (&it["code"], &it["line"])).collect();
    assert_eq!(warned.get(1), Some(&(&"MC0402".into(), &7.into())), "{again:#}");
    let moved = ROUTE.replace("weight: 90", "weight: 0");
    assert_eq!(mesh.feed("apply -f -", &moved).stdout, "httproute/reviews configured\n");

    let route = mesh.json("get httproute reviews -o json");
    assert_eq!(route["kind"], "HTTPRoute");
    assert_eq!(route["spec"]["rules"][0]["backendRefs"][0]["weight"], 0);
    let first = "/spec/rules/0/matches/0/path/type";
    assert_eq!(route.pointer(first), None, "as it was applied");
    let route = mesh.json("get httproute reviews --resolved -o json");
    assert_eq!(route.pointer(first), Some(&"PathPrefix".into()), "{route:#}");
    assert_eq!(route["metadata"]["generation"], 2);
    assert_eq!(mesh.run("get meshconfig default -o json").code, 1);
    let config = mesh.json("get meshconfig default --resolved -o json");
    assert_eq!(config["spec"]["mtls"], "Strict", "{config:#}");
    mesh.run("get all --resolved -o name").is(0, "httproute/reviews\nmeshconfig/default\n", "");
    let all = mesh.run("get all -A --resolved -o yaml").stdout;
    let again = mesh.feed("apply -f - --dry-run=client -o name", &all);
    assert_eq!(again.stdout, "httproute/reviews\nmeshconfig/default\n", "{again:?}");
    let described = mesh.run("describe httproute/reviews");
    assert_eq!(described.code, 0, "{described:?}");
    assert!(described.stdout.starts_with("HTTPRoute/default/reviews\n"), "{described:?}");
    let described = mesh.json("describe httproute/reviews -o json");
    assert_eq!(described["apiVersion"], "meshctl.dev/v1alpha1");
    assert_eq!(described["kind"], "Description");
    mesh.run("describe httproute reviews -o name").is(0, "httproute/reviews\n", "");

    let offered = |words: &[&str]| offered_in(&mesh.home(), words);
    assert_eq!(offered(&["describe", "httproute", "rev"]), ["reviews"]);
    assert_eq!(offered(&["describe", "httproute", "-n", "other", "rev"]), [""; 0]);
    assert!(offered(&["get", ""]).contains(&"httproute/reviews".to_owned()));

    let gone = mesh.run("delete httproute other --yes");
    assert_eq!(gone.code, 1, "{gone:?}");
    mesh.run("delete httproute other --yes --ignore-not-found").is(0, "", "");
    mesh.run("delete httproute reviews --dry-run=server -o name").is(0, "httproute/reviews\n", "");
    mesh.run("delete httproute reviews --yes").is(0, "httproute/reviews deleted\n", "");
    mesh.run("get httproute reviews").is(
        1,
        "",
        "error: there is no HTTPRoute `reviews` in the namespace `default`\n\
         help: see what there is with `meshctl get httproute -A`\n",
    );
}

#[test]
fn a_warning_is_told_once() {
    let mesh = Mesh::install();
    // Both the command and the control plane find the first; only the latter knows of the second.
    let text = ROUTE.replace("spec:", "spec:\n  hostnames: [shop.example]");
    let run = mesh.feed("apply -f - --dry-run=server", &text);
    for what in ["`hostnames` are ignored", "there is no service `default/reviews-v1`"] {
        assert_eq!(run.stderr.matches(what).count(), 1, "{run:?}");
    }
}

#[test]
fn an_empty_mesh_has_every_shape() {
    let mesh = Mesh::install();
    let status = mesh.json("status -o json");
    assert_eq!(status["kind"], "MeshStatus");
    assert_eq!(status["controlPlane"]["ready"], true);
    assert_eq!(mesh.json("certs list -o json")["kind"], "CertificateList");
    assert_eq!(mesh.json("trace -o json")["kind"], "TraceList");
    assert_eq!(mesh.json("version -o json")["controlPlane"], env!("CARGO_PKG_VERSION"));
    assert!(mesh.run("status").stdout.contains("no proxy has joined yet"));
    mesh.run("certs list").is(0, "", "no proxy has a certificate yet\n");
    mesh.run("certs rotate").is(0, "", "no proxy is connected, there was nothing to renew\n");
    let unknown = mesh.run("proxy config nobody-0");
    assert_eq!((unknown.code, unknown.stdout.as_str()), (1, ""), "{unknown:?}");
}

#[test]
fn a_start_that_fails_shows_why() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = taken.local_addr().expect("an address").to_string();
    let dir = tempfile::tempdir().expect("a directory");
    let run = meshctl_in(dir.path(), &["install", "--quiet", "--listen", &address], "");
    assert_eq!((run.code, run.stdout.as_str()), (1, ""), "{run:?}");
    assert!(run.stderr.contains(&format!("cannot listen on `{address}`")), "{run:?}");
    assert!(run.stderr.contains("error: the control plane did not start\n"), "{run:?}");
    meshctl_in(dir.path(), &["uninstall"], "").is(
        0,
        "no control plane was running\n",
        "data kept in `DIR/home`; `--purge` deletes it\n",
    );
}
