//! Captured connections, redirected by the kernel: two pods with their sidecars, each in a network
//! namespace of its own, on one wire. Needs root, as capture itself does.

use std::time::Duration;

use meshctl::names::sidecar::{INBOUND_PORT, OUTBOUND_PORT};
use meshctl::resource::MtlsMode::{Permissive, Strict};
use meshctl::resource::OutboundMode;

use crate::support::Answer;
use apps::{echo, echo2, get2, greeter};
use namespace::Who::{Application, Sidecar};
use namespace::{Namespace, wired};
use pod::{Pod, World};

mod apps;
mod half_open;
mod namespace;
mod pod;

/// A caller `cart` and the workload `web`, which serves HTTP/1.1 on port 8080.
struct Stage {
    world: World,
    cart: Pod,
    web: Pod,
}

impl Stage {
    fn new(ports: &[(u16, meshctl::resource::MtlsMode)]) -> Self {
        let world = World::new();
        let (one, other) = wired();
        echo(other.listen("10.77.0.2:8080"));
        let cart = world.start(one, "cart", &[]);
        let web = world.start(other, "web", ports);
        Self { world, cart, web }
    }

    fn caller(&self) -> &Namespace {
        &self.cart.namespace
    }

    /// What the application of `cart` gets from `address`, under a `Host` of its own choice.
    fn get(&self, address: &str) -> Answer {
        self.caller().connect(Application, address).get("elsewhere.example", "/")
    }
}

/// The application saw the caller's certificate, and the `Host` that the caller wrote.
#[track_caller]
fn is_mutual(answer: &Answer, by: &str, of: &str) {
    let seen = answer.text();
    let proof = format!(
        "By=spiffe://cluster.local/ns/shop/sa/{by};URI=spiffe://cluster.local/ns/shop/sa/{of}\r\n"
    );
    assert_eq!(answer.status, 200, "{} {seen}", answer.reason());
    assert!(seen.contains(&proof), "{seen}");
    assert!(seen.to_ascii_lowercase().contains("\r\nhost: elsewhere.example\r\n"), "{seen}");
}

#[test]
fn a_clusters_address_is_its_service_whatever_the_host_says() {
    let stage = Stage::new(&[]);
    stage.world.service("10.96.0.1", "10.77.0.2", 8080);
    let mut conn = stage.caller().connect(Application, "10.96.0.1:80");
    is_mutual(&conn.get("elsewhere.example", "/"), "web", "cart");
    is_mutual(&conn.get("elsewhere.example", "/again"), "web", "cart");
}

#[test]
fn a_workloads_own_address_is_that_workload_and_nobody_else() {
    let stage = Stage::new(&[]);
    stage.world.host("10.77.0.2", Some("web"));
    is_mutual(&stage.get("10.77.0.2:8080"), "web", "cart");
    let other = Stage::new(&[]);
    other.world.host("10.77.0.2", Some("other"));
    let refused = other.get("10.77.0.2:8080");
    assert_eq!((refused.status, refused.reason().as_str()), (503, "wrong_identity"));
}

#[test]
fn ipv6_is_captured_as_ipv4_is() {
    let stage = Stage::new(&[]);
    echo(stage.web.namespace.listen("[fd77::2]:8080"));
    stage.world.host("fd77::2", Some("web"));
    is_mutual(&stage.get("[fd77::2]:8080"), "web", "cart");
    stage.world.service("fd96::1", "fd77::2", 8080);
    is_mutual(&stage.get("[fd96::1]:80"), "web", "cart");
}

#[test]
fn http2_is_found_out() {
    let stage = Stage::new(&[]);
    echo2(stage.web.namespace.listen("10.77.0.2:8082"));
    stage.world.host("10.77.0.2", Some("web"));
    let address = "10.77.0.2:8082".parse().expect("an address");
    let connect = || std::net::TcpStream::connect_timeout(&address, crate::support::DEADLINE);
    let stream = stage.caller().act(Application, connect).expect("captured");
    let (status, seen) = get2(stream, "http://elsewhere.example/");
    assert_eq!(status, 200, "{seen}");
    assert!(seen.starts_with("Some(elsewhere.example)"), "{seen}");
    assert!(seen.contains("URI=spiffe://cluster.local/ns/shop/sa/cart"), "{seen}");
}

#[test]
fn a_server_that_speaks_first_is_heard_with_and_without_mutual_tls() {
    let stage = Stage::new(&[(2525, Permissive)]);
    greeter(stage.web.namespace.listen("10.77.0.2:2525"));
    stage.world.host("10.77.0.2", Some("web"));
    stage.world.service("10.96.0.1", "10.77.0.2", 2525);
    // The second time the port is known; the last caller has no sidecar at all.
    let calls = [
        (Application, "10.77.0.2:2525"),
        (Application, "10.77.0.2:2525"),
        (Application, "10.96.0.1:80"),
        (Sidecar, "10.77.0.2:2525"),
    ];
    for (who, address) in calls {
        let mut conn = stage.caller().connect(who, address);
        conn.expect("220 mail.test\r\n");
        conn.send("HELO\r\n");
        conn.expect("250 hello\r\n");
        conn.finish();
        conn.is_closed();
    }
}

