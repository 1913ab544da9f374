//! Whether pods get sidecars: a pod is made on trial (dry run), so that the API server calls the
//! webhook as it would for a real one, and nothing is kept.

use kube::Api;
use kube::api::{ApiResource, DynamicObject, PostParams};
use serde_json::json;

use super::client::Connection;
use super::client::fault::RequestError;
use super::objects::within;
use super::partial::Pod;
use crate::names::DEFAULT_NAMESPACE;
use crate::names::sidecar::{INJECT_LABEL, SIDECAR_CONTAINER};

/// How the trial came out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Trial {
    /// The pod got a sidecar.
    Injected,
    /// It would have started without.
    Bare,
    /// The API server could not call the webhook: why.
    Unreachable(String),
    /// Something else refused the pod: what.
    Refused(String),
}

/// Makes the pod on trial.
///
/// # Errors
/// [`RequestError`] where nobody answered at all, or whoever asks may not make pods.
pub async fn inject(to: &Connection) -> Result<Trial, RequestError> {
    let pod: DynamicObject = match serde_json::from_value(pod()) {
        Ok(pod) => pod,
        Err(error) => return Ok(Trial::Refused(error.to_string())),
    };
    let params = PostParams { dry_run: true, ..PostParams::default() };
    let pods = ApiResource::erase::<Pod>(&());
    let api = Api::namespaced_with(to.client.clone(), DEFAULT_NAMESPACE, &pods);
    let made = within(to, "make a pod on trial", api.create(&params, &pod)).await;
    Ok(match made {
        Ok(made) => {
            let init = made.data["spec"]["initContainers"].as_array().into_iter().flatten();
            match init.into_iter().any(|it| it["name"] == SIDECAR_CONTAINER) {
                true => Trial::Injected,
                false => Trial::Bare,
            }
        }
        Err(error) if error.why().contains("failed calling webhook") => {
            Trial::Unreachable(error.why().to_owned())
        }
        Err(error) if error.status().is_none() || is_forbidden(&error) => return Err(error),
        Err(error) => Trial::Refused(error.why().to_owned()),
    })
}

/// That whoever asks may not, told apart from pod security, which answers with 403 too.
fn is_forbidden(error: &RequestError) -> bool {
    error.status() == Some(403) && error.why().contains("cannot create resource")
}

fn pod() -> serde_json::Value {
    json!({
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "generateName": "meshctl-check-",
            "labels": { INJECT_LABEL: "enabled" },
        },
        "spec": {
            "containers": [{
                "name": "trial",
                "image": "meshctl.invalid/trial:1",
                "securityContext": {
                    "allowPrivilegeEscalation": false,
                    "runAsNonRoot": true,
                    "capabilities": { "drop": ["ALL"] },
                    "seccompProfile": { "type": "RuntimeDefault" },
                },
            }],
        },
    })
}
