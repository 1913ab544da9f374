//! The long versions, which `.ci/soak` runs: many more moments at which a control plane is killed, and
//! each write of a disk that fails once.

use std::process::Command;

use super::killed::{Bed, killed_at_random};

#[test]
#[ignore = "takes minutes"]
#[expect(clippy::print_stderr, reason = "figures are what these tests are for")]
fn a_control_plane_is_killed_at_two_hundred_moments() {
    let done = killed_at_random(200, 11);
    eprintln!("of 200 control planes killed while they applied, {done} had said that it was done");
    assert!(done > 0 && done < 200, "all were killed too late or too early");
}

/// Applies once while the `nth` call of `what` fails with `error` or kills; false where there was no
/// such call any more.
fn interfered(what: &str, how: &str, nth: u32) -> bool {
    let bed = Bed::new();
    let running = bed.start(&[]);
    assert!(bed.apply(&bed.rules(1)).wait().expect("it ends").success());
    let pid = running.0.id().to_string();
    let inject = format!("inject={what}:{how}:when={nth}");
    let trace = bed.home().join("../trace");
    let mut strace = Command::new("strace");
    strace.args(["-f", "-qq", "-p", &pid, "-e", &format!("trace={what}"), "-e", &inject, "-o"]);
    let mut strace = strace.arg(&trace).spawn().expect("strace is there");
    super::installed::eventually("it is traced", || {
        let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
        status.lines().any(|line| line.starts_with("TracerPid:") && !line.ends_with("\t0"))
    });
    let told = bed.apply(&bed.rules(2)).wait().expect("it ends").success();
    strace.kill().expect("it is ours");
    strace.wait().expect("it ends");
    let hit = std::fs::read_to_string(&trace).unwrap_or_default().contains("INJECTED")
        || how.starts_with("signal");
    drop(running);
    let _running = bed.start(&[]);
    let found = bed.weight();
    assert!(matches!(found, Some(1 | 2)), "{what} {nth}: {found:?}");
    assert!(found == Some(2) || !told, "{what} {nth}: it was told to be done, and is not");
    hit
}

#[test]
#[ignore = "takes minutes, and strace"]
fn every_write_of_an_apply_fails_once_or_is_the_last() {
    for what in ["pwrite64", "fsync", "fdatasync", "rename,renameat,renameat2"] {
        for how in ["error=EIO", "error=ENOSPC", "signal=SIGKILL"] {
            let mut hits = 0;
            for nth in 1..=40 {
                if !interfered(what, how, nth) {
                    break;
                }
                hits += 1;
                if how.starts_with("signal") && nth >= 8 {
                    break;
                }
            }
            assert!(hits > 0, "nothing was interfered with: {what} {how}");
        }
    }
}
