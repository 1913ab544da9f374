//! Tests of the webhook: whatever comes in, what goes out is a valid review, and never lets a pod
//! through bare that should not be.

use serde_json::{Value as Json, json};

use super::super::selectors::{Entry, PATH, webhooks};
use super::super::webhook::{Answer, MAX_BYTES, review};
use super::{patched, pod, settings};

/// A review of the creation of a pod.
fn creation(pod: &Json) -> Json {
    json!({
        "apiVersion": "admission.k8s.io/v1",
        "kind": "AdmissionReview",
        "request": {
            "uid": "u-1",
            "kind": {"group": "", "version": "v1", "kind": "Pod"},
            "resource": {"group": "", "version": "v1", "resource": "pods"},
            "namespace": "shop",
            "operation": "CREATE",
            "userInfo": {"username": "somebody"},
            "object": pod,
            "dryRun": true,
        },
    })
}

fn asked(path: &str, body: &[u8]) -> (u16, Json) {
    let Answer { status, body } = review(path, body, &settings());
    let json: Json = serde_json::from_slice(&body).expect("the answer is JSON");
    assert_eq!(json["kind"], "AdmissionReview");
    assert_eq!(json["apiVersion"], "admission.k8s.io/v1");
    assert!(json["response"]["allowed"].is_boolean(), "{json:#}");
    (status, json["response"].clone())
}

fn post(path: &str, review: &Json) -> Json {
    let (status, response) = asked(path, review.to_string().as_bytes());
    assert_eq!((status, &response["uid"]), (200, &json!("u-1")));
    response
}

fn message(response: &Json) -> &str {
    assert_eq!(response["allowed"], false, "{response:#}");
    response["status"]["message"].as_str().expect("a message")
}

/// The patch, which travels as bytes.
fn patch(response: &Json) -> Json {
    assert_eq!((&response["allowed"], &response["patchType"]), (&json!(true), &json!("JSONPatch")));
    let bytes: Vec<u8> = serde_json::from_value(response["patch"].clone()).expect("bytes");
    serde_json::from_slice(&bytes).expect("JSON")
}

#[test]
fn a_pod_gets_the_patch_that_injects_it() {
    let pod = pod(&json!({"metadata": {"creationTimestamp": null}}));
    let response = post(&Entry::Namespace.path(), &creation(&pod));
    let injected = patched(&pod, &patch(&response));
    assert_eq!(injected["spec"]["initContainers"][1]["name"], "meshctl-proxy");
    // Asked again, by either webhook, there is nothing left to do.
    for entry in [Entry::Namespace, Entry::Pod] {
        let again = post(&entry.path(), &creation(&injected));
        assert_eq!((again.get("patch"), &again["allowed"]), (None, &json!(true)));
    }
}

#[test]
fn both_webhooks_say_the_same_of_a_pod_with_a_label() {
    for (label, injected) in [("enabled", true), ("disabled", false)] {
        let pod = pod(&json!({"metadata": {"labels": {"meshctl.dev/inject": label}}}));
        let answers = [Entry::Namespace, Entry::Misspelt, Entry::Pod]
            .map(|entry| post(&entry.path(), &creation(&pod)));
        assert!(answers.iter().all(|answer| *answer == answers[0]), "{answers:?}");
        assert_eq!(answers[0].get("patch").is_some(), injected);
    }
}

#[test]
fn labels_that_mean_nothing_are_refused_in_words() {
    let response = post(&Entry::Misspelt.path(), &creation(&pod(&json!({}))));
    assert!(message(&response).contains("of namespace `shop` can be `enabled` or `disabled`"));
    let labelled = pod(&json!({"metadata": {"labels": {"meshctl.dev/inject": "yes"}}}));
    let response = post(&Entry::Pod.path(), &creation(&labelled));
    assert!(message(&response).contains("is `yes` (it can be `enabled` or `disabled`)"));
    let wrong = pod(&json!({"metadata": {"annotations": {"meshctl.dev/log-levle": "info"}}}));
    let response = post(PATH, &creation(&wrong));
    assert!(message(&response).contains("did you mean `meshctl.dev/log-level`?"));
}

