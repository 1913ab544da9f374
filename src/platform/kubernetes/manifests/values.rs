//! What an installation can be told: defaults, a file of values, `KEY=VALUE`, flags; later ones win.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use crate::names::{Namespace, TrustDomain};
use crate::platform::kubernetes::inject::default_image;
use crate::rules::{alternatives, nearest};

/// The trust domain of whoever does not say another.
const TRUST_DOMAIN: &str = "cluster.local";

/// What an installation can be told. The names of the fields are those of `--set` and of a file.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Values {
    /// The namespace of the control plane.
    pub namespace: Namespace,
    /// The image of the control plane and of the sidecars.
    pub image: String,
    /// When nodes pull it: `Always`, `IfNotPresent` or `Never`.
    pub image_pull_policy: PullPolicy,
    /// Secrets of the control plane's namespace that the image is pulled with.
    pub image_pull_secrets: Vec<String>,
    /// The trust domain of all identities; fixed by the first installation.
    pub trust_domain: TrustDomain,
    /// How many control planes run.
    pub replicas: u32,
    /// What the control plane logs: a level, or directives.
    pub log: String,
    /// What the control plane's container is given.
    pub resources: Resources,
    /// Labels that a node must have to run the control plane.
    pub node_selector: Map<String, Value>,
    /// Taints of nodes that the control plane may run on all the same.
    pub tolerations: Vec<Value>,
}

/// Requests and limits of a container, by resource.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Resources {
    /// What is set aside.
    pub requests: Map<String, Value>,
    /// What is the most.
    pub limits: Map<String, Value>,
}

/// `imagePullPolicy` of a container.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum PullPolicy {
    /// At every start.
    Always,
    /// Where it is not there yet.
    IfNotPresent,
    /// Not at all.
    Never,
}

/// Why values cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ValuesError {
    /// The text is no mapping of values.
    #[error("values are not a mapping in YAML: {0}")]
    Yaml(String),
    /// Not `KEY=VALUE`.
    #[error("`{0}` is not `KEY=VALUE`")]
    Pair(String),
    /// No such value.
    #[error("there is no value `{key}`")]
    Unknown {
        /// What was given.
        key: String,
        /// What there is in its place.
        known: Vec<String>,
    },
    /// A value of the wrong shape.
    #[error("value `{key}` is wrong: {why}")]
    Wrong {
        /// Which.
        key: String,
        /// Why.
        why: String,
    },
    /// Several replicas.
    #[error("{0} replicas are not supported in this version yet, only one")]
    Replicas(u32),
    /// No replica at all.
    #[error("a mesh without a replica of its control plane cannot work")]
    NoReplica,
}

impl ValuesError {
    /// What to do about it.
    pub fn help(&self) -> String {
        match self {
            Self::Unknown { key, known } => {
                let key = key.rsplit('.').next().unwrap_or(key);
                let known = || known.iter().map(String::as_str);
                match nearest(key, known()) {
                    Some(near) => format!("did you mean `{near}`?"),
                    None => format!("write one of {}", alternatives(known())),
                }
            }
            Self::Pair(_) => "write for example `--set log=debug`".to_owned(),
            Self::Yaml(_) => "write one `KEY: VALUE` a line, for example `log: debug`".to_owned(),
            Self::Wrong { key, .. } => {
                let defaults = json!(Values::default());
                match defaults.pointer(&format!("/{}", key.replace('.', "/"))) {
                    Some(Value::String(text)) => format!("write it like its default, `{text}`"),
                    Some(default) => format!("write it like its default, `{default}`"),
                    None => "write the value in YAML".to_owned(),
                }
            }
            Self::Replicas(_) | Self::NoReplica => {
                "set `replicas` to 1, or leave it out".to_owned()
            }
        }
    }
}

impl Default for Values {
    fn default() -> Self {
        let map = |value: Value| value.as_object().cloned().unwrap_or_default();
        Self {
            namespace: Namespace::root(),
            image: default_image(),
            image_pull_policy: PullPolicy::IfNotPresent,
            image_pull_secrets: Vec::new(),
            trust_domain: TRUST_DOMAIN.parse().expect("the constant is a DNS-1123 subdomain"),
            replicas: 1,
            log: "info".to_owned(),
            resources: Resources {
                requests: map(json!({ "cpu": "50m", "memory": "64Mi" })),
                limits: map(json!({ "memory": "512Mi" })),
            },
            node_selector: Map::new(),
            tolerations: Vec::new(),
        }
    }
}

