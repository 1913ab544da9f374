//! Which tokens open the admin API, and what for.

use super::*;

fn bearer(namespace: &str, account: &str) -> Bearer {
    Bearer {
        namespace: namespace.parse().expect("valid"),
        service_account: account.parse().expect("valid"),
        pod: None,
    }
}

#[test]
fn two_accounts_of_one_namespace_and_no_other() {
    let home: Namespace = "meshctl-system".parse().expect("valid");
    let role = |namespace, account| Role::of(&bearer(namespace, account), &home);
    assert_eq!(role("meshctl-system", VIEWER), Some(Role::Viewer));
    assert_eq!(role("meshctl-system", OPERATOR), Some(Role::Operator));
    for (namespace, account) in [("default", OPERATOR), ("meshctl-system", "meshctl")] {
        assert_eq!(role(namespace, account), None);
    }
}

#[test]
fn a_viewer_only_looks() {
    let (viewer, operator) = (Role::Viewer, Role::Operator);
    assert!(viewer.may(&Method::GET, "/v1/status") && !viewer.may(&Method::POST, "/v1/apply"));
    assert!(!viewer.may(&Method::DELETE, "/") && operator.may(&Method::POST, "/v1/apply"));
    assert!(viewer.may(&Method::POST, "/v1/effect"), "a question");
    assert!(viewer.may(&Method::POST, "/v1/validate"));
    assert!(!viewer.may(&Method::POST, "/v1/validate/x"));
}

#[test]
fn one_bearer_token_is_taken_and_nothing_like_it() {
    let headers = |values: &[&'static str]| {
        let each = values.iter().map(|value| (AUTHORIZATION, HeaderValue::from_static(value)));
        each.collect::<HeaderMap>()
    };
    assert_eq!(bearer_token(&headers(&["Bearer abc"])), Some("abc"));
    assert_eq!(bearer_token(&headers(&["bearer abc"])), Some("abc"));
    for wrong in [&[][..], &["Bearer"], &["Bearer "], &["Basic abc"], &["Bearer a", "Bearer a"]] {
        assert_eq!(bearer_token(&headers(wrong)), None, "{wrong:?}");
    }
}

#[test]
fn a_token_is_remembered_for_a_while_and_not_too_many() {
    let (mut remembered, now) = (Remembered::default(), Instant::now());
    remembered.put(hash("a"), Role::Viewer, now);
    assert_eq!(remembered.get(&hash("a"), now), Some(Role::Viewer));
    assert_eq!(remembered.get(&hash("b"), now), None);
    assert_eq!(remembered.get(&hash("a"), now + REMEMBERED), None);
    for number in 0..2 * MOST {
        remembered.put(hash(&number.to_string()), Role::Viewer, now);
    }
    assert_eq!(remembered.0.len(), MOST);
}
