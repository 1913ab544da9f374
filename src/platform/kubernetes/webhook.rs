//! What the API server must believe to call our webhooks: the mesh's roots as `caBundle` of our
//! `MutatingWebhookConfiguration`, put right at the start and whenever somebody changes it.

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

#[cfg(test)]
mod tests;

/// Between two writes: somebody else who insists must not make us a flood.
const PAUSE: Duration = Duration::from_millis(200);

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
        let outcome = match next {
            Some(Ok(found)) => mend(&configurations, &found, &roots).await,
            Some(Err(error)) => {
                tracing::warn!(%error, "the webhook configuration cannot be watched");
                continue;
            }
            None => return,
        };
        match outcome {
            // Changed meanwhile: that change is an event of its own.
            Err(Error::Api(status)) if status.is_conflict() || status.is_not_found() => {}
            Err(error) => tracing::warn!(%error, "the webhook configuration cannot be put right"),
            Ok(false) => continue,
            Ok(true) => tracing::info!("the webhook configuration was put right"),
        }
        tokio::time::sleep(PAUSE).await;
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
