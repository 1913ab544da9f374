//! What a TrafficPolicy or a route asks to be tried again, and what a breaker refuses.

use std::sync::Mutex;
use std::sync::mpsc::channel;

use crate::support::{DEADLINE, Mesh, Origin};

const POST: &str = "POST / HTTP/1.1\r\nhost: app\r\ncontent-length: 2\r\n\r\nhi";

fn policy(spec: &str) -> String {
    format!(
        "apiVersion: meshctl.dev/v1alpha1\nkind: TrafficPolicy\nmetadata: {{name: app}}\n\
         spec:\n  targetRefs: [{{kind: Service, name: app}}]\n  {spec}\n"
    )
}

fn failing() -> Origin {
    Origin::http(|_| "HTTP/1.1 503 No\r\ncontent-length: 4\r\n\r\nfail".into())
}

/// `web` calls `app`, of which one works and one does not.
fn with(good: &Origin, bad: &Origin, rules: &str) -> Mesh {
    let mesh = Mesh::new().caller("web").service("app", good).service("app", bad);
    mesh.rules(rules).start()
}

#[test]
fn a_version_that_fails_is_covered_by_another_but_nothing_is_done_twice() {
    let (good, bad) = (Origin::saying("good"), failing());
    let rules = policy(
        "retry: {attempts: 1, on: [gateway-error], budget: {percent: 100, minPerSecond: 1000}}",
    );
    let mesh = with(&good, &bad, &rules);
    let mut conn = mesh.call("web");
    for turn in 0..40 {
        let answer = conn.get("app", "/");
        assert_eq!((answer.status, answer.text().as_str()), (200, "good"), "turn {turn}");
    }
    let answered = good.requests();
    let repeated = answered.iter().filter(|it| it.field("x-meshctl-attempt").is_some());
    assert_eq!(repeated.count(), bad.requests().len());
    assert!(!bad.requests().is_empty(), "it was asked too");
    let put = "PUT / HTTP/1.1\r\nhost: app\r\ncontent-length: 2\r\n\r\nhi";
    for turn in 0..20 {
        assert_eq!(conn.ask(put).status, 200, "turn {turn}");
    }
    assert!(good.requests().iter().rev().take(20).all(|it| it.body == b"hi"));
    let (good_before, bad_before) = (good.requests().len(), bad.requests().len());
    let posts: Vec<u16> = (0..40).map(|_| conn.ask(POST).status).collect();
    assert!(posts.contains(&200) && posts.contains(&503), "{posts:?}");
    let arrived = good.requests().len() + bad.requests().len() - good_before - bad_before;
    assert_eq!(arrived, 40, "each once");
}

#[test]
fn a_route_says_which_statuses_are_tried_again() {
    let rules = "
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: app}
spec:
  parentRefs: [{group: '', kind: Service, name: app, port: 80}]
  rules:
  - retry: {codes: [503], attempts: 2, backoff: 1ms}
    backendRefs: [{name: app, port: 80}]
";
    let (good, bad) = (Origin::saying("good"), failing());
    let mesh = with(&good, &bad, rules);
    let mut conn = mesh.call("web");
    // As many as are free of the budget.
    for turn in 0..10 {
        let answer = conn.get("app", "/");
        assert_eq!(answer.status, 200, "turn {turn}: {}", answer.head);
    }
}

#[test]
fn what_a_policy_does_not_allow_is_refused_at_once_and_says_why() {
    let (told, asked) = channel();
    let (go, may) = channel::<()>();
    let may = Mutex::new(may);
    let app = Origin::scripted(move |conn, _| {
        while conn.request().is_some() {
            told.send(()).expect("the test waits");
            may.lock().expect("no panic").recv().expect("the test says when");
            conn.send("HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\ndone");
        }
    });
    let rules = policy("circuitBreaker: {maxRequests: 1}");
    let mesh = Mesh::new().caller("web").service("app", &app).rules(&rules).start();
    let mut busy = mesh.call("web");
    busy.send("GET / HTTP/1.1\r\nhost: app\r\n\r\n");
    asked.recv_timeout(DEADLINE).expect("it is asked");
    let refused = mesh.call("web").get("app", "/");
    assert_eq!((refused.status, refused.reason().as_str()), (503, "max_requests"));
    go.send(()).expect("the application waits");
    assert_eq!(busy.answer().text(), "done");
    go.send(()).expect("the application waits");
    assert_eq!(mesh.call("web").get("app", "/").status, 200);
}

#[test]
fn a_try_that_is_too_slow_goes_elsewhere() {
    let slow = Origin::scripted(|conn, _| while conn.request().is_some() {});
    let good = Origin::saying("good");
    let rules = policy(
        "retry: {attempts: 1, on: [reset], perTryTimeout: 100ms, \
         budget: {percent: 100, minPerSecond: 1000}}",
    );
    let mesh = with(&good, &slow, &rules);
    let mut conn = mesh.call("web");
    for turn in 0..6 {
        let answer = conn.get("app", "/");
        assert_eq!(answer.status, 200, "turn {turn}: {}", answer.head);
    }
    let last: Vec<_> = (0..12).map(|_| conn.ask(POST)).filter(|it| it.status != 200).collect();
    assert!(!last.is_empty(), "some went to the slow one");
    assert!(last.iter().all(|it| (it.status, it.reason().as_str()) == (504, "try_timeout")));
}