#[test]
fn what_is_outside_passes_as_it_came_or_is_refused() {
    let stage = Stage::new(&[]);
    echo(stage.web.namespace.listen("10.77.0.2:9000"));
    greeter(stage.web.namespace.listen("[fd77::2]:9025"));
    let passed = stage.get("10.77.0.2:9000");
    assert_eq!(passed.text(), "GET / HTTP/1.1\r\nhost: elsewhere.example\r\n\r\n");
    stage.caller().connect(Application, "[fd77::2]:9025").expect("220 mail.test\r\n");
    let world = World::new();
    world.outbound(OutboundMode::RegistryOnly);
    let (one, other) = wired();
    echo(other.listen("10.77.0.2:9000"));
    let cart = world.start(one, "cart", &[]);
    let get = || cart.namespace.connect(Application, "10.77.0.2:9000").get("outside", "/");
    let refused = get();
    assert_eq!((refused.status, refused.reason().as_str()), (502, "not_registered"));
    let mut silent = cart.namespace.connect(Application, "10.77.0.2:9000");
    silent.is_closed();
}

#[test]
fn a_workload_without_a_sidecar_is_called_in_plaintext_where_that_is_allowed() {
    for (outbound, status) in [(OutboundMode::AllowAny, 200), (OutboundMode::RegistryOnly, 502)] {
        let world = World::new();
        world.outbound(outbound);
        let (one, other) = wired();
        echo(other.listen("10.77.0.2:9000"));
        world.host("10.77.0.2", None);
        let cart = world.start(one, "cart", &[]);
        let answer = cart.namespace.connect(Application, "10.77.0.2:9000").get("web", "/");
        assert_eq!(answer.status, status);
        assert_eq!(answer.reason(), if status == 502 { "not_registered" } else { "" });
    }
}

#[test]
fn a_call_of_the_own_pod_comes_in_like_any_other() {
    let stage = Stage::new(&[]);
    let own = &stage.web.namespace;
    echo(own.listen("[fd77::2]:8080"));
    stage.world.service("10.96.0.1", "10.77.0.2", 8080);
    for address in ["10.77.0.2:8080", "[fd77::2]:8080", "10.96.0.1:80"] {
        let mut conn = own.connect(Application, address);
        is_mutual(&conn.get("elsewhere.example", "/"), "web", "web");
    }
}

#[test]
fn the_proxys_own_listeners_are_no_destination() {
    let stage = Stage::new(&[]);
    stage.world.host("10.77.0.2", Some("web"));
    let request = "GET / HTTP/1.1\r\nhost: web\r\n\r\n";
    for (who, address) in [
        (Application, format!("10.77.0.1:{INBOUND_PORT}")),
        (Application, format!("10.77.0.1:{OUTBOUND_PORT}")),
        (Application, format!("127.0.0.1:{INBOUND_PORT}")),
        (Application, format!("127.0.0.1:{OUTBOUND_PORT}")),
        (Sidecar, format!("10.77.0.2:{INBOUND_PORT}")),
        (Sidecar, format!("10.77.0.2:{OUTBOUND_PORT}")),
        (Sidecar, format!("[fd77::2]:{INBOUND_PORT}")),
    ] {
        let mut conn = stage.caller().connect(who, &address);
        // It may be closed already.
        let _ = conn.try_send(request);
        conn.is_closed();
    }
}

#[test]
fn each_port_of_the_application_demands_its_own() {
    let stage = Stage::new(&[(8080, Strict), (8081, Permissive)]);
    echo(stage.web.namespace.listen("10.77.0.2:8081"));
    let mut bare = stage.caller().connect(Sidecar, "10.77.0.2:8080");
    // It may be closed already.
    let _ = bare.try_send("GET / HTTP/1.1\r\nhost: web\r\n\r\n");
    let heard = String::from_utf8_lossy(&bare.rest()).into_owned();
    assert!(!heard.contains("HTTP/1.1"), "{heard}");
    let answer = stage.caller().connect(Sidecar, "10.77.0.2:8081").get("web", "/");
    assert_eq!(answer.status, 200);
    assert!(!answer.text().contains("x-forwarded-client-cert"), "{}", answer.text());
    stage.world.host("10.77.0.2", Some("web"));
    for address in ["10.77.0.2:8080", "10.77.0.2:8081"] {
        is_mutual(&stage.get(address), "web", "cart");
    }
}

#[test]
fn what_listens_on_loopback_only_stays_out_of_reach() {
    let stage = Stage::new(&[]);
    echo(stage.web.namespace.listen("127.0.0.1:9090"));
    stage.world.host("10.77.0.2", Some("web"));
    let refused = stage.get("10.77.0.2:9090");
    assert_eq!((refused.status, refused.reason().as_str()), (503, "connect_failure"));
}

#[test]
fn the_rest_of_a_silent_connection_is_not_lost() {
    let stage = Stage::new(&[(8080, Permissive)]);
    stage.world.host("10.77.0.2", Some("web"));
    for who in [Application, Sidecar] {
        let mut conn = stage.caller().connect(who, "10.77.0.2:8080");
        assert!(!conn.hears_within(Duration::from_millis(120)), "the application speaks second");
        assert_eq!(conn.get("web", "/late").status, 200);
    }
}
