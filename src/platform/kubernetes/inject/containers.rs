//! What is added to a pod: the init container that captures, the native sidecar, their volumes.
//!
//! Only the capture has a capability (NET_ADMIN, as UID 0) and it ends at once; the sidecar meets
//! the `restricted` Pod Security Standard. What each part is for is in `docs/reference/injection.md`.

use serde_json::{Map, Value as Json, json};

use super::annotations::Wishes;
use super::{Resources, Settings};
use crate::names::sidecar::{
    AUDIENCE, CAPTURE_CONTAINER, HOME_DIR, HOME_VOLUME, PROBE_PORT, PROBES_ENV, PROGRAM,
    ROOT_CONFIG_MAP, ROOT_DIR, ROOT_KEY, ROOT_VOLUME, SIDECAR_CONTAINER, SIDECAR_UID, TOKEN_DIR,
    TOKEN_FILE, TOKEN_VOLUME,
};

/// How long a token holds; the kubelet renews it well before.
const TOKEN_SECONDS: u64 = 3600;
/// How long the application waits for the sidecar before the kubelet tries anew.
const GATE: &str = "60s";
/// What the sidecar may keep: keys and the last good configuration.
const HOME_SIZE: &str = "64Mi";

/// The init container that programs the capture, first of all.
pub(super) fn capture(settings: &Settings, wishes: &Wishes) -> Json {
    let mut args: Vec<String> =
        ["proxy", "capture", "--yes", "--user"].into_iter().map(str::to_owned).collect();
    args.push(SIDECAR_UID.to_string());
    for (flag, values) in [
        ("--exclude-inbound-ports", joined(&wishes.exclude_inbound_ports)),
        ("--exclude-outbound-ports", joined(&wishes.exclude_outbound_ports)),
        ("--exclude-outbound-cidrs", joined(&wishes.exclude_outbound_cidrs)),
    ] {
        if !values.is_empty() {
            args.extend([flag.to_owned(), values]);
        }
    }
    json!({
        "name": CAPTURE_CONTAINER,
        "image": settings.image,
        "command": [PROGRAM],
        "args": args,
        "resources": resources(&wishes.resources),
        "securityContext": {
            "allowPrivilegeEscalation": false,
            "capabilities": {"add": ["NET_ADMIN"], "drop": ["ALL"]},
            "privileged": false,
            "readOnlyRootFilesystem": true,
            "runAsGroup": 0,
            "runAsNonRoot": false,
            "runAsUser": 0,
            "seccompProfile": {"type": "RuntimeDefault"},
        },
    })
}

/// The sidecar: started and ready before the application, ended after it.
pub(super) fn proxy(
    settings: &Settings,
    wishes: &Wishes,
    service: &str,
    probes: &Map<String, Json>,
) -> Json {
    let mut env = vec![
        from("POD_IP", "status.podIP"),
        from("POD_IPS", "status.podIPs"),
        from("POD_NAME", "metadata.name"),
        from("POD_NAMESPACE", "metadata.namespace"),
        from("SERVICE_ACCOUNT", "spec.serviceAccountName"),
        json!({"name": "MESHCTL_LOG", "value": wishes.log}),
    ];
    if !probes.is_empty() {
        // A `$(` in it is meant as it stands; the kubelet would look for a variable.
        let value = json!(probes).to_string().replace("$(", "$$(");
        env.push(json!({"name": PROBES_ENV, "value": value}));
    }
    json!({
        "name": SIDECAR_CONTAINER,
        "image": settings.image,
        "command": [PROGRAM],
        "args": [
            "proxy", "run", "--captured",
            "--service", service,
            "--namespace", "$(POD_NAMESPACE)",
            "--name", "$(POD_NAME)",
            "--service-account", "$(SERVICE_ACCOUNT)",
            "--advertise", "$(POD_IP)",
            "--control-plane", settings.control_plane(),
            "--token-file", format!("{TOKEN_DIR}/{TOKEN_FILE}"),
            "--roots-file", format!("{ROOT_DIR}/{ROOT_KEY}"),
            "--home", HOME_DIR,
        ],
        "env": env,
        "lifecycle": {
            "postStart": {"exec": {"command": [PROGRAM, "proxy", "wait", "--timeout", GATE]}},
        },
        "readinessProbe": {
            "httpGet": {"path": "/ready", "port": PROBE_PORT},
            "periodSeconds": 5,
            "timeoutSeconds": 2,
        },
        "resources": resources(&wishes.resources),
        "restartPolicy": "Always",
        "securityContext": {
            "allowPrivilegeEscalation": false,
            "capabilities": {"drop": ["ALL"]},
            "privileged": false,
            "readOnlyRootFilesystem": true,
            "runAsGroup": SIDECAR_UID,
            "runAsNonRoot": true,
            "runAsUser": SIDECAR_UID,
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "volumeMounts": [
            {"name": TOKEN_VOLUME, "mountPath": TOKEN_DIR, "readOnly": true},
            {"name": ROOT_VOLUME, "mountPath": ROOT_DIR, "readOnly": true},
            {"name": HOME_VOLUME, "mountPath": HOME_DIR},
        ],
    })
}

/// What the sidecar mounts. A pod waits for the ConfigMap, so none starts before the mesh knows it.
pub(super) fn volumes() -> Vec<Json> {
    let token = json!({
        "audience": AUDIENCE,
        "expirationSeconds": TOKEN_SECONDS,
        "path": TOKEN_FILE,
    });
    vec![
        json!({
            "name": TOKEN_VOLUME,
            "projected": {"sources": [{"serviceAccountToken": token}]},
        }),
        json!({"name": ROOT_VOLUME, "configMap": {"name": ROOT_CONFIG_MAP}}),
        json!({"name": HOME_VOLUME, "emptyDir": {"medium": "Memory", "sizeLimit": HOME_SIZE}}),
    ]
}

fn from(name: &str, path: &str) -> Json {
    json!({"name": name, "valueFrom": {"fieldRef": {"fieldPath": path}}})
}

fn joined(values: &[impl ToString]) -> String {
    values.iter().map(ToString::to_string).collect::<Vec<_>>().join(",")
}

fn resources(resources: &Resources) -> Json {
    let mut all = json!({"requests": {"cpu": resources.cpu, "memory": resources.memory}});
    let limits = [("cpu", &resources.cpu_limit), ("memory", &resources.memory_limit)];
    let limits: Map<String, Json> = limits
        .into_iter()
        .filter_map(|(key, limit)| Some((key.to_owned(), json!(limit.as_ref()?))))
        .collect();
    if !limits.is_empty() {
        all["limits"] = Json::Object(limits);
    }
    all
}
