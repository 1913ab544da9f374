//! What rules change, in words, from the documents that users write.

use std::sync::Arc;

use super::*;
use crate::compile;
use crate::mesh::fixture::{came, workload};
use crate::mesh::{Change, Snapshot};
use crate::names::Namespace;
use crate::resource::{Key, Kind};
use crate::rules::{Document, Options, UnknownKinds, parse};

/// A mesh of `reviews` in two versions, `web`, and these rules.
fn mesh(text: &str) -> Snapshot {
    let options = Options {
        default_namespace: Namespace::default_namespace(),
        unknown_kinds: UnknownKinds::Refuse,
    };
    let documents = [Document { source: "rules.yaml".into(), text: text.into() }];
    let parsed = parse(&documents, &options);
    assert!(!parsed.has_errors(), "{:?}", parsed.diagnostics);
    let objects = parsed.objects.into_iter();
    let mut changes: Vec<_> =
        objects.map(|it| Change::Object(it.reference, Some(it.object))).collect();
    changes.push(came(workload("default/reviews-v1-0", "reviews", "v1")));
    changes.push(came(workload("default/reviews-v2-0", "reviews", "v2")));
    Snapshot::new("cluster.local".parse().unwrap(), Arc::default()).apply(&changes)
}

/// All differences between two sets of rules, each as a line.
fn between(before: &str, after: &str) -> Vec<String> {
    let sides = [mesh(before), mesh(after)];
    let mut keys: BTreeSet<Key> = sides.iter().flat_map(compile::keys).collect();
    keys.retain(|key| key.kind != Kind::Address);
    let resource = |side: &Snapshot, key: &Key| compile::compile(side, key).map(|it| it.resource);
    let [was, is] = &sides;
    let pairs: Vec<Pair> = keys.iter().map(|key| (resource(was, key), resource(is, key))).collect();
    effect(&pairs).iter().map(line).collect()
}

fn line(it: &Difference) -> String {
    let service = it.service.as_ref().map(|it| it.name.to_string()).unwrap_or_default();
    let consumer = it.consumer.as_ref().map(|it| format!("@{it}")).unwrap_or_default();
    let port = it.port.map(|port| format!(":{port}")).unwrap_or_default();
    let (requests, what) = (&it.requests, &it.what);
    format!("{service}{consumer}{port} [{requests}] {what}: {} -> {}", it.before, it.after)
}

fn route(rules: &str) -> String {
    format!(
        "apiVersion: gateway.networking.k8s.io/v1\nkind: HTTPRoute\nmetadata: {{name: reviews}}\n\
         spec:\n  parentRefs: [{{group: \"\", kind: Service, name: reviews, port: 80}}]\n  rules:\n{rules}"
    )
}

fn policy(spec: &str) -> String {
    format!(
        "apiVersion: meshctl.dev/v1alpha1\nkind: TrafficPolicy\nmetadata: {{name: reviews}}\nspec:\n  \
         targetRefs: [{{kind: Service, name: reviews}}]\n{spec}\n"
    )
}

const V1: &str = "{name: reviews-v1, port: 80";

#[test]
fn nothing_changes_where_the_rules_say_the_same_in_other_words() {
    assert_eq!(between("", ""), [""; 0]);
    let one = route(&format!("  - backendRefs: [{V1}}}]\n"));
    let other = route(&format!(
        "  - name: all\n    matches: [{{path: {{type: PathPrefix, value: /}}}}]\n    backendRefs: [{V1}, weight: 1}}]\n"
    ));
    assert_eq!(between(&one, &other), [""; 0]);
}

#[test]
fn the_first_route_takes_requests_elsewhere_and_leaves_others_nowhere() {
    let rules = format!(
        "  - matches: [{{path: {{type: PathPrefix, value: /a}}}}]\n    backendRefs: [{V1}, weight: 90}}, {{name: reviews-v2, port: 80, weight: 10}}]\n"
    );
    assert_eq!(
        between("", &route(&rules)),
        [
            "reviews:80 [/*] destination: default/reviews:80 -> 404 no_route",
            "reviews:80 [/a/*] destination: default/reviews:80 -> default/reviews-v1:80 90%, default/reviews-v2:80 10%",
        ]
    );
}

#[test]
fn a_rule_that_shadows_another_is_seen_at_the_requests_of_the_other() {
    let general = format!("  - backendRefs: [{V1}}}]\n");
    let rule = "  - matches: [{path: {type: PathPrefix, value: /a}}]\n    backendRefs: [{name: reviews-v2, port: 80}]\n";
    let both = route(&format!("{general}{rule}"));
    let found = between(&route(&general), &both);
    assert_eq!(
        found,
        ["reviews:80 [/a/*] destination: default/reviews-v1:80 -> default/reviews-v2:80"]
    );
    let regex = rule.replace("PathPrefix", "RegularExpression");
    let found = between(&route(&general), &route(&format!("{general}{regex}")));
    assert_eq!(
        found,
        ["reviews:80 [~ /a] destination: 404 no_route -> default/reviews-v2:80"],
        "of an expression no example can be made; told is what is written"
    );
}

