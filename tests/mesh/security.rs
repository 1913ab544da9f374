//! What must not get in, and what must not get out.

use std::time::Duration;

use meshctl::names::Protocol;

use crate::support::{Conn, Forger, Mesh, Origin, Tunnel, eventually};

mod certificates;
mod first_bytes;

const HTTP: &[u8] = b"meshctl/http1.1";

/// `web`, which only calls, and `app`.
pub(super) fn with(app: &Origin) -> Mesh {
    Mesh::new().caller("web").service("app", app).start()
}

/// Rules that set the mode of inbound.
fn mtls(mode: &str) -> String {
    format!(
        "apiVersion: meshctl.dev/v1alpha1\nkind: MeshConfig\nmetadata: {{name: default}}\n\
         spec: {{mtls: {mode}}}\n"
    )
}

fn plaintext(mesh: &Mesh) -> Conn {
    let mut conn = Conn::connect(mesh.proxy("app").addresses().inbound);
    // It may be closed already.
    let _ = conn.try_send("GET / HTTP/1.1\r\nhost: app\r\n\r\n");
    conn
}

#[test]
fn plaintext_gets_nothing_where_mtls_is_strict() {
    let app = Origin::saying("secret");
    let mesh = with(&app);
    let rest = plaintext(&mesh).rest();
    let text = String::from_utf8_lossy(&rest);
    assert!(!text.contains("HTTP/") && !text.contains("secret"), "{text:?}");
    assert_eq!(app.connections(), 0);
}

#[test]
fn a_certificate_of_another_root_gets_nothing() {
    let app = Origin::saying("secret");
    let mesh = with(&app);
    let inbound = mesh.proxy("app").addresses().inbound;
    let mut stranger = Tunnel::open(&Forger::stranger().tls("web", &mesh), inbound, "app", HTTP);
    let _ = stranger.try_send("GET / HTTP/1.1\r\nhost: app\r\n\r\n");
    stranger.is_closed();
    assert_eq!(app.connections(), 0);
    // The same with a certificate of the mesh is answered: the test is able to fail.
    let mut ours = Tunnel::open(&Forger::of(&mesh).tls("web", &mesh), inbound, "app", HTTP);
    assert_eq!(ours.get("app", "/").text(), "secret");
}

#[test]
fn a_client_without_our_alpn_gets_nothing() {
    let app = Origin::saying("secret");
    let mesh = with(&app);
    let inbound = mesh.proxy("app").addresses().inbound;
    let mut conn = Tunnel::open(&Forger::of(&mesh).tls("web", &mesh), inbound, "app", b"h2");
    let _ = conn.try_send("GET / HTTP/1.1\r\nhost: app\r\n\r\n");
    conn.is_closed();
    assert_eq!(app.connections(), 0);
}

#[test]
fn opaque_bytes_to_a_port_that_is_declared_http_are_refused() {
    let app = Origin::saying("secret");
    let mesh = with(&app);
    let inbound = mesh.proxy("app").addresses().inbound;
    let tls = Forger::of(&mesh).tls("web", &mesh);
    let mut conn = Tunnel::open(&tls, inbound, "app", b"meshctl/tcp");
    let _ = conn.try_send("GET / HTTP/1.1\r\nhost: app\r\n\r\n");
    conn.is_closed();
    assert_eq!(app.connections(), 0);
}

#[test]
fn an_endpoint_with_another_identity_is_not_spoken_to() {
    let app = Origin::saying("here");
    let mut mesh = with(&app);
    assert_eq!(mesh.call("web").get("app", "/").status, 200);
    let tls = Forger::of(&mesh).tls("other", &mesh);
    // The endpoint goes without the callers being told, and somebody else takes its place.
    mesh.take_control_plane().kill();
    let app = mesh.take("app-0");
    let inbound = app.addresses().inbound;
    app.end();
    let impostor = Tunnel::listen(&tls, inbound);
    let answer = mesh.call("web").get("app", "/password");
    assert_eq!((answer.status, answer.reason().as_str()), (503, "wrong_identity"));
    let heard = impostor.join().expect("no panic");
    assert!(heard.as_ref().is_err() || heard.as_ref().is_ok_and(Vec::is_empty), "{heard:?}");
}

#[test]
fn an_endpoint_that_speaks_plaintext_is_not_spoken_to() {
    let app = Origin::saying("here");
    let mut mesh = with(&app);
    assert_eq!(mesh.call("web").get("app", "/").status, 200);
    mesh.take_control_plane().kill();
    let app = mesh.take("app-0");
    let inbound = app.addresses().inbound;
    app.end();
    let listener = std::net::TcpListener::bind(inbound).expect("the port is free");
    let impostor = std::thread::spawn(move || {
        let mut conn = Conn::new(listener.accept().expect("a caller").0);
        let hello = conn.exact(3);
        conn.send("HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nfake");
        (hello, conn.rest())
    });
    let answer = mesh.call("web").get("app", "/password");
    assert_eq!((answer.status, answer.reason().as_str()), (503, "not_tls"));
    let (hello, rest) = impostor.join().expect("no panic");
    assert_eq!(hello, [0x16, 0x03, 0x01], "TLS and nothing else");
    assert!(!rest.windows(9).any(|nine| nine == b"/password"));
}

