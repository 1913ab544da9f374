//! What is found to be taken away, on a cluster that only answers.

use http::Method;
use serde_json::{Value, json};

use super::*;
use crate::cli::on_cluster::fake::{self, Answer};
use crate::names::Namespace;
use crate::names::sidecar::CONTROL_PLANE;
use crate::platform::kubernetes::manifests::MANAGED_BY;

const ROLES: &str = "/apis/rbac.authorization.k8s.io/v1/clusterroles/meshctl";
const BINDINGS: &str = "/apis/rbac.authorization.k8s.io/v1/clusterrolebindings/meshctl";
const WEBHOOKS: &str =
    "/apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations/meshctl";

fn target(namespace: &str) -> Target {
    let namespace: Namespace = namespace.parse().expect("a namespace");
    Target { kubeconfig: Some("/k".into()), context: Some("prod".to_owned()), namespace }
}

/// An object that carries our label.
fn ours(more: &Value) -> Answer {
    let mut object = json!({
        "apiVersion": "v1",
        "kind": "Some",
        "metadata": { "name": "meshctl", "labels": { MANAGED_BY: CONTROL_PLANE } },
    });
    for (key, value) in more.as_object().into_iter().flatten() {
        object[key] = value.clone();
    }
    Some((200, object))
}

/// What of the whole cluster leads to a mesh in the namespace `mesh`.
fn mesh(path: &str) -> Answer {
    match path {
        ROLES => ours(&json!({})),
        BINDINGS => ours(&json!({ "subjects": [{ "namespace": "mesh" }] })),
        WEBHOOKS => ours(&json!({
            "webhooks": [{ "clientConfig": { "service": { "namespace": "mesh" } } }],
        })),
        "/api/v1/configmaps" => fake::list(&[]),
        _ => fake::absent(),
    }
}

#[test]
fn a_mesh_in_another_namespace_is_not_torn_in_two() {
    for gone in ["", WEBHOOKS, BINDINGS] {
        let cluster = fake::cluster(move |method, path| {
            assert_eq!(method, Method::GET, "{path}");
            if path == gone { fake::absent() } else { mesh(path) }
        });
        let refused = look(&cluster, &target("meshctl-system")).map(|_| ());
        let said = refused.expect_err("it is another's").render();
        assert!(said.contains("is in the namespace `mesh`, not in `meshctl-system`"), "{said}");
        let typed = "`meshctl uninstall --kubeconfig /k --context prod --namespace mesh`";
        assert!(said.contains(typed), "{said}");
        let found = look(&cluster, &target("mesh")).expect("its own");
        assert_eq!(found.objects.len(), if gone.is_empty() { 3 } else { 2 });
    }
}

#[test]
fn a_namespace_that_was_there_before_is_not_deleted() {
    const NAMESPACES: &str = "/api/v1/namespaces/mesh";
    let found = |namespace: fn() -> Answer| {
        let answer = move |_: &Method, path: &str| match path {
            NAMESPACES => namespace(),
            path => mesh(path),
        };
        look(&fake::cluster(answer), &target("mesh")).expect("its own")
    };
    let made = found(|| ours(&json!({})));
    assert!(made.namespace.is_some() && !made.is_lodger);
    let there = found(|| ours(&json!({ "metadata": { "name": "mesh" } })));
    assert!(there.namespace.is_none() && there.is_lodger);
}

#[test]
fn rules_that_lie_in_the_namespace_keep_it() {
    const OTHERS: [(&str, &str); 3] = [
        ("/apis/batch/v1/namespaces/mesh/cronjobs", "CronJob"),
        ("/apis/gateway.networking.k8s.io/v1/namespaces/mesh/httproutes", "HTTPRoute"),
        ("/apis/meshctl.dev/v1alpha1/namespaces/mesh/trafficpolicies", "TrafficPolicy"),
    ];
    let cluster = fake::cluster(|_, path| match OTHERS.iter().find(|(at, _)| *at == path) {
        Some((_, kind)) => {
            fake::list(&[json!({ "apiVersion": "v1", "kind": kind, "metadata": { "name": "a" } })])
        }
        // A cluster need not know every kind.
        None => fake::absent(),
    });
    let others = cluster.wait_for(survey::foreign(&cluster.connection, "mesh"));
    assert_eq!(others.expect("an answer"), ["CronJob a", "HTTPRoute a", "TrafficPolicy a"]);
}

#[test]
fn an_api_server_that_is_away_for_a_moment_does_not_end_the_wait() {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};
    let asked = Arc::new(AtomicUsize::new(0));
    let place = inside("ConfigMap", "a", "mesh").expect("a place");
    let until_gone = |cluster: &OnCluster, timeout: Duration| {
        until(Instant::now() + timeout, "it is not gone", &target("mesh"), || {
            Ok(cluster.attempt(api::get(&cluster.connection, &place))?.is_none())
        })
    };
    let count = Arc::clone(&asked);
    let cluster = fake::cluster(move |_, _| match count.fetch_add(1, Ordering::Relaxed) {
        0 => None,
        1 => fake::failed(503, "ServiceUnavailable"),
        _ => fake::absent(),
    });
    until_gone(&cluster, Duration::from_secs(20)).expect("it is gone in the end");
    assert_eq!(asked.load(Ordering::Relaxed), 3);

    let away = fake::cluster(|_, _| fake::failed(500, "InternalError"));
    let said = until_gone(&away, Duration::ZERO).expect_err("never").render();
    assert!(said.contains("it is not gone") && said.contains("InternalError"), "{said}");
    let forbidden = fake::cluster(|_, _| fake::failed(403, "Forbidden"));
    until_gone(&forbidden, Duration::from_secs(600)).expect_err("that does not pass");
}
