//! nginx and Python's server as the application that is called.

use super::{curl, nginx, python};
use crate::support::Mesh;

#[test]
fn nginx_serves_through_the_mesh() {
    let nginx = nginx("");
    let mesh = Mesh::new().caller("web").service_at("app", nginx.address).start();
    let mut conn = mesh.call("web");
    let answer = conn.get("app", "/hello.txt");
    assert_eq!((answer.status, answer.text().as_str()), (200, "hello from nginx\n"));
    let etag = answer.field("etag").expect("nginx says one");
    let conditional =
        format!("GET /hello.txt HTTP/1.1\r\nhost: app\r\nif-none-match: {etag}\r\n\r\n");
    assert_eq!(conn.ask(conditional).status, 304);
    let range = "GET /hello.txt HTTP/1.1\r\nhost: app\r\nrange: bytes=6-9\r\n\r\n";
    let answer = conn.ask(range);
    assert_eq!((answer.status, answer.text().as_str()), (206, "from"));
    conn.send("HEAD /hello.txt HTTP/1.1\r\nhost: app\r\n\r\n");
    let answer = conn.try_answer("HEAD").expect("an answer");
    assert_eq!(answer.field("content-length").as_deref(), Some("17"));
    assert_eq!(conn.get("app", "/missing").status, 404);
    assert_eq!(conn.get("app", "/hello.txt").status, 200);
}

#[test]
fn nginx_may_close_its_connections_as_it_likes() {
    let nginx = nginx("keepalive_requests 3;");
    let mesh = Mesh::new().caller("web").service_at("app", nginx.address).start();
    let mut conn = mesh.call("web");
    for turn in 0..50 {
        let answer = conn.get("app", "/hello.txt");
        assert_eq!(answer.status, 200, "turn {turn}: {}", answer.head);
    }
}

#[test]
fn nginx_refuses_a_large_body_before_it_is_complete() {
    let nginx = nginx("client_max_body_size 1k;");
    let mesh = Mesh::new().caller("web").service_at("app", nginx.address).start();
    let body = vec![b'x'; 5_000_000];
    // Of what is chunked it knows no size: it refuses the method, before the end as well.
    let said = curl(&mesh, &["-T", "-", "-H", "Expect:", "http://app/"], &body);
    assert_eq!(said.status, 405, "{}", said.body);
    let said = curl(&mesh, &["--data-binary", "@-", "-H", "Expect:", "http://app/"], &body);
    assert_eq!(said.status, 413, "{}", said.body);
}

#[test]
fn nginx_compresses_in_chunks() {
    let nginx = nginx("gzip on; gzip_min_length 1; gzip_types text/plain;");
    let mesh = Mesh::new().caller("web").service_at("app", nginx.address).start();
    let said = curl(&mesh, &["--compressed", "http://app/hello.txt"], b"");
    assert_eq!((said.status, said.body.as_str()), (200, "hello from nginx\n"));
    let answer = mesh
        .call("web")
        .ask("GET /hello.txt HTTP/1.1\r\nhost: app\r\naccept-encoding: gzip\r\n\r\n");
    assert_eq!(answer.field("transfer-encoding").as_deref(), Some("chunked"));
    assert_eq!(answer.field("content-encoding").as_deref(), Some("gzip"));
}

#[test]
fn pythons_server_which_speaks_http_10_serves_through_the_mesh() {
    let python = python();
    let mesh = Mesh::new().caller("web").service_at("app", python.address).start();
    let mut conn = mesh.call("web");
    for _ in 0..5 {
        let answer = conn.get("app", "/hello.txt");
        assert_eq!((answer.status, answer.text().as_str()), (200, "hello from python\n"));
        assert!(answer.head.starts_with("HTTP/1.1 "), "{}", answer.head);
        assert_eq!(answer.field("connection"), None, "the client's connection is kept");
    }
    conn.send("HEAD /hello.txt HTTP/1.1\r\nhost: app\r\n\r\n");
    assert_eq!(conn.try_answer("HEAD").expect("an answer").status, 200);
    assert_eq!(conn.get("app", "/missing").status, 404);
    let answer = conn.ask("POST / HTTP/1.1\r\nhost: app\r\ncontent-length: 2\r\n\r\nhi");
    assert_eq!(answer.status, 501);
}
