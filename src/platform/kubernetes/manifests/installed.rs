//! The values of an installation, read from its Deployment: what somebody has set, or changed since,
//! stays so in the manifests of another version.

use serde_json::{Map, Value, json};

use super::values::{Values, ValuesError, typed};

/// A label of nodes that every installation asks for.
const OS: &str = "kubernetes.io/os";

impl Values {
    /// The values that make this Deployment; of what it does not say, the default.
    ///
    /// # Errors
    /// [`ValuesError`]: what it says is no such value, as where somebody else has written it.
    pub fn installed(deployment: &Value) -> Result<Self, ValuesError> {
        let pod = &deployment["spec"]["template"]["spec"];
        let container = &pod["containers"][0];
        let words = container["args"].as_array().into_iter().flatten();
        let words: Vec<&str> = words.filter_map(Value::as_str).collect();
        let argument = |flag: &str| {
            let value = words.iter().skip_while(|word| **word != flag).nth(1);
            value.map(|value| json!(value)).unwrap_or_default()
        };
        let resources = |which: &str| match container["resources"].get(which) {
            Some(some @ Value::Object(_)) => some.clone(),
            _ => json!({}),
        };
        let mut selector = pod["nodeSelector"].as_object().cloned().unwrap_or_default();
        selector.retain(|label, value| label != OS || value != "linux");
        let secrets = pod["imagePullSecrets"].as_array().into_iter().flatten();
        let secrets: Value = secrets.map(|secret| secret["name"].clone()).collect();
        let found = [
            ("namespace", deployment["metadata"]["namespace"].clone()),
            ("image", container["image"].clone()),
            ("imagePullPolicy", container["imagePullPolicy"].clone()),
            ("imagePullSecrets", secrets),
            ("trustDomain", argument("--trust-domain")),
            ("replicas", deployment["spec"]["replicas"].clone()),
            ("log", argument("--log")),
            ("tolerations", pod["tolerations"].clone()),
        ];
        let mut all = json!(Self::default());
        for (key, value) in found.into_iter().filter(|(_, value)| !value.is_null()) {
            all[key] = value;
        }
        all["resources"] =
            json!({"requests": resources("requests"), "limits": resources("limits")});
        all["nodeSelector"] = Value::Object(Map::from_iter(selector));
        typed(all)
    }
}
