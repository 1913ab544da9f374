//! A path that a rule guards, written in every way: what reaches the application behind the rest of
//! the paths must not be read there as the one that is guarded.

use super::{route, two};

/// `/admin` goes to the guard `v2`, all else to the application `v1`.
const GUARDED: &str = "  - matches: [{path: {type: PathPrefix, value: /admin}}]\n\
    \x20   backendRefs: [{name: reviews-v2, port: 80}]\n\
    \x20 - backendRefs: [{name: reviews-v1, port: 80}]\n";

/// Who answers a request for `target`.
fn answered(two: &super::Two, target: &str) -> String {
    let answer = two.call().get("reviews", target);
    match answer.status {
        200 => answer.text(),
        status => format!("{status} {}", answer.reason()),
    }
}

#[test]
fn a_guarded_path_is_guarded_however_it_is_written() {
    let two = two(&route(GUARDED));
    for target in [
        "/admin",
        "/admin/",
        "/admin?x=/public",
        "//admin",
        "///admin//x",
        "/./admin",
        "/public/../admin",
        "/%61dmin",
        "/adm%69n",
        "/%2e%2e/admin",
        "/public/%2E%2e/admin",
        "/public/.%2e/admin/x",
        "/%252e%252e/../admin",
        "http://reviews/admin",
        "http://reviews//admin",
    ] {
        assert_eq!(answered(&two, target), "v2", "{target}");
    }
    for target in [
        "/admin%00",
        "/%00admin",
        "/public/..;/admin",
        "/public/..;x=y/admin",
        "/public/%2e%2e;/admin",
        "/public/..%3b/admin",
        "/.;/admin",
        "/public/..%2fadmin",
        "/public%2f..%2Fadmin",
        "/public/..%5cadmin",
        "/public%5C..%5cadmin",
        "/admin#x",
        "/public#/../admin",
        "/public\\..\\admin",
        "/admin%",
        "/%zzadmin",
        "admin",
    ] {
        assert_eq!(answered(&two, target), "400 bad_request", "{target}");
    }
    assert!(two.v1.requests().is_empty(), "{:?}", two.v1.requests());
    // Other paths by RFC 3986: names have a case, and this one is longer.
    for target in ["/ADMIN", "/administrator", "/public/admin", "/caf%c3%a9", "/100%25", "/a;b=c"] {
        assert_eq!(answered(&two, target), "v1", "{target}");
    }
}

#[test]
fn where_no_rule_looks_at_paths_they_are_the_applications_business() {
    let two = two(&route("  - backendRefs: [{name: reviews-v1, port: 80}]\n"));
    for target in ["/group%2Fproject", "/a/..;/b", "/a%00b"] {
        assert_eq!(answered(&two, target), "v1", "{target}");
        assert_eq!(two.v1.last().path(), target);
    }
}

#[test]
fn escapes_are_compared_whatever_the_case_of_their_digits() {
    let matches = "{path: {type: Exact, value: /caf%c3%a9}}";
    let backend = "{name: reviews-v1, port: 80}";
    let two = two(&route(&format!("  - matches: [{matches}]\n    backendRefs: [{backend}]\n")));
    for target in ["/caf%c3%a9", "/caf%C3%A9", "/c%61f%c3%A9"] {
        assert_eq!(answered(&two, target), "v1", "{target}");
    }
    assert_eq!(answered(&two, "/caf%C3%A8"), "404 no_route");
}
