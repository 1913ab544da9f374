//! Injection: a pod as its author wrote it goes in, the pod with its sidecar comes out, and back.
//!
//! [`inject`] and [`uninject`] are pure functions over a pod's JSON (a Pod, or the template inside
//! of a workload). Both say what they do as [`Edit`]s at places of the pod: the webhook
//! ([`webhook`]) sends them as a JSON patch, [`text`] splices them into YAML. So what a cluster does
//! and what `meshctl inject` prints cannot differ.
//!
//! A pod that should be in the mesh never comes out bare without a word: it is injected, left alone
//! for a [`Skip`] that is named, or refused with everything that is wrong with it.

use serde_json::{Map, Value as Json};

use crate::names::{Namespace, sidecar};

pub mod annotations;
mod containers;
pub mod edit;
mod judge;
mod plan;
mod probes;
pub mod selectors;
#[cfg(test)]
mod tests;
pub mod text;
mod undo;
pub mod webhook;

pub use edit::Edit;
pub use undo::uninject;

/// What an installation gives to every sidecar; annotations of a pod may change some of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// The image of the sidecar.
    pub image: String,
    /// What is written as the version that injected.
    pub version: String,
    /// Where the control plane runs; pods there are never injected.
    pub namespace: Namespace,
    /// What the sidecar requests and may use.
    pub resources: Resources,
    /// What the sidecar logs, as `proxy run --log` takes it.
    pub log: String,
}

/// What the sidecar requests of its node, and what it may use at most; Kubernetes quantities.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Resources {
    /// CPU that is requested.
    pub cpu: String,
    /// Memory that is requested.
    pub memory: String,
    /// CPU at most.
    pub cpu_limit: Option<String>,
    /// Memory at most.
    pub memory_limit: Option<String>,
}

impl Default for Resources {
    fn default() -> Self {
        Self { cpu: "10m".into(), memory: "32Mi".into(), cpu_limit: None, memory_limit: None }
    }
}

/// The image of this version. It is nowhere else than where somebody put it, so it has no registry
/// that a stranger could answer for.
pub fn default_image() -> String {
    format!("localhost/meshctl:{}", env!("CARGO_PKG_VERSION"))
}

impl Settings {
    /// The settings of an installation in `namespace` where nothing else was said.
    pub fn new(image: impl Into<String>, namespace: Namespace) -> Self {
        Self {
            image: image.into(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            namespace,
            resources: Resources::default(),
            log: "info".to_owned(),
        }
    }

    /// Where sidecars find the control plane.
    pub fn control_plane(&self) -> String {
        let (service, namespace) = (sidecar::CONTROL_PLANE, &self.namespace);
        format!("https://{service}.{namespace}.svc:{}", sidecar::CONTROL_PORT)
    }
}

/// Where a pod comes from: what its own JSON does not say.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Origin<'a> {
    /// The namespace it goes to.
    pub namespace: &'a str,
    /// What the label [`sidecar::INJECT_LABEL`] of that namespace says.
    pub namespace_label: Option<&'a str>,
    /// The name of the workload whose template it is.
    pub workload: Option<&'a str>,
    /// How what is replaced was written, for `uninject`; see [`sidecar::SOURCE_ANNOTATION`].
    pub source: Map<String, Json>,
}

/// What became of a pod.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Decision {
    /// It has a sidecar now.
    Injected,
    /// It is as it was, which is right.
    Skipped(Skip),
    /// It may not start like this; never empty.
    Refused(Vec<Refusal>),
}

/// Why a pod is left alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Skip {
    /// See the text.
    #[error("neither it nor its namespace has the label `meshctl.dev/inject`")]
    NotAsked,
    /// See the text.
    #[error("its label `meshctl.dev/inject` says `disabled`")]
    Disabled,
    /// See the text.
    #[error("the label `meshctl.dev/inject` of its namespace says `disabled`")]
    NamespaceDisabled,
    /// See the text.
    #[error("its namespace belongs to Kubernetes or to the mesh itself")]
    SystemNamespace,
    /// See the text.
    #[error("it has its sidecar already")]
    Already,
    /// See the text.
    #[error("it uses the network of its node (`hostNetwork`), which is never captured")]
    HostNetwork,
    /// See the text.
    #[error("it runs on Windows")]
    Windows,
    /// See the text.
    #[error("it is a static pod, which only its node can change")]
    Static,
    /// See the text.
    #[error("it has no containers")]
    NoContainers,
}

/// One thing that is wrong with a pod.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// Where, as a JSON pointer from the pod.
    pub at: String,
    /// Whether it is a label or annotation of ours, rather than the pod itself.
    pub mark: bool,
    /// What; lower case, no period.
    pub message: String,
    /// What to do; may be empty.
    pub help: String,
}

/// Something worth knowing about a pod.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Warning {
    /// Where, as a JSON pointer from the pod.
    pub at: String,
    /// What; lower case, no period.
    pub message: String,
}

/// What injection did to a pod.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Injection {
    /// What became of it.
    pub decision: Decision,
    /// The pod as it is now.
    pub pod: Json,
    /// How it came to that, in this order; empty unless it was injected.
    pub edits: Vec<Edit>,
    /// What is worth knowing.
    pub warnings: Vec<Warning>,
}

impl Injection {
    /// The same as operations of a JSON patch (RFC 6902).
    pub fn patch(&self) -> Json {
        edit::patch(&self.edits)
    }
}

/// Gives a pod its sidecar, where it should have one.
pub fn inject(pod: &Json, origin: &Origin<'_>, settings: &Settings) -> Injection {
    let mut warnings = Vec::new();
    let (decision, edits) = match judge::judge(pod, origin, settings, &mut warnings) {
        Ok(wishes) => {
            (Decision::Injected, plan::plan(pod, origin, settings, &wishes, &mut warnings))
        }
        Err(decision) => (decision, Vec::new()),
    };
    let mut injected = pod.clone();
    edit::apply(&mut injected, &edits);
    Injection { decision, pod: injected, edits, warnings }
}
