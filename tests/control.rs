//! A whole control plane over its real sockets: joining, discovery, agent streams, rules, restarts.
//!
//! The proxies are played by `control/rig.rs` with the same client and the same subscription machine
//! that real ones use.

mod joins;
mod pools;
mod rig;
mod streams;
mod succession;

use std::time::Duration;

use meshctl::names::ServiceName;
use meshctl::resource::{Key, Resource};
use meshctl::xds::agent::{Edge, EdgeMetrics, Metrics, RequestCount, Span, Spans, up};
use serde_json::{Value, json};
use tonic::Code;

use rig::{Mesh, eventually};

const TEN_TO_TWO: &str = "
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: reviews}
spec:
  parentRefs: [{group: '', kind: Service, name: reviews}]
  rules:
  - backendRefs:
    - {name: reviews-v1, port: 80, weight: 10}
    - {name: reviews-v2, port: 80, weight: 2}
";

fn reviews() -> ServiceName {
    "default/reviews".parse().expect("valid")
}

/// The weights of the only rule of a service's first port, by backend.
fn weights(resource: Option<&Resource>) -> Vec<(String, u32)> {
    let Some(Resource::Service(service)) = resource else { return Vec::new() };
    let rules = service.ports.iter().flat_map(|port| &port.rules);
    let backends = rules.flat_map(|rule| &rule.backends);
    backends.map(|it| (it.service.name.to_string(), it.weight)).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rule_reaches_who_subscribes_and_propagation_settles() {
    let mesh = Mesh::start().await;
    let mut v1 = mesh.proxy("reviews", "v1").await;
    let mut v2 = mesh.proxy("reviews", "v2").await;
    let mut web = mesh.proxy("web", "").await;
    for proxy in [&mut v1, &mut v2, &mut web] {
        proxy.ready().await;
    }
    let key = Key::service(&reviews());
    web.want(&key).await;
    let implicit = web.until(&key, |resource| resource.is_some()).await;
    assert_eq!(weights(implicit.as_ref()), [("reviews".to_owned(), 1)]);

    let applied = mesh.apply(TEN_TO_TWO, false).await.expect("applied");
    let revision = applied["revision"].as_u64().expect("a number");
    assert_eq!(applied["objects"][0]["action"], "created");
    assert_eq!(applied["warnings"], json!([]));
    let split = [("reviews-v1".to_owned(), 10), ("reviews-v2".to_owned(), 2)];
    web.until(&key, |resource| weights(resource) == split).await;

    let query = format!("/v1/propagation?revision={revision}");
    let settled = eventually(async || {
        let propagation = mesh.get(&query).await;
        (!propagation["settledMs"].is_null()).then_some(propagation)
    });
    let settled = settled.await;
    assert_eq!(settled["acknowledged"], json!(["default/web-0"]));
    assert_eq!((&settled["pending"], &settled["rejected"]), (&json!([]), &json!([])));
    let measured = mesh.text("/metrics").await;
    let count = "meshctl_propagation_milliseconds_count ";
    let count = measured.lines().find_map(|line| line.strip_prefix(count)?.parse::<u64>().ok());
    assert!(count.is_some_and(|count| count >= 1), "{measured}");

    let listed = mesh.get("/v1/objects?kind=HTTPRoute").await;
    assert_eq!(listed["items"][0]["metadata"]["generation"], 1);
    let conditions = &listed["items"][0]["status"]["conditions"];
    let said: Vec<_> = conditions.as_array().expect("a list").iter().collect();
    let word = |it: &&Value| {
        format!("{}={}", it["type"].as_str().unwrap_or(""), it["status"].as_str().unwrap_or(""))
    };
    let said: Vec<_> = said.iter().map(word).collect();
    assert_eq!(said, ["Accepted=True", "ResolvedRefs=True", "Programmed=True"]);
    let described = mesh.get("/v1/describe?kind=Service&name=reviews").await;
    assert!(described.to_string().contains("HTTPRoute/default/reviews/0"), "{described}");
    mesh.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_refusal_is_told_with_proxy_rule_and_reason() {
    let mesh = Mesh::start().await;
    let mut web = mesh.proxy("web", "").await;
    let mut v1 = mesh.proxy("reviews", "v1").await;
    let mut v2 = mesh.proxy("reviews", "v2").await;
    for proxy in [&mut web, &mut v1, &mut v2] {
        proxy.ready().await;
    }
    let key = Key::service(&reviews());
    web.want(&key).await;
    web.until(&key, |resource| resource.is_some()).await;
    web.refuse("ports[0]", "too much for me");
    let applied = mesh.apply(TEN_TO_TWO, false).await.expect("applied");
    let query = format!("/v1/propagation?revision={}", applied["revision"]);
    web.pump_until(async || {
        let propagation = mesh.get(&query).await;
        let rejected = propagation["rejected"].get(0)?.clone();
        assert_eq!(rejected["proxy"], "default/web-0");
        assert_eq!(rejected["resource"], "Service default/reviews");
        assert_eq!(rejected["rules"], json!(["HTTPRoute/default/reviews"]));
        assert_eq!(rejected["reason"], "ports[0]: too much for me");
        Some(())
    })
    .await;
    let status = mesh.get("/v1/status").await;
    let proxies = status["proxies"].as_array().expect("a list");
    let web = proxies.iter().find(|it| it["name"] == "web-0").expect("listed");
    assert_eq!(web["state"], "Rejected");
    assert_eq!(web["reason"], "Service default/reviews: ports[0]: too much for me");
    mesh.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_of_a_bad_file_is_applied_and_a_dry_run_changes_nothing() {
    let mesh = Mesh::start().await;
    let bad = format!(
        "{TEN_TO_TWO}\n---\napiVersion: v1\nkind: Service\nmetadata: {{name: a}}\nspec: {{portz: []}}\n"
    );
    let (status, failure) = mesh.apply(&bad, false).await.expect_err("refused");
    assert_eq!(status, 422);
    assert!(failure["diagnostics"][0]["line"].as_u64() > Some(1), "{failure}");
    let dry = mesh.apply(TEN_TO_TWO, true).await.expect("tried");
    assert_eq!(dry["objects"][0]["action"], "created");
    assert_eq!(mesh.get("/v1/objects").await["items"], json!([]));
    let delete = json!({"objects": [{"kind": "HTTPRoute", "namespace": "default", "name": "x"}]});
    let (status, failure) = mesh.post("/v1/delete", &delete).await.expect_err("not there");
    assert_eq!(status, 404);
    assert!(
        failure["error"]
            .as_str()
            .is_some_and(|it| it.contains("no HTTPRoute `x` in the namespace `default`"))
    );
    mesh.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_restart_keeps_rules_registrations_and_the_port() {
    let mesh = Mesh::start().await;
    mesh.apply(TEN_TO_TWO, false).await.expect("applied");
    let mut v1 = mesh.proxy("reviews", "v1").await;
    v1.ready().await;
    eventually(async || {
        let status = mesh.get("/v1/status").await;
        (status["services"][0]["endpoints"]["ready"] == 1).then_some(())
    })
    .await;
    let address = mesh.address();
    let mesh = mesh.restart().await;
    assert_eq!(mesh.address(), address);
    assert_eq!(mesh.get("/v1/objects").await["items"][0]["metadata"]["name"], "reviews");
    let status = mesh.get("/v1/status").await;
    assert_eq!(status["proxies"][0]["state"], "Disconnected");
    let services = status["services"].as_array().expect("a list");
    let reviews = services.iter().find(|it| it["name"] == "reviews").expect("still a service");
    assert_eq!(reviews["endpoints"]["ready"], 1, "a kept registration is an endpoint");
    mesh.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_says_goodbye_is_no_endpoint_and_who_is_lost_stays_for_now() {
    let mesh = Mesh::start().await;
    let mut one = mesh.named_proxy("reviews", "", "reviews-0").await;
    let mut two = mesh.named_proxy("reviews", "", "reviews-1").await;
    one.ready().await;
    two.ready().await;
    let ready = async |count: u64| {
        eventually(async || {
            let status = mesh.get("/v1/status").await;
            (status["services"][0]["endpoints"]["ready"] == count).then_some(())
        })
        .await;
    };
    ready(2).await;
    one.goodbye().await;
    ready(1).await;
    drop(two);
    eventually(async || {
        let status = mesh.get("/v1/status").await;
        (status["proxies"][0]["state"] == "Disconnected").then_some(())
    })
    .await;
    ready(1).await;
    mesh.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_not_ones_own_is_refused() {
    let mesh = Mesh::start().await;
    let mut web = mesh.proxy("web", "").await;
    web.ready().await;
    web.want(&Key::workload(&"default/other-0".parse().expect("valid"))).await;
    assert_eq!(web.ended().await, Code::PermissionDenied);

    let reviews = mesh.join("reviews").await;
    let as_another = reviews.hello("web", "", "web-9");
    assert_eq!(reviews.connect(as_another).await.err(), Some(Code::PermissionDenied));
    let taken =
        rig::Hello { service_account: "reviews".to_owned(), ..reviews.hello("web", "", "web-0") };
    assert_eq!(reviews.connect(taken).await.err(), Some(Code::AlreadyExists));
    assert_eq!(reviews.sign_as("web").await.err(), Some(Code::PermissionDenied));
    assert!(reviews.sign_as("reviews").await.is_ok(), "it renews itself");
    mesh.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn proxies_of_the_neighbouring_versions_are_taken_and_no_others() {
    let mesh = Mesh::start().await;
    let web = mesh.join("web").await;
    let (major, minor) = env!("CARGO_PKG_VERSION").split_once('.').expect("three numbers");
    let minor: u64 = minor.split('.').next().and_then(|it| it.parse().ok()).expect("a number");
    for (number, taken) in [(minor + 1, true), (minor + 2, false), (minor + 9, false)] {
        let product_version = format!("{major}.{number}.7");
        let hello = web.hello("web", "", &format!("web-{number}"));
        let connected =
            web.connect(rig::Hello { product_version: product_version.clone(), ..hello }).await;
        let refused = (!taken).then_some(Code::FailedPrecondition);
        assert_eq!(connected.as_ref().err(), refused.as_ref(), "minor version {number}");
        let status = mesh.get("/v1/status").await;
        let proxies = status["proxies"].as_array().into_iter().flatten();
        let told = proxies.filter(|it| it["name"] == format!("web-{number}"));
        let told: Vec<_> = told.map(|it| it["productVersion"].clone()).collect();
        assert_eq!(
            told,
            if taken { vec![serde_json::Value::from(product_version)] } else { Vec::new() },
            "as it said itself"
        );
    }
    mesh.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn metrics_and_traces_are_taken_and_commands_answered() {
    let mesh = Mesh::start().await;
    let mut web = mesh.proxy("web", "").await;
    web.ready().await;
    let edge = Edge {
        source: "default/web".to_owned(),
        destination: "default/reviews".to_owned(),
        backend: "default/reviews".to_owned(),
        protocol: "http".to_owned(),
        mtls: true,
        ..Edge::default()
    };
    let requests = vec![RequestCount { status: 200, reason: String::new(), count: 7, grpc: None }];
    let edges = vec![EdgeMetrics { edge: Some(edge), requests, ..EdgeMetrics::default() }];
    web.say(up::Message::Metrics(Metrics { edges })).await;
    let span =
        Span { trace_id: vec![7; 16], span_id: 1, name: "GET /".to_owned(), ..Span::default() };
    web.say(up::Message::Spans(Spans { spans: vec![span] })).await;
    let id = "07".repeat(16);
    let trace = eventually(async || {
        let traces = mesh.get("/v1/traces").await;
        (traces["traces"][0]["id"] == id.as_str()).then_some(())
    });
    trace.await;
    let trace = mesh.get(&format!("/v1/traces/{id}")).await;
    assert_eq!(trace["spans"][0]["proxy"], "default/web-0");
    let status = mesh.get("/v1/status").await;
    assert_eq!(status["edges"][0]["mtls"], true);
    let metrics = mesh.text("/metrics").await;
    assert!(metrics.contains("istio_requests_total") && metrics.contains(" 7"), "{metrics}");

    web.answer(r#"{"level": "debug"}"#);
    let asked = json!({"log": "debug"});
    let command = mesh.post("/v1/proxies/default/web-0/command", &asked);
    let (answer, ()) = tokio::join!(command, web.pump_for(Duration::from_secs(10)));
    assert_eq!(answer.expect("answered")["level"], "debug");
    let absent = mesh.post("/v1/proxies/default/none/command", &asked).await;
    assert_eq!(absent.expect_err("not there").0, 404);
    mesh.stop().await;
}
