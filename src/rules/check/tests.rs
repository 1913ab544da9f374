//! What several rules mean together: each warning once where it belongs, and nowhere else.

use jiff::Timestamp;

use super::cross_check;
use crate::mesh::Snapshot;
use crate::mesh::fixture::{came, empty, workload};
use crate::rules::tests::{ROUTE, read};
use crate::rules::{Diagnostic, Severity};

mod shadowed;

/// What the text is warned of; dates are held against 2026-11-01.
pub(super) fn warnings(text: &str, mesh: Option<&Snapshot>) -> Vec<Diagnostic> {
    let now: Timestamp = "2026-11-01T00:00:00Z".parse().expect("a time");
    cross_check(&read(text).objects, mesh, now)
}

/// Code, line, column and field of each.
pub(super) fn places(found: &[Diagnostic]) -> Vec<(&str, usize, usize, &str)> {
    found.iter().map(|d| (d.code.as_str(), d.line, d.column, d.field.as_str())).collect()
}

fn ours(kind: &str, spec: &str) -> String {
    format!(
        "apiVersion: meshctl.dev/v1alpha1\nkind: {kind}\nmetadata: {{name: a}}\nspec:\n  \
         targetRefs: [{{kind: Service, name: web}}]\n  {spec}\n"
    )
}

/// `shop/web` with so many endpoints.
fn mesh(endpoints: usize) -> Snapshot {
    let one = |n| came(workload(&format!("shop/web-{n}"), "web", ""));
    empty().apply(&(0..endpoints).map(one).collect::<Vec<_>>())
}

#[test]
fn missing_backends_and_second_policies_are_warned_of() {
    let policy = |name: &str| {
        format!(
            "---\napiVersion: meshctl.dev/v1alpha1\nkind: TrafficPolicy\nmetadata: {{name: {name}}}\n\
             spec: {{targetRefs: [{{kind: Service, name: v1}}]}}\n"
        )
    };
    let service =
        "---\napiVersion: v1\nkind: Service\nmetadata: {name: v1}\nspec: {ports: [{port: 81}]}\n";
    let text = [ROUTE, service, &policy("a"), &policy("b")].concat();
    let found = warnings(&text, None);
    assert!(found.iter().all(|d| d.severity == Severity::Warning));
    // Both rules name port 80 of `v1`, which has only 81; `v2` may be registered. At the reference,
    // not at the head of the document.
    assert_eq!(
        places(&found),
        [
            ("MC0402", 11, 19, "spec.rules[0].backendRefs[0]"),
            ("MC0402", 14, 19, "spec.rules[1].backendRefs[0]"),
            ("MC0405", 29, 21, "spec.targetRefs[0]"),
        ]
    );
    assert!(found[2].message.ends_with("`TrafficPolicy/shop/a` at rules.yaml:21"));
    let parent = ROUTE.replace("name: reviews, port: 80}", "name: v1, port: 80}");
    let found = warnings(&[&parent, service].concat(), None);
    assert_eq!(places(&found)[0], ("MC0407", 6, 48, "spec.parentRefs[0].port"));
    let known = warnings(&text, Some(&empty()));
    assert!(known.iter().any(|d| d.message.contains("there is no service `other/v2`")));
}

#[test]
fn a_service_that_leaves_out_who_made_its_name_is_an_error() {
    let service = |selector: &str| {
        format!(
            "apiVersion: v1\nkind: Service\nmetadata: {{name: web-v1}}\nspec:\n  ports: [{{port: 80}}]\n  \
             selector: {{{selector}}}\n"
        )
    };
    let mesh = empty().apply(&[came(workload("shop/web-0", "web", "v1"))]);
    let found = warnings(&service("app: other"), Some(&mesh));
    assert_eq!(places(&found), [("MC0417", 6, 13, "spec.selector")]);
    assert_eq!(found[0].severity, Severity::Error);
    assert!(found[0].message.contains("`shop/web-0`"), "{}", found[0].message);
    assert_eq!(warnings(&service("app: other"), None), [], "nobody is there yet");
    assert_eq!(warnings(&service("app: web, version: v1"), Some(&mesh)), []);
}

#[test]
fn what_the_mesh_lacks_is_named_with_its_namespace() {
    let route = ROUTE.replace("other}", "shop}").replace("port: 81", "port: 80");
    assert_eq!(places(&warnings(&route, None)), []);
    let found = warnings(&route, Some(&mesh(1)));
    assert_eq!(
        places(&found),
        [
            ("MC0415", 6, 16, "spec.parentRefs[0]"),
            ("MC0402", 11, 19, "spec.rules[0].backendRefs[0]"),
            ("MC0402", 11, 41, "spec.rules[0].backendRefs[1]"),
            ("MC0402", 14, 19, "spec.rules[1].backendRefs[0]"),
        ]
    );
    assert_eq!(found[0].message, "there is no service `shop/reviews`: this holds for nothing");
    let nowhere = warnings(&ours("TrafficPolicy", "mode: Enforce"), Some(&empty()));
    let message =
        "there is no service `shop/web`, nor anything in that namespace: this holds for nothing";
    assert_eq!((nowhere[0].code.as_str(), nowhere[0].message.as_str()), ("MC0415", message));
    assert_eq!(warnings(&ours("TrafficPolicy", "mode: Enforce"), Some(&mesh(1))), []);
}

