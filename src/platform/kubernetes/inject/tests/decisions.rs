//! Tests of who gets a sidecar, who is left alone, who is refused.

use std::collections::BTreeMap;

use serde_json::{Value as Json, json};

use super::super::{Decision, Origin, Settings, Skip, annotations, inject};
use super::{injected, origin, pod, settings};
use crate::names::{Protocol, sidecar};

fn decide(pod: &Json, namespace_label: Option<&str>) -> Decision {
    inject(pod, &Origin { namespace_label, ..origin() }, &settings()).decision
}

/// The messages of a refusal.
fn refused(decision: Decision) -> Vec<String> {
    match decision {
        Decision::Refused(refusals) => refusals.into_iter().map(|it| it.message).collect(),
        other => panic!("not refused but {other:?}"),
    }
}

#[test]
fn the_label_of_the_pod_decides_before_that_of_its_namespace() {
    let with = |label: &str| pod(&json!({"metadata": {"labels": {"meshctl.dev/inject": label}}}));
    let bare = pod(&json!({}));
    assert_eq!(decide(&bare, None), Decision::Skipped(Skip::NotAsked));
    assert_eq!(decide(&bare, Some("enabled")), Decision::Injected);
    assert_eq!(decide(&bare, Some("disabled")), Decision::Skipped(Skip::NamespaceDisabled));
    for namespace in [None, Some("enabled"), Some("disabled"), Some("yes")] {
        assert_eq!(decide(&with("enabled"), namespace), Decision::Injected);
        assert_eq!(decide(&with("disabled"), namespace), Decision::Skipped(Skip::Disabled));
        assert_eq!(refused(decide(&with("Enabled"), namespace)).len(), 1);
    }
    for typo in ["", "true", "enabeld"] {
        assert_eq!(refused(decide(&bare, Some(typo))).len(), 1, "{typo}");
    }
}

#[test]
fn a_weight_is_a_whole_number_above_zero() {
    let with = |weight: Json| {
        let labels = json!({"meshctl.dev/inject": "enabled", "meshctl.dev/weight": weight});
        decide(&pod(&json!({"metadata": {"labels": labels}})), None)
    };
    for good in ["1", "7", "100000"] {
        assert_eq!(with(json!(good)), Decision::Injected, "{good}");
    }
    for bad in [json!(""), json!("0"), json!("+1"), json!("100001"), json!("1.5"), json!(3)] {
        assert_eq!(refused(with(bad.clone())).len(), 1, "{bad}");
    }
    let annotated = json!({"metadata": {"annotations": {"meshctl.dev/weight": "2"}}});
    assert_eq!(refused(decide(&pod(&annotated), Some("enabled"))).len(), 1, "it is a label");
}

#[test]
fn what_cannot_be_meshed_is_left_alone_and_refused_where_it_asks_itself() {
    let cases = [
        (json!({"spec": {"hostNetwork": true}}), Skip::HostNetwork),
        (json!({"spec": {"os": {"name": "windows"}}}), Skip::Windows),
        (json!({"spec": {"nodeSelector": {"kubernetes.io/os": "windows"}}}), Skip::Windows),
    ];
    for (more, skip) in cases {
        let injection = inject(&pod(&more), &origin(), &settings());
        assert_eq!(injection.decision, Decision::Skipped(skip));
        assert_eq!(injection.warnings.len(), 1);
        let mut asking = pod(&more);
        asking["metadata"]["labels"]["meshctl.dev/inject"] = json!("enabled");
        assert_eq!(refused(decide(&asking, None)).len(), 1);
    }
    let mirror = json!({"metadata": {"annotations": {"kubernetes.io/config.mirror": "x"}}});
    assert_eq!(decide(&pod(&mirror), Some("enabled")), Decision::Skipped(Skip::Static));
    for containers in [json!([]), json!(null)] {
        let empty = pod(&json!({"spec": {"containers": containers}}));
        assert_eq!(decide(&empty, Some("enabled")), Decision::Skipped(Skip::NoContainers));
    }
    assert_eq!(decide(&json!({}), Some("enabled")), Decision::Skipped(Skip::NoContainers));
}

#[test]
fn system_namespaces_and_the_meshs_own_are_left_alone_whatever_the_labels_say() {
    let asking = pod(&json!({"metadata": {"labels": {"meshctl.dev/inject": "enabled"}}}));
    let own = Settings { namespace: "mesh".parse().expect("a name"), ..settings() };
    for namespace in ["kube-system", "kube-public", "kube-node-lease", "mesh"] {
        let origin = Origin { namespace, ..origin() };
        let decision = inject(&asking, &origin, &own).decision;
        assert_eq!(decision, Decision::Skipped(Skip::SystemNamespace), "{namespace}");
    }
}

#[test]
fn everything_that_clashes_with_the_sidecar_is_told_at_once() {
    let clashing = json!({"spec": {
        "securityContext": {"runAsUser": 14700},
        "volumes": [{"name": "meshctl-home"}],
        "initContainers": [{"name": "linkerd-proxy"}, {"name": "meshctl-capture"}],
        "containers": [{
            "name": "app",
            "securityContext": {"runAsUser": 14700},
            "ports": [{"containerPort": 80}, {"containerPort": 14701}, {"containerPort": 14721}],
        }],
    }});
    let messages = refused(decide(&pod(&clashing), Some("enabled")));
    assert_eq!(messages.len(), 7, "{messages:#?}");
    assert!(messages.iter().any(|message| message.contains("Linkerd")));
}

