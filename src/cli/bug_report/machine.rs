//! The machine: versions, kernel, limits, memory; what everybody on it may read.

use std::fmt::Write as _;

use super::Report;
use crate::cli::version::CLIENT;

/// Files that say what the machine is like.
const FILES: [&str; 8] = [
    "/proc/version",
    "/proc/meminfo",
    "/proc/loadavg",
    "/proc/self/limits",
    "/proc/self/cgroup",
    "/sys/fs/cgroup/memory.max",
    "/sys/fs/cgroup/cpu.max",
    "/etc/os-release",
];

/// Variables that change what the program does; no others are looked at.
const VARIABLES: [&str; 7] =
    ["MESHCTL_LOG", "MESHCTL_NAMESPACE", "LANG", "LC_ALL", "TERM", "NO_COLOR", "XDG_STATE_HOME"];

pub(super) fn collect(report: &mut Report) {
    let mut text = format!("meshctl {CLIENT}\n");
    let (system, architecture) = (std::env::consts::OS, std::env::consts::ARCH);
    let _ = writeln!(text, "system {system} {architecture}");
    let cores = std::thread::available_parallelism().map_or(0, std::num::NonZero::get);
    let _ = writeln!(text, "processors {cores}");
    let _ = writeln!(text, "user {}", rustix::process::getuid().as_raw());
    for name in VARIABLES {
        if let Ok(value) = std::env::var(name) {
            let _ = writeln!(text, "{name}={value}");
        }
    }
    for path in FILES {
        if let Ok(content) = std::fs::read_to_string(path) {
            let _ = write!(text, "\n== {path}\n{content}");
        }
    }
    report.text("machine.txt", &text);
}
