//! Tables of values: what is taken, and for what.

use std::time::Duration;

use super::{parse_duration, parse_percent, path_fault, show, show_percent};
use crate::rules::scalar::{Scalar, resolve, whole};

#[test]
fn durations_follow_gep_2257() {
    let ms = Duration::from_millis;
    for (text, expected) in [
        ("10s", Some(ms(10_000))),
        ("1h30m", Some(ms(5_400_000))),
        ("250ms", Some(ms(250))),
        ("0s", Some(ms(0))),
        ("1h1m1s1ms", Some(ms(3_661_001))),
        ("30m1h", Some(ms(5_400_000))),
        ("99999h", Some(Duration::from_secs(99_999 * 3_600))),
        ("1h1m1s1ms1ms", None),
        ("100000s", None),
        ("10", None),
        ("s", None),
        ("", None),
        ("1.5s", None),
        ("-1s", None),
        ("1d", None),
        ("1 s", None),
        ("1s ", None),
        ("12:30", None),
    ] {
        assert_eq!(parse_duration(text), expected, "{text}");
    }
}

#[test]
fn durations_are_shown_in_the_largest_whole_unit() {
    for text in ["250ms", "90s", "2m", "24h", "1500ms", "0s", "2m3s456ms", "27h46m41s"] {
        assert_eq!(show(parse_duration(text).expect("valid")), text);
    }
}

#[test]
fn percentages_become_parts_per_million() {
    for (text, expected) in [
        ("1%", Some(10_000)),
        ("0.5%", Some(5_000)),
        ("100%", Some(1_000_000)),
        ("0%", Some(0)),
        ("0.0001%", Some(1)),
        ("100.0000%", Some(1_000_000)),
        ("100.0001%", None),
        ("101%", None),
        ("1", None),
        ("%", None),
        (".5%", None),
        ("1.%", None),
        ("0.00001%", None),
        ("-1%", None),
        ("+1%", None),
    ] {
        assert_eq!(parse_percent(text), expected, "{text}");
    }
}

#[test]
fn paths_that_match_nothing_are_found() {
    for good in ["/", "/a", "/a/b/", "/a.b/..c", "/%20x", "/caf%c3%a9", "/a;b=1@2"] {
        assert_eq!(path_fault(good), None, "{good}");
    }
    for bad in [
        "",
        "a",
        "//",
        "/a//b",
        "/.",
        "/a/..",
        "/%",
        "/%zz",
        "/%+1",
        "/%2f",
        "/%7e",
        "/#",
        "/?",
        "/é",
        "/a\\b",
        "/a%5cb",
        "/a%00",
        "/a/..;/b",
        "/.;x",
        "/a/.%3Bx/b",
    ] {
        assert!(path_fault(bad).is_some(), "{bad}");
    }
}

#[test]
fn plain_scalars_follow_the_core_schema_of_yaml_1_2() {
    for (text, expected) in [
        ("", Scalar::Null),
        ("~", Scalar::Null),
        ("null", Scalar::Null),
        ("true", Scalar::Bool(true)),
        ("False", Scalar::Bool(false)),
        ("on", Scalar::Text),
        ("no", Scalar::Text),
        ("12:30", Scalar::Text),
        ("1_000", Scalar::Text),
        ("08", Scalar::Int(8)),
        ("-3", Scalar::Int(-3)),
        ("0o17", Scalar::Int(15)),
        ("0xff", Scalar::Int(255)),
        ("0x-1", Scalar::Text),
        ("1e3", Scalar::Float(1000.0)),
        ("80.5", Scalar::Float(80.5)),
        ("infinity", Scalar::Text),
        ("-", Scalar::Text),
        ("1.2.3", Scalar::Text),
    ] {
        assert_eq!(resolve(text), expected, "{text}");
    }
}

#[test]
fn whole_numbers_are_plain_digits() {
    assert_eq!(whole("0"), Some(0));
    assert_eq!(whole("80"), Some(80));
    for bad in ["", "08", "+8", "-8", "8.0", "8_0", "0o17", "99999999999999999999"] {
        assert_eq!(whole(bad), None, "{bad}");
    }
}

#[test]
fn percentages_are_shown_as_they_are_read() {
    for text in ["0%", "1%", "0.5%", "100%", "0.0001%", "12.0305%"] {
        assert_eq!(show_percent(parse_percent(text).expect("valid")), text);
    }
}
