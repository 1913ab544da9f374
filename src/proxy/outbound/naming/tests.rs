//! Every way in which an application may name a service, and what else it may name.

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

#[test]
fn what_an_authority_names() {
    let own = Namespace::default_namespace();
    let service = |host| {
        let name = ServiceName::new(own.clone(), "reviews".parse().unwrap());
        Ok(Named::Service { name, host, port: 80 })
    };
    assert_eq!(Named::read("reviews", 80, &own), service("reviews"));
    assert_eq!(Named::read("Reviews:80", 81, &own), service("Reviews"));
    let address = |text: &str| Ok(Named::Address(text.parse().unwrap()));
    assert_eq!(Named::read("10.0.0.1:81", 80, &own), address("10.0.0.1:81"));
    assert_eq!(Named::read("[::ffff:10.0.0.1]", 80, &own), address("10.0.0.1:80"));
    assert_eq!(Named::read("a.b.example", 80, &own), Ok(Named::Outside("a.b.example", 80)));
    assert_eq!(Named::read("a:b:c", 80, &own), Err(Reason::BadRequest));
}
