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

#[test]
fn versions_may_be_one_minor_apart() {
    use super::skew::{check, is_later};
    for theirs in ["0.4.0", "0.3.9", "0.5.1", "0.5.0-rc.1", "0.4.2+dirty", "", "dev"] {
        assert_eq!(check("0.4.1", theirs), Ok(()), "{theirs}");
    }
    for theirs in ["0.2.0", "0.6.0", "1.4.0", "1.0.0"] {
        let text = check("0.4.1", theirs).expect_err(theirs).to_string();
        assert!(text.starts_with(&format!("version {theirs} is too far from version 0.4.1")));
    }
    assert!(is_later("0.10.0", "0.9.9") && !is_later("0.9.9", "0.10.0"));
    assert!(!is_later("0.9.9", "0.9.9") && !is_later("dev", "0.1.0"));
}
