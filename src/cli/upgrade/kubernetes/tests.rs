//! What is planned on a cluster, and what is refused, without one.

use clap::Parser as _;

use super::sidecars::{Sidecars, others};
use super::*;
use crate::cli::output::{Format, render};
use crate::names::Namespace;
use crate::platform::kubernetes::survey::PodSeen;

#[derive(clap::Parser)]
struct Line {
    #[command(flatten)]
    args: UpgradeArgs,
}

fn args(words: &[&str]) -> UpgradeArgs {
    Line::try_parse_from([&["upgrade"], words].concat()).expect("arguments").args
}

fn target() -> Target {
    Target { kubeconfig: None, context: Some("prod".to_owned()), namespace: Namespace::root() }
}

fn pod(name: &str, workload: Option<&str>, injected: Option<&str>) -> PodSeen {
    PodSeen {
        namespace: "shop".to_owned(),
        name: name.to_owned(),
        inject: None,
        injected: injected.map(str::to_owned),
        workload: workload.map(str::to_owned),
        host_network: false,
        alive: true,
    }
}

fn planned(action: Action, kind: &str, fields: &[&str]) -> Planned {
    let object = json!({
        "apiVersion": if kind == "Deployment" { "apps/v1" } else { "v1" },
        "kind": kind,
        "metadata": {"name": "meshctl", "namespace": "meshctl-system"},
    });
    let place = Place::of(&object).expect("a kind of ours");
    Planned { action, place, fields: fields.iter().map(|&field| field.to_owned()).collect() }
}

fn plan(objects: Vec<Planned>, sidecars: Vec<Sidecars>) -> Plan {
    Plan {
        target: target(),
        place: "namespace `meshctl-system`, context `prod` (https://x)".to_owned(),
        from: "0.0.9".to_owned(),
        image: ("x/meshctl:0.0.9".to_owned(), format!("x/meshctl:{CLIENT}")),
        objects,
        sidecars,
    }
}

#[test]
fn a_plan_says_what_changes_and_who_goes_on() {
    let version = "metadata.labels.app.kubernetes.io/version";
    let fields = [version, "spec.a", "spec.b", "spec.c"];
    let objects = vec![
        planned(Action::Change, "Service", &[version]),
        planned(Action::Create, "ServiceAccount", &[]),
        planned(Action::Change, "Deployment", &fields),
        planned(Action::Remove, "ConfigMap", &[]),
    ];
    let pods = [pod("web-1", Some("deployment/web"), Some("0.0.9")), pod("job", None, Some(""))];
    let view = plan(objects, others(&pods)).view();
    let text = render(Format::Table, &view, None).expect("text");
    let text = anstream::adapter::strip_str(&text).to_string();
    let wanted = format!(
        "\
mesh            namespace `meshctl-system`, context `prod` (https://x)
control plane   0.0.9 → {CLIENT}
image           x/meshctl:0.0.9 → x/meshctl:{CLIENT}
starts again    the control plane; version 0.0.9 is put back where this one does not get ready
goes on         2 workloads with sidecars of another version; restart them when it suits:
                kubectl --context prod --namespace shop rollout restart deployment/web
                make pod/job in the namespace `shop` anew by what has made it

ACTION   OBJECT                                                       WHERE
change   Service `meshctl` in the namespace `meshctl-system`          version
create   ServiceAccount `meshctl` in the namespace `meshctl-system`
change   Deployment `meshctl` in the namespace `meshctl-system`       spec.a, spec.b and 1 more
remove   ConfigMap `meshctl` in the namespace `meshctl-system`

NAMESPACE   WORKLOAD         PODS   VERSION
shop        deployment/web      1   0.0.9
shop        pod/job             1
"
    );
    assert_eq!(text, wanted);
    assert_eq!(view.value["objects"][2]["fields"], json!(fields));
    let restart = "kubectl --context prod --namespace shop rollout restart deployment/web";
    assert_eq!(view.value["sidecars"][0]["restart"], restart);
    assert_eq!(view.value["sidecars"][1]["restart"], json!(null));
}

#[test]
fn where_nothing_changes_nothing_is_due() {
    let mut none = plan(Vec::new(), Vec::new());
    none.image.0.clone_from(&none.image.1);
    assert!(!none.is_due() && none.check().is_ok());
    let view = none.view();
    assert_eq!(view.value["due"], false);
    assert_eq!(view.lead[2], format!("image           x/meshctl:{CLIENT}, stays"));
    assert_eq!(
        view.lead[3..],
        ["starts again    nothing", "goes on         no sidecar of another version"]
    );
}

