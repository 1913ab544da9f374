//! A chain of services whose last is down: repetitions do not multiply.

use std::net::SocketAddr;
use std::sync::{Arc, OnceLock};

use crate::support::{Answer, Conn, Mesh, Origin, ok};

/// What each caller does by itself, beside its sidecar.
#[derive(Clone, Copy)]
enum Application {
    /// Nothing: it knows of no mesh, and passes nothing on.
    Plain,
    /// Tries three times more, whatever happened.
    Naive,
}

const DOWN: &str = "HTTP/1.1 503 Service Unavailable\r\ncontent-length: 0\r\n\r\n";

/// One call of the next service, as the application makes it.
fn call(application: Application, outbound: SocketAddr, host: &str) -> Answer {
    let request = format!("GET / HTTP/1.1\r\nhost: {host}\r\n\r\n");
    let tries = match application {
        Application::Plain => 1,
        Application::Naive => 4,
    };
    let mut answer = Answer::default();
    for _ in 0..tries {
        answer = Conn::connect(outbound).ask(&request);
        if answer.status == 200 {
            break;
        }
    }
    answer
}

/// `first` calls `second`, which calls `third`, which is down. How many requests arrive there for
/// each that is sent.
fn arrivals(application: Application, rules: &str, sent: u32) -> f64 {
    let outbound = Arc::new(OnceLock::<SocketAddr>::new());
    let known = Arc::clone(&outbound);
    let second = Origin::http(move |_| {
        let outbound = *known.get().expect("it is said before the first request");
        match call(application, outbound, "third").status {
            200 => ok("fine"),
            _ => DOWN.into(),
        }
    });
    let third = Origin::http(|_| DOWN.into());
    let mesh = Mesh::new().caller("first").service("second", &second).service("third", &third);
    let mesh = mesh.rules(rules).start();
    outbound.set(mesh.proxy("second").addresses().outbound).expect("it is said once");
    let first = mesh.proxy("first").addresses().outbound;
    for _ in 0..sent {
        let answer = call(application, first, "second");
        assert_eq!(answer.status, 503, "{}", answer.head);
    }
    third.requests().len() as f64 / f64::from(sent)
}

/// Every caller of `service` tries three times more.
fn policy(service: &str) -> String {
    format!(
        "
apiVersion: meshctl.dev/v1alpha1
kind: TrafficPolicy
metadata: {{name: {service}}}
spec:
  targetRefs: [{{kind: Service, name: {service}}}]
  retry:
    attempts: 3
    on: [connect-failure, refused-stream, gateway-error, reset]
    backoff: {{base: 1ms, max: 4ms}}
---"
    )
}

#[test]
fn repetitions_do_not_multiply_along_a_chain() {
    let rules = policy("second") + &policy("third");
    let arrived = arrivals(Application::Plain, &rules, 500);
    let naive = arrivals(Application::Naive, "", 50);
    assert!(arrived <= 1.2, "{arrived} requests arrive for each that is sent");
    assert_eq!(naive, 16.0, "four tries by each of two callers");
}
