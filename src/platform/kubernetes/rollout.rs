//! How far the control plane's Deployment has come, in words: ready, on its way, or stuck and why.

use k8s_openapi::ByteString;
use k8s_openapi::api::admissionregistration::v1::MutatingWebhookConfiguration;
use kube::Api;
use kube::api::{ListParams, LogParams};

use super::client::Connection;
use super::client::fault::RequestError;
use super::manifests::selector;
use super::objects::within;
use super::partial::{ContainerStatus, Deployment, DeploymentStatus, Pod};
use crate::names::Namespace;
use crate::names::sidecar::CONTROL_PLANE;

/// How many lines of a log are shown.
const LINES: i64 = 15;
/// A program that ended so often will not come up by itself.
const CRASHES: i32 = 2;

/// How far it has come.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Rollout {
    /// There is none.
    Absent,
    /// Every replica is there, ready, and of the newest kind.
    Ready,
    /// On its way; what is being waited for.
    Waiting(String),
    /// It will not come up by itself.
    Stuck {
        /// Why.
        why: String,
        /// What to do.
        help: String,
        /// The last lines that it logged.
        log: String,
    },
}

/// Looks at the Deployment, its pods and, where one crashes, its log.
///
/// # Errors
/// [`RequestError`].
pub async fn look(to: &Connection, namespace: &Namespace) -> Result<Rollout, RequestError> {
    let deployments: Api<Deployment> = Api::namespaced(to.client.clone(), namespace.as_str());
    let request = deployments.get_opt(CONTROL_PLANE);
    let Some(found) = within(to, "read the control plane's Deployment", request).await? else {
        return Ok(Rollout::Absent);
    };
    if is_ready(&found) {
        return Ok(Rollout::Ready);
    }
    // Until there is a pod of the newest kind those that are there say nothing of it.
    let pod = match is_under_way(&found) {
        true => newest(&pods(to, namespace).await?),
        false => None,
    };
    let Some(pod) = pod else {
        let refused = found.status.as_ref().and_then(replica_failure);
        return Ok(Rollout::Waiting(refused.unwrap_or_else(|| "waiting for a pod".to_owned())));
    };
    Ok(match trouble(&pod) {
        Trouble::Crashing(why) => {
            let api = Api::namespaced(to.client.clone(), namespace.as_str());
            let log = last_lines(&api, &pod).await;
            let help = "put right what it says; it is started again by itself".to_owned();
            Rollout::Stuck { why, help, log }
        }
        Trouble::Stuck(why, help) => Rollout::Stuck { why, help, log: String::new() },
        Trouble::None(waiting) => Rollout::Waiting(waiting),
    })
}

/// The control plane's pods.
///
/// # Errors
/// [`RequestError`].
pub async fn pods(to: &Connection, namespace: &Namespace) -> Result<Vec<Pod>, RequestError> {
    let api: Api<Pod> = Api::namespaced(to.client.clone(), namespace.as_str());
    let selector = selector();
    let labels = selector.as_object().into_iter().flatten();
    let labels = labels.map(|(key, value)| format!("{key}={}", value.as_str().unwrap_or_default()));
    let params = ListParams::default().labels(&labels.collect::<Vec<_>>().join(","));
    Ok(within(to, "list the control plane's pods", api.list(&params)).await?.items)
}

/// The certificate authorities by which the API server trusts our webhooks, one for each, PEM; empty
/// ones where the control plane has not written them yet.
///
/// # Errors
/// [`RequestError`].
pub async fn bundles(to: &Connection) -> Result<Vec<String>, RequestError> {
    let configurations: Api<MutatingWebhookConfiguration> = Api::all(to.client.clone());
    let request = configurations.get_opt(CONTROL_PLANE);
    let found = within(to, "read the webhooks", request).await?;
    let webhooks = found.into_iter().flat_map(|it| it.webhooks.unwrap_or_default());
    let bundle = |bundle: ByteString| String::from_utf8_lossy(&bundle.0).into_owned();
    Ok(webhooks.map(|it| it.client_config.ca_bundle.map(bundle).unwrap_or_default()).collect())
}