#[test]
fn missing_backends_redirects_and_changes_are_told() {
    let before = route(&format!("  - backendRefs: [{V1}}}]\n"));
    let missing = route("  - backendRefs: [{name: nobody, port: 80}]\n");
    let found = between(&before, &missing);
    let said = "reviews:80 [/*] destination: default/reviews-v1:80 -> default/nobody:80 (500 missing_backend)";
    assert_eq!(found, [said]);
    let edited = route(&format!(
        "  - filters:\n    - {{type: RequestHeaderModifier, requestHeaderModifier: {{remove: [x]}}}}\n    backendRefs: [{V1}}}]\n"
    ));
    assert_eq!(between(&before, &edited), ["reviews:80 [/*] changes: none -> request: remove x"]);
    let moved = route(
        "  - filters:\n    - {type: RequestRedirect, requestRedirect: {hostname: a.example, statusCode: 302}}\n",
    );
    let found = between(&before, &moved);
    assert!(
        found.contains(
            &"reviews:80 [/*] destination: default/reviews-v1:80 -> redirect with 302, host a.example"
                .to_owned()
        ),
        "{found:?}"
    );
}

#[test]
fn limits_come_and_go_with_their_policy() {
    let before = policy("  timeouts: {request: 5s}\n  circuitBreaker: {maxRequests: 10}");
    let found = between(&before, "");
    assert_eq!(
        found,
        [
            "reviews [] circuitBreaker.maxRequests: 10 per calling proxy -> none",
            "reviews:80 [/*] timeouts.request: 5s -> none",
        ]
    );
}

#[test]
fn a_consumers_first_rules_are_held_against_those_for_all() {
    let own = route(&format!("  - backendRefs: [{V1}, namespace: default}}]\n"))
        .replace("metadata: {name: reviews}", "metadata: {name: ours, namespace: shop}")
        .replace(
            "name: reviews, port: 80}]\n  rules",
            "name: reviews, namespace: default, port: 80}]\n  rules",
        );
    let found = between("", &own);
    assert_eq!(
        found,
        ["reviews@shop:80 [/*] destination: default/reviews:80 -> default/reviews-v1:80"]
    );
}

#[test]
fn faults_and_settings_of_the_mesh_are_told() {
    let fault = "apiVersion: meshctl.dev/v1alpha1\nkind: FaultPolicy\nmetadata: {name: drill}\nspec:\n  targetRefs: [{kind: Service, name: reviews}]\n  abort: {status: 503}\n";
    let found = between("", fault);
    assert_eq!(found, ["reviews:80 [] FaultPolicy/default/drill: none -> abort with 503 (100%)"]);
    let config = "apiVersion: meshctl.dev/v1alpha1\nkind: MeshConfig\nmetadata: {name: default}\nspec: {mtls: Permissive, outbound: RegistryOnly}\n";
    let found = between("", config);
    assert!(found.contains(&" [] outbound: AllowAny -> RegistryOnly".to_owned()), "{found:?}");
    assert!(found.iter().any(|it| it.ends_with("mtls: Strict -> Permissive")), "{found:?}");
}

/// It said that the rules are used again.
#[test]
fn what_proxies_refuse_before_and_after_is_refused_still() {
    let service = |rule: u32, name: &str| {
        let mesh = mesh(&route(&format!("  - backendRefs: [{V1}}}]\n")));
        let key = compile::keys(&mesh)
            .into_iter()
            .find(|key| key.kind == Kind::Service && &*key.name == "default/reviews");
        let compiled = compile::compile(&mesh, &key.expect("a key")).expect("compiled");
        let Resource::Service(mut service) = compiled.resource else { panic!("a service") };
        service.ports[0].matches[0].rule = rule;
        service.ports[0].matches[0].method = Some(name.to_owned());
        service
    };
    let told = |one: Service, other: Service| {
        let pair = (Some(Resource::Service(one)), Some(Resource::Service(other)));
        effect(&[pair]).iter().map(line).collect::<Vec<_>>()
    };
    assert_eq!(told(service(9, "GET"), service(9, "PUT")), [""; 0], "nothing is used either way");
    let refused = "refused by proxies: `ports[0].matches[0].rule`: no such rule";
    assert_eq!(
        told(service(9, "GET"), service(0, "GET")),
        [format!("reviews [] routes: {refused} -> used")]
    );
}
