//! A mesh on a cluster: the control plane's pods, their logs and what happened to them.

use k8s_openapi::api::core::v1::{Event, Pod};
use kube::Api;
use kube::api::{ListParams, LogParams};
use serde_json::Value;

use super::Report;
use crate::cli::client::install_provider;
use crate::cli::cluster::{Cluster, refused};
use crate::cli::exit::Failure;
use crate::cli::installation::Target;

/// Lines of a pod's log.
const LINES: i64 = 5_000;

/// Pods and events that are listed.
const LISTED: u32 = 200;

pub(super) fn collect(report: &mut Report, target: &Target) {
    install_provider();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let done = match runtime {
        Ok(runtime) => runtime.block_on(look(report, target)),
        Err(error) => Err(error.into()),
    };
    if let Err(failure) = done {
        report.absent("cluster", &failure.what());
    }
}

async fn look(report: &mut Report, target: &Target) -> Result<(), Failure> {
    let cluster = Cluster::connect(target).await?;
    let (client, namespace) = (&cluster.connection.client, cluster.namespace.as_str());
    let failed = |what: &'static str| {
        let connection = &cluster.connection;
        move |error: kube::Error| refused(connection, what, &error)
    };
    let version = client.apiserver_version().await.map_err(failed("ask for the version"))?;
    report.json("cluster.json", serde_json::to_value(version)?);
    let pods: Api<Pod> = Api::namespaced(client.clone(), namespace);
    let listed = pods.list(&ListParams::default().limit(LISTED)).await;
    let listed = listed.map_err(failed("list pods"))?;
    for pod in &listed.items {
        let name = pod.metadata.name.as_deref().unwrap_or_default();
        report.json(&format!("pods/{name}.json"), serde_json::to_value(&pod.status)?);
        for previous in [false, true] {
            let params = LogParams { previous, tail_lines: Some(LINES), ..LogParams::default() };
            let part = format!("pods/{name}{}.log", if previous { ".previous" } else { "" });
            match pods.logs(name, &params).await {
                Ok(log) => report.log(&part, log.as_bytes()),
                // Most have none.
                Err(_) if previous => {}
                Err(error) => report.absent(&part, &error.to_string()),
            }
        }
    }
    let events: Api<Event> = Api::namespaced(client.clone(), namespace);
    let events = events.list(&ListParams::default().limit(LISTED)).await;
    let events = events.map_err(failed("list events"))?.items;
    let told: Vec<Value> = events.iter().map(serde_json::to_value).collect::<Result<_, _>>()?;
    report.json("events.json", Value::Array(told));
    Ok(())
}