#[test]
fn pods_that_cannot_be_meshed_are_allowed_with_a_warning() {
    let host = pod(&json!({"spec": {"hostNetwork": true}}));
    let response = post(PATH, &creation(&host));
    assert_eq!((&response["allowed"], response.get("patch")), (&json!(true), None));
    assert!(response["warnings"][0].as_str().expect("a text").contains("hostNetwork"));
    let empty = pod(&json!({"spec": {"containers": []}}));
    let response = post(PATH, &creation(&empty));
    assert_eq!((&response["allowed"], response.get("patch")), (&json!(true), None));
}

#[test]
fn what_is_no_review_of_a_pod_gets_a_valid_answer() {
    for garbage in [&b""[..], b"{", b"null", b"[]", b"\xff"] {
        let (_, response) = asked(PATH, garbage);
        assert_eq!(response["allowed"], false);
    }
    let (status, response) = asked(PATH, &vec![b' '; MAX_BYTES + 1]);
    assert_eq!((status, &response["allowed"]), (413, &json!(false)));
    let mut other = creation(&pod(&json!({})));
    other["apiVersion"] = json!("admission.k8s.io/v2");
    assert!(message(&post(PATH, &other)).contains("`admission.k8s.io/v2`"));
    let mut none = creation(&pod(&json!({})));
    none["request"]["object"] = Json::Null;
    assert_eq!(post(PATH, &none)["allowed"], true);
    let mut broken = creation(&json!("no pod"));
    assert_eq!(post(PATH, &broken)["allowed"], false);
    broken["request"]["operation"] = json!("DANCE");
    assert_eq!(post(PATH, &broken)["allowed"], false);
    let mut bare = creation(&Json::Null);
    bare.as_object_mut().expect("a mapping").remove("request");
    let (status, response) = asked(PATH, bare.to_string().as_bytes());
    assert_eq!((status, &response["allowed"]), (200, &json!(false)));
}

/// Whether a label value meets an expression, as the API server judges it.
fn meets(expression: &Json, value: Option<&str>) -> bool {
    let listed = || {
        let values = expression["values"].as_array().expect("values");
        value.is_some_and(|value| values.iter().any(|one| one == value))
    };
    match expression["operator"].as_str().expect("an operator") {
        "In" => listed(),
        "NotIn" => !listed(),
        "Exists" => value.is_some(),
        "DoesNotExist" => value.is_none(),
        other => panic!("{other}"),
    }
}

#[test]
fn exactly_one_webhook_asks_about_a_pod_and_none_where_nobody_asked() {
    let webhooks = webhooks("mesh");
    let values = [None, Some("enabled"), Some("disabled"), Some("enabeld")];
    for namespace in values {
        for own in values {
            let asking = webhooks.iter().filter(|webhook| {
                let all = |selector: &str, of_ns: Option<&str>, name: &str| {
                    webhook[selector]["matchExpressions"].as_array().expect("a list").iter().all(
                        |expression| match expression["key"].as_str() {
                            Some("meshctl.dev/inject") => meets(expression, of_ns),
                            _ => meets(expression, Some(name)),
                        },
                    )
                };
                all("namespaceSelector", namespace, "shop") && all("objectSelector", own, "shop")
            });
            let paths: Vec<_> =
                asking.map(|it| it["clientConfig"]["service"]["path"].clone()).collect();
            let wanted = match (namespace, own) {
                (_, Some("disabled")) | (None | Some("disabled"), None) => None,
                (_, Some(_)) => Some(Entry::Pod),
                (Some("enabled"), None) => Some(Entry::Namespace),
                (Some(_), None) => Some(Entry::Misspelt),
            };
            let wanted: Vec<_> = wanted.iter().map(|entry| json!(entry.path())).collect();
            assert_eq!(paths, wanted, "{namespace:?} {own:?}");
        }
    }
    for webhook in &webhooks {
        let selector = webhook["namespaceSelector"]["matchExpressions"].as_array().expect("a list");
        let names = selector.last().expect("an expression");
        assert_eq!(names["key"], "kubernetes.io/metadata.name");
        assert!(!meets(names, Some("mesh")) && !meets(names, Some("kube-system")));
        assert_eq!(
            (&webhook["failurePolicy"], &webhook["sideEffects"]),
            (&json!("Fail"), &json!("None"))
        );
    }
}
