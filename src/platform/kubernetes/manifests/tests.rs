//! Values: which win, which are refused. Objects: what must hold for each of them.

use serde_json::{Value, json};

use super::*;

fn set(pairs: &[&str]) -> Result<Values, ValuesError> {
    Values::read(None, &pairs.iter().map(|&it| it.to_owned()).collect::<Vec<_>>())
}

#[test]
fn a_file_goes_over_the_defaults_and_pairs_over_the_file() {
    let file = "log: debug\nresources: {limits: {memory: 1Gi}}\nnodeSelector: {a.b/c: d}\n";
    let pairs = ["resources.requests.cpu=2".to_owned(), "log=warn".to_owned()];
    let values = Values::read(Some(file), &pairs).unwrap();
    assert_eq!(values.log, "warn");
    assert_eq!(
        json!(values.resources),
        json!({
            "requests": {"cpu": 2, "memory": "64Mi"}, "limits": {"memory": "1Gi"},
        })
    );
    assert_eq!(json!(values.node_selector), json!({"a.b/c": "d"}));
    assert_eq!(set(&["nodeSelector.a.b/c=d"]).unwrap().node_selector, values.node_selector);
    assert_eq!(Values::read(Some(""), &[]).unwrap(), Values::default());
    assert!(set(&["resources.limits.memory=null"]).unwrap().resources.limits.is_empty());
}

#[test]
fn mistakes_in_values_name_the_key() {
    for (pair, said) in [
        ("imgae=x", "did you mean `image`"),
        ("colour=x", "there is no value `colour`, write one of `"),
        ("resources.limit.memory=1", "no value `resources.limit`, did you mean `limits`"),
        ("image", "is not `KEY=VALUE`"),
        ("replicas=many", "value `replicas` is wrong"),
        ("replicas=-1", "value `replicas` is wrong"),
        ("trustDomain=Not_One", "value `trustDomain` is wrong"),
        ("imagePullPolicy=Sometimes", "value `imagePullPolicy` is wrong"),
        ("image=[", "value `image` is wrong"),
    ] {
        let error = set(&[pair]).unwrap_err();
        let told = format!("{error}, {}", error.help());
        assert!(told.contains(said), "{pair}: {told}");
    }
    for text in ["- a", "a: [", "word"] {
        assert!(matches!(Values::read(Some(text), &[]), Err(ValuesError::Yaml(_))), "{text}");
    }
}

#[test]
fn only_one_replica_is_installed_yet() {
    assert!(set(&["replicas=1"]).unwrap().check().is_ok());
    for wrong in ["replicas=0", "replicas=2"] {
        assert!(set(&[wrong]).unwrap().check().is_err(), "{wrong}");
    }
}

/// An upgrade reads from a Deployment what its installation was told.
#[test]
fn the_values_of_an_installation_are_those_that_it_was_made_with() {
    let image = "registry.example:5000/mesh/meshctl:9";
    for pairs in [
        &[][..],
        &["log=debug", "trustDomain=mesh.example", "namespace=mesh", "imagePullPolicy=Always"],
        &["image=registry.example:5000/mesh/meshctl:9", "imagePullSecrets=[one, two]"],
        &["resources.limits.memory=null", "resources.requests.cpu=2"],
        &["nodeSelector.disk=ssd", "tolerations=[{key: control, operator: Exists}]"],
    ] {
        let values = set(pairs).unwrap();
        let all = objects(&values);
        let deployment = find(&all, "Deployment", "meshctl");
        assert_eq!(Values::installed(deployment).unwrap(), values, "{pairs:?}");
    }
    let all = objects(&set(&[&format!("image={image}")]).unwrap());
    let mut deployment = find(&all, "Deployment", "meshctl").clone();
    deployment["spec"]["template"]["spec"]["containers"][0]["args"] =
        json!(["--trust-domain", "-"]);
    let error = Values::installed(&deployment).unwrap_err();
    assert!(error.to_string().starts_with("value `trustDomain` is wrong"), "{error}");
}

fn find<'a>(all: &'a [Value], kind: &str, name: &str) -> &'a Value {
    let found = all.iter().find(|it| it["kind"] == kind && it["metadata"]["name"] == name);
    found.unwrap_or_else(|| panic!("no {kind} {name}"))
}

#[test]
fn every_object_can_be_found_again_and_holds_no_secret() {
    let all = objects(&Values::default());
    for object in &all {
        assert_eq!(object["metadata"]["labels"][MANAGED_BY], "meshctl", "{object}");
        assert_ne!(object["kind"], "Secret");
        assert!(!object.to_string().contains("caBundle"), "{object}");
    }
    let mut names: Vec<_> =
        all.iter().map(|it| (it["kind"].as_str(), it["metadata"]["name"].as_str())).collect();
    names.sort_unstable();
    let count = names.len();
    names.dedup();
    assert_eq!(names.len(), count, "the same object twice");
}

