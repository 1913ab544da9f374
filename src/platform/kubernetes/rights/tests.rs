//! Which rights are asked about, and how those that are missing are said.

use super::*;

#[test]
fn each_right_of_the_control_plane_is_asked_about_once() {
    let rights = needed(&Values::default());
    let mut sorted = rights.clone();
    sorted.sort();
    sorted.dedup();
    assert_eq!(rights, sorted);
    let has = |verb: &str, resource: &str, namespace: Option<&str>, name: Option<&str>| {
        rights.iter().any(|it| {
            (it.verb.as_str(), it.resource.as_str(), it.namespace.as_deref(), it.name.as_deref())
                == (verb, resource, namespace, name)
        })
    };
    assert!(has("create", "tokenreviews", None, None));
    assert!(has("get", "secrets", Some("meshctl-system"), Some("meshctl-ca")));
    assert!(has("create", "deployments", Some("meshctl-system"), None));
    assert!(has("patch", "clusterroles", None, Some("meshctl")));
}

#[test]
fn rights_to_one_thing_are_one_line() {
    let right = |verb: &str, resource: &str, namespace: Option<&str>| Right {
        verb: verb.to_owned(),
        group: "example.org".to_owned(),
        resource: resource.to_owned(),
        namespace: namespace.map(str::to_owned),
        name: None,
    };
    let rights = [
        right("get", "things", None),
        right("get", "things/status", Some("shop")),
        right("list", "things", None),
    ];
    assert_eq!(
        told(&rights),
        ["get, list things.example.org", "get things.example.org/status in `shop`"]
    );
}
