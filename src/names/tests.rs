//! Names and identities: what is accepted, what is refused, and that text survives a round trip.

use super::*;

#[test]
fn labels_are_dns_1123() {
    for good in ["a", "a-b", "0", &"a".repeat(63)] {
        assert!(good.parse::<Namespace>().is_ok(), "{good}");
    }
    for bad in ["", "-a", "a-", "A", "a.b", "a/b", "../x", "a\0", "é", "🦀", &"a".repeat(64)] {
        assert!(bad.parse::<Namespace>().is_err(), "{bad}");
    }
}

#[test]
fn subdomains_check_every_part() {
    assert!("reviews-v1.2".parse::<ObjectName>().is_ok());
    for bad in ["a..b", ".a", "a.", "a.-b", &"a.".repeat(130)] {
        assert!(bad.parse::<ObjectName>().is_err(), "{bad}");
    }
}

#[test]
fn identities_round_trip_and_nothing_else_is_one() {
    let text = "spiffe://cluster.local/ns/default/sa/reviews";
    assert_eq!(text.parse::<Identity>().unwrap().to_string(), text);
    for bad in [
        "spiffe://td/../admin",
        "spiffe://TD/ns/a/sa/b",
        "spiffe://td:1/ns/a/sa/b",
        "spiffe://td//ns/a/sa/b",
        "spiffe://td/ns/%61/sa/b",
        "spiffe://td/ns/a/sa/b/",
        "spiffe://td/ns/a/sa/b?x",
        "SPIFFE://td/ns/a/sa/b",
        "https://td/ns/a/sa/b",
    ] {
        assert!(bad.parse::<Identity>().is_err(), "{bad}");
    }
}

#[test]
fn errors_never_echo_control_characters() {
    let error = "a\u{1b}[31m\n".parse::<Namespace>().unwrap_err().to_string();
    assert!(!error.contains('\u{1b}') && !error.contains('\n'), "{error}");
}