/// The webhooks must not be asked about what would be needed to mend them.
#[test]
fn webhooks_leave_the_mesh_and_the_system_alone() {
    let values = set(&["namespace=mesh"]).unwrap();
    let all = objects(&values);
    let webhooks = &find(&all, "MutatingWebhookConfiguration", "meshctl")["webhooks"];
    let service = find(&all, "Service", WEBHOOK_SERVICE);
    for webhook in webhooks.as_array().unwrap() {
        let expressions = webhook["namespaceSelector"]["matchExpressions"].as_array().unwrap();
        let outside = expressions.iter().find(|it| it["key"] == "kubernetes.io/metadata.name");
        let outside = outside.unwrap_or_else(|| panic!("asked about all: {webhook}"));
        assert_eq!(outside["operator"], "NotIn");
        for name in ["mesh", "kube-system"] {
            assert!(outside["values"].as_array().unwrap().contains(&json!(name)), "{webhook}");
        }
        assert_eq!(webhook["failurePolicy"], "Fail");
        let called = &webhook["clientConfig"]["service"];
        assert_eq!(called["namespace"], "mesh");
        assert_eq!(called["name"], service["metadata"]["name"]);
        assert_eq!(called["port"], service["spec"]["ports"][0]["port"]);
    }
}

#[test]
fn what_is_said_reaches_the_control_plane() {
    let pairs = [
        "namespace=mesh",
        "image=r/i:1",
        "trustDomain=a.example",
        "log=debug",
        "imagePullSecrets=[s]",
        "tolerations=[{operator: Exists}]",
        "nodeSelector.zone=a",
    ];
    let all = objects(&set(&pairs).unwrap());
    let pod = &find(&all, "Deployment", "meshctl")["spec"]["template"]["spec"];
    let container = &pod["containers"][0];
    assert_eq!(container["image"], "r/i:1");
    let args = serde_json::from_value::<Vec<String>>(container["args"].clone()).unwrap().join(" ");
    let wanted = "--namespace mesh --trust-domain a.example --image r/i:1 --log debug";
    assert!(args.ends_with(wanted), "{args}");
    assert_eq!(pod["nodeSelector"], json!({"kubernetes.io/os": "linux", "zone": "a"}));
    assert_eq!(pod["imagePullSecrets"], json!([{"name": "s"}]));
    assert_eq!(pod["tolerations"], json!([{"operator": "Exists"}]));
}

/// `create` has no name that could be given; whatever else is granted on Secrets, ConfigMaps and
/// webhooks is granted by name, and Secrets only at home.
#[test]
fn rights_are_as_small_as_they_can_be() {
    for rule in control_plane_rules() {
        assert!(!rule.verbs.contains(&"*") && !rule.resources.contains(&"*"), "{rule:?}");
        assert!(!rule.why.is_empty());
        let guarded = ["secrets", "configmaps", "mutatingwebhookconfigurations"];
        if rule.resources.iter().any(|it| guarded.contains(it)) {
            assert!(!rule.names.is_empty() || rule.verbs == ["create"], "{rule:?}");
        }
        if rule.resources.contains(&"secrets") {
            assert!(rule.own_namespace, "{rule:?}");
            let only = ["get", "create"];
            assert!(
                rule.verbs.iter().all(|it| only.contains(it)),
                "it is never replaced: {rule:?}"
            );
        }
        // Status is replaced as a whole, with its version; reading it is reading the object.
        if rule.resources.iter().any(|it| it.ends_with("/status")) {
            assert_eq!(rule.verbs, ["update"], "{rule:?}");
        }
    }
}

/// The command line looks as `meshctl-viewer`, whoever it is that looks.
#[test]
fn whoever_may_change_may_look() {
    let all = objects(&Values::default());
    let tokens = |name: &str| {
        let is_it = |it: &&Value| it["kind"] == "Role" && it["metadata"]["name"] == name;
        let role = all.iter().find(is_it).unwrap();
        let mut rules = role["rules"].as_array().unwrap().iter();
        rules.find(|it| it["resources"][0] == "serviceaccounts/token").unwrap()["resourceNames"]
            .clone()
    };
    assert_eq!(tokens("meshctl-viewer"), json!(["meshctl-viewer"]));
    assert_eq!(tokens("meshctl-operator"), json!(["meshctl-operator", "meshctl-viewer"]));
}
