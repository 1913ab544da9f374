//! What ends the wait for a control plane, and what does not.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use http::Method;
use serde_json::json;

use super::*;
use crate::cli::on_cluster::fake::{self, Answer};
use crate::cli::output::Color;

/// A control plane that is ready, with webhooks that are known and that nobody may try out.
fn well(method: &Method, path: &str) -> Answer {
    let webhooks = json!([{ "name": "a", "clientConfig": { "caBundle": "eA==" } }]);
    match path.rsplit('/').nth(1) {
        _ if method == Method::POST => fake::failed(403, "cannot create resource"),
        Some("deployments") => Some((
            200,
            json!({
                "apiVersion": "apps/v1", "kind": "Deployment",
                "metadata": { "name": "meshctl", "generation": 1 },
                "spec": { "replicas": 1 },
                "status": {
                    "observedGeneration": 1, "replicas": 1,
                    "updatedReplicas": 1, "availableReplicas": 1,
                },
            }),
        )),
        _ => Some((
            200,
            json!({
                "apiVersion": "admissionregistration.k8s.io/v1",
                "kind": "MutatingWebhookConfiguration",
                "metadata": { "name": "meshctl" },
                "webhooks": webhooks,
            }),
        )),
    }
}

fn wait(cluster: &OnCluster, timeout: Duration) -> Result<(), Failure> {
    ready(cluster, &Namespace::root(), timeout, Printer::new(Color::Never, true))
}

#[test]
fn an_api_server_that_is_away_for_a_moment_ends_no_wait() {
    let asked = Arc::new(AtomicUsize::new(0));
    let cluster = fake::cluster(move |method, path| match asked.fetch_add(1, Ordering::Relaxed) {
        // The Deployment; again, and its webhooks; again both, and the trial.
        0 | 2 | 5 => None,
        7 => fake::failed(503, "ServiceUnavailable"),
        _ => well(method, path),
    });
    wait(&cluster, Duration::from_secs(60)).expect("it was ready all the time");
}

#[test]
fn what_stays_ends_the_wait() {
    let away = fake::cluster(|_, _| None);
    let said = wait(&away, Duration::ZERO).expect_err("never").render();
    assert!(said.contains("is not ready after") && said.contains("cannot be reached"), "{said}");
    let forbidden = fake::cluster(|_, _| fake::failed(403, "Forbidden"));
    wait(&forbidden, Duration::from_secs(600)).expect_err("that does not pass");
}
