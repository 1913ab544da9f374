//! Tests of what documents mean, and of what several of them mean together.

use std::time::{Duration, Instant};

use serde_json::json;

use super::{Document, Options, Parsed, UnknownKinds, default_config, from_value, parse, resolved};
use crate::mesh::{Object, TargetPort};
use crate::names::{Namespace, Protocol};
use crate::resource::{LoadBalancer, MtlsMode, PathMatch, ValueMatch};

mod policy;

pub(super) fn read_as(text: &str, unknown_kinds: UnknownKinds) -> Parsed {
    let default_namespace: Namespace = "shop".parse().expect("a name");
    let document = Document { source: "rules.yaml".to_owned(), text: text.to_owned() };
    parse(&[document], &Options { default_namespace, unknown_kinds })
}

pub(super) fn read(text: &str) -> Parsed {
    let parsed = read_as(text, UnknownKinds::Skip);
    assert!(!parsed.has_errors(), "{:#?}", parsed.diagnostics);
    parsed
}

pub(super) const ROUTE: &str = r#"
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: reviews}
spec:
  parentRefs: [{kind: Service, name: reviews, port: 80}]
  rules:
  - matches:
    - path: {value: /a/}
      headers: [{name: X-Team, value: a}]
    backendRefs: [{name: v1, port: 80}, {name: v2, port: 81, weight: 0, namespace: other}]
    timeouts: {request: 0s, backendRequest: 5s}
  - name: rest
    backendRefs: [{name: v1, port: 80}]
"#;

#[test]
fn routes_are_resolved() {
    let parsed = read(ROUTE);
    let Object::HttpRoute(route) = &parsed.objects[0].object else { panic!("a route") };
    assert_eq!(parsed.objects[0].reference.to_string(), "HTTPRoute/shop/reviews");
    assert_eq!(parsed.objects[0].line, 2);
    assert_eq!(route.parents[0].service.to_string(), "shop/reviews");
    assert_eq!(route.parents[0].port, Some(80));
    let [first, rest] = route.rules.as_slice() else { panic!("two rules") };
    assert_eq!(first.id.to_string(), "HTTPRoute/shop/reviews/0");
    assert_eq!(first.matches[0].path, PathMatch::Prefix("/a".to_owned()));
    assert_eq!(first.matches[0].headers[0].name, "x-team");
    assert_eq!(first.matches[0].headers[0].value, ValueMatch::Exact("a".to_owned()));
    assert_eq!(first.request_timeout, Some(None));
    assert_eq!(first.backend_request_timeout, Some(Some(Duration::from_secs(5))));
    let weights: Vec<u32> = first.backends.iter().map(|b| b.weight).collect();
    assert_eq!(weights, [1, 0]);
    assert_eq!(first.backends[1].service.to_string(), "other/v2");
    assert_eq!(rest.id.to_string(), "HTTPRoute/shop/reviews/rest");
    assert_eq!(rest.matches[0].path, PathMatch::Prefix("/".to_owned()));
    assert_eq!(rest.request_timeout, None);
}

/// `meshctl-rule: HTTPRoute/shop/reviews/0` led to two rules.
#[test]
fn a_rule_may_not_have_the_index_of_a_nameless_one_for_its_name() {
    let codes = |name: &str| {
        let text = ROUTE.replace("name: rest", &format!("name: \"{name}\""));
        let found = read_as(&text, UnknownKinds::Skip).diagnostics.into_iter();
        found.map(|it| (it.code, it.field)).collect::<Vec<_>>()
    };
    assert_eq!(codes("0"), [("MC0311".to_owned(), "spec.rules[1].name".to_owned())]);
    assert_eq!(codes("1"), [], "the second has a name: it is that one alone");
}

/// The route was refused where `clusterIP` said `None`, and had no effect where `clusterIPs` alone did.
#[test]
fn a_service_is_headless_by_either_field() {
    for field in ["clusterIP: None", "clusterIPs: [None]"] {
        let service = format!(
            "apiVersion: v1\nkind: Service\nmetadata: {{name: reviews}}\nspec: {{{field}, ports: [{{port: 80}}]}}\n---"
        );
        let found = read_as(&[&service, ROUTE].concat(), UnknownKinds::Skip).diagnostics;
        assert!(found.iter().any(|it| it.code == "MC0404"), "{field}: {found:?}");
    }
}

#[test]
fn services_are_resolved() {
    let parsed = read(
        "{apiVersion: v1, kind: Service, metadata: {name: a, namespace: n}, spec: {selector: {app: a}, ports: [\
         {name: z, port: 90, targetPort: web, appProtocol: grpc}, {name: y, port: 80, targetPort: 8080}]}}",
    );
    let Object::Service(service) = &parsed.objects[0].object else { panic!("a service") };
    assert_eq!(service.name.to_string(), "n/a");
    assert!(service.declared);
    assert_eq!(service.selector.as_ref().map(|labels| labels.len()), Some(1));
    let [low, high] = service.ports.as_slice() else { panic!("two ports") };
    assert_eq!((low.port, &low.target), (80, &TargetPort::Number(8080)));
    assert_eq!((high.port, &high.target), (90, &TargetPort::Named("web".to_owned())));
    assert_eq!((low.protocol, high.protocol), (Protocol::Detect, Protocol::Grpc));
}

