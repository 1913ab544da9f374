//! What the API server must believe to call our webhooks: the mesh's roots as `caBundle` of our
//! `MutatingWebhookConfiguration`, put right at the start and whenever somebody changes it, and tried
//! again until it is: while it is wrong no pod of the mesh starts.

use std::time::Duration;

use futures_util::StreamExt;
use k8s_openapi::ByteString;
use k8s_openapi::api::admissionregistration::v1::MutatingWebhookConfiguration;
use kube::api::{Api, Patch, PatchParams};
use kube::runtime::{WatchStreamExt, watcher};
use kube::{Client, Error};
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use super::made::WRITER;
use crate::names::sidecar::CONTROL_PLANE;
use crate::net::backoff::Backoff;

#[cfg(test)]
mod tests;

/// Between two writes: somebody else who insists must not make us a flood.
const PAUSE: Duration = Duration::from_millis(200);

/// The first wait after a failure lies below this, and none above the other.
const RETRY: (Duration, Duration) = (Duration::from_millis(500), Duration::from_secs(30));

/// Keeps `roots` (PEM) as the bundle of every webhook of ours, until `stop`.
pub async fn keep(client: Client, roots: String, stop: CancellationToken) {
    let configurations: Api<MutatingWebhookConfiguration> = Api::all(client);
    let ours = watcher::Config::default().fields(&format!("metadata.name={CONTROL_PLANE}"));
    let seen = watcher(configurations.clone(), ours).default_backoff().applied_objects();
    let mut seen = std::pin::pin!(seen);
    loop {
        let next = tokio::select! {
            next = seen.next() => next,
            () = stop.cancelled() => return,
        };
        let found = match next {
            Some(Ok(found)) => found,
            Some(Err(error)) => {
                tracing::warn!(%error, "the webhook configuration cannot be watched");
                continue;
            }
            None => return,
        };
        if stop.run_until_cancelled(put_right(&configurations, found, &roots)).await.is_none() {
            return;
        }
    }
}

/// Writes until nothing is wrong any more, or something has changed.
async fn put_right(
    configurations: &Api<MutatingWebhookConfiguration>,
    found: MutatingWebhookConfiguration,
    roots: &str,
) {
    let mut backoff = Backoff::new(RETRY.0, RETRY.1);
    let mut outcome = mend(configurations, &found, roots).await;
    loop {
        match next(outcome, &mut backoff, fastrand::u64(..)) {
            Next::Watch => return,
            Next::Pause => return tokio::time::sleep(PAUSE).await,
            Next::Again(wait) => tokio::time::sleep(wait).await,
        }
        // What was seen then may have changed.
        outcome = match configurations.get_opt(CONTROL_PLANE).await {
            Ok(Some(found)) => mend(configurations, &found, roots).await,
            Ok(None) => return,
            Err(error) => Err(error),
        };
    }
}

/// What follows an attempt.
#[derive(Debug, PartialEq, Eq)]
enum Next {
    /// Whatever is seen next.
    Watch,
    /// The same, but not at once.
    Pause,
    /// Another attempt after so long: no event need ever come.
    Again(Duration),
}

fn next(outcome: Result<bool, Error>, backoff: &mut Backoff, random: u64) -> Next {
    match outcome {
        Ok(false) => Next::Watch,
        Ok(true) => {
            tracing::info!("the webhook configuration was put right");
            Next::Pause
        }
        // Changed meanwhile: that change is an event of its own.
        Err(Error::Api(status)) if status.is_conflict() || status.is_not_found() => Next::Pause,
        Err(error) => {
            tracing::warn!(%error, "the webhook configuration cannot be put right");
            Next::Again(backoff.fail(random))
        }
    }
}

/// Writes where something is wrong; whether it was.
async fn mend(
    configurations: &Api<MutatingWebhookConfiguration>,
    found: &MutatingWebhookConfiguration,
    roots: &str,
) -> Result<bool, Error> {
    let Some(patch) = patch(found, roots) else { return Ok(false) };
    let params = PatchParams { field_manager: Some(WRITER.to_owned()), ..PatchParams::default() };
    configurations.patch(CONTROL_PLANE, &params, &Patch::Strategic(patch)).await?;
    Ok(true)
}

/// The change that puts every bundle right, against the version that was read; `None` where all are.
fn patch(found: &MutatingWebhookConfiguration, roots: &str) -> Option<Value> {
    let bundle = ByteString(roots.as_bytes().to_vec());
    let webhooks = found.webhooks.iter().flatten();
    let wrong = webhooks.filter(|it| it.client_config.ca_bundle.as_ref() != Some(&bundle));
    // Merged by name (the list's merge key), so that nothing else is touched.
    let wrong: Vec<_> = wrong
        .map(|it| json!({ "name": it.name, "clientConfig": { "caBundle": bundle } }))
        .collect();
    (!wrong.is_empty()).then(|| {
        json!({
            "metadata": { "resourceVersion": found.metadata.resource_version },
            "webhooks": wrong,
        })
    })
}
