//! Objects of any kind as JSON, put on a cluster and taken off it.
//!
//! Written by server-side apply (KEP-555): the API server keeps which fields are ours, so that what
//! others own in the same object stays. Every request has a time limit of its own.

use std::time::Duration;

use kube::api::{ApiResource, DeleteParams, DynamicObject, Patch, PatchParams};
use kube::{Api, ResourceExt as _};
use serde_json::Value;

use super::client::Connection;
use super::client::fault::{RequestError, status};
use crate::names::sidecar::CONTROL_PLANE;

/// The longest that one request may take.
pub const TIMEOUT: Duration = Duration::from_secs(30);

/// The kinds that `install` makes: group, version, kind, plural, whether they have a namespace.
const KINDS: &[(&str, &str, &str, &str, bool)] = &[
    ("", "v1", "Namespace", "namespaces", false),
    ("", "v1", "ServiceAccount", "serviceaccounts", true),
    ("", "v1", "Service", "services", true),
    ("", "v1", "ConfigMap", "configmaps", true),
    ("", "v1", "Secret", "secrets", true),
    ("apps", "v1", "Deployment", "deployments", true),
    ("rbac.authorization.k8s.io", "v1", "ClusterRole", "clusterroles", false),
    ("rbac.authorization.k8s.io", "v1", "ClusterRoleBinding", "clusterrolebindings", false),
    ("rbac.authorization.k8s.io", "v1", "Role", "roles", true),
    ("rbac.authorization.k8s.io", "v1", "RoleBinding", "rolebindings", true),
    ("apiextensions.k8s.io", "v1", "CustomResourceDefinition", "customresourcedefinitions", false),
    (
        "admissionregistration.k8s.io",
        "v1",
        "MutatingWebhookConfiguration",
        "mutatingwebhookconfigurations",
        false,
    ),
];

/// What became of an object that was applied.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change {
    /// It was not there.
    Created,
    /// It was otherwise.
    Changed,
    /// It was so already.
    Unchanged,
}

/// One object that `install` knows: where it lies and what it is called.
#[derive(Debug, Clone)]
pub struct Place {
    /// How the API names its kind.
    pub resource: ApiResource,
    /// Its namespace; `None` for what has none.
    pub namespace: Option<String>,
    /// Its name.
    pub name: String,
}

impl Place {
    /// Where an object of `manifests` lies; `None` for a kind that no manifest has.
    pub fn of(object: &Value) -> Option<Self> {
        let (version, kind) = (object["apiVersion"].as_str()?, object["kind"].as_str()?);
        let found = KINDS.iter().find(|it| it.2 == kind && version == joined(it.0, it.1));
        let &(group, api_version, kind, plural, namespaced) = found?;
        let resource = ApiResource {
            group: group.to_owned(),
            version: api_version.to_owned(),
            api_version: version.to_owned(),
            kind: kind.to_owned(),
            plural: plural.to_owned(),
        };
        let metadata = &object["metadata"];
        let namespace = namespaced.then(|| metadata["namespace"].as_str()).flatten();
        let name = metadata["name"].as_str()?.to_owned();
        Some(Self { resource, namespace: namespace.map(str::to_owned), name })
    }

    fn api(&self, to: &Connection) -> Api<DynamicObject> {
        match &self.namespace {
            Some(namespace) => Api::namespaced_with(to.client.clone(), namespace, &self.resource),
            None => Api::all_with(to.client.clone(), &self.resource),
        }
    }
}

impl std::fmt::Display for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} `{}`", self.resource.kind, self.name)?;
        match &self.namespace {
            Some(namespace) => write!(f, " in the namespace `{namespace}`"),
            None => Ok(()),
        }
    }
}

fn joined(group: &str, version: &str) -> String {
    match group {
        "" => version.to_owned(),
        group => format!("{group}/{version}"),
    }
}

/// Waits for an answer, but not for ever.
///
/// # Errors
/// [`RequestError`]; `attempt` continues "cannot".
pub async fn within<T>(
    to: &Connection,
    attempt: impl Into<String>,
    request: impl Future<Output = Result<T, kube::Error>>,
) -> Result<T, RequestError> {
    match tokio::time::timeout(TIMEOUT, request).await {
        Ok(answer) => answer.map_err(|error| RequestError::new(to, attempt, &error)),
        Err(_) => Err(RequestError::late(to, attempt, TIMEOUT)),
    }
}

/// The object as it is; `None` where there is none, or where its kind is not known.
///
/// # Errors
/// [`RequestError`].
pub async fn get(to: &Connection, place: &Place) -> Result<Option<DynamicObject>, RequestError> {
    within(to, format!("read the {place}"), place.api(to).get_opt(&place.name)).await
}

/// Applies an object; what others own of it stays, what was ours and is not in it any more goes.
/// `before` is what [`get`] has found.
///
/// # Errors
/// [`RequestError`].
pub async fn apply(
    to: &Connection,
    place: &Place,
    object: &Value,
    before: Option<&DynamicObject>,
) -> Result<Change, RequestError> {
    let params = PatchParams::apply(CONTROL_PLANE).force();
    let patch = Patch::Apply(object);
    let request = async { place.api(to).patch(&place.name, &params, &patch).await };
    let after = within(to, format!("apply the {place}"), request).await?;
    Ok(match before {
        None => Change::Created,
        Some(before) if before.resource_version() == after.resource_version() => Change::Unchanged,
        Some(_) => Change::Changed,
    })
}

/// Deletes an object; false where it was not there.
///
/// # Errors
/// [`RequestError`].
pub async fn delete(to: &Connection, place: &Place) -> Result<bool, RequestError> {
    let params = DeleteParams::background();
    let request = async {
        match place.api(to).delete(&place.name, &params).await {
            Ok(_) => Ok(true),
            Err(error) if status(&error) == Some(404) => Ok(false),
            Err(error) => Err(error),
        }
    };
    within(to, format!("delete the {place}"), request).await
}
