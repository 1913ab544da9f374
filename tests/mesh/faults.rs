//! Faults that are put in on purpose: what applications see of them, and that nobody forgets one.

use std::io::Read as _;
use std::net::TcpStream;
use std::time::{Duration, Instant};

use jiff::{SignedDuration, Timestamp};
use meshctl::names::Protocol;

use crate::h2::raw;
use crate::support::{DEADLINE, Mesh, Origin, eventually};

/// A FaultPolicy of `app`.
fn policy(name: &str, spec: &str) -> String {
    format!(
        "---\napiVersion: meshctl.dev/v1alpha1\nkind: FaultPolicy\nmetadata: {{name: {name}}}\n\
         spec:\n  targetRefs: [{{kind: Service, name: app}}]\n{spec}\n"
    )
}

/// One about the requests below `path`.
fn below(path: &str, name: &str, spec: &str) -> String {
    policy(name, &format!("  matches: [{{path: {{value: {path}}}}}]\n{spec}"))
}

fn with(app: &Origin, rules: &str) -> Mesh {
    let mesh = Mesh::new().caller("web").caller("other").service("app", app);
    mesh.rules(rules).start()
}

/// What the proxy of `web` counts.
fn metrics(mesh: &Mesh) -> String {
    mesh.proxy("web").ask("/metrics").text()
}

#[test]
fn an_abort_is_answered_in_place_of_the_application() {
    let app = Origin::saying("hello");
    let rules = [
        policy("mine", "  from: [{identities: [ns/default/sa/web]}]\n  abort: {status: 418}"),
        policy("theirs", "  from: [{namespaces: [elsewhere]}]\n  abort: {status: 500}"),
        "---\napiVersion: meshctl.dev/v1alpha1\nkind: MeshConfig\nmetadata: {name: default}\n\
         spec: {tracing: {sampling: 100%}}\n"
            .to_owned(),
    ];
    let mesh = with(&app, &rules.concat());
    let mut conn = mesh.call("web");
    for _ in 0..2 {
        let answer = conn.get("app", "/");
        assert_eq!((answer.status, answer.reason().as_str()), (418, "fault_injected"));
        assert_eq!(answer.field("meshctl-rule").as_deref(), Some("FaultPolicy/default/mine"));
    }
    assert!(app.requests().is_empty(), "nobody was asked");
    assert_eq!(mesh.call("other").get("app", "/").text(), "hello", "only `web` was meant");
    // With a body on the way nobody knows what comes next on the connection.
    conn.send("POST / HTTP/1.1\r\nHost: app\r\nContent-Length: 9\r\n\r\nhal");
    let answer = conn.answer();
    assert_eq!((answer.status, answer.field("connection").as_deref()), (418, Some("close")));

    let text = metrics(&mesh);
    let counted = "meshctl_faults_total{policy=\"FaultPolicy/default/mine\",fault=\"abort\",mode=\"Enforce\"} 3";
    assert!(text.contains(counted), "{text}");
    let told = "response_code=\"418\",response_flags=\"fault_injected\"";
    assert!(text.contains(told), "{text}");
    let span = eventually("the span has come", || {
        let list = mesh.read("/v1/traces?status=418");
        let id = list["traces"].as_array()?.first()?["id"].as_str()?.to_owned();
        Some(mesh.read(&format!("/v1/traces/{id}"))["spans"][0].clone())
    });
    assert_eq!(span["reason"], "fault_injected");
    assert_eq!(span["rule"], "default/default/app, FaultPolicy/default/mine");
}

#[test]
fn a_delay_is_part_of_the_time_that_a_request_may_take() {
    let app = Origin::saying("hello");
    let rules = [
        below("/slow", "slow", "  delay: {duration: 300ms}"),
        below("/slower", "slower", "  delay: {duration: 1h}"),
        below("/both", "both", "  delay: {duration: 300ms}\n  abort: {status: 500}"),
        "---\napiVersion: meshctl.dev/v1alpha1\nkind: TrafficPolicy\nmetadata: {name: app}\n\
         spec: {targetRefs: [{kind: Service, name: app}], timeouts: {request: 2s}}\n"
            .to_owned(),
    ];
    let mesh = with(&app, &rules.concat());
    let timed = |path: &str| {
        let began = Instant::now();
        let answer = mesh.call("web").get("app", path);
        (answer, began.elapsed())
    };
    let (answer, took) = timed("/slow");
    assert!(answer.status == 200 && took >= Duration::from_millis(300), "{took:?}");
    let (answer, took) = timed("/both");
    assert!(answer.status == 500 && took >= Duration::from_millis(300), "{took:?}");
    let (answer, took) = timed("/slower");
    assert_eq!((answer.status, answer.reason().as_str()), (504, "request_timeout"));
    assert!(took >= Duration::from_secs(2), "{took:?}");
    assert_eq!(app.requests().len(), 1);
}

#[test]
fn who_goes_during_a_delay_is_not_waited_for() {
    let app = Origin::saying("hello");
    let mesh = with(&app, &policy("slow", "  delay: {duration: 1h}"));
    let mut conn = mesh.call("web");
    conn.send("GET / HTTP/1.1\r\nHost: app\r\n\r\n");
    drop(conn);
    eventually("the request is given up", || {
        metrics(&mesh).contains("response_flags=\"client_gone\"").then_some(())
    });
    assert!(app.requests().is_empty());
}

