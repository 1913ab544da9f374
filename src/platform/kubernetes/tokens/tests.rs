//! What is believed of a review, and what is not.

use serde_json::{Value, json};

use super::*;

fn status(username: &str, extra: &Value) -> Value {
    json!({
        "authenticated": true,
        "audiences": [AUDIENCE],
        "user": { "username": username, "uid": "1", "extra": extra },
    })
}

fn read(status: Value) -> Result<Bearer, TokenError> {
    bearer(&serde_json::from_value(status).unwrap())
}

fn is_refused(status: &Value) {
    let outcome = read(status.clone());
    assert!(matches!(outcome, Err(TokenError::Refused(_))), "{status}: {outcome:?}");
}

#[test]
fn a_bound_token_names_account_and_pod() {
    let extra = json!({ POD_NAME: ["web-0"], POD_UID: ["6e1f"] });
    let bearer = read(status("system:serviceaccount:shop:web.reader", &extra)).unwrap();
    assert_eq!(bearer.namespace.as_str(), "shop");
    assert_eq!(bearer.service_account.as_str(), "web.reader");
    let pod = bearer.pod.unwrap();
    assert_eq!((pod.name.as_str(), pod.uid.as_str()), ("web-0", "6e1f"));
}

#[test]
fn a_token_of_no_pod_is_one_of_none() {
    for extra in [json!({}), json!({ POD_NAME: ["web-0"] }), json!({ POD_UID: ["6e1f"] })] {
        assert_eq!(read(status("system:serviceaccount:shop:web", &extra)).unwrap().pod, None);
    }
    let several = json!({ POD_NAME: ["web-0", "web-1"], POD_UID: ["6e1f"] });
    assert_eq!(read(status("system:serviceaccount:shop:web", &several)).unwrap().pod, None);
}

#[test]
fn what_is_not_a_valid_token_for_us_is_refused() {
    let good = status("system:serviceaccount:shop:web", &json!({}));
    let with = |key: &str, value: Value| {
        let mut status = good.clone();
        status[key] = value;
        status
    };
    is_refused(&with("authenticated", json!(false)));
    is_refused(&with("authenticated", Value::Null));
    is_refused(&with("audiences", json!(["https://kubernetes.default.svc"])));
    is_refused(&with("audiences", Value::Null));
    is_refused(&with("user", Value::Null));
    is_refused(&json!({}));
}

#[test]
fn only_service_accounts_have_an_identity() {
    let users = [
        "admin",
        "system:node:node1",
        "system:serviceaccount:shop",
        "system:serviceaccount:shop:",
        "system:serviceaccount::web",
        "system:serviceaccount:shop:a:b",
        "system:serviceaccount:../x:web",
    ];
    for user in users {
        is_refused(&status(user, &json!({})));
    }
}

#[test]
fn a_pod_of_the_same_name_is_not_the_same_pod() {
    let bearer = Bearer {
        namespace: "shop".parse().unwrap(),
        service_account: "web".parse().unwrap(),
        pod: None,
    };
    let pod = PodId { name: "web-0".parse().unwrap(), uid: "6e1f".to_owned() };
    let found = |uid: &str, account: &str| {
        let spec = json!({ "serviceAccountName": account, "containers": [] });
        let pod = json!({ "metadata": { "name": "web-0", "uid": uid }, "spec": spec });
        serde_json::from_value::<Pod>(pod).unwrap()
    };
    assert_eq!(check_pod(&bearer, &pod, &found("6e1f", "web")), Ok(()));
    for other in [found("7777", "web"), found("6e1f", "reviews"), Pod::default()] {
        assert!(check_pod(&bearer, &pod, &other).is_err(), "{other:?}");
    }
}
