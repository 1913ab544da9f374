//! From the version before to this one, while applications serve: planned, put back where the new
//! version does not come up, done, and not done twice.

use serde_json::Value;

use super::support::{Alone, Cluster, Load, Mesh, Namespace, Run, SYSTEM};

const OWN: &str = env!("CARGO_PKG_VERSION");
const OLD: &str = "0.0.9";
const PLATFORM: [&str; 2] = ["--platform", "kubernetes"];

/// What only the version before had.
const DROPPED: &str = "\
apiVersion: v1
kind: ConfigMap
metadata:
  name: meshctl-before
  namespace: meshctl-system
  labels: {app.kubernetes.io/managed-by: meshctl, app.kubernetes.io/version: 0.0.9}
data: {of: before}
";

/// Makes of the mesh that is there what a version before this one would have installed, with its own
/// field manager: another version, a port of another name, an object that is no more.
#[track_caller]
fn go_back(cluster: &Cluster) {
    let set = ["--set", "log=debug", "--set", "resources.limits.memory=300Mi"];
    let image = Cluster::image();
    let words = [&["install", "--image", &image], &PLATFORM[..], &set].concat();
    cluster.meshctl(&words).ok();
    let manifests = cluster.meshctl(&[&words[..], &["--dry-run"]].concat()).ok();
    let version = "app.kubernetes.io/version: ";
    let old = manifests.replace(&format!("{version}{OWN}"), &format!("{version}{OLD}"));
    assert_ne!(old, manifests, "no manifest says its version");
    let renamed = old.replace("name: metrics\n    port:", "name: figures\n    port:");
    assert_ne!(renamed, old, "the Service has no such port");
    let apply = ["apply", "--server-side", "--field-manager", "meshctl", "--filename", "-"];
    cluster.kubectl_reading(&apply, &format!("{renamed}---\n{DROPPED}")).ok();
    let status =
        ["--namespace", SYSTEM, "rollout", "status", "deployment/meshctl", "--timeout=90s"];
    cluster.kubectl(&status).ok();
}

/// Version, image and log of the control plane as it is, and whether what was dropped is there.
#[track_caller]
fn state(cluster: &Cluster) -> (String, String, String, bool) {
    let system = |words: &[&str]| cluster.kubectl(&[&["--namespace", SYSTEM], words].concat());
    let found = system(&["get", "deployment", "meshctl", "--output=json"]).json();
    let container = &found["spec"]["template"]["spec"]["containers"][0];
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    assert_eq!(container["resources"]["limits"]["memory"], "300Mi", "{found:#}");
    (
        text(&found["metadata"]["labels"]["app.kubernetes.io/version"]),
        text(&container["image"]),
        text(container["args"].as_array().and_then(|args| args.last()).unwrap_or(&Value::Null)),
        system(&["get", "configmap", "meshctl-before"]).worked(),
    )
}

fn upgrade(cluster: &Cluster, words: &[&str]) -> Run {
    cluster.meshctl(&[&["upgrade"], &PLATFORM[..], words].concat())
}

/// An application with sidecars of the version before.
fn shop(cluster: &Cluster) -> Namespace<'_> {
    let shop = cluster.labelled("upgraded", &["meshctl.dev/inject=enabled"]);
    shop.wait("create", &["configmap/meshctl-root"]);
    shop.apply(include_str!("manifests/web.yaml"));
    shop.rolled_out(&["deployment/web", "deployment/client"]);
    let mark = format!("meshctl.dev/injected={OLD}");
    shop.kubectl(&["annotate", "pods", "--all", "--overwrite", &mark]).ok();
    shop
}

