//! Endpoints that fall silent: the kernel drops every packet from one moment to the next, and
//! neither side is told.

use std::net::TcpStream;
use std::time::{Duration, Instant};

use super::apps::{echo2, get2, get2_around, naming};
use super::namespace::Who::Application;
use super::namespace::wired;
use super::pod::{Pod, World};
use crate::support::Answer;

/// The time limit of a request, where there is one.
const LIMIT: Duration = Duration::from_secs(2);

/// That of a connection.
const CONNECT: Duration = Duration::from_secs(1);

/// `cart` calls the service `web` at `10.96.0.1:80`, whose endpoints are `10.77.0.2` and
/// `10.77.0.3`; the first falls silent when told.
struct Stage {
    _world: World,
    cart: Pod,
    web: Pod,
}

impl Stage {
    fn new(port: u16, limit: Option<Duration>) -> Self {
        let world = World::new();
        let (one, other) = wired();
        other.shell("ip addr add 10.77.0.3/24 dev eth0");
        for address in ["10.77.0.2", "10.77.0.3"] {
            naming(other.listen(&format!("{address}:8080")));
            echo2(other.listen(&format!("{address}:8082")));
        }
        let endpoints = ["10.77.0.2", "10.77.0.3"];
        world.pool("10.96.0.1", &endpoints, port, CONNECT, limit);
        let cart = world.start(one, "cart", &[]);
        let web = world.start(other, "web", &[]);
        Self { _world: world, cart, web }
    }

    fn silence(&self) {
        self.web
            .namespace
            .shell("iptables -w -t mangle -I PREROUTING -i eth0 -d 10.77.0.2 -j DROP");
    }

    /// An answer and how long it took.
    fn get(&self) -> (Answer, Duration) {
        let mut conn = self.cart.namespace.connect(Application, "10.96.0.1:80");
        let begun = Instant::now();
        let answer = conn.get("web", "/");
        (answer, begun.elapsed())
    }
}

#[test]
fn an_endpoint_that_falls_silent_is_given_up_in_time_and_dropped_from_the_pool() {
    let stage = Stage::new(8080, Some(LIMIT));
    let before: Vec<_> = (0..20).map(|_| stage.get()).collect();
    assert!(before.iter().all(|(answer, _)| answer.status == 200));
    stage.silence();
    let mut late = Vec::new();
    let mut quick = Vec::new();
    for turn in 0..40 {
        let (answer, took) = stage.get();
        match answer.status {
            200 if took < LIMIT / 2 => quick.push(took),
            // A new connection: one second until it is given up, then the other endpoint.
            200 => assert!(took <= LIMIT * 105 / 100, "turn {turn}: {took:?}"),
            _ => {
                let said = (answer.status, answer.reason());
                assert_eq!(said, (504, "request_timeout".to_owned()), "turn {turn}");
                late.push(took);
            }
        }
        if !late.is_empty() && quick.len() >= 5 {
            break;
        }
    }
    for took in &late {
        let exact = LIMIT * 95 / 100..=LIMIT * 105 / 100;
        assert!(exact.contains(took), "{took:?} instead of {LIMIT:?}");
    }
    let worst = |times: &[Duration]| times.iter().max().copied().unwrap_or_default();
    assert!(!quick.is_empty(), "the other endpoint is used on");
    assert!(worst(&quick) <= Duration::from_millis(100), "{:?}", worst(&quick));
}

/// The long version, which `.ci/soak` runs.
mod soak {
    use super::*;

    #[test]
    #[ignore = "takes up to fifteen seconds"]
    fn a_silent_connection_of_http2_is_found_by_its_pings() {
        let stage = Stage::new(8082, None);
        let caller = &stage.cart.namespace;
        let dial = || TcpStream::connect("10.96.0.1:80").expect("captured");
        let connection = caller.act(Application, dial);
        let asked = get2_around(connection, "http://web/", 8, || stage.silence());
        let (quick, late): (Vec<_>, Vec<_>) =
            asked.into_iter().partition(|(status, took)| *status == 200 && *took < LIMIT / 2);
        assert!(!quick.is_empty() && !late.is_empty(), "{quick:?} {late:?}");
        for (status, took) in &late {
            assert!(*took <= Duration::from_secs(15), "{status} after {took:?}");
        }
        // What comes after uses the other endpoint alone, or a new connection in vain at first.
        for _ in 0..4 {
            let (status, _) = get2(caller.act(Application, dial), "http://web/");
            assert_eq!(status, 200);
        }
    }
}
