//! Versions as vendors write them, and how they are read.

use super::*;

#[test]
fn versions_of_vendors_are_read() {
    for (major, minor, new_enough) in [
        ("1", "28", false),
        ("1", "29", true),
        ("1", "29+", true),
        ("1", "9", false),
        ("1", "100", true),
        ("2", "0", true),
        ("", "", false),
    ] {
        let found = parse(major, minor);
        assert_eq!(found.is_some_and(|it| it >= OLDEST), new_enough, "{major}.{minor}");
    }
}
