//! The namespace, who runs in it, and how it is reached.

use serde_json::{Value, json};

use super::{Values, WEBHOOK_SERVICE, selector};
use crate::names::sidecar::{
    API_PORT, CONTROL_PLANE, CONTROL_PORT, INJECT_LABEL, METRICS_PORT, OPERATOR, SIDECAR_UID,
    VIEWER, WEBHOOK_PORT,
};

/// Pods of it may do nothing that needs a privilege, and are never injected.
pub(super) fn namespace(values: &Values) -> Value {
    let mut labels = json!({ INJECT_LABEL: "disabled" });
    for mode in ["enforce", "audit", "warn"] {
        labels[format!("pod-security.kubernetes.io/{mode}")] = json!("restricted");
    }
    json!({
        "apiVersion": "v1",
        "kind": "Namespace",
        "metadata": { "name": values.namespace, "labels": labels },
    })
}

/// The control plane's, and those that stand for people who look and people who change.
pub(super) fn service_accounts(values: &Values) -> Vec<Value> {
    let account = |name: &str| {
        json!({
            "apiVersion": "v1",
            "kind": "ServiceAccount",
            "metadata": { "name": name, "namespace": values.namespace },
            "automountServiceAccountToken": name == CONTROL_PLANE,
        })
    };
    [CONTROL_PLANE, VIEWER, OPERATOR].map(account).into()
}

pub(super) fn services(values: &Values) -> Vec<Value> {
    let port = |name: &str, port: u16, target: u16, protocol: &str| json!({ "name": name, "port": port, "targetPort": target, "protocol": "TCP", "appProtocol": protocol });
    let service = |name: &str, ports: Value| {
        json!({
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": { "name": name, "namespace": values.namespace },
            "spec": { "type": "ClusterIP", "selector": selector(), "ports": ports },
        })
    };
    let own = [
        ("proxies", CONTROL_PORT, "https"),
        ("api", API_PORT, "https"),
        ("metrics", METRICS_PORT, "http"),
    ];
    let own = own.map(|(name, number, protocol)| port(name, number, number, protocol));
    vec![
        service(CONTROL_PLANE, json!(own)),
        service(WEBHOOK_SERVICE, json!([port("webhook", 443, WEBHOOK_PORT, "https")])),
    ]
}

pub(super) fn deployment(values: &Values) -> Value {
    let mut labels = selector();
    labels[super::VERSION_LABEL] = json!(env!("CARGO_PKG_VERSION"));
    json!({
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": { "name": CONTROL_PLANE, "namespace": values.namespace, "labels": selector() },
        "spec": {
            "replicas": values.replicas,
            "revisionHistoryLimit": 3,
            "selector": { "matchLabels": selector() },
            // The next one is ready before the last one goes.
            "strategy": { "type": "RollingUpdate", "rollingUpdate": { "maxSurge": 1, "maxUnavailable": 0 } },
            "template": {
                "metadata": {
                    "labels": labels,
                    "annotations": {
                        "prometheus.io/scrape": "true",
                        "prometheus.io/port": METRICS_PORT.to_string(),
                        "prometheus.io/path": "/metrics",
                    },
                },
                "spec": pod(values),
            },
        },
    })
}

fn pod(values: &Values) -> Value {
    let mut spec = json!({
        "serviceAccountName": CONTROL_PLANE,
        // A few names of the environment are enough; Services of the namespace need not be in it.
        "enableServiceLinks": false,
        "priorityClassName": "system-cluster-critical",
        "terminationGracePeriodSeconds": 30,
        "nodeSelector": { "kubernetes.io/os": "linux" },
        "securityContext": {
            "runAsNonRoot": true,
            "runAsUser": SIDECAR_UID,
            "runAsGroup": SIDECAR_UID,
            "seccompProfile": { "type": "RuntimeDefault" },
        },
        "containers": [container(values)],
    });
    for (label, value) in &values.node_selector {
        spec["nodeSelector"][label] = value.clone();
    }
    if !values.tolerations.is_empty() {
        spec["tolerations"] = json!(values.tolerations);
    }
    if !values.image_pull_secrets.is_empty() {
        let secrets = values.image_pull_secrets.iter().map(|name| json!({ "name": name }));
        spec["imagePullSecrets"] = secrets.collect();
    }
    spec
}

fn container(values: &Values) -> Value {
    let port =
        |name: &str, port: u16| json!({ "name": name, "containerPort": port, "protocol": "TCP" });
    let probe =
        |path: &str| json!({ "httpGet": { "path": path, "port": "metrics", "scheme": "HTTP" } });
    let mut live = probe("/healthz");
    (live["periodSeconds"], live["failureThreshold"], live["timeoutSeconds"]) =
        (json!(10), json!(3), json!(5));
    let mut ready = probe("/readyz");
    (ready["periodSeconds"], ready["failureThreshold"], ready["timeoutSeconds"]) =
        (json!(1), json!(3), json!(5));
    json!({
        "name": "control-plane",
        "image": values.image,
        "imagePullPolicy": values.image_pull_policy,
        "args": arguments(values),
        "ports": [
            port("proxies", CONTROL_PORT), port("api", API_PORT),
            port("webhook", WEBHOOK_PORT), port("metrics", METRICS_PORT),
        ],
        "livenessProbe": live,
        "readinessProbe": ready,
        "resources": values.resources,
        "securityContext": {
            "allowPrivilegeEscalation": false,
            "readOnlyRootFilesystem": true,
            "capabilities": { "drop": ["ALL"] },
        },
    })
}

fn arguments(values: &Values) -> Vec<String> {
    let Values { namespace, trust_domain, image, log, .. } = values;
    let words = [
        "control-plane",
        "run",
        "--platform",
        "kubernetes",
        "--namespace",
        namespace.as_str(),
        "--trust-domain",
        trust_domain.as_str(),
        "--image",
        image,
        "--log",
        log,
    ];
    words.map(str::to_owned).into()
}
