//! Connections: kept, shared by several requests, ended by either side.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc;

use super::with;
use crate::support::{DEADLINE, Mesh, Origin, eventually, ok};

#[test]
fn one_connection_carries_many_requests_on_both_sides() {
    let app = Origin::http(|request| ok(request.path()));
    let mesh = with(&app);
    let mut conn = mesh.call("web");
    for number in 0..20 {
        let answer = conn.get("app", &format!("/{number}"));
        assert_eq!((answer.status, answer.text()), (200, format!("/{number}")));
    }
    assert_eq!(app.connections(), 1);
}

#[test]
fn pipelined_requests_are_answered_in_order() {
    for count in [2, 50] {
        let app = Origin::http(|request| ok(request.path()));
        let mesh = with(&app);
        let mut conn = mesh.call("web");
        let request = |number| format!("GET /{number} HTTP/1.1\r\nhost: app\r\n\r\n");
        conn.send((0..count).map(request).collect::<String>());
        for number in 0..count {
            assert_eq!(conn.answer().text(), format!("/{number}"), "of {count}");
        }
        let seen: Vec<_> = app.requests().iter().map(|it| it.path().to_owned()).collect();
        let wanted: Vec<_> = (0..count).map(|number| format!("/{number}")).collect();
        assert_eq!(seen, wanted);
    }
}

#[test]
fn pipelined_requests_with_bodies_keep_their_own() {
    let app = Origin::http(|request| ok(&String::from_utf8_lossy(&request.body)));
    let mesh = with(&app);
    let mut conn = mesh.call("web");
    conn.send(
        "POST / HTTP/1.1\r\nhost: app\r\ncontent-length: 3\r\n\r\none\
         POST / HTTP/1.1\r\nhost: app\r\ntransfer-encoding: chunked\r\n\r\n3\r\ntwo\r\n0\r\n\r\n\
         GET / HTTP/1.1\r\nhost: app\r\n\r\n",
    );
    let bodies = [(); 3].map(|()| conn.answer().text());
    assert_eq!(bodies, ["one", "two", ""]);
}

#[test]
fn a_head_may_come_byte_by_byte() {
    let app = Origin::http(|request| ok(request.path()));
    let mesh = with(&app);
    let mut conn = mesh.call("web");
    for byte in b"GET /slow HTTP/1.1\r\nhost: app\r\n\r\n" {
        conn.send([*byte]);
    }
    assert_eq!(conn.answer().text(), "/slow");
}

#[test]
fn a_client_may_speak_to_the_outbound_side_as_to_a_proxy_or_with_the_host_alone() {
    let app = Origin::http(|request| ok(request.path()));
    let mesh = with(&app);
    let mut conn = mesh.call("web");
    for (target, host) in [
        ("/a?b", "app"),
        ("http://app/a?b", "app"),
        ("HTTP://APP/a?b", "other"),
        ("http://app:80/a?b", "app"),
        ("http://app.default/a?b", "app.default"),
        ("http://app.default.svc.cluster.local/a?b", "x"),
        ("/a?b", "app.default:80"),
    ] {
        let answer = conn.ask(format!("GET {target} HTTP/1.1\r\nhost: {host}\r\n\r\n"));
        assert_eq!((answer.status, answer.text().as_str()), (200, "/a?b"), "{target} {host}");
    }
    let hosts: Vec<_> = app.requests().iter().filter_map(|it| it.field("host")).collect();
    let wanted = [
        "app",
        "app",
        "APP",
        "app:80",
        "app.default",
        "app.default.svc.cluster.local",
        "app.default:80",
    ];
    assert_eq!(hosts, wanted, "the authority of an absolute target is the host");
}

#[test]
fn close_is_honoured_and_said() {
    let app = Origin::saying("here");
    let mesh = with(&app);
    let mut conn = mesh.call("web");
    let answer = conn.ask("GET / HTTP/1.1\r\nhost: app\r\nconnection: close\r\n\r\n");
    assert_eq!(answer.field("connection").as_deref(), Some("close"));
    assert_eq!(answer.text(), "here");
    conn.is_closed();
    assert_eq!(app.last().field("connection"), None, "it ends at the first hop");
    // The way behind it was kept.
    mesh.call("web").get("app", "/");
    assert_eq!(app.connections(), 1);
}