#[test]
fn policies_and_settings_keep_their_defaults() {
    let parsed = read(
        "apiVersion: meshctl.dev/v1alpha1\nkind: TrafficPolicy\nmetadata: {name: a}\n\
         spec: {targetRefs: [{kind: Service, name: a}]}\n---\n\
         apiVersion: meshctl.dev/v1alpha1\nkind: MeshConfig\nmetadata: {name: default}\n\
         spec: {tracing: {sampling: 0.5%}}\n",
    );
    let Object::TrafficPolicy(policy) = &parsed.objects[0].object else { panic!("a policy") };
    assert_eq!(policy.pool.connect_timeout, Duration::from_secs(1));
    assert_eq!(
        (policy.request_timeout, policy.pool.load_balancer.clone()),
        (None, LoadBalancer::default())
    );
    assert_eq!(policy.pool.tcp_idle, Duration::from_secs(3600));
    let Object::MeshConfig(config) = &parsed.objects[1].object else { panic!("settings") };
    assert_eq!((config.sampling_ppm, config.mtls), (5_000, MtlsMode::Strict));
    assert_eq!(parsed.objects[1].reference.to_string(), "MeshConfig/meshctl-system/default");
}

#[test]
fn kinds_of_others_are_skipped_and_counted_or_refused() {
    let text = "apiVersion: v1\nkind: ConfigMap\n---\napiVersion: apps/v1\nkind: Deployment\n---\n";
    assert_eq!(read(text).skipped, 2);
    let refused = read_as(text, UnknownKinds::Refuse);
    assert_eq!((refused.skipped, refused.diagnostics.len()), (0, 2));
    assert!(refused.diagnostics.iter().all(|d| d.code == "MC0206"));
}

#[test]
fn stored_documents_keep_their_namespace_and_take_their_revision() {
    let parsed = read(ROUTE);
    let source = &parsed.objects[0].source;
    assert_eq!(source["metadata"], json!({"name": "reviews", "namespace": "shop"}));
    let Ok(Object::HttpRoute(route)) = from_value(source, 7, 42) else { panic!("a route") };
    assert_eq!((route.generation, route.created_ms), (7, 42));
    assert_eq!(route.namespace.as_str(), "shop");
    let wrong = from_value(&json!({"apiVersion": "v1", "kind": "Service", "metadata": {}}), 1, 0);
    let codes: Vec<String> = wrong.expect_err("wrong").into_iter().map(|d| d.code).collect();
    assert_eq!(codes, ["MC0202", "MC0202"]);
}

#[test]
fn defaults_are_written_out_and_what_is_off_is_not() {
    let parsed = read(
        "apiVersion: meshctl.dev/v1alpha1\nkind: TrafficPolicy\nmetadata: {name: a}\n\
         spec: {targetRefs: [{kind: Service, name: a}]}\n---\n\
         {apiVersion: v1, kind: Service, metadata: {name: a}, spec: {clusterIP: 10.0.0.1, ports: [{port: 80}]}}\n",
    );
    let spec = |index: usize| {
        resolved(&parsed.objects[index].source, &parsed.objects[index].object)["spec"].take()
    };
    assert_eq!(
        spec(0),
        json!({
            "targetRefs": [{"group": "", "kind": "Service", "name": "a"}],
            "timeouts": {"connect": "1s"},
            "loadBalancer": {"algorithm": "least-request", "locality": "off"},
            "mode": "Enforce",
        })
    );
    assert_eq!(
        spec(1),
        json!({
            "clusterIP": "10.0.0.1",
            "type": "ClusterIP",
            "sessionAffinity": "None",
            "internalTrafficPolicy": "Cluster",
            "ports": [{"port": 80, "targetPort": 80, "protocol": "TCP"}],
        })
    );
    let config = default_config();
    assert_eq!(
        config["spec"],
        json!({
            "mtls": "Strict",
            "certificates": {"lifetime": "24h"},
            "tracing": {"sampling": "1%"},
            "outbound": "AllowAny",
        })
    );
    let read_back = from_value(&config, 0, 0);
    assert_eq!(read_back, Ok(Object::MeshConfig(std::sync::Arc::default())));
}

#[test]
fn the_same_object_in_two_files_names_both_places() {
    let file = |name: &str| Document { source: name.to_owned(), text: ROUTE.to_owned() };
    let options = Options {
        default_namespace: Namespace::default_namespace(),
        unknown_kinds: UnknownKinds::Skip,
    };
    let parsed = parse(&[file("a.yaml"), file("b.yaml")], &options);
    assert_eq!(parsed.objects.len(), 1);
    let [twice] = parsed.diagnostics.as_slice() else { panic!("one problem") };
    assert_eq!((twice.code.as_str(), twice.file.as_str()), ("MC0401", "b.yaml"));
    assert!(twice.message.contains("a.yaml:2"), "{}", twice.message);
}

#[test]
fn a_thousand_documents_take_no_time_to_speak_of() {
    // Far above what it takes: this finds what grows with the square of the input.
    let text: String = (0..1_000)
        .map(|n| ROUTE.replace("name: reviews}", &format!("name: reviews-{n}}}")) + "---\n")
        .collect();
    let start = Instant::now();
    assert_eq!(read(&text).objects.len(), 1_000);
    assert!(start.elapsed() < Duration::from_secs(10), "{:?}", start.elapsed());
}
