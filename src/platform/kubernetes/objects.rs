//! Objects of any kind as JSON, put on a cluster and taken off it.
//!
//! Written by server-side apply (KEP-555): the API server keeps which fields are ours, so that what
//! others own in the same object stays. Every request has a time limit of its own.

use std::time::Duration;

use kube::api::{ApiResource, DeleteParams, DynamicObject, ListParams, Patch, PatchParams};
use kube::{Api, ResourceExt as _};
use serde_json::Value;

use super::client::Connection;
use super::client::fault::{RequestError, status};
use super::owned;
use crate::names::sidecar::CONTROL_PLANE;

/// The longest that one request may take.
pub const TIMEOUT: Duration = Duration::from_secs(30);

/// Group, version, kind, plural, whether it has a namespace.
type Kind = (&'static str, &'static str, &'static str, &'static str, bool);

/// The kinds that `install` makes.
const KINDS: &[Kind] = &[
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
#[derive(Debug, Clone, PartialEq, Eq)]
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
        let found = KINDS.iter().find(|it| it.2 == kind && version == joined(it.0, it.1))?;
        let metadata = &object["metadata"];
        Some(Self::new(found, metadata["namespace"].as_str(), metadata["name"].as_str()?))
    }

    /// Of one of [`KINDS`]; the namespace counts where the kind has one.
    fn new(kind: &Kind, namespace: Option<&str>, name: &str) -> Self {
        let &(group, version, kind, plural, namespaced) = kind;
        let resource = ApiResource {
            group: group.to_owned(),
            version: version.to_owned(),
            api_version: joined(group, version),
            kind: kind.to_owned(),
            plural: plural.to_owned(),
        };
        let namespace = namespace.filter(|_| namespaced).map(str::to_owned);
        Self { resource, namespace, name: name.to_owned() }
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

/// What would come of it if it was applied.
///
/// # Errors
/// [`RequestError`].
pub async fn dry_run(
    to: &Connection,
    place: &Place,
    object: &Value,
) -> Result<DynamicObject, RequestError> {
    let params = PatchParams { dry_run: true, ..PatchParams::apply(CONTROL_PLANE).force() };
    let patch = Patch::Apply(object);
    let request = async { place.api(to).patch(&place.name, &params, &patch).await };
    within(to, format!("try to apply the {place}"), request).await
}

/// Where everything lies that an installation of any version has made here: with `labels`, and
/// applied by us. Definitions and namespaces are left out, because what users wrote goes with them.
///
/// # Errors
/// [`RequestError`].
pub async fn installed(
    to: &Connection,
    namespace: &str,
    labels: &str,
) -> Result<Vec<Place>, RequestError> {
    let mut found = Vec::new();
    for kind in KINDS {
        if matches!(kind.2, "CustomResourceDefinition" | "Namespace") {
            continue;
        }
        let place = Place::new(kind, Some(namespace), "");
        let params = ListParams::default().labels(labels);
        let request = async { place.api(to).list(&params).await };
        let listed = within(to, format!("list the {} of the mesh", kind.3), request).await?;
        let ours = listed.items.iter().filter(|it| owned::is_ours(it));
        found.extend(ours.map(|it| Place { name: it.name_any(), ..place.clone() }));
    }
    Ok(found)
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
