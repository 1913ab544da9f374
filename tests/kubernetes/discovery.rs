//! Discovery against a real API server: what is there, what changes, what goes.
//!
//! The objects are made by the test alone (a Service that selects nothing, a slice of its own, a pod
//! that no scheduler takes), so that nothing but an API server is needed.

use std::time::Duration;

use kube::Client;
use meshctl::mesh::{Change, ObjectKind, Readiness};
use meshctl::names::TrustDomain;
use meshctl::platform::kubernetes::discovery::{Discovery, Update};
use tokio_util::sync::CancellationToken;

use super::support::{Cluster, Namespace};

/// How long a change may take to be told.
const PATIENCE: Duration = Duration::from_secs(30);

const OBJECTS: &str = r#"
apiVersion: v1
kind: Service
metadata: {name: web}
spec:
  type: NodePort
  ports: [{name: http, port: 80, targetPort: 8080, appProtocol: http}]
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: web-own, labels: {kubernetes.io/service-name: web}}
addressType: IPv4
ports: [{name: http, port: 8080, protocol: TCP}]
endpoints: [{addresses: [10.255.9.1], conditions: {ready: true}}]
---
apiVersion: v1
kind: Pod
metadata: {name: web-0, labels: {app: web}}
spec:
  schedulingGates: [{name: meshctl.dev/never}]
  serviceAccountName: default
  containers: [{name: web, image: APPLICATIONS, ports: [{containerPort: 8080}]}]
"#;

#[tokio::test]
#[ignore = "needs a cluster: .ci/kubernetes makes one"]
async fn what_a_cluster_has_is_told_first_and_then_what_becomes_different() {
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let cluster = Cluster::reach();
    let shop = cluster.namespace("discovery");
    shop.apply(OBJECTS);
    let mut told = Watched::start(&shop).await;

    let first = std::mem::take(&mut told.discovery.first);
    let mut first: Vec<_> = first.iter().filter_map(|it| told.line(it)).collect();
    first.sort();
    assert_eq!(first, ["Service web: addresses", "pod web-0", "slice web-own: Ready"]);

    let not_ready =
        r#"{"endpoints": [{"addresses": ["10.255.9.1"], "conditions": {"ready": false}}]}"#;
    let slice = "endpointslice/web-own";
    shop.kubectl(&["patch", slice, "--type=merge", "--patch", not_ready]).ok();
    assert_eq!(told.next().await, "slice web-own: NotReady");
    // What a mesh does not read is no change of it.
    shop.kubectl(&["annotate", slice, "example.com/note=x"]).ok();
    shop.kubectl(&["annotate", "pod/web-0", "example.com/note=x"]).ok();
    shop.kubectl(&["delete", slice]).ok();
    assert_eq!(told.next().await, "slice web-own: gone");
    shop.kubectl(&["delete", "pod/web-0", "--grace-period=0", "--force"]).ok();
    assert_eq!(told.next().await, "pod web-0: gone");
    shop.kubectl(&["delete", "service/web"]).ok();
    assert_eq!(told.next().await, "Service web: gone");
}

/// What is told of one namespace.
struct Watched {
    discovery: Discovery,
    namespace: String,
    _stop: tokio_util::sync::DropGuard,
}

impl Watched {
    async fn start(namespace: &Namespace<'_>) -> Self {
        let client = Client::try_default().await.expect("a cluster");
        let trust_domain: TrustDomain = "cluster.local".parse().expect("a trust domain");
        let stop = CancellationToken::new();
        let started = Discovery::start(&client, &trust_domain, &stop);
        let started = tokio::time::timeout(PATIENCE, started).await.expect("in time");
        Self {
            discovery: started.expect("nobody stopped it"),
            namespace: namespace.name.clone(),
            _stop: stop.drop_guard(),
        }
    }

    /// The next change in the namespace.
    async fn next(&mut self) -> String {
        loop {
            let updates = tokio::time::timeout(PATIENCE, self.discovery.next());
            let updates = updates.await.expect("in time").expect("nobody stopped it");
            let mut lines = updates.iter().filter_map(|it| self.line(it));
            if let Some(line) = lines.next() {
                assert_eq!(lines.next(), None, "one at a time");
                return line;
            }
        }
    }

    fn line(&self, update: &Update) -> Option<String> {
        let own = |namespace: &meshctl::names::Namespace| namespace.as_str() == self.namespace;
        match update {
            Update::Mesh(Change::Workload(id, workload)) if own(&id.namespace) => {
                let gone = if workload.is_none() { ": gone" } else { "" };
                Some(format!("pod {}{gone}", id.name))
            }
            Update::Mesh(Change::Slice(name, slice)) if own(&name.namespace) => {
                let readiness = |it: &meshctl::mesh::Slice| it.endpoints[0].readiness;
                let state =
                    slice.as_ref().map(|it| readiness(it)).map(|it: Readiness| format!("{it:?}"));
                Some(format!("slice {}: {}", name.name, state.unwrap_or_else(|| "gone".to_owned())))
            }
            Update::Object(reference, seen)
                if reference.kind == ObjectKind::Service && own(&reference.namespace) =>
            {
                let address = seen.as_ref().map(|seen| &seen.document["spec"]["clusterIP"]);
                let state = match address {
                    Some(address) if address.is_string() => "addresses",
                    Some(_) => "no address",
                    None => "gone",
                };
                Some(format!("Service {}: {state}", reference.name))
            }
            _ => None,
        }
    }
}
