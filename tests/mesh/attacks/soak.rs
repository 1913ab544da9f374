//! The long versions with their marks, which `.ci/soak` runs: each attack for a minute.

use std::time::{Duration, Instant};

use super::{floods, half_handshakes, heads_too_large, under_attack};
use crate::support::Mesh;

/// How long each attack goes on.
const ATTACK: Duration = Duration::from_secs(60);

/// How much memory an attack may cost, MiB: the clients' part is in it, they live in this process.
const GROWTH: u64 = 64;

/// Memory of this process, MiB.
fn resident() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").expect("this is Linux");
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kib = line.and_then(|line| line.trim().strip_suffix(" kB")?.parse::<u64>().ok());
    kib.expect("a number") / 1024
}

#[expect(clippy::print_stderr, reason = "figures are what these tests are for")]
fn for_a_minute(what: &str, attack: impl Fn(&Mesh)) {
    under_attack(|mesh| {
        // Once before, so that what is kept for reuse is there.
        attack(mesh);
        let (begun, before) = (Instant::now(), resident());
        let mut times = 0;
        while begun.elapsed() < ATTACK {
            attack(mesh);
            times += 1;
        }
        let grown = resident().saturating_sub(before);
        eprintln!(
            "{what}: {times} times in a minute, no request of the neighbour failed, {grown} MiB more"
        );
        assert!(grown <= GROWTH, "{grown} MiB more");
    });
}

#[test]
#[ignore = "takes a minute"]
fn slow_heads_and_half_handshakes() {
    for_a_minute("slow heads and half handshakes", half_handshakes);
}

#[test]
#[ignore = "takes a minute"]
fn heads_that_are_too_large() {
    for_a_minute("heads that are too large", heads_too_large);
}

#[test]
#[ignore = "takes a minute"]
fn floods_of_frames() {
    for_a_minute("floods of frames", floods);
}
