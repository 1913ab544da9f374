//! Tests of probes and lifecycle handlers: where the kubelet asks now, and what the sidecar knows.

use serde_json::{Value as Json, json};

use super::super::uninject;
use super::{injected, patched, pod};
use crate::names::sidecar;

fn probed() -> Json {
    pod(&json!({"spec": {
        "initContainers": [
            {"name": "side", "restartPolicy": "Always", "startupProbe": {"httpGet": {"port": 7}}},
        ],
        "containers": [{
            "name": "app",
            "ports": [{"name": "http", "containerPort": 8080}],
            "livenessProbe": {"httpGet": {"path": "/x", "port": "http"}, "timeoutSeconds": 4},
            "readinessProbe": {"grpc": {"port": 9, "service": "s"}},
            "startupProbe": {"exec": {"command": ["true"]}},
            "lifecycle": {"preStop": {"tcpSocket": {"port": "81"}}},
        }],
    }}))
}

/// What the sidecar gets, and the annotation with the originals.
fn kept(pod: &Json) -> (Json, Json) {
    let read = |text: &Json| serde_json::from_str(text.as_str().expect("text")).expect("JSON");
    let env = pod["spec"]["initContainers"][1]["env"].as_array().expect("a list");
    let env = env.iter().find(|it| it["name"] == sidecar::PROBES_ENV).expect("the variable");
    (read(&env["value"]), read(&pod["metadata"]["annotations"][sidecar::PROBES_ANNOTATION]))
}

#[test]
fn the_kubelet_asks_the_sidecar_and_the_sidecar_knows_what() {
    let pod = injected(&probed()).pod;
    let asked = |kind: &str| json!({"path": format!("/app/{kind}"), "port": 14721});
    let app = &pod["spec"]["containers"][0];
    assert_eq!(
        app["livenessProbe"],
        json!({"timeoutSeconds": 4, "httpGet": asked("app/liveness")})
    );
    assert_eq!(app["readinessProbe"], json!({"httpGet": asked("app/readiness")}));
    assert_eq!(app["startupProbe"], json!({"exec": {"command": ["true"]}}));
    assert_eq!(app["lifecycle"]["preStop"], json!({"httpGet": asked("app/prestop")}));
    let side = &pod["spec"]["initContainers"][2];
    assert_eq!(side["startupProbe"], json!({"httpGet": asked("side/startup")}));
    let (resolved, originals) = kept(&pod);
    let wanted = json!({
        "app/liveness": {"httpGet": {"path": "/x", "port": 8080}, "timeoutSeconds": 4},
        "app/readiness": {"grpc": {"port": 9, "service": "s"}, "timeoutSeconds": 1},
        "app/prestop": {"tcpSocket": {"port": 81}},
        "side/startup": {"httpGet": {"port": 7}, "timeoutSeconds": 1},
    });
    assert_eq!(resolved, wanted);
    assert_eq!(originals["app/liveness"], json!({"httpGet": {"path": "/x", "port": "http"}}));
}

#[test]
fn the_patch_rewrites_probes_before_it_moves_the_init_containers() {
    let injection = injected(&probed());
    assert_eq!(patched(&probed(), &injection.patch()), injection.pod);
}

#[test]
fn originals_come_back_and_what_was_changed_since_stays() {
    let mut changed = injected(&probed()).pod;
    assert_eq!(uninject(&changed).expect("it has a sidecar").pod, probed());
    changed["spec"]["containers"][0]["livenessProbe"]["httpGet"] = json!({"port": 99});
    let undone = uninject(&changed).expect("it has a sidecar").pod;
    let app = &undone["spec"]["containers"][0];
    assert_eq!(app["livenessProbe"]["httpGet"], json!({"port": 99}));
    assert_eq!(app["readinessProbe"], probed()["spec"]["containers"][0]["readinessProbe"]);
}

#[test]
fn handlers_that_do_not_come_through_the_capture_stay() {
    let spared = pod(&json!({
        "metadata": {"annotations": {"meshctl.dev/exclude-inbound-ports": "80"}},
        "spec": {"containers": [{
            "name": "app",
            "livenessProbe": {"tcpSocket": {"port": 80}},
            "readinessProbe": {"httpGet": {"port": 81, "host": "192.0.2.1"}},
            "startupProbe": {"httpGet": {"port": "unknown"}},
        }]},
    }));
    let injection = injected(&spared);
    assert_eq!(injection.pod["spec"]["containers"], spared["spec"]["containers"]);
    assert_eq!(injection.warnings.len(), 1, "{:?}", injection.warnings);
}

#[test]
fn a_dollar_in_a_probe_is_none_of_the_kubelets_variables() {
    let probe = json!({"httpGet": {"path": "/$(POD_IP)", "port": 1}});
    let pod = pod(&json!({"spec": {"containers": [{"name": "app", "livenessProbe": probe}]}}));
    let text = injected(&pod).pod["spec"]["initContainers"][1]["env"].to_string();
    assert!(text.contains("/$$(POD_IP)"), "{text}");
}
