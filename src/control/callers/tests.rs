//! Which tokens open the admin API, and what for.

use std::sync::atomic::{AtomicUsize, Ordering};

use k8s_openapi::api::authentication::v1::{TokenReview, TokenReviewStatus};

use super::*;
use crate::control::throttle;

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

/// Callers judged by an API server that knows no token, and how often it was asked.
fn guarded() -> (Callers, Arc<AtomicUsize>) {
    let asked = Arc::new(AtomicUsize::new(0));
    let seen = Arc::clone(&asked);
    let server = tower::service_fn(move |_: axum::http::Request<kube::client::Body>| {
        seen.fetch_add(1, Ordering::Relaxed);
        let status =
            TokenReviewStatus { authenticated: Some(false), ..TokenReviewStatus::default() };
        let review = TokenReview { status: Some(status), ..TokenReview::default() };
        let body = serde_json::to_string(&review).expect("a review");
        std::future::ready(Ok::<_, std::convert::Infallible>(Response::new(body)))
    });
    let tokens = Tokens::new(kube::Client::new(server, "default"));
    let home = "meshctl-system".parse().expect("valid");
    (Callers::new(tokens, home, Arc::default()), asked)
}

/// Each bad token cost the API server a question, as often as somebody liked.
#[tokio::test]
async fn who_shows_many_bad_tokens_waits_and_nobody_else() {
    let (callers, asked) = guarded();
    let mut headers = HeaderMap::new();
    headers.insert(AUTHORIZATION, HeaderValue::from_static("Bearer guess"));
    let status = async |from: [u8; 4]| {
        let refused = callers.role(Some(from.into()), &headers).await;
        refused.expect_err("it is not good").into_response().status()
    };
    for _ in 0..throttle::MOST {
        assert_eq!(status([10, 0, 0, 1]).await, StatusCode::UNAUTHORIZED);
    }
    assert_eq!(status([10, 0, 0, 1]).await, StatusCode::TOO_MANY_REQUESTS);
    assert_eq!(asked.load(Ordering::Relaxed), throttle::MOST as usize, "not for the last");
    assert_eq!(callers.limits.of(Limit::Joins), 1);
    assert_eq!(status([10, 0, 0, 2]).await, StatusCode::UNAUTHORIZED);
    // Who was let in a moment ago goes on, from the same address too.
    callers.remembered.lock().put(hash("guess"), Role::Viewer, Instant::now());
    assert_eq!(callers.role(Some([10, 0, 0, 1].into()), &headers).await.ok(), Some(Role::Viewer));
}