#[test]
fn a_pod_that_only_says_that_it_is_injected_is_refused() {
    let pretending = json!({"metadata": {"annotations": {"meshctl.dev/injected": "0.1.0"}}});
    assert_eq!(refused(decide(&pod(&pretending), Some("enabled"))).len(), 1);
    // Not even with the containers, where they do not start before the application.
    let mut wrong = pod(&pretending);
    wrong["spec"]["containers"] = json!([{"name": "meshctl-capture"}, {"name": "meshctl-proxy"}]);
    assert_eq!(refused(decide(&wrong, Some("enabled"))).len(), 1);
}

#[test]
fn what_was_injected_is_judged_again_where_the_capture_would_miss_something() {
    let whole = injected(&pod(&json!({}))).pod;
    assert_eq!(decide(&whole, Some("enabled")), Decision::Skipped(Skip::Already));
    for (place, key, value) in [
        ("/spec", "hostNetwork", json!(true)),
        ("/spec", "securityContext", json!({"runAsUser": sidecar::SIDECAR_UID})),
        ("/spec/containers/0", "securityContext", json!({"runAsUser": sidecar::SIDECAR_UID})),
    ] {
        let mut pod = whole.clone();
        pod.pointer_mut(place).expect("the place is there")[key] = value;
        assert_eq!(refused(decide(&pod, Some("enabled"))).len(), 1, "{place}/{key}");
    }
    // Another webhook may put something before the capture; whoever made the pod hears of it.
    let mut pod = whole;
    let init = pod.pointer_mut("/spec/initContainers").and_then(Json::as_array_mut);
    init.expect("a list").insert(0, json!({"name": "early"}));
    let injection = inject(&pod, &origin(), &settings());
    assert_eq!(injection.decision, Decision::Skipped(Skip::Already));
    assert!(injection.warnings[0].message.contains("`early`"), "{:?}", injection.warnings);
}

#[test]
fn annotations_reach_the_containers() {
    let tuned = json!({"metadata": {"annotations": {
        "meshctl.dev/exclude-inbound-ports": " 80 ,81",
        "meshctl.dev/exclude-outbound-cidrs": "10.0.0.0/8",
        "meshctl.dev/exclude-outbound-ports": "",
        "meshctl.dev/proxy-memory-limit": "16Mi",
        "meshctl.dev/proxy-cpu": "0.5",
        "meshctl.dev/log-level": "debug",
        "example.com/other": "left alone",
    }}});
    let pod = injected(&pod(&tuned)).pod;
    let init = &pod["spec"]["initContainers"];
    let wanted = [
        "proxy",
        "capture",
        "--yes",
        "--user",
        "14700",
        "--exclude-inbound-ports",
        "80,81",
        "--exclude-outbound-cidrs",
        "10.0.0.0/8",
    ];
    assert_eq!(init[0]["args"], json!(wanted));
    assert_eq!(
        init[1]["resources"],
        json!({
            "requests": {"cpu": "0.5", "memory": "16Mi"},
            "limits": {"memory": "16Mi"},
        })
    );
    let env = init[1]["env"].as_array().expect("a list");
    assert!(env.contains(&json!({"name": "MESHCTL_LOG", "value": "debug"})));
}

#[test]
fn mistakes_in_annotations_are_refused_with_a_suggestion() {
    let cases = [
        ("exclude-inbound-port", json!("80"), "did you mean `meshctl.dev/exclude-inbound-ports`?"),
        ("exclude-inbound-ports", json!("0"), "write ports"),
        ("exclude-inbound-ports", json!("80,"), "write ports"),
        ("exclude-inbound-ports", json!("+80"), "write ports"),
        ("exclude-inbound-ports", json!(80), "put the value in quotes"),
        ("exclude-outbound-cidrs", json!("10.0.0.1"), "write networks"),
        ("proxy-cpu", json!("0"), "write cores"),
        ("proxy-memory", json!("1Ti"), "write bytes"),
        ("log-level", json!("DEBUG"), "one of"),
        ("protocol", json!("80=smtp"), "write `PORT=PROTOCOL`"),
        ("inject", json!("enabled"), "move it to `metadata.labels`"),
    ];
    for (name, value, help) in cases {
        let key = format!("meshctl.dev/{name}");
        let wrong = pod(&json!({"metadata": {"annotations": {key: value}}}));
        match decide(&wrong, Some("enabled")) {
            Decision::Refused(found) => {
                assert!(found[0].help.starts_with(help), "{name}: {found:?}");
                assert!(found[0].mark);
            }
            other => panic!("{name}: {other:?}"),
        }
    }
}

#[test]
fn protocols_are_read_as_discovery_needs_them() {
    let annotations = BTreeMap::from([
        ("meshctl.dev/protocol".to_owned(), "9080=http, 3306=tcp,x".to_owned()),
        ("other".to_owned(), "1=grpc".to_owned()),
    ]);
    let wanted = BTreeMap::from([(9080, Protocol::Http), (3306, Protocol::Tcp)]);
    assert_eq!(annotations::protocols(&annotations), wanted);
}
