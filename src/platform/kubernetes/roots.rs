//! The mesh's roots in every namespace: the ConfigMap that sidecars mount, kept as it must be.
//!
//! Made for namespaces that come, mended where somebody changed or removed it. Few at a time, and
//! each write only against the version that was read.

use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt;
use k8s_openapi::api::core::v1::{ConfigMap, Namespace};
use kube::api::{Api, ObjectMeta};
use kube::runtime::controller::{Action, Config, Controller};
use kube::runtime::reflector::ObjectRef;
use kube::runtime::watcher;
use kube::{Client, Error};
use tokio_util::sync::CancellationToken;

use super::made;
use crate::names::sidecar::{ROOT_CONFIG_MAP, ROOT_KEY};
use crate::net::causes::chain;

/// Namespaces that are looked at together.
const AT_ONCE: u16 = 4;

/// A namespace is looked at again after this, should an event have been missed.
const AGAIN: Duration = Duration::from_secs(3600);

/// After a failure.
const RETRY: Duration = Duration::from_secs(5);

/// What is kept, and with what.
struct Keeper {
    client: Client,
    roots: String,
}

/// Keeps `roots` (PEM) in every namespace, until `stop`.
pub async fn keep(client: Client, roots: String, stop: CancellationToken) {
    let named = watcher::Config::default().fields(&format!("metadata.name={ROOT_CONFIG_MAP}"));
    let config = Config::default().concurrency(AT_ONCE);
    let controller =
        Controller::new(Api::<Namespace>::all(client.clone()), watcher::Config::default())
            .watches(Api::<ConfigMap>::all(client.clone()), named, |kept| {
                kept.metadata.namespace.map(|namespace| ObjectRef::<Namespace>::new(&namespace))
            })
            .with_config(config);
    let keeper = Arc::new(Keeper { client, roots });
    let kept =
        controller.run(mend, |_, _, _| Action::requeue(RETRY), keeper).for_each(async |outcome| {
            if let Err(error) = outcome {
                tracing::warn!(error = %chain(&error), "a copy of the mesh's roots is not kept");
            }
        });
    // A write that is cut off is made again by whoever keeps them next.
    stop.run_until_cancelled(kept).await;
}

/// Makes one namespace's copy what it must be.
async fn mend(namespace: Arc<Namespace>, keeper: Arc<Keeper>) -> Result<Action, Error> {
    let Some(name) = namespace.metadata.name.as_deref() else { return Ok(Action::await_change()) };
    // Nothing can be made in a namespace that is about to go.
    if namespace.metadata.deletion_timestamp.is_some() {
        return Ok(Action::await_change());
    }
    let copies: Api<ConfigMap> = Api::namespaced(keeper.client.clone(), name);
    match copies.get_opt(ROOT_CONFIG_MAP).await? {
        None => match copies.create(&made::post(), &copy(&keeper.roots)).await {
            // Another control plane was faster; it is looked at again as its event comes.
            Err(Error::Api(status)) if status.is_already_exists() => {}
            created => drop(created?),
        },
        Some(found) if !holds(&found, &keeper.roots) => {
            let mended = ConfigMap {
                metadata: ObjectMeta {
                    // Only what was read is replaced; else there is an event that it changed.
                    resource_version: found.metadata.resource_version.clone(),
                    annotations: found.metadata.annotations.clone(),
                    ..copy(&keeper.roots).metadata
                },
                ..copy(&keeper.roots)
            };
            copies.replace(ROOT_CONFIG_MAP, &made::post(), &mended).await?;
            tracing::info!(namespace = name, "the copy of the mesh's roots was mended");
        }
        Some(_) => {}
    }
    Ok(Action::requeue(AGAIN))
}

fn holds(found: &ConfigMap, roots: &str) -> bool {
    let data = found.data.as_ref().and_then(|data| data.get(ROOT_KEY));
    data.map(String::as_str) == Some(roots)
}

fn copy(roots: &str) -> ConfigMap {
    ConfigMap {
        metadata: ObjectMeta {
            name: Some(ROOT_CONFIG_MAP.to_owned()),
            labels: Some(made::labels()),
            ..ObjectMeta::default()
        },
        data: Some([(ROOT_KEY.to_owned(), roots.to_owned())].into()),
        ..ConfigMap::default()
    }
}
