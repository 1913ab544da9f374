//! What is seen of requests afterwards: counters, edges, traces, reasons.

use serde_json::Value;

use crate::support::{Mesh, Origin, eventually};

fn sampling(percent: &str) -> String {
    format!(
        "apiVersion: meshctl.dev/v1alpha1\nkind: MeshConfig\nmetadata: {{name: default}}\n\
         spec: {{tracing: {{sampling: {percent}}}}}\n"
    )
}

/// `web` calls `app`, which answers `/bad` with 500.
fn with(app: &Origin, rules: &str) -> Mesh {
    Mesh::new().caller("web").service("app", app).version("v1").rules(rules).start()
}

fn sometimes_bad() -> Origin {
    Origin::http(|request| match request.path() {
        "/bad" => "HTTP/1.1 500 Internal Server Error\r\ncontent-length: 0\r\n\r\n".into(),
        _ => "HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n".into(),
    })
}

/// The spans of the one trace that there is, when it has as many.
fn trace(mesh: &Mesh, spans: u64) -> Vec<Value> {
    let id = eventually("the trace is complete", || {
        let list = mesh.read("/v1/traces");
        let [one] = list["traces"].as_array()?.as_slice() else { return None };
        (one["spans"] == spans).then(|| one["id"].as_str().expect("an id").to_owned())
    });
    mesh.read(&format!("/v1/traces/{id}"))["spans"].as_array().expect("spans").clone()
}

#[test]
fn rates_and_success_reach_the_status() {
    let app = sometimes_bad();
    let mesh = with(&app, "");
    let mut conn = mesh.call("web");
    for number in 0..100 {
        conn.get("app", if number % 4 == 0 { "/bad" } else { "/" });
    }
    let service = eventually("100 requests are counted", || {
        let service = mesh.service("app")?;
        (service["requestsPerSecond"].as_f64()? >= 9.9).then_some(service)
    });
    assert_eq!(service["successRate"].as_f64(), Some(0.75), "{service}");
    assert!(service["latency"]["p50"].as_f64().is_some_and(|ms| ms > 0.0), "{service}");
    assert!(service["latency"]["p99"].as_f64() >= service["latency"]["p50"].as_f64(), "{service}");
}

#[test]
fn an_edge_says_who_called_whom_and_that_it_was_encrypted() {
    let app = sometimes_bad();
    let mesh = with(&app, "");
    assert_eq!(mesh.call("web").get("app", "/").status, 200);
    let edge = eventually("the edge is seen", || {
        let status = mesh.read("/v1/status");
        let edges = status["edges"].as_array()?;
        edges.iter().find(|edge| edge["from"] == "web").cloned()
    });
    assert_eq!((&edge["to"], &edge["backend"]), (&"app".into(), &"app".into()), "{edge}");
    assert_eq!((&edge["version"], &edge["mtls"]), (&"v1".into(), &true.into()), "{edge}");
    assert_eq!(edge["successRate"].as_f64(), Some(1.0), "{edge}");
    assert_eq!(edge["protocol"], "http", "{edge}");
}

#[test]
fn what_leaves_the_mesh_is_seen_as_not_encrypted() {
    let outside = sometimes_bad();
    let mesh = Mesh::new().caller("web").start();
    let address = outside.address().to_string();
    assert_eq!(mesh.call("web").get(&address, "/").status, 200);
    let edge = eventually("the edge is seen", || {
        let status = mesh.read("/v1/status");
        let edges = status["edges"].as_array()?;
        edges.iter().find(|edge| edge["from"] == "web").cloned()
    });
    assert_eq!(edge["mtls"], false, "{edge}");
}

#[test]
fn metrics_count_every_request_once_at_each_end() {
    let app = sometimes_bad();
    let mesh = with(&app, "");
    let mut conn = mesh.call("web");
    for _ in 0..10 {
        conn.get("app", "/");
    }
    conn.get("app", "/bad");
    for (service, reporter) in [("web", "source"), ("app", "destination")] {
        let counted = || {
            let text = mesh.proxy(service).ask("/metrics").text();
            let count = |code: &str| -> u64 {
                let lines = text.lines().filter(|line| line.starts_with("istio_requests_total{"));
                let ours = lines.filter(|line| {
                    line.contains(&format!("reporter=\"{reporter}\""))
                        && line.contains(&format!("response_code=\"{code}\""))
                });
                let value = |line: &str| line.rsplit(' ').next()?.parse::<f64>().ok();
                ours.filter_map(value).sum::<f64>() as u64
            };
            (count("200"), count("500"))
        };
        // A request is counted when it is over, a moment after its answer was read.
        eventually("all are counted", || {
            let (good, bad) = counted();
            (good + bad >= 11).then_some(())
        });
        assert_eq!(counted(), (10, 1), "{service}");
    }
}

