//! When a certificate is worth a warning, and what names a workload.

use super::*;

fn certificate() -> CertificateStatus {
    CertificateStatus {
        workload: "default/web-0".into(),
        identity: "spiffe://cluster.local/ns/default/sa/web".into(),
        serial: "0a".into(),
        not_before: "2026-01-01T00:00:00Z".parse().expect("a time"),
        not_after: "2026-01-02T00:00:00Z".parse().expect("a time"),
        root: "ff".into(),
    }
}

#[test]
fn the_last_third_begins_after_two() {
    let at = |text: &str| last_third(&certificate(), text.parse().expect("a time"));
    assert!(!at("2026-01-01T15:59:00Z"));
    assert!(at("2026-01-01T16:01:00Z"));
    assert!(at("2026-01-03T00:00:00Z"));
}

#[test]
fn a_workload_takes_the_namespace_it_does_not_name() {
    assert_eq!(qualified("web-0", "shop").expect("a name"), "shop/web-0");
    assert_eq!(qualified("a/web-0", "shop").expect("a name"), "a/web-0");
    assert!(qualified("a/b/c", "shop").is_err());
    assert!(qualified("../x", "shop").is_err());
}

#[test]
fn inspect_says_how_much_is_left() {
    let now = "2026-01-01T12:00:00Z".parse().expect("a time");
    let view = inspect(&certificate(), now).expect("renders");
    assert!(view.lead[4].ends_with("2026-01-02T00:00:00Z (12h left)"), "{:?}", view.lead);
    assert_eq!(view.value["kind"], "Certificate");
}
