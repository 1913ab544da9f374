//! Who may ask for what.

use super::*;

#[test]
fn a_proxy_gets_its_own_workload_and_rules_of_its_own_namespace_alone() {
    let id: ProxyId = "shop/web-0".parse().expect("valid");
    let service = "default/reviews".parse().expect("valid");
    let namespace = |text: &str| text.parse().expect("valid");
    let cases = [
        (Key::mesh(), true),
        (Key::service(&service), true),
        (Key::cluster(&service), true),
        (Key::service_for(&service, &namespace("shop")), true),
        (Key::service_for(&service, &namespace("bank")), false),
        (Key::workload(&id), true),
        (Key::workload(&"shop/web-1".parse().expect("valid")), false),
        (Key::workload(&"bank/web-0".parse().expect("valid")), false),
    ];
    for (key, allowed) in cases {
        assert_eq!(authorized(&id, &key), allowed, "{key}");
    }
}
