//! Objects as far as this program reads them: what else they say is skipped while parsing.
//!
//! The whole of a pod has hundreds of types, for each of which a parser would be compiled; a mesh
//! reads a dozen fields. What is kept has the names and places that it has in the API.

use kube::api::{Log, ObjectMeta, Portforward};
use serde::Deserialize;

/// Makes a partial struct with a field `metadata` an object that `kube` can ask for.
macro_rules! partial {
    ($name:ident, $group:literal, $version:literal, $kind:literal, $plural:literal) => {
        impl kube::Resource for $name {
            type DynamicType = ();
            type Scope = k8s_openapi::NamespaceResourceScope;

            fn kind((): &()) -> std::borrow::Cow<'_, str> {
                $kind.into()
            }

            fn group((): &()) -> std::borrow::Cow<'_, str> {
                $group.into()
            }

            fn version((): &()) -> std::borrow::Cow<'_, str> {
                $version.into()
            }

            fn plural((): &()) -> std::borrow::Cow<'_, str> {
                $plural.into()
            }

            fn meta(&self) -> &kube::api::ObjectMeta {
                &self.metadata
            }

            fn meta_mut(&mut self) -> &mut kube::api::ObjectMeta {
                &mut self.metadata
            }
        }
    };
}
pub(super) use partial;

/// `v1 Pod`.
#[derive(Debug, Clone, Default, Deserialize)]
pub struct Pod {
    /// Who it is.
    #[serde(default)]
    pub metadata: ObjectMeta,
    /// What was asked for.
    pub spec: Option<PodSpec>,
    /// How it is.
    pub status: Option<PodStatus>,
}

partial!(Pod, "", "v1", "Pod", "pods");

impl Log for Pod {}

impl Portforward for Pod {}

/// What was asked for of a pod.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PodSpec {
    /// As whom it runs; `None` is `default`.
    pub service_account_name: Option<String>,
    /// Whether it shares the network of its node.
    pub host_network: Option<bool>,
    /// Those that start before the others, sidecars among them.
    pub init_containers: Option<Vec<Container>>,
}

/// A container of a pod.
#[derive(Debug, Clone, Deserialize)]
pub struct Container {
    /// Its name.
    pub name: String,
}

/// How a pod is.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PodStatus {
    /// `Pending`, `Running`, `Succeeded`, `Failed` or `Unknown`.
    pub phase: Option<String>,
    /// `PodScheduled`, `Ready` and others.
    pub conditions: Option<Vec<Condition>>,
    /// How its containers are, without those that start before the others.
    pub container_statuses: Option<Vec<ContainerStatus>>,
}

/// A condition of a pod or a Deployment.
#[derive(Debug, Clone, Deserialize)]
pub struct Condition {
    /// Such as `Ready`.
    #[serde(rename = "type")]
    pub type_: String,
    /// `True`, `False` or `Unknown`.
    pub status: String,
    /// For people.
    pub message: Option<String>,
}

/// How a container is.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ContainerStatus {
    /// What it runs.
    pub image: String,
    /// Whether it has passed its probes.
    pub ready: bool,
    /// How often it was started again.
    pub restart_count: i32,
    /// What it does now.
    pub state: Option<ContainerState>,
}

/// What a container does.
#[derive(Debug, Clone, Deserialize)]
pub struct ContainerState {
    /// `Some` where it does not run yet, or not again.
    pub waiting: Option<Waiting>,
}

/// Why a container does not run.
#[derive(Debug, Clone, Deserialize)]
pub struct Waiting {
    /// One word, such as `ImagePullBackOff`.
    pub reason: Option<String>,
    /// For people.
    pub message: Option<String>,
}

/// `apps/v1 Deployment`.
#[derive(Debug, Clone, Deserialize)]
pub struct Deployment {
    /// Who it is.
    pub metadata: ObjectMeta,
    /// What was asked for.
    pub spec: Option<DeploymentSpec>,
    /// How far it has come.
    pub status: Option<DeploymentStatus>,
}

partial!(Deployment, "apps", "v1", "Deployment", "deployments");

/// What was asked for of a Deployment.
#[derive(Debug, Clone, Deserialize)]
pub struct DeploymentSpec {
    /// How many pods; `None` is one.
    pub replicas: Option<i32>,
}

/// How far a Deployment has come.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct DeploymentStatus {
    /// The generation that its controller has seen.
    pub observed_generation: Option<i64>,
    /// How many pods there are.
    pub replicas: Option<i32>,
    /// How many of them are of the newest kind.
    pub updated_replicas: Option<i32>,
    /// How many of them serve.
    pub available_replicas: Option<i32>,
    /// `ReplicaFailure` and others.
    pub conditions: Option<Vec<Condition>>,
}
