//! Replacing a prefix, case by case as the Gateway API's table has them.

use super::*;

fn replaced(matched: &str, replacement: &str, path: &str) -> String {
    let (matched, replacement) = (matched.to_owned(), replacement.to_owned());
    PathEdit::Prefix { matched, replacement }.apply(path)
}

#[test]
fn the_front_is_replaced_by_element() {
    for (path, matched, replacement, expected) in [
        ("/foo/bar", "/foo", "/xyz", "/xyz/bar"),
        ("/foo", "/foo", "/xyz", "/xyz"),
        ("/foo/", "/foo", "/xyz", "/xyz/"),
        ("/foo/bar", "/foo", "", "/bar"),
        ("/foo/", "/foo", "", "/"),
        ("/foo", "/foo", "", "/"),
        ("/", "", "/xyz", "/xyz/"),
        ("/bar", "", "/xyz", "/xyz/bar"),
        ("/bar", "", "", "/bar"),
        ("/foo/%2Fbar", "/foo", "/x/y", "/x/y/%2Fbar"),
        ("/foobar", "/foo", "/xyz", "/foobar"),
        ("*", "", "/xyz", "*"),
    ] {
        assert_eq!(replaced(matched, replacement, path), expected, "{path} {matched}");
    }
}

#[test]
fn a_full_path_takes_its_place() {
    assert_eq!(PathEdit::Full("/new".to_owned()).apply("/old/er"), "/new");
    assert_eq!(PathEdit::Full("/new".to_owned()).apply("*"), "*");
}