#[test]
fn a_policy_of_the_mesh_that_is_older_holds() {
    let text = ours("TrafficPolicy", "timeouts: {request: 1s}");
    let objects = read(&text.replace("name: a}", "name: z}")).objects;
    let change = |it: &super::ParsedObject| {
        crate::mesh::Change::Object(it.reference.clone(), Some(it.object.clone()))
    };
    let before = mesh(1).apply(&objects.iter().map(change).collect::<Vec<_>>());
    let found = warnings(&text, Some(&before));
    assert_eq!(places(&found), [("MC0405", 5, 16, "spec.targetRefs[0]")]);
    assert!(found[0].message.ends_with("`TrafficPolicy/shop/z` of the mesh"), "{found:?}");
    // The same object once more is no second one.
    assert_eq!(warnings(&text.replace("name: a}", "name: z}"), Some(&before)), []);
}

#[test]
fn ejection_needs_somebody_else_to_go_to() {
    let text = ours("TrafficPolicy", "outlierDetection: {successRate: {}, interval: 1s}");
    let codes = |endpoints| -> Vec<(String, String)> {
        let found = warnings(&text, Some(&mesh(endpoints)));
        found.into_iter().map(|d| (d.code, d.field)).collect()
    };
    let outliers = "spec.outlierDetection";
    assert_eq!(codes(1), [("MC0414".to_owned(), outliers.to_owned())]);
    assert_eq!(codes(4), [("MC0414".to_owned(), format!("{outliers}.successRate"))]);
    assert_eq!(codes(5), []);
    assert_eq!(warnings(&text, None), []);
}

#[test]
fn faults_that_are_over_or_about_nobody_are_told() {
    let fault = |more: &str| ours("FaultPolicy", &format!("abort: {{status: 503}}\n  {more}"));
    let over = fault("expires: 2026-10-31T23:59:59Z");
    assert_eq!(places(&warnings(&over, None)), [("MC0412", 7, 12, "spec.expires")]);
    assert_eq!(warnings(&fault("expires: 2026-11-01T00:00:01Z"), None), []);
    let callers =
        fault("from: [{identities: [ns/shop/sa/web, ns/shop/sa/wbe], namespaces: [hop]}]");
    let found = warnings(&callers, Some(&mesh(1)));
    assert_eq!(
        places(&found),
        [
            ("MC0416", 7, 40, "spec.from[0].identities[1]"),
            ("MC0416", 7, 70, "spec.from[0].namespaces[0]"),
        ]
    );
    assert_eq!(warnings(&callers, None), []);
}

#[test]
fn a_route_on_an_opaque_port_has_no_effect() {
    let service = |protocol: &str| {
        format!(
            "---\napiVersion: v1\nkind: Service\nmetadata: {{name: reviews}}\n\
             spec: {{ports: [{{port: 80, appProtocol: {protocol}}}]}}\n"
        )
    };
    let found = |protocol| warnings(&[ROUTE, &service(protocol)].concat(), None);
    assert_eq!(places(&found("redis")), [("MC0408", 6, 16, "spec.parentRefs[0]")]);
    assert_eq!(found("http"), []);
}

#[test]
fn times_of_a_rule_are_held_against_those_of_the_policy() {
    let route = |rule: &str| {
        format!(
            "---\napiVersion: gateway.networking.k8s.io/v1\nkind: HTTPRoute\nmetadata: {{name: web}}\n\
             spec:\n  parentRefs: [{{kind: Service, name: web}}]\n  rules:\n  \
             - backendRefs: [{{name: web, port: 80}}]\n    {rule}\n"
        )
    };
    let policy = ours("TrafficPolicy", "retry: {attempts: 1, perTryTimeout: 400ms}");
    let found = |rule: &str| {
        let found = warnings(&format!("{policy}{}", route(rule)), None);
        found.into_iter().map(|d| (d.code, d.line, d.field, d.message)).collect::<Vec<_>>()
    };
    let [(code, line, field, message)] = &found("timeouts: {request: 300ms}")[..] else {
        panic!("one warning")
    };
    assert_eq!(
        (code.as_str(), *line, field.as_str()),
        ("MC0410", 15, "spec.rules[0].timeouts.request")
    );
    assert_eq!(
        message,
        "one try may take 400ms of `TrafficPolicy/shop/a`, the whole request only 300ms"
    );
    let [(_, _, _, message)] = &found("timeouts: {request: 700ms}")[..] else {
        panic!("one warning")
    };
    assert!(message.starts_with("2 tries of 400ms each of `TrafficPolicy/shop/a`"), "{message}");
    assert_eq!(found("timeouts: {request: 800ms}"), []);
    assert_eq!(found("timeouts: {request: 0s}"), []);
    // What the route says of tries alone.
    let [(_, _, field, _)] = &found("retry: {attempts: 2}\n    timeouts: {request: 1s}")[..] else {
        panic!("one warning")
    };
    assert_eq!(field, "spec.rules[0].timeouts.request");
}