#[test]
fn an_application_that_closes_after_its_answer_gets_a_new_connection() {
    let app = Origin::scripted(|conn, number| {
        assert!(conn.request().is_some());
        let body = number.to_string();
        conn.send(format!(
            "HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: {}\r\n\r\n{body}",
            body.len()
        ));
    });
    let mesh = with(&app);
    let mut conn = mesh.call("web");
    for number in 0..3 {
        let answer = conn.get("app", "/");
        assert_eq!(answer.text(), number.to_string());
        assert_eq!(answer.field("connection"), None, "the client's own connection is kept");
    }
}

#[test]
fn a_pooled_connection_that_ends_just_before_it_is_used_fails_no_get() {
    // Says nothing of closing, and closes after each answer: every reuse meets the end.
    let app = Origin::scripted(|conn, _| {
        if conn.request().is_some() {
            conn.send(ok("here"));
        }
    });
    let mesh = with(&app);
    let mut conn = mesh.call("web");
    for turn in 0..50 {
        let answer = conn.get("app", "/");
        assert_eq!((answer.status, answer.text().as_str()), (200, "here"), "turn {turn}");
    }
    assert_eq!(app.connections(), 50);
}

#[test]
fn a_post_that_may_have_arrived_is_not_repeated() {
    let posts = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&posts);
    let app = Origin::scripted(move |conn, _| {
        while let Some(request) = conn.request() {
            if request.method() == "POST" {
                counted.fetch_add(1, Ordering::SeqCst);
                return;
            }
            conn.send(ok(""));
        }
    });
    let mesh = with(&app);
    let mut conn = mesh.call("web");
    assert_eq!(conn.get("app", "/").status, 200);
    let answer = conn.ask("POST / HTTP/1.1\r\nhost: app\r\ncontent-length: 1\r\n\r\nx");
    assert_eq!((answer.status, answer.reason().as_str()), (502, "upstream_reset"));
    assert_eq!(posts.load(Ordering::SeqCst), 1);
}

#[test]
fn http_10_is_closed_after_the_answer_unless_it_asks_to_be_kept() {
    let app = Origin::saying("here");
    let mesh = with(&app);
    let mut conn = mesh.call("web");
    let answer = conn.ask("GET / HTTP/1.0\r\nhost: app\r\nconnection: keep-alive\r\n\r\n");
    assert_eq!(answer.field("connection").as_deref(), Some("keep-alive"));
    let answer = conn.ask("GET / HTTP/1.0\r\nhost: app\r\n\r\n");
    assert_eq!((answer.status, answer.text().as_str()), (200, "here"));
    conn.is_closed();
}

#[test]
fn http_10_gets_what_is_chunked_until_the_end_of_the_connection() {
    let app = Origin::http(|_| {
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\none\r\n3\r\ntwo\r\n0\r\n\r\n"
            .into()
    });
    let mesh = with(&app);
    let mut conn = mesh.call("web");
    conn.send("GET / HTTP/1.0\r\nhost: app\r\nconnection: keep-alive\r\n\r\n");
    let head = conn.head();
    assert!(!head.contains("transfer-encoding") && head.contains("connection: close"), "{head}");
    assert_eq!(conn.rest(), b"onetwo");
}

#[test]
fn a_client_that_goes_away_takes_its_request_with_it() {
    let (told, gone) = mpsc::channel();
    let app = Origin::scripted(move |conn, _| {
        assert!(conn.request().is_some());
        told.send("asked").expect("the test waits");
        conn.is_closed();
        told.send("gone").expect("the test waits");
    });
    let mesh = with(&app);
    let mut conn = mesh.call("web");
    conn.send("GET / HTTP/1.1\r\nhost: app\r\n\r\n");
    assert_eq!(gone.recv_timeout(DEADLINE), Ok("asked"));
    drop(conn);
    assert_eq!(gone.recv_timeout(DEADLINE), Ok("gone"));
}

#[test]
fn a_destination_outside_of_the_mesh_is_reached_where_that_is_allowed() {
    let outside = Origin::saying("outside");
    let mesh = Mesh::new().caller("web").start();
    let address = outside.address().to_string();
    assert_eq!(mesh.call("web").get(&address, "/").text(), "outside");
    mesh.change(
        "apiVersion: meshctl.dev/v1alpha1\nkind: MeshConfig\nmetadata: {name: default}\nspec: {outbound: RegistryOnly}\n",
    );
    eventually("the setting holds", || {
        let answer = mesh.call("web").get(&address, "/");
        (answer.status == 502 && answer.reason() == "not_registered").then_some(())
    });
}
