//! What of a cluster concerns the mesh: labelled namespaces, pods with and without a sidecar, what
//! the control plane has made, rules that users wrote. Read page by page; nothing is changed.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{ConfigMap, Namespace};
use kube::api::{ApiResource, DynamicObject, GroupVersionKind, ListParams, ObjectList};
use kube::{Api, ResourceExt as _};
use serde::de::DeserializeOwned;

use super::client::Connection;
use super::client::fault::{RequestError, status};
use super::discovery::resource;
use super::manifests::MANAGED_BY;
use super::objects::within;
use super::partial::Pod;
use crate::mesh::ObjectKind;
use crate::names::sidecar::{
    CONTROL_PLANE, INJECT_LABEL, INJECTED_ANNOTATION, ROOT_CONFIG_MAP, ROOT_KEY, SIDECAR_CONTAINER,
};

#[cfg(test)]
mod tests;

/// Objects of one page.
const PAGE: u32 = 500;

/// A namespace, as far as it concerns the mesh.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NamespaceSeen {
    /// Its name.
    pub name: String,
    /// What its label says about sidecars.
    pub inject: Option<String>,
    /// What its pod security enforces.
    pub pod_security: Option<String>,
    /// The label or annotation by which another mesh takes it.
    pub other_mesh: Option<String>,
    /// It is being deleted: nothing more can be made in it.
    pub leaving: bool,
}

/// A pod, as far as it concerns the mesh.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PodSeen {
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// What its own label says about sidecars.
    pub inject: Option<String>,
    /// The version that injected it; `None` without a sidecar.
    pub injected: Option<String>,
    /// What makes it anew when it is restarted, as `kubectl rollout restart` takes it, such as
    /// `deployment/web`; `None` for pods of jobs and of nobody.
    pub workload: Option<String>,
    /// It has the node's network, so it is never injected.
    pub host_network: bool,
    /// It has not ended, and nobody has told it to.
    pub alive: bool,
}

/// By which labels and annotations other meshes take a namespace, and the values with which they do.
const OTHER_MESHES: &[(&str, &[&str])] = &[
    ("istio-injection", &["enabled"]),
    ("istio.io/rev", &[]),
    ("istio.io/dataplane-mode", &["ambient"]),
    ("linkerd.io/inject", &["enabled", "ingress"]),
    ("kuma.io/sidecar-injection", &["enabled", "true"]),
    ("consul.hashicorp.com/connect-inject", &["true"]),
];

impl NamespaceSeen {
    /// Whether its label has a value that means something, or is not there.
    pub fn is_spelt(&self) -> bool {
        matches!(self.inject.as_deref(), None | Some("enabled" | "disabled"))
    }

    /// Whether pods that are made in it get sidecars.
    pub fn is_enabled(&self) -> bool {
        self.inject.as_deref() == Some("enabled") && !self.leaving
    }

    fn of(found: &Namespace) -> Self {
        let labels = found.labels();
        Self {
            name: found.name_any(),
            inject: labels.get(INJECT_LABEL).cloned(),
            pod_security: labels.get("pod-security.kubernetes.io/enforce").cloned(),
            other_mesh: other_mesh(labels).or_else(|| other_mesh(found.annotations())),
            leaving: found.metadata.deletion_timestamp.is_some(),
        }
    }
}

fn other_mesh(marks: &BTreeMap<String, String>) -> Option<String> {
    OTHER_MESHES.iter().find_map(|(key, values)| {
        let value = marks.get(*key)?;
        (values.is_empty() || values.contains(&value.as_str())).then(|| format!("{key}={value}"))
    })
}

impl PodSeen {
    fn of(found: &Pod) -> Self {
        let spec = found.spec.as_ref();
        let native = spec.and_then(|it| it.init_containers.as_ref()).into_iter().flatten();
        let has_sidecar = native.into_iter().any(|it| it.name == SIDECAR_CONTAINER);
        let phase = found.status.as_ref().and_then(|it| it.phase.as_deref());
        let version = found.annotations().get(INJECTED_ANNOTATION).cloned();
        Self {
            namespace: found.namespace().unwrap_or_default(),
            name: found.name_any(),
            inject: found.labels().get(INJECT_LABEL).cloned(),
            injected: has_sidecar.then(|| version.unwrap_or_default()),
            workload: workload(found),
            host_network: spec.and_then(|it| it.host_network).unwrap_or(false),
            alive: found.metadata.deletion_timestamp.is_none()
                && !matches!(phase, Some("Succeeded" | "Failed")),
        }
    }

    /// `namespace/name`.
    pub fn id(&self) -> String {
        format!("{}/{}", self.namespace, self.name)
    }
}

/// By its controller; of a Deployment's ReplicaSet the name ends in the hash of the pods' template.
fn workload(pod: &Pod) -> Option<String> {
    let owner = pod.owner_references().iter().find(|it| it.controller == Some(true))?;
    match owner.kind.as_str() {
        "ReplicaSet" => {
            let hash = pod.labels().get("pod-template-hash")?;
            let name = owner.name.strip_suffix(hash)?.strip_suffix('-')?;
            Some(format!("deployment/{name}"))
        }
        kind @ ("StatefulSet" | "DaemonSet") => {
            Some(format!("{}/{}", kind.to_ascii_lowercase(), owner.name))
        }
        _ => None,
    }
}

/// All namespaces, by name.
///
/// # Errors
/// [`RequestError`].
pub async fn namespaces(to: &Connection) -> Result<Vec<NamespaceSeen>, RequestError> {
    let api: Api<Namespace> = Api::all(to.client.clone());
    pages(to, "list the namespaces", &api, &ListParams::default(), NamespaceSeen::of).await
}