#[test]
fn the_identity_is_that_of_the_certificate() {
    let app = Origin::saying("");
    let mesh = with(&app);
    let inbound = mesh.proxy("app").addresses().inbound;
    let mut conn = Tunnel::open(&Forger::of(&mesh).tls("cron", &mesh), inbound, "app", HTTP);
    let forged = "x-forwarded-client-cert: URI=spiffe://cluster.local/ns/default/sa/admin";
    assert_eq!(conn.ask(format!("GET / HTTP/1.1\r\nhost: app\r\n{forged}\r\n\r\n")).status, 200);
    let seen = app.last().field("x-forwarded-client-cert").expect("it is there");
    assert!(seen.ends_with(";URI=spiffe://cluster.local/ns/default/sa/cron"), "{seen}");
}

#[test]
fn a_call_to_its_own_listeners_is_a_loop_and_refused() {
    let app = Origin::saying("");
    let mesh = with(&app);
    let addresses = mesh.proxy("app").addresses();
    for own in [addresses.outbound, addresses.inbound] {
        let mut conn = mesh.call("app");
        let answer = conn.get(&own.to_string(), "/");
        assert_eq!((answer.status, answer.reason().as_str()), (502, "loop"), "{own}");
        let answer = conn.get(&format!("localhost:{}", own.port()), "/");
        assert_eq!((answer.status, answer.reason().as_str()), (502, "loop"), "{own}");
    }
    assert_eq!(app.connections(), 0);
}

#[test]
fn permissive_takes_plaintext_without_an_identity() {
    let app = Origin::saying("here");
    let mesh = Mesh::new().caller("web").service("app", &app).rules(&mtls("Permissive")).start();
    let mut conn = Conn::connect(mesh.proxy("app").addresses().inbound);
    let forged = "x-forwarded-client-cert: URI=spiffe://cluster.local/ns/default/sa/admin";
    let answer = conn.ask(format!("GET / HTTP/1.1\r\nhost: app\r\n{forged}\r\n\r\n"));
    assert_eq!((answer.status, answer.text().as_str()), (200, "here"));
    assert_eq!(app.last().field("x-forwarded-client-cert"), None, "nobody proved anything");
    // What comes through the mesh keeps its identity.
    assert_eq!(mesh.call("web").get("app", "/").status, 200);
    assert!(app.last().field("x-forwarded-client-cert").is_some());
}

#[test]
fn after_a_change_from_permissive_to_strict_plaintext_stops() {
    let app = Origin::saying("here");
    let mesh = Mesh::new().caller("web").service("app", &app).rules(&mtls("Permissive")).start();
    let mut before = plaintext(&mesh);
    assert_eq!(before.answer().status, 200);
    mesh.change(&mtls("Strict"));
    let rest = plaintext(&mesh).rest();
    assert!(!String::from_utf8_lossy(&rest).contains("HTTP/"), "{rest:?}");
    assert_eq!(mesh.call("web").get("app", "/").status, 200);
    // A connection from before must not stay a way in.
    eventually("the old connection is of no use any more", || {
        if before.try_send("GET /late HTTP/1.1\r\nhost: app\r\n\r\n").is_err() {
            return Some(());
        }
        match before.try_answer("GET") {
            Some(answer) if answer.status == 200 => None,
            _ => Some(()),
        }
    });
}

#[test]
fn after_a_change_to_strict_a_plaintext_http2_connection_is_of_no_use() {
    let nowhere = {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
        listener.local_addr().expect("it is bound")
    };
    let mesh = Mesh::new().service_at("app", nowhere).protocol(Protocol::Http2);
    let mesh = mesh.rules(&mtls("Permissive")).start();
    let inbound = mesh.proxy("app").addresses().inbound;
    let mut runtime = tokio::runtime::Builder::new_multi_thread();
    let runtime = runtime.worker_threads(1).enable_all().build().expect("a runtime");
    let stream = runtime.block_on(tokio::net::TcpStream::connect(inbound)).expect("it listens");
    let handshake = runtime.block_on(h2::client::handshake(stream));
    let (mut client, connection) = handshake.expect("it speaks HTTP/2");
    runtime.spawn(connection);
    let mut ask = || {
        let request = http::Request::get("http://app/").body(()).expect("a request");
        let (answer, _) = client.send_request(request, true).ok()?;
        let answer = runtime
            .block_on(async { tokio::time::timeout(crate::support::DEADLINE, answer).await });
        Some(answer.expect("in time").ok()?.status().as_u16())
    };
    // The proxy's own answer: there is no application.
    assert_eq!(ask(), Some(503));
    mesh.change(&mtls("Strict"));
    assert_eq!(ask(), None);
}

#[test]
fn plaintext_that_says_nothing_is_let_go_where_mtls_is_strict() {
    let app = Origin::saying("");
    let mesh = with(&app);
    let mut conn = Conn::connect(mesh.proxy("app").addresses().inbound);
    assert!(!conn.hears_within(Duration::from_millis(200)), "nobody is greeted");
    assert_eq!(app.connections(), 0);
}
