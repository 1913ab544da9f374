//! Endpoints that go while requests go on.

use std::net::TcpListener;

use super::Traffic;
use crate::support::{Mesh, Origin, eventually};

/// `web` calls `app`, of which there are two.
fn two(one: &Origin, other: &Origin) -> Mesh {
    Mesh::new().caller("web").service("app", one).service("app", other).start()
}

#[test]
fn an_endpoint_that_takes_no_connection_is_left_for_another() {
    let (one, other) = (Origin::saying("one"), Origin::saying("other"));
    let mut mesh = two(&one, &other);
    assert_eq!(mesh.call("web").get("app", "/").status, 200);
    // It goes without the callers being told.
    mesh.take_control_plane().kill();
    let gone = mesh.take("app-0");
    let inbound = gone.addresses().inbound;
    gone.end();
    assert!(TcpListener::bind(inbound).is_ok(), "nobody listens there any more");
    let mut conn = mesh.call("web");
    for turn in 0..40 {
        let answer = conn.get("app", "/");
        assert_eq!(answer.status, 200, "turn {turn}: {}", answer.head);
    }
    // Also what cannot be repeated, because nothing of it was sent.
    for turn in 0..20 {
        let answer = conn.ask("POST / HTTP/1.1\r\nhost: app\r\ncontent-length: 2\r\n\r\nhi");
        assert_eq!(answer.status, 200, "turn {turn}: {}", answer.head);
    }
}

#[test]
fn when_no_endpoint_takes_a_connection_the_answer_is_prompt_and_names_the_reason() {
    let app = Origin::saying("here");
    let mut mesh = Mesh::new().caller("web").service("app", &app).start();
    assert_eq!(mesh.call("web").get("app", "/").status, 200);
    mesh.take_control_plane().kill();
    mesh.take("app-0").end();
    let answer = mesh.call("web").get("app", "/");
    assert_eq!((answer.status, answer.reason().as_str()), (503, "connect_failure"));
}

#[test]
fn an_application_that_is_not_there_is_a_clear_answer() {
    let nowhere = {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        listener.local_addr().expect("it is bound")
    };
    let mesh = Mesh::new().caller("web").service_at("app", nowhere).start();
    let answer = mesh.call("web").get("app", "/");
    assert_eq!((answer.status, answer.reason().as_str()), (503, "connect_failure"));
}

#[test]
fn an_endpoint_that_drains_costs_no_request() {
    let (one, other) = (Origin::saying("one"), Origin::saying("other"));
    let mut mesh = two(&one, &other);
    let traffic = Traffic::start(&mesh);
    for _ in 0..3 {
        let leaving = mesh.take("app-0");
        let config = leaving.config().clone();
        assert_eq!(leaving.end(), 0);
        traffic.goes_on(50);
        mesh.start_again("app-0", config);
        mesh.await_endpoints();
        traffic.goes_on(50);
    }
    traffic.none_failed();
    assert!(!one.requests().is_empty() && !other.requests().is_empty());
}

/// What crossed with the end of a connection could not be repeated, and was answered with 502.
#[test]
fn who_is_never_told_that_an_endpoint_leaves_loses_no_request() {
    let (one, other) = (Origin::saying("one"), Origin::saying("other"));
    let mut mesh = two(&one, &other);
    let traffic: Vec<_> = (0..4).map(|_| Traffic::start(&mesh)).collect();
    mesh.take_control_plane().kill();
    for _ in 0..2 {
        let leaving = mesh.take("app-0");
        let config = leaving.config().clone();
        assert_eq!(leaving.end(), 0);
        traffic.iter().for_each(|one| one.goes_on(20));
        mesh.start_again("app-0", config);
        traffic.iter().for_each(|one| one.goes_on(20));
    }
    traffic.into_iter().for_each(Traffic::none_failed);
}

#[test]
fn a_proxy_that_drains_ends_what_it_has_begun() {
    let (told, asked) = std::sync::mpsc::channel();
    let (go, may) = std::sync::mpsc::channel::<()>();
    let may = std::sync::Mutex::new(may);
    let app = Origin::scripted(move |conn, _| {
        while conn.request().is_some() {
            told.send(()).expect("the test waits");
            may.lock().expect("no panic").recv().expect("the test says when");
            conn.send("HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\ndone");
        }
    });
    let mut mesh = Mesh::new().caller("web").service("app", &app).start();
    let mut conn = mesh.call("web");
    conn.send("GET / HTTP/1.1\r\nhost: app\r\n\r\n");
    asked.recv_timeout(crate::support::DEADLINE).expect("it is asked");
    let leaving = mesh.take("app-0");
    leaving.terminate();
    eventually("the endpoint is taken out", || {
        let service = mesh.service("app");
        service.is_none_or(|it| it["endpoints"]["ready"] == 0).then_some(())
    });
    go.send(()).expect("the application waits");
    let answer = conn.answer();
    assert_eq!((answer.status, answer.text().as_str()), (200, "done"));
    assert_eq!(leaving.end(), 0);
}

#[test]
fn a_caller_that_drains_answers_what_it_has_begun_and_closes() {
    let (told, asked) = std::sync::mpsc::channel();
    let (go, may) = std::sync::mpsc::channel::<()>();
    let may = std::sync::Mutex::new(may);
    let app = Origin::scripted(move |conn, _| {
        while conn.request().is_some() {
            told.send(()).expect("the test waits");
            may.lock().expect("no panic").recv().expect("the test says when");
            conn.send("HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\ndone");
        }
    });
    let mut mesh = Mesh::new().caller("web").service("app", &app).start();
    let (mut busy, mut idle) = (mesh.call("web"), mesh.call("web"));
    go.send(()).expect("the application waits");
    assert_eq!(idle.get("app", "/").status, 200);
    asked.recv_timeout(crate::support::DEADLINE).expect("it was asked");
    busy.send("GET / HTTP/1.1\r\nhost: app\r\n\r\n");
    asked.recv_timeout(crate::support::DEADLINE).expect("it is asked");
    let leaving = mesh.take("web-0");
    leaving.terminate();
    idle.is_closed();
    go.send(()).expect("the application waits");
    assert_eq!(busy.answer().text(), "done");
    busy.is_closed();
    assert_eq!(leaving.end(), 0);
}
