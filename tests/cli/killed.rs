//! A control plane that is killed, or whose disk fails, in the middle of an `apply`: the rules are
//! those of before or those of after, and who applied was not told anything else.

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Instant;

use super::binary::{command, meshctl_in};
use super::installed::eventually;

/// Rules in one file.
const RULES: usize = 50;

/// A control plane in the foreground, whose process dies at a word.
pub(super) struct Bed {
    dir: tempfile::TempDir,
}

/// A child that is killed when the test ends, however it ends.
pub(super) struct Running(pub(super) Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Bed {
    pub(super) fn new() -> Self {
        Self { dir: tempfile::tempdir().expect("a directory") }
    }

    pub(super) fn home(&self) -> std::path::PathBuf {
        self.dir.path().join("home")
    }

    /// Starts a control plane as the last words of `wrapped`, and waits until it serves.
    pub(super) fn start(&self, wrapped: &[&str]) -> Running {
        let mut words = wrapped.iter().copied().chain([env!("CARGO_BIN_EXE_meshctl")]);
        let mut process = Command::new(words.next().expect("the binary at least"));
        process.args(words).args(["control-plane", "run", "--home"]).arg(self.home());
        process.env_clear().env("PATH", "/usr/bin:/bin:/usr/sbin:/sbin");
        let _ = std::fs::remove_file(self.home().join("control-plane.json"));
        let child = process.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let running = Running(child.spawn().expect("it runs"));
        eventually("the control plane serves", || self.run(&["status"]).code == 0);
        running
    }

    pub(super) fn run(&self, words: &[&str]) -> super::binary::Run {
        meshctl_in(self.dir.path(), words, "")
    }

    /// Writes the file of rules, all with one weight.
    pub(super) fn rules(&self, weight: u32) -> std::path::PathBuf {
        let rule = |number: usize| {
            format!(
                "---\napiVersion: gateway.networking.k8s.io/v1\nkind: HTTPRoute\nmetadata: {{name: r{number}}}\n\
                 spec:\n  parentRefs: [{{group: \"\", kind: Service, name: r{number}, port: 80}}]\n  rules:\n  \
                 - backendRefs: [{{name: r{number}-v1, port: 80, weight: {weight}}}]\n"
            )
        };
        let file = self.dir.path().join("rules.yaml");
        std::fs::write(&file, (0..RULES).map(rule).collect::<String>()).expect("ours");
        file
    }

    /// The one weight that all rules have; `None` where there are none.
    #[track_caller]
    pub(super) fn weight(&self) -> Option<u64> {
        let run = self.run(&["get", "httproutes", "-o", "json"]);
        assert_eq!(run.code, 0, "{run:?}");
        let list: serde_json::Value = serde_json::from_str(&run.stdout).expect("JSON");
        let items = list["items"].as_array().expect("a list");
        let weight = |item: &serde_json::Value| {
            item["spec"]["rules"][0]["backendRefs"][0]["weight"].as_u64().expect("a number")
        };
        let first = items.first().map(weight);
        assert!(items.is_empty() || items.len() == RULES, "half of the rules: {}", items.len());
        assert!(items.iter().all(|item| Some(weight(item)) == first), "rules of both: {list:#}");
        first
    }

    pub(super) fn apply(&self, file: &Path) -> Child {
        let mut apply = command(&self.home());
        apply.args(["apply", "-f"]).arg(file).stdout(Stdio::null()).stderr(Stdio::null());
        apply.spawn().expect("it runs")
    }
}

/// So many control planes killed at random moments of an `apply`; how many were told that it was done.
pub(super) fn killed_at_random(rounds: u32, seed: u64) -> u32 {
    let bed = Bed::new();
    let mut random = fastrand::Rng::with_seed(seed);
    let mut running = bed.start(&[]);
    let begun = Instant::now();
    let first = bed.apply(&bed.rules(1)).wait().expect("it ends");
    let usual = begun.elapsed();
    assert!(first.success());
    let (mut before, mut done) = (1, 0);
    for round in 2..rounds + 2 {
        let mut apply = bed.apply(&bed.rules(round));
        std::thread::sleep(usual.mul_f64(random.f64() * 1.2));
        running.0.kill().expect("it is ours");
        running.0.wait().expect("it ends");
        let told = apply.wait().expect("it ends").success();
        running = bed.start(&[]);
        let found = bed.weight().expect("rules were applied before");
        let after = u64::from(round);
        assert!(
            found == before || found == after,
            "round {round}: neither {before} nor {after}: {found}"
        );
        assert!(found == after || !told, "round {round}: it was told to be done, and is not");
        (before, done) = (found, done + u32::from(told));
    }
    done
}

#[test]
fn a_control_plane_killed_while_it_applies_has_done_all_or_nothing() {
    killed_at_random(10, 7);
}

#[test]
fn a_disk_that_fails_in_the_middle_changes_nothing_and_is_told() {
    let bed = Bed::new();
    drop(bed.start(&[]));
    // Writes beyond 100 KiB (to some shells 200) of a file fail from now on, those of the store's journal among them.
    let limit = "trap '' XFSZ; ulimit -f 200; exec \"$@\"";
    let running = bed.start(&["sh", "-c", limit, "limited"]);
    let run = bed.run(&["apply", "-f", &bed.rules(1).to_string_lossy()]);
    let told = run.code == 0;
    let many = bed.dir.path().join("many.yaml");
    let rule = |number: u32| {
        format!(
            "---\napiVersion: v1\nkind: Service\nmetadata: {{name: s{number}, annotations: {{x: \"{}\"}}}}\n\
             spec: {{ports: [{{port: 80, name: http}}]}}\n",
            "y".repeat(2_000)
        )
    };
    std::fs::write(&many, (0..200).map(rule).collect::<String>()).expect("ours");
    let failed = bed.run(&["apply", "-f", &many.to_string_lossy()]);
    assert_eq!(failed.code, 1, "{failed:?}");
    assert!(failed.stderr.contains("the store `DIR/home/store.db` failed"), "{failed:?}");
    bed.run(&["get", "services", "-o", "name"]).is(0, "", "");
    assert_eq!(bed.weight().is_some(), told);
    drop(running);
    let _running = bed.start(&[]);
    bed.run(&["get", "services", "-o", "name"]).is(0, "", "");
    assert_eq!(bed.weight().is_some(), told);
    assert_eq!(
        bed.run(&["apply", "-f", &many.to_string_lossy()]).code,
        0,
        "the disk is whole again"
    );
}
