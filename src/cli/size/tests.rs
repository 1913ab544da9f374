//! Which sizes are taken, and what is said about the others.

use super::parse;

#[test]
fn sizes_have_a_unit() {
    for (text, bytes) in [("1MiB", 1 << 20), ("2048KiB", 1 << 21), ("1GiB", 1 << 30)] {
        assert_eq!(parse(text), Ok(bytes), "{text}");
    }
    for (text, said) in [
        ("", "is not a size"),
        ("256", "write `256MiB`"),
        ("256MB", "is not a size"),
        ("256Mi", "is not a size"),
        ("MiB", "is not a size"),
        ("-1MiB", "is not a size"),
        ("1.5GiB", "is not a size"),
        ("99999999999999GiB", "is not a size"),
        ("1KiB", "less than 1MiB"),
    ] {
        let refused = parse(text).expect_err("refused");
        assert!(refused.contains(said), "{text}: {refused}");
    }
}