#[test]
#[ignore = "needs a cluster: .ci/kubernetes makes one"]
fn a_mesh_of_the_version_before_is_upgraded_while_applications_serve() {
    let mut alone = Alone::take();
    alone.install().ok();
    let cluster = &alone.cluster;
    go_back(cluster);
    let shop = shop(cluster);
    let image = Cluster::image();
    let before = (OLD.to_owned(), image.clone(), "debug".to_owned(), true);
    assert_eq!(state(cluster), before);
    let load = Load::start(&shop, "deployment/client", "http://web/", 4);

    let words = [&["install", "--image", &image], &PLATFORM[..]].concat();
    let refused = cluster.meshctl(&words);
    assert_eq!(refused.code, Some(1), "{refused}");
    assert!(refused.stderr.contains(&format!("has version {OLD}, this program is {OWN}")));
    assert!(refused.stderr.contains("meshctl upgrade --context"), "{refused}");
    // Its tag is no version, so nobody can know the next one.
    let unknown = upgrade(cluster, &["--plan"]);
    assert_eq!(unknown.code, Some(1), "{unknown}");
    assert!(unknown.stderr.contains("name the image of version"), "{unknown}");

    let plan = upgrade(cluster, &["--plan", "--image", &image, "-o", "json"]).json();
    assert_eq!(
        (&plan["from"], &plan["to"], &plan["due"]),
        (&OLD.into(), &OWN.into(), &true.into())
    );
    let objects = plan["objects"].as_array().expect("objects");
    let of = |kind: &str, name: &str| {
        let found = objects.iter().find(|it| it["kind"] == kind && it["name"] == name);
        found.unwrap_or_else(|| panic!("no {kind} {name} in {plan:#}"))
    };
    assert_eq!(of("ConfigMap", "meshctl-before")["action"], "remove");
    assert_eq!(of("CustomResourceDefinition", "meshconfigs.meshctl.dev")["action"], "change");
    assert_eq!(of("Service", "meshctl")["action"], "change");
    let fields = of("Service", "meshctl")["fields"].to_string();
    assert!(fields.contains("spec.ports[2].name"), "{plan:#}");
    let sidecars = plan["sidecars"].as_array().expect("sidecars");
    assert_eq!(sidecars.len(), 2, "{plan:#}");
    let restart = sidecars[1]["restart"].as_str().expect("a command");
    assert!(
        restart.ends_with(&format!("--namespace {} rollout restart deployment/web", shop.name))
    );

    let failed = upgrade(cluster, &["--image", "localhost/meshctl-nowhere:1", "--timeout", "90s"]);
    assert_eq!(failed.code, Some(1), "{failed}");
    let back = format!("version {OWN} did not get ready; version {OLD} is put back and runs");
    assert!(failed.stderr.contains(&back), "{failed}");
    assert!(failed.stderr.contains("localhost/meshctl-nowhere:1"), "{failed}");
    assert_eq!(state(cluster), before);
    // It is as it was to the last field: the same is planned as before.
    let again = upgrade(cluster, &["--plan", "--image", &image, "-o", "json"]).json();
    assert_eq!(again["objects"], plan["objects"]);

    let done = upgrade(cluster, &["--image", &image]);
    assert!(done.stderr.contains("rollout restart deployment/web"), "{done}");
    assert!(done.ok().starts_with(&format!("control plane upgraded from {OLD} to {OWN}, in ")));
    assert_eq!(state(cluster), (OWN.to_owned(), image, "debug".to_owned(), false));
    let twice = upgrade(cluster, &[]).ok();
    assert!(twice.ends_with(", nothing changed\n"), "{twice}");
    load.finish().is_without_failure();
    drop(shop);
    alone.uninstall(&["--force"]).ok();
}

#[test]
#[ignore = "needs a cluster: .ci/kubernetes makes one"]
fn a_mesh_that_was_not_installed_so_or_not_at_all_is_not_upgraded() {
    let mesh = Mesh::shared();
    let empty = mesh.cluster.namespace("empty");
    let refused = upgrade(&mesh.cluster, &["--namespace", &empty.name]);
    assert_eq!(refused.code, Some(1), "{refused}");
    let said = format!("no mesh is installed in namespace `{}`", empty.name);
    assert!(refused.stderr.contains(&said), "{refused}");
    let same = upgrade(&mesh.cluster, &["--plan"]).ok();
    assert!(same.contains("starts again    nothing\n"), "{same}");
}