impl Values {
    /// The defaults, then `file` (YAML), then each `KEY=VALUE` of `set`, whose keys are paths with
    /// dots and whose values are YAML.
    ///
    /// # Errors
    /// [`ValuesError`], which names the key.
    pub fn read(file: Option<&str>, set: &[String]) -> Result<Self, ValuesError> {
        let mut all = json!(Self::default());
        let known = all.clone();
        if let Some(text) = file {
            let given: Value =
                serde_yaml::from_str(text).map_err(|error| ValuesError::Yaml(error.to_string()))?;
            match given {
                Value::Null => {}
                Value::Object(given) => overlay(&mut all, given, &known, "")?,
                _ => return Err(ValuesError::Yaml("it is a single value".to_owned())),
            }
        }
        for pair in set {
            let (key, text) =
                pair.split_once('=').ok_or_else(|| ValuesError::Pair(pair.clone()))?;
            let value = serde_yaml::from_str(text).map_err(|error| ValuesError::Wrong {
                key: key.to_owned(),
                why: error.to_string(),
            })?;
            overlay(&mut all, nested(key, value), &known, "")?;
        }
        typed(all)
    }

    /// Refuses what this version cannot install.
    ///
    /// # Errors
    /// [`ValuesError::Replicas`], [`ValuesError::NoReplica`].
    pub fn check(&self) -> Result<(), ValuesError> {
        match self.replicas {
            0 => Err(ValuesError::NoReplica),
            1 => Ok(()),
            more => Err(ValuesError::Replicas(more)),
        }
    }
}

/// `a.b` and a value as `{a: {b: value}}`.
fn nested(key: &str, value: Value) -> Map<String, Value> {
    let (first, rest) = match key.split_once('.') {
        // Labels and resources have dots in their names; only the fields above have parts.
        Some((first, rest)) => (first, Some(rest)),
        None => (key, None),
    };
    let value = match rest {
        Some(rest) if first == "nodeSelector" => json!({ rest: value }),
        Some(rest) => Value::Object(nested(rest, value)),
        None => value,
    };
    Map::from_iter([(first.to_owned(), value)])
}

/// Whether the names under a key are the user's own.
fn is_open(path: &str) -> bool {
    matches!(path, "nodeSelector" | "resources.requests" | "resources.limits")
}

/// Puts `given` over `all`; mappings are merged, everything else is replaced, null takes away.
fn overlay(
    all: &mut Value,
    given: Map<String, Value>,
    known: &Value,
    path: &str,
) -> Result<(), ValuesError> {
    for (key, value) in given {
        let here = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
        let default = known.get(&key);
        if default.is_none() && !is_open(path) {
            let known = known.as_object().into_iter().flatten().map(|(name, _)| name.clone());
            return Err(ValuesError::Unknown { key: here, known: known.collect() });
        }
        match (value, default) {
            (Value::Object(inner), Some(default @ Value::Object(_))) => {
                overlay(&mut all[&key], inner, default, &here)?;
            }
            (Value::Null, default) => match (default, is_open(path)) {
                (Some(default), false) => all[&key] = default.clone(),
                _ => drop(all.as_object_mut().map(|all| all.remove(&key))),
            },
            (value, _) => all[&key] = value,
        }
    }
    Ok(())
}

/// The values with their types, each checked alone so that an error names its key.
pub(super) fn typed(all: Value) -> Result<Values, ValuesError> {
    let defaults = json!(Values::default());
    for (key, value) in all.as_object().into_iter().flatten() {
        let mut one = defaults.clone();
        one[key] = value.clone();
        if let Err(error) = serde_json::from_value::<Values>(one) {
            return Err(ValuesError::Wrong { key: key.clone(), why: error.to_string() });
        }
    }
    serde_json::from_value(all).map_err(|error| ValuesError::Yaml(error.to_string()))
}
