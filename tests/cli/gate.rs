//! `proxy wait`: the gate of an injected pod, which opens when the sidecar says that it is ready.

use super::binary::{Run, meshctl};
use crate::support::{Origin, ok};

const NOT_YET: &str = "no certificate yet\n";

fn not_yet() -> String {
    let length = NOT_YET.len();
    format!("HTTP/1.1 503 Service Unavailable\r\ncontent-length: {length}\r\n\r\n{NOT_YET}")
}

fn wait(sidecar: &Origin, timeout: &str) -> Run {
    let address = sidecar.address().to_string();
    meshctl(&["proxy", "wait", "--address", &address, "--timeout", timeout])
}

#[test]
fn the_gate_opens_when_the_sidecar_is_ready() {
    let sidecar = Origin::scripted(|conn, number| {
        assert_eq!(conn.request().expect("a question").line(), "GET /ready");
        conn.send(if number < 2 { not_yet() } else { ok("ready\n") });
    });
    let run = wait(&sidecar, "20s");
    assert_eq!((run.code, run.stderr.as_str()), (0, ""));
}

#[test]
fn a_gate_that_stays_shut_says_what_the_sidecar_waits_for() {
    let sidecar = Origin::scripted(|conn, _| {
        conn.request().expect("a question");
        conn.send(not_yet());
    });
    let run = wait(&sidecar, "100ms");
    assert_eq!(run.code, 1);
    let said = "error: the sidecar is not ready after 0.1 s: no certificate yet\n";
    assert!(run.stderr.starts_with(said), "{}", run.stderr);
}