#[test]
fn a_sampled_request_is_one_trace_with_a_span_at_each_end() {
    let app = sometimes_bad();
    let mesh = with(&app, &sampling("100%"));
    assert_eq!(mesh.call("web").get("app", "/path?secret=1").status, 200);
    let spans = trace(&mesh, 2);
    let (client, server) = (&spans[0], &spans[1]);
    assert_eq!((&client["side"], &server["side"]), (&"client".into(), &"server".into()));
    assert_eq!(client["parent"], "");
    assert_eq!(server["parent"], client["id"]);
    assert_eq!(
        (&client["proxy"], &client["service"]),
        (&"default/web-0".into(), &"default/web".into())
    );
    assert_eq!(server["service"], "default/app");
    assert_eq!(client["name"], "GET /path", "the query may hold secrets");
    assert_eq!((&client["status"], &server["status"]), (&200.into(), &200.into()));
    // The application is told of the server's span, so that its own hang below it.
    let seen = app.last().field("traceparent").expect("it is passed on");
    let parts: Vec<_> = seen.split('-').collect();
    assert_eq!((parts[2], parts[3]), (server["id"].as_str().expect("an id"), "01"), "{seen}");
}

#[test]
fn a_span_says_what_happened_to_the_request_on_its_way() {
    let app = sometimes_bad();
    let policy = "---\napiVersion: meshctl.dev/v1alpha1\nkind: TrafficPolicy\n\
                  metadata: {name: app}\nspec:\n  targetRefs: [{kind: Service, name: app}]\n\
                  \x20 retry: {attempts: 1, on: [5xx]}\n";
    let mesh = with(&app, &(sampling("100%") + policy));
    assert_eq!(mesh.call("web").get("app", "/bad").status, 500);
    let spans = trace(&mesh, 3);
    let events = spans[0]["events"].as_array().expect("a list");
    let [retry] = events.as_slice() else { panic!("{events:?}") };
    let said = (&retry["what"], &retry["attempt"], &retry["endpoint"], &retry["why"]);
    assert_eq!(said, (&"retry".into(), &2.into(), &"app-v1-0".into(), &"500".into()));
    let (at, took) = (retry["offsetMs"].as_f64(), spans[0]["durationMs"].as_f64());
    assert!(at.is_some_and(|at| at > 0.0) && at <= took, "{at:?} of {took:?}");
    assert_eq!(spans[1]["events"].as_array().map(Vec::len), Some(0), "{}", spans[1]);
}

#[test]
fn a_request_that_is_part_of_a_trace_stays_part_of_it() {
    let app = sometimes_bad();
    let mesh = with(&app, &sampling("0%"));
    let given = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    let request =
        format!("GET / HTTP/1.1\r\nhost: app\r\ntraceparent: {given}\r\ntracestate: a=b\r\n\r\n");
    assert_eq!(mesh.call("web").ask(request).status, 200);
    let spans = trace(&mesh, 2);
    assert_eq!(spans[0]["parent"], "b7ad6b7169203331");
    assert_eq!(spans[1]["parent"], spans[0]["id"]);
    let list = mesh.read("/v1/traces");
    assert_eq!(list["traces"][0]["id"], "0af7651916cd43dd8448eb211c80319c");
    let seen = app.last();
    assert!(
        seen.field("traceparent").is_some_and(|it| it.contains("0af7651916cd43dd8448eb211c80319c"))
    );
    assert_eq!(seen.field("tracestate").as_deref(), Some("a=b"));
}

#[test]
fn what_is_not_sampled_says_so_to_all_behind_it() {
    let app = sometimes_bad();
    let mesh = with(&app, &sampling("0%"));
    let mut conn = mesh.call("web");
    conn.get("app", "/");
    let own = app.last().field("traceparent").expect("a context begins here");
    assert!(own.starts_with("00-") && own.ends_with("-00") && own.len() == 55, "{own}");
    let given = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00";
    // Everything is sampled from now on, but this one was decided before.
    mesh.change(&sampling("100%"));
    conn.ask(format!("GET / HTTP/1.1\r\nhost: app\r\ntraceparent: {given}\r\n\r\n"));
    assert_eq!(app.last().field("traceparent").as_deref(), Some(given));
    conn.get("app", "/sampled");
    let spans = trace(&mesh, 2);
    assert_eq!(spans[0]["name"], "GET /sampled", "and the other two left nothing");
}

#[test]
fn the_proxys_own_answers_name_their_reason_and_rule() {
    let rules = "
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: broken}
spec:
  parentRefs: [{group: '', kind: Service, name: app, port: 80}]
  rules:
  - name: to-nobody
    matches: [{path: {type: PathPrefix, value: /nobody}}]
    backendRefs: [{name: ghost, port: 80}]
";
    let app = sometimes_bad();
    let mesh = with(&app, &[&sampling("100%"), "---", rules].concat());
    let answer = mesh.call("web").get("app", "/nobody");
    assert_eq!(answer.status, 500);
    assert_eq!(answer.reason(), "missing_backend");
    let rule = answer.field("meshctl-rule").expect("a rule decided");
    assert!(rule.starts_with("HTTPRoute/default/broken/"), "{rule}");
    assert!(answer.text().starts_with("missing_backend: ") && answer.text().contains(&rule));
    let answer = mesh.call("web").get("app", "/other");
    assert_eq!((answer.reason().as_str(), answer.field("meshctl-rule")), ("no_route", None));
    let answer = mesh.call("web").get("app:81", "/");
    assert_eq!((answer.status, answer.reason().as_str()), (404, "no_route"));
}