/// All pods.
///
/// # Errors
/// [`RequestError`].
pub async fn pods(to: &Connection) -> Result<Vec<PodSeen>, RequestError> {
    let api: Api<Pod> = Api::all(to.client.clone());
    pages(to, "list the pods", &api, &ListParams::default(), PodSeen::of).await
}

/// The copies of the mesh's roots, by namespace: PEM.
///
/// # Errors
/// [`RequestError`].
pub async fn roots(to: &Connection) -> Result<BTreeMap<String, String>, RequestError> {
    let api: Api<ConfigMap> = Api::all(to.client.clone());
    let ours = ListParams::default()
        .fields(&format!("metadata.name={ROOT_CONFIG_MAP}"))
        .labels(&format!("{MANAGED_BY}={CONTROL_PLANE}"));
    let root = |it: &ConfigMap| {
        let text = it.data.as_ref().and_then(|data| data.get(ROOT_KEY)).cloned();
        (it.namespace().unwrap_or_default(), text.unwrap_or_default())
    };
    let found = pages(to, "list the copies of the mesh's roots", &api, &ours, root).await?;
    Ok(found.into_iter().collect())
}

/// Objects of our kinds, `Kind namespace/name`; none where the kinds are not there.
///
/// # Errors
/// [`RequestError`].
pub async fn rules(to: &Connection) -> Result<Vec<String>, RequestError> {
    const KINDS: [ObjectKind; 3] =
        [ObjectKind::MeshConfig, ObjectKind::TrafficPolicy, ObjectKind::FaultPolicy];
    let mut found = Vec::new();
    for resource in KINDS.map(resource) {
        let api: Api<DynamicObject> = Api::all_with(to.client.clone(), &resource);
        let shown = |it: &DynamicObject| {
            let place = it.namespace().map(|it| format!("{it}/")).unwrap_or_default();
            format!("{} {place}{}", resource.kind, it.name_any())
        };
        found.extend(known(to, &resource, &api, &ListParams::default(), shown).await?);
    }
    Ok(found)
}

/// What of others lies in a namespace, `Kind name`; not what Kubernetes puts into every one.
///
/// # Errors
/// [`RequestError`].
pub async fn foreign(to: &Connection, namespace: &str) -> Result<Vec<String>, RequestError> {
    const KINDS: &[(&str, &str, &str)] = &[
        ("", "Pod", "pods"),
        ("", "Service", "services"),
        ("", "ConfigMap", "configmaps"),
        ("", "Secret", "secrets"),
        ("", "PersistentVolumeClaim", "persistentvolumeclaims"),
        ("apps", "Deployment", "deployments"),
        ("apps", "StatefulSet", "statefulsets"),
        ("apps", "DaemonSet", "daemonsets"),
        ("batch", "Job", "jobs"),
        ("batch", "CronJob", "cronjobs"),
    ];
    const RULES: [ObjectKind; 3] =
        [ObjectKind::HttpRoute, ObjectKind::TrafficPolicy, ObjectKind::FaultPolicy];
    let named = |&(group, kind, plural): &(&str, &str, &str)| {
        ApiResource::from_gvk_with_plural(&GroupVersionKind::gvk(group, "v1", kind), plural)
    };
    let others = ListParams::default().labels(&format!("{MANAGED_BY}!={CONTROL_PLANE}"));
    let mut found = Vec::new();
    for resource in KINDS.iter().map(named).chain(RULES.map(resource)) {
        let api: Api<DynamicObject> = Api::namespaced_with(to.client.clone(), namespace, &resource);
        let name = |it: &DynamicObject| (it.name_any(), it.metadata.deletion_timestamp.is_some());
        let names = known(to, &resource, &api, &others, name).await?;
        let kind = &resource.kind;
        let given = |name: &str| kind == "ConfigMap" && name == "kube-root-ca.crt";
        let stay = names.into_iter().filter(|(name, going)| !going && !given(name));
        found.extend(stay.map(|(name, _)| format!("{kind} {name}")));
    }
    Ok(found)
}

/// All objects of a kind; none where the API server does not know it.
async fn known<T>(
    to: &Connection,
    resource: &ApiResource,
    api: &Api<DynamicObject>,
    params: &ListParams,
    wanted: impl Fn(&DynamicObject) -> T,
) -> Result<Vec<T>, RequestError> {
    match pages(to, &format!("list the {}", resource.plural), api, params, wanted).await {
        Err(error) if error.status() == Some(404) => Ok(Vec::new()),
        answer => answer,
    }
}

/// All objects, page by page, of each only what is wanted. A list that grew too old meanwhile is
/// begun again once.
async fn pages<K, T>(
    to: &Connection,
    attempt: &str,
    api: &Api<K>,
    params: &ListParams,
    wanted: impl Fn(&K) -> T,
) -> Result<Vec<T>, RequestError>
where
    K: Clone + DeserializeOwned + std::fmt::Debug,
{
    let mut all = Vec::new();
    let mut page = params.clone().limit(PAGE);
    let mut again = true;
    loop {
        let request = async {
            match api.list(&page).await {
                Err(error) if again && status(&error) == Some(410) => Ok(None),
                answer => answer.map(Some),
            }
        };
        let Some(ObjectList { items, metadata, .. }) = within(to, attempt, request).await? else {
            (again, page.continue_token) = (false, None);
            all.clear();
            continue;
        };
        all.extend(items.iter().map(&wanted));
        match metadata.continue_.filter(|token| !token.is_empty()) {
            Some(token) => page.continue_token = Some(token),
            None => return Ok(all),
        }
    }
}
