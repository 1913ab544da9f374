//! Outbound: every way in which an application may name a service, and what it comes to.

use super::*;

#[test]
fn every_way_to_name_a_service() {
    let own = Namespace::default_namespace();
    for (host, expected) in [
        ("reviews", Some("default/reviews")),
        ("Reviews", Some("default/reviews")),
        ("reviews.shop", Some("shop/reviews")),
        ("reviews.shop.svc", Some("shop/reviews")),
        ("reviews.shop.svc.cluster.local", Some("shop/reviews")),
        ("reviews.shop.svc.cluster.local.", Some("shop/reviews")),
        ("reviews.shop.com", None),
        ("a.b.c.d", None),
        ("127.0.0.1", None),
        ("::1", None),
        ("under_score", None),
    ] {
        let found = service_name(host, &own).map(|name| name.to_string());
        assert_eq!(found.as_deref(), expected, "{host}");
    }
}