#[test]
fn sidecars_of_another_version_are_counted_by_what_makes_them() {
    let mut ended = pod("gone", Some("deployment/old"), Some("0.0.9"));
    ended.alive = false;
    let pods = [
        pod("web-1", Some("deployment/web"), Some("0.0.9")),
        pod("web-2", Some("deployment/web"), Some("0.0.9")),
        pod("web-3", Some("deployment/web"), Some(CLIENT)),
        pod("bare", Some("deployment/bare"), None),
        ended,
    ];
    let found = others(&pods);
    assert_eq!(found.len(), 1, "{found:?}");
    assert_eq!((found[0].workload.as_str(), found[0].pods), ("deployment/web", 2));
    let elsewhere = Target { kubeconfig: Some("/etc/kube".into()), ..target() };
    let command = found[0].restart(&elsewhere).expect("it can be restarted");
    assert!(command.starts_with("kubectl --kubeconfig /etc/kube --context prod "), "{command}");
}

#[test]
fn a_sidecar_that_would_be_refused_is_named() {
    let far = others(&[pod("web-1", Some("deployment/web"), Some("7.0.0"))]);
    let refused = plan(Vec::new(), far).check().expect_err("it would lose a proxy");
    assert!(
        refused
            .what()
            .starts_with("deployment/web in the namespace `shop` has sidecars of version 7.0.0"),
        "{}",
        refused.what()
    );
    assert!(refused.remedy().starts_with("first kubectl --context prod"), "{}", refused.remedy());
}

#[test]
fn the_image_is_where_the_one_before_was() {
    let of = |before: &str, from: &str, words: &[&str]| image(before, from, &args(words));
    let next = format!("registry.example:5000/meshctl:{CLIENT}");
    assert_eq!(of("registry.example:5000/meshctl:0.0.9", "0.0.9", &[]).expect("known"), next);
    assert_eq!(of("x:test", CLIENT, &[]).expect("it stays"), "x:test");
    assert_eq!(of("x:test", "0.0.9", &["--image", "y:1"]).expect("said"), "y:1");
    for unknown in ["x:test", "x", "registry.example:5000/meshctl", "x@sha256:00"] {
        let refused = of(unknown, "0.0.9", &[]).expect_err("nobody knows");
        assert!(refused.what().contains(&format!("image `{unknown}` does not say")));
        assert!(refused.remedy().contains("`--image`"), "{}", refused.remedy());
    }
}

#[test]
fn what_install_did_not_put_there_is_left_to_those_who_did() {
    let step = |kind: &str, managed: &str, by: &str| {
        let object = json!({
            "apiVersion": "v1",
            "kind": kind,
            "metadata": {
                "name": "meshctl", "namespace": "meshctl-system",
                "labels": {"app.kubernetes.io/managed-by": managed},
                "managedFields": [
                    {"manager": by, "operation": "Apply", "fieldsType": "FieldsV1", "fieldsV1": {}},
                ],
            },
        });
        let before = serde_json::from_value(object.clone()).expect("an object");
        let place = Place::of(&object).expect("a kind of ours");
        [Step { place, object, before: Some(before) }]
    };
    let judge = |steps: &[Step]| admissible(steps, &target()).map_err(|it| it.what());
    assert_eq!(judge(&step("Service", "meshctl", "meshctl")), Ok(()));
    let kept = judge(&step("Service", "meshctl", "argocd-controller")).expect_err("not ours");
    assert!(kept.ends_with("was not put there by `meshctl install`"), "{kept}");
    let foreign = judge(&step("Service", "helm", "helm")).expect_err("not ours");
    assert!(foreign.ends_with("is there already and not ours"), "{foreign}");
    assert_eq!(judge(&step("Namespace", "jane", "kubectl")), Ok(()), "somebody made it for us");
}

#[test]
fn a_namespace_that_somebody_made_is_not_applied() {
    let step = |before: Option<serde_json::Value>| {
        let object = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "mesh"}});
        let place = Place::of(&object).expect("a kind of ours");
        let before = before.map(|labels| {
            let text = json!({"metadata": {"name": "mesh", "labels": labels}});
            serde_json::from_value(text).expect("an object")
        });
        Step { place, object, before }
    };
    assert!(step(None).is_applied(), "it is not there yet");
    assert!(step(Some(json!({MANAGED_BY: CONTROL_PLANE}))).is_applied(), "ours");
    assert!(!step(Some(json!({}))).is_applied(), "somebody's");
}
