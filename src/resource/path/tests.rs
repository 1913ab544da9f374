//! Paths: the one canonical form, what is refused, and that normalizing twice changes nothing.

use super::*;
use proptest::prelude::*;

#[test]
fn canonical_forms() {
    for (path, expected) in [
        ("/", "/"),
        ("/a/b", "/a/b"),
        ("/a.b/c..d", "/a.b/c..d"),
        ("//a", "/a"),
        ("/a//b/", "/a/b/"),
        ("/a/./b", "/a/b"),
        ("/a/../b", "/b"),
        ("/../a", "/a"),
        ("/..", "/"),
        ("/.", "/"),
        ("/a/..", "/"),
        ("/a/b/..", "/a/"),
        ("/a/.", "/a/"),
        ("/%2e%2e/admin", "/admin"),
        ("/a/%2E%2e/b", "/b"),
        ("/%61dmin", "/admin"),
        ("/a%2fb", "/a%2Fb"),
        ("/caf%c3%a9", "/caf%C3%A9"),
        ("/a%00b", "/a%00b"),
        ("/.hidden", "/.hidden"),
        ("/...", "/..."),
        ("/public/..;/admin", "/public/..;/admin"),
        ("///", "/"),
    ] {
        assert_eq!(normalize(path).as_deref(), Ok(expected), "{path}");
    }
}

#[test]
fn what_servers_may_read_in_two_ways() {
    let ambiguous = |path| is_ambiguous(&normalize(path).expect(path));
    for path in [
        "/admin%00",
        "/a%2fb",
        "/a%5Cb",
        "/public/..;/admin",
        "/public/..;x=1/admin",
        "/public/%2e%2e;/admin",
        "/public/.%2E%3b/admin",
        "/.;/admin",
    ] {
        assert!(ambiguous(path), "{path}");
    }
    for path in ["/", "/a;b=1", "/a..;b", "/...;", "/..a;/", "/%C3%A9", "/100%25", "/%252e%252e"] {
        assert!(!ambiguous(path), "{path}");
    }
}

#[test]
fn what_is_refused() {
    for path in
        ["", "a", "/a#x", "/a\\b", "/%", "/%4", "/%zz", "/%+1", "/a b", "/é", "/\u{7f}", "/a?b"]
    {
        assert_eq!(normalize(path), Err(InvalidPath), "{path}");
    }
}

#[test]
fn a_canonical_path_is_not_copied() {
    assert!(matches!(normalize("/a/b.c/d"), Ok(Cow::Borrowed(_))));
}

proptest! {
    #[test]
    fn normalizing_twice_changes_nothing(path in "/[a-z./%0-9eE;]{0,40}") {
        if let Ok(once) = normalize(&path) {
            // A decoded `%25` is never decoded again: percent signs themselves are reserved.
            prop_assert_eq!(normalize(&once).unwrap(), once.as_ref());
            prop_assert!(!once.split('/').any(|s| s == "." || s == ".."));
            prop_assert!(!once.contains("//"));
        }
    }
}