#[test]
fn a_reset_is_one() {
    let app = Origin::saying("hello");
    let mesh = with(&app, &policy("gone", "  abort: {reset: true}"));
    let mut tcp = TcpStream::connect(mesh.proxy("web").addresses().outbound).expect("it listens");
    tcp.set_read_timeout(Some(DEADLINE)).expect("a socket");
    std::io::Write::write_all(&mut tcp, b"GET / HTTP/1.1\r\nHost: app\r\n\r\n").expect("sent");
    let error = tcp.read(&mut [0; 16]).expect_err("neither an answer nor an end");
    assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset);
    assert!(app.requests().is_empty());
}

#[test]
fn shares_are_kept() {
    let app = Origin::saying("hello");
    let mesh = with(&app, &policy("some", "  abort: {status: 503, percent: 20}"));
    let mut conn = mesh.call("web");
    let failed = (0..1_000).filter(|_| conn.get("app", "/").status == 503).count();
    // Nine standard deviations around 200.
    assert!((86..=314).contains(&failed), "{failed} of 1000");
    assert_eq!(app.requests().len(), 1_000 - failed);
}

#[test]
fn what_expires_ends_by_itself_and_what_only_counts_does_nothing() {
    let app = Origin::saying("hello");
    let ends =
        |time: Timestamp| policy("ends", &format!("  abort: {{status: 503}}\n  expires: {time}"));
    let rules = [
        ends("2100-01-01T00:00:00Z".parse().expect("a time")),
        policy("over", "  abort: {status: 500}\n  expires: 2020-01-01T00:00:00Z"),
        policy("counted", "  abort: {status: 500}\n  mode: Shadow"),
    ];
    let mesh = with(&app, &rules.concat());
    let mut conn = mesh.call("web");
    assert_eq!(conn.get("app", "/").status, 503);
    let text = metrics(&mesh);
    let counted = "policy=\"FaultPolicy/default/counted\",fault=\"abort\",mode=\"Shadow\"} 1";
    assert!(text.contains(counted), "{text}");
    let faults = mesh.read("/v1/status")["faults"].clone();
    assert_eq!(faults.as_array().map(Vec::len), Some(1), "{faults}");
    assert_eq!((&faults[0]["policy"], &faults[0]["service"]), (&"ends".into(), &"app".into()));
    assert_eq!(faults[0]["what"], "abort with 503 (100%)");

    let soon = Timestamp::now() + SignedDuration::from_secs(2);
    mesh.change(&ends(soon));
    eventually("the fault expires", || (conn.get("app", "/").status == 200).then_some(()));
    assert!(Timestamp::now().as_second() >= soon.as_second(), "not before its time");
    assert_eq!(mesh.read("/v1/status")["faults"], serde_json::json!([]));
    let found = mesh.read("/v1/objects?kind=FaultPolicy&name=ends");
    let conditions = found["items"][0]["status"]["conditions"].as_array().expect("a list");
    let active = conditions.iter().find(|it| it["type"] == "Active").expect("it is said");
    assert_eq!((&active["status"], &active["reason"]), (&"False".into(), &"Expired".into()));
    for kind in ["FaultPolicy&name=ends", "Service&name=app"] {
        let told = mesh.read(&format!("/v1/describe?kind={kind}")).to_string();
        assert!(told.contains("expired at") && told.contains("abort with 503 (100%)"), "{told}");
    }
}

#[test]
fn http_2_and_grpc_see_faults_in_their_own_words() {
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let (app, mut lost) = runtime.block_on(raw::start());
    let rules = [
        below("/status", "status", "  abort: {status: 429}"),
        below("/code", "code", "  abort: {grpcCode: 5}"),
        below("/reset", "reset", "  abort: {reset: true}"),
        below("/slow", "slow", "  delay: {duration: 300ms}"),
    ];
    let mesh = Mesh::new().caller("web").service_at("app", app).protocol(Protocol::Http2);
    let mesh = mesh.rules(&rules.concat()).start();
    runtime.block_on(async {
        let send = raw::client(mesh.proxy("web").addresses().outbound).await;
        let ask = |path: &str, grpc: bool| {
            let mut request = raw::get("app", path);
            if grpc {
                let kind = "application/grpc".parse().expect("a value");
                request.headers_mut().insert("content-type", kind);
            }
            raw::answer(&send, request)
        };
        let field = |answer: &http::Response<_>, name: &str| {
            answer.headers().get(name).map(|it| it.to_str().expect("text").to_owned())
        };
        let answer = ask("/status", false).await.expect("an answer");
        assert_eq!(answer.status(), 429);
        assert_eq!(field(&answer, "meshctl-reason").as_deref(), Some("fault_injected"));
        let rule = field(&answer, "meshctl-rule");
        assert_eq!(rule.as_deref(), Some("FaultPolicy/default/status"));
        assert_eq!(ask("/code", false).await.expect("an answer").status(), 404);
        for (path, code) in [("/code", "5"), ("/status", "14")] {
            let answer = ask(path, true).await.expect("an answer");
            assert_eq!(
                (answer.status().as_u16(), field(&answer, "grpc-status")),
                (200, Some(code.into()))
            );
            assert!(answer.body().is_end_stream(), "trailers only");
        }
        for grpc in [false, true] {
            let error = ask("/reset", grpc).await.expect_err("no answer");
            assert_eq!(error.reason(), Some(h2::Reason::INTERNAL_ERROR));
            assert!(error.is_reset(), "the stream, not the connection");
        }
        let began = Instant::now();
        assert_eq!(ask("/slow", false).await.expect("an answer").status(), 200);
        assert!(began.elapsed() >= Duration::from_millis(300));
    });
    assert!(lost.try_recv().is_err());
}
