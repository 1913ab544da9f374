//! Matches that never decide: which are found, and which are left alone.

use super::{places, warnings};
use crate::mesh::Change;
use crate::mesh::fixture::empty;
use crate::rules::tests::read;

/// A route about `shop/web`, its rules one a line from line 7 on.
fn route(name: &str, parents: &str, rules: &[&str]) -> String {
    let backends = "backendRefs: [{name: web, port: 80}]";
    let rules: String =
        rules.iter().map(|matches| format!("  - {{matches: [{matches}], {backends}}}\n")).collect();
    format!(
        "apiVersion: gateway.networking.k8s.io/v1\nkind: HTTPRoute\nmetadata: {{name: {name}}}\n\
         spec:\n  parentRefs: [{parents}]\n  rules:\n{rules}"
    )
}

const WEB: &str = "{kind: Service, name: web}";

/// The fields warned of, of a single route.
fn never(rules: &[&str]) -> Vec<String> {
    let found = warnings(&route("web", WEB, rules), None);
    assert!(found.iter().all(|d| d.code == "MC0409"), "{found:?}");
    found.into_iter().map(|d| d.field).collect()
}

#[test]
fn the_same_conditions_once_more_never_decide() {
    let a = "{path: {value: /a}, headers: [{name: X-A, value: b}, {name: x-c, value: d}]}";
    let again = "{path: {value: /a/}, headers: [{name: x-c, value: d}, {name: x-a, value: b}]}";
    assert_eq!(never(&[a, again]), ["spec.rules[1]"]);
    assert_eq!(
        never(&[a, &format!("{again}, {{path: {{value: /b}}}}")]),
        ["spec.rules[1].matches[0]"]
    );
    assert_eq!(never(&["", "{path: {value: /}}"]), ["spec.rules[1]"]);
    let [one, other] =
        ["GET", "POST"].map(|word| format!("{{path: {{value: /a}}, method: {word}}}"));
    assert_eq!(never(&[&one, &other, "{path: {value: /a}}", a, "{path: {value: /b}}"]), [""; 0]);
}

#[test]
fn an_expression_that_takes_everything_leaves_prefixes_nothing() {
    let regex =
        |pattern: &str| format!("{{path: {{type: RegularExpression, value: \"{pattern}\"}}}}");
    let api = "{path: {value: /api}}";
    for wide in [".*", "/.*", "^/.*$", "/api.*", "/a.*"] {
        assert_eq!(never(&[api, &regex(wide)]), ["spec.rules[0]"], "{wide}");
    }
    // `/api` itself is not under `/api/`; an exact path is tried before; the others ask for more.
    for narrow in ["/api/.*", "/api/[a-z]+", "/ap[i].*", ".+x"] {
        assert_eq!(never(&[api, &regex(narrow)]), [""; 0], "{narrow}");
    }
    assert_eq!(never(&["{path: {type: Exact, value: /api}}", &regex(".*")]), [""; 0]);
    let get = regex(".*").replace("}}", "}, method: GET}");
    assert_eq!(never(&[api, &get]), [""; 0]);
    let got = api.replace("}}", "}, method: GET}");
    assert_eq!(never(&[&got, &get]), ["spec.rules[0]"]);
}

#[test]
fn a_route_takes_from_another_on_the_same_port_alone() {
    let on = |name: &str, parents: &str| route(name, parents, &["{path: {value: /a}}"]);
    let both = |one: &str, other: &str| {
        let text = [on("one", one), on("two", other)].join("---\n");
        warnings(&text, None).into_iter().map(|d| (d.line, d.message)).collect::<Vec<_>>()
    };
    let at = |port| format!("{{kind: Service, name: web, port: {port}}}");
    let message = "this rule never matches: `HTTPRoute/shop/one/0` takes all of its requests";
    assert_eq!(both(WEB, WEB), [(15, message.to_owned())]);
    assert_eq!(both(WEB, &at(80)), [(15, message.to_owned())]);
    assert_eq!(both(&at(80), &at(80)), [(15, message.to_owned())]);
    // The second still decides on the other ports of the service, or at its other parent.
    assert_eq!(both(&at(80), WEB), []);
    assert_eq!(both(&at(80), &at(81)), []);
    assert_eq!(both(WEB, &format!("{WEB}, {{kind: Service, name: other}}")), []);
}

#[test]
fn routes_of_another_namespace_take_nothing() {
    let consumer = route("web", "{kind: Service, name: web, namespace: shop}", &[""]);
    let consumer = consumer.replace("name: web}\nspec", "name: web, namespace: other}\nspec");
    let text = [route("web", WEB, &[""]), consumer].join("---\n");
    assert_eq!(warnings(&text, None), []);
}

#[test]
fn what_the_mesh_has_is_older() {
    let old = read(&route("z", WEB, &["{path: {value: /a}}"])).objects;
    let old = &old[0];
    let mesh = empty().apply(&[Change::Object(old.reference.clone(), Some(old.object.clone()))]);
    let new = route("a", WEB, &["{path: {value: /a}}"]);
    let found = warnings(&new, Some(&mesh));
    let found: Vec<_> = found.into_iter().filter(|d| d.code == "MC0409").collect();
    assert_eq!(places(&found), [("MC0409", 7, 5, "spec.rules[0]")]);
    assert!(found[0].message.contains("`HTTPRoute/shop/z/0`"), "{found:?}");
}
