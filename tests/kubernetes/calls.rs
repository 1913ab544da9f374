//! Calls between unchanged applications: they go through, encrypted and authenticated, and nobody
//! without an identity of the mesh gets in.

use std::net::IpAddr;

use super::support::{Cluster, Mesh, Namespace, Wire};

/// A word that stands in the path of one request and nowhere else.
fn word() -> String {
    format!("word-{:016x}", fastrand::u64(..))
}

/// Calls a URL from the pod that calls.
fn call(from: &Namespace<'_>, url: &str) -> super::support::Run {
    let curl = ["curl", "--silent", "--show-error", "--fail", "--globoff", "--max-time", "10", url];
    from.exec("deployment/client", &curl)
}

/// nginx behind the Service `web`, and a pod that calls; both ready.
fn shop(shop: &Namespace<'_>) {
    shop.apply(include_str!("manifests/web.yaml"));
    shop.rolled_out(&["deployment/web", "deployment/client"]);
}

/// The addresses of the pod of `web`.
fn addresses(shop: &Namespace<'_>) -> Vec<IpAddr> {
    let pod = shop.pod("app=web");
    let found = pod["status"]["podIPs"].as_array().expect("a pod that is ready has addresses");
    let texts = found.iter().filter_map(|entry| entry["ip"].as_str());
    texts.map(|text| text.parse().expect("an address")).collect()
}

fn at(address: IpAddr, port: u16, path: &str) -> String {
    format!("http://{}/{path}", std::net::SocketAddr::new(address, port))
}

#[test]
#[ignore = "needs a cluster: .ci/kubernetes makes one"]
fn what_applications_say_is_not_seen_from_outside_of_the_pods() {
    let mesh = Mesh::shared();
    let bare = mesh.cluster.namespace("bare");
    shop(&bare);
    let meshed = mesh.namespace("meshed");
    shop(&meshed);
    let web = addresses(&meshed);

    let (in_the_clear, hidden) = (word(), word());
    let wire = Wire::tap();
    call(&bare, &format!("http://web/{in_the_clear}")).ok();
    assert_eq!(call(&meshed, &format!("http://web/{hidden}")).ok(), "web\n");
    let seen = wire.seen();

    // The tap sees what passes between pods: without the mesh every word of it.
    assert!(seen.holds(&in_the_clear));
    assert!(!seen.holds(&hidden), "a request of the mesh passed in the clear");
    assert!(seen.encrypted(web[0]) > 0, "no TLS to the pod that answered");
}

#[test]
#[ignore = "needs a cluster: .ci/kubernetes makes one"]
fn pods_are_called_by_service_and_by_address_and_only_from_within_the_mesh() {
    let mesh = Mesh::shared();
    let meshed = mesh.namespace("strict");
    shop(&meshed);
    let outside = mesh.cluster.namespace("outside");
    outside.apply(include_str!("manifests/web.yaml"));
    outside.rolled_out(&["deployment/client"]);

    let service = format!("http://web.{}/", meshed.name);
    let mut urls: Vec<_> = addresses(&meshed).into_iter().map(|ip| at(ip, 8080, "")).collect();
    urls.push(service);
    for url in urls {
        assert_eq!(call(&meshed, &url).ok(), "web\n", "{url}");
        let refused = call(&outside, &url);
        assert!(!refused.worked(), "plaintext was answered at {url}: {refused}");
    }
}

/// A call from the mesh to what has no sidecar passes as it is.
#[test]
#[ignore = "needs a cluster: .ci/kubernetes makes one"]
fn a_pod_of_the_mesh_calls_one_outside_of_it() {
    let mesh = Mesh::shared();
    let outside = mesh.cluster.namespace("outside");
    shop(&outside);
    let meshed = mesh.namespace("meshed");
    meshed.apply(include_str!("manifests/web.yaml"));
    meshed.rolled_out(&["deployment/client"]);
    assert_eq!(call(&meshed, &format!("http://web.{}/", outside.name)).ok(), "web\n");
    for address in addresses(&outside) {
        assert_eq!(call(&meshed, &at(address, 8080, "")).ok(), "web\n", "{address}");
    }
}

/// A pod that calls itself, by its Service and by its own address, goes through its own sidecar.
#[test]
#[ignore = "needs a cluster: .ci/kubernetes makes one"]
fn a_pod_calls_itself() {
    let mesh = Mesh::shared();
    let meshed = mesh.namespace("itself");
    shop(&meshed);
    let mut urls: Vec<_> = addresses(&meshed).into_iter().map(|ip| at(ip, 8080, "")).collect();
    urls.push("http://web/".to_owned());
    urls.push("http://127.0.0.1:8080/".to_owned());
    for url in urls {
        let curl = ["curl", "--silent", "--show-error", "--fail", "--globoff", "-m", "10", &url];
        assert_eq!(meshed.exec("deployment/web", &curl).ok(), "web\n", "{url}");
    }
}

/// With a label that nobody knows, a typing mistake, no pod starts without its sidecar.
#[test]
#[ignore = "needs a cluster: .ci/kubernetes makes one"]
fn a_misspelt_label_never_starts_a_pod_bare() {
    let mesh = Mesh::shared();
    let shop = mesh.cluster.labelled("misspelt", &["meshctl.dev/inject=enabeld"]);
    let pod = format!(
        "{{apiVersion: v1, kind: Pod, metadata: {{name: a}}, \
         spec: {{containers: [{{name: a, image: '{}', command: [sleep, infinity]}}]}}}}",
        Cluster::applications()
    );
    let refused = shop.try_apply(&pod);
    assert!(!refused.worked(), "{refused}");
    let said = format!("the label `meshctl.dev/inject` of namespace `{}`", shop.name);
    assert!(refused.stderr.contains(&said), "{refused}");
}
