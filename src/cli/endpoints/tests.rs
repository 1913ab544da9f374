//! The table of endpoints, and how one is named.

use super::super::output::{Format, render};
use super::*;

const LIST: &str = r#"{
  "apiVersion": "meshctl.dev/v1alpha1", "kind": "EndpointList",
  "endpoints": [
    {"name": "reviews-v1-0", "service": "reviews", "namespace": "default",
     "addresses": ["10.0.0.1:9080", "[fd00::1]:9080"], "ready": true, "weight": 1, "zone": "a",
     "version": "v1", "identity": "spiffe://x", "pool": [
      {"endpoint": "reviews-v1-0", "address": "10.0.0.1:9080", "caller": "default/web-0",
       "state": "Ejected", "why": "5 errors in a row, the last was 503",
       "since": "2026-01-01T00:00:40Z", "until": "2026-01-01T00:01:10Z", "ejections": 1,
       "spared": false},
      {"endpoint": "reviews-v1-0", "address": "10.0.0.1:9080", "caller": "shop/cart-0",
       "state": "Ejected", "why": "3 errors in a row, the last was connect_failure",
       "since": "2026-01-01T00:00:30Z", "until": "2026-01-01T00:01:30Z", "ejections": 2,
       "spared": false},
      {"endpoint": "reviews-v1-0", "address": "10.0.0.1:9080", "caller": "shop/cart-1",
       "state": "ByHand", "why": "", "since": null, "until": null, "ejections": 0,
       "spared": false}]},
    {"name": "reviews-v2-0", "service": "reviews", "namespace": "default",
     "addresses": ["10.0.0.2:9080"], "ready": false, "weight": 3, "zone": "", "version": "v2",
     "identity": null, "pool": []}]
}"#;

fn shown(format: Format) -> String {
    let list = serde_json::from_str(LIST).expect("the shape of the API");
    let now = "2026-01-01T00:01:00Z".parse().expect("a time");
    let text = render(format, &view(&list, now).expect("renders"), None).expect("renders");
    anstream::adapter::strip_str(&text).to_string()
}

#[test]
fn callers_that_agree_share_a_line() {
    assert_eq!(
        shown(Format::Table),
        "\
SERVICE   ENDPOINT       ADDRESS            READY   WEIGHT   ZONE   STATE     CALLER         UNTIL   WHY
reviews   reviews-v1-0   10.0.0.1:9080 +1   yes          1   a      Ejected   web-0 +1      in 30s   5 errors in a row, the last was 503
reviews   reviews-v1-0   10.0.0.1:9080 +1   yes          1   a      ByHand    shop/cart-1        -
reviews   reviews-v2-0   10.0.0.2:9080      no           3   -      In
"
    );
    assert_eq!(
        shown(Format::Name),
        "endpoint/default/reviews/reviews-v1-0\nendpoint/default/reviews/reviews-v2-0\n"
    );
}

#[test]
fn an_endpoint_is_named_behind_its_service() {
    let named = |text: &str| {
        let (service, endpoint) = order::parse(text, "shop").ok()?;
        Some(format!("{service} {endpoint}"))
    };
    assert_eq!(named("reviews/reviews-v1-0").as_deref(), Some("shop/reviews reviews-v1-0"));
    assert_eq!(named("a/reviews/ip-10.0.0.1").as_deref(), Some("a/reviews ip-10.0.0.1"));
    for wrong in ["reviews", "a/b/c/d", "reviews/", "/x", "reviews/A"] {
        assert_eq!(named(wrong), None, "{wrong}");
    }
}