/// As `kubectl rollout status` sees it.
fn is_ready(found: &Deployment) -> bool {
    let wanted = found.spec.as_ref().and_then(|it| it.replicas).unwrap_or(1);
    let Some(status) = &found.status else { return false };
    let count = |it: Option<i32>| it.unwrap_or(0);
    status.observed_generation >= found.metadata.generation
        && count(status.updated_replicas) >= wanted
        && count(status.replicas) <= count(status.updated_replicas)
        && count(status.available_replicas) >= wanted
}

/// Whether pods of the newest kind have been made.
fn is_under_way(found: &Deployment) -> bool {
    let Some(status) = &found.status else { return false };
    status.observed_generation >= found.metadata.generation
        && status.updated_replicas.unwrap_or(0) > 0
}

/// Why no pod can be made, such as a quota or pod security.
fn replica_failure(status: &DeploymentStatus) -> Option<String> {
    let conditions = status.conditions.iter().flatten();
    let failure = conditions.into_iter().find(|it| it.type_ == "ReplicaFailure")?;
    failure.message.clone()
}

/// Of the pods that are not about to go the one that came last.
fn newest(pods: &[Pod]) -> Option<Pod> {
    let live = pods.iter().filter(|it| it.metadata.deletion_timestamp.is_none());
    live.max_by_key(|it| it.metadata.creation_timestamp.as_ref().map(|at| at.0)).cloned()
}

enum Trouble {
    Crashing(String),
    /// Why, and what to do.
    Stuck(String, String),
    /// What is being waited for.
    None(String),
}

fn trouble(pod: &Pod) -> Trouble {
    let name = pod.metadata.name.as_deref().unwrap_or_default();
    let status = pod.status.as_ref();
    let scheduled = status.and_then(|it| it.conditions.as_ref()).into_iter().flatten();
    let unscheduled = scheduled
        .filter(|it| it.type_ == "PodScheduled" && it.status == "False")
        .find_map(|it| it.message.clone());
    if let Some(why) = unscheduled {
        return Trouble::None(format!("pod `{name}` has no node: {why}"));
    }
    let containers = status.and_then(|it| it.container_statuses.as_ref());
    let Some(container) = containers.and_then(|it| it.first()) else {
        return Trouble::None(format!("waiting for the pod `{name}` to start"));
    };
    match waiting(container) {
        Some((reason, message)) if is_image_trouble(&reason) => Trouble::Stuck(
            format!("the image `{}` cannot be had ({reason}): {message}", container.image),
            "put it where the nodes find it, or name another with `--image`".to_owned(),
        ),
        Some((reason, message)) if reason.contains("Config") || reason.contains("RunContainer") => {
            Trouble::Stuck(
                format!("pod `{name}` cannot be started ({reason}): {message}"),
                format!("see `kubectl describe pod {name}`"),
            )
        }
        Some((reason, _)) if container.restart_count >= CRASHES => Trouble::Crashing(format!(
            "the control plane ends again and again ({reason}, {} times)",
            container.restart_count
        )),
        Some((reason, _)) => Trouble::None(format!("pod `{name}`: {reason}")),
        None if container.ready => Trouble::None("waiting for the Deployment".to_owned()),
        None => Trouble::None(format!("pod `{name}` runs, waiting until it is ready")),
    }
}

/// Reason and message of a container that does not run.
fn waiting(container: &ContainerStatus) -> Option<(String, String)> {
    let waiting = container.state.as_ref()?.waiting.as_ref()?;
    let reason = waiting.reason.clone().unwrap_or_default();
    Some((reason, waiting.message.clone().unwrap_or_default()))
}

/// What the kubelet says where it has tried and failed; `ErrImagePull` is its first try.
fn is_image_trouble(reason: &str) -> bool {
    matches!(
        reason,
        "ImagePullBackOff" | "ErrImageNeverPull" | "InvalidImageName" | "ImageInspectError"
    )
}

/// What the container said last, of the run that ended where one did; empty where nobody knows.
async fn last_lines(pods: &Api<Pod>, pod: &Pod) -> String {
    let name = pod.metadata.name.as_deref().unwrap_or_default();
    for previous in [true, false] {
        let params = LogParams { tail_lines: Some(LINES), previous, ..LogParams::default() };
        let asked = tokio::time::timeout(super::objects::TIMEOUT, pods.logs(name, &params)).await;
        if let Ok(Ok(text)) = asked
            && !text.trim().is_empty()
        {
            return text.lines().map(|line| format!("  | {line}\n")).collect();
        }
    }
    String::new()
}
