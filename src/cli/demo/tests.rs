//! The pure parts of the demo: when a step counts as seen, and what the screen shows.

use std::time::Duration;

use super::screen::{Frame, cut};
use super::seen::{Page, Seen, Waterfall};
use super::stage::Stage;
use super::steps::{self, Change, Proof, Step};
use super::traffic::version;
use crate::control::api::shapes::{EdgeStatus, Latency};

fn by(version: &str) -> Page {
    Page::By(version.to_owned())
}

fn edge(from: &str, to: &str, mtls: bool) -> EdgeStatus {
    EdgeStatus {
        from: from.to_owned(),
        from_namespace: "default".to_owned(),
        to: to.to_owned(),
        to_namespace: "default".to_owned(),
        backend: to.to_owned(),
        version: String::new(),
        mtls,
        protocol: "http/1.1".to_owned(),
        requests_per_second: 12.0,
        success_rate: Some(1.0),
        latency: Latency { p50: Some(1.0), p95: Some(2.0), p99: Some(3.0) },
    }
}

fn wired(mtls: bool) -> Seen {
    let edges = steps::CALLS.iter().map(|(from, to)| edge(from, to, mtls)).collect();
    Seen { edges, ..Seen::default() }
}

fn split(pages: u64, least: f64, most: f64) -> Step {
    let mut step = steps::steps().remove(1);
    step.proof = Proof::Split { pages, share: least..=most };
    step
}

#[test]
fn the_first_step_wants_every_call_and_each_over_mutual_tls() {
    let all = steps::steps();
    let first = all.first().expect("the story has steps");
    assert!(first.missing(&Seen::default()).is_some());
    assert!(first.missing(&wired(false)).is_some());
    assert_eq!(first.missing(&wired(true)), None);
    let mut seen = wired(true);
    seen.edges.pop();
    assert!(first.missing(&seen).is_some_and(|missing| missing.contains("ratings")));
}

#[test]
fn a_split_counts_only_pages_of_its_own_step_and_enough_of_them() {
    let mut seen = Seen::default();
    seen.begin(1);
    for _ in 0..10 {
        seen.record(0, by("v1"));
    }
    assert_eq!((seen.pages.total(), seen.asked), (0, 10));
    let step = split(4, 0.25, 0.5);
    for (version, over) in [("v1", false), ("v1", false), ("v2", false), ("v1", true)] {
        assert!(step.missing(&seen).is_some());
        seen.record(1, by(version));
        assert_eq!(step.missing(&seen).is_none(), over, "{:?}", seen.pages);
    }
    for _ in 0..3 {
        seen.record(1, by("v2"));
    }
    assert!(step.missing(&seen).is_some_and(|missing| missing.contains("57.1 %")));
}

#[test]
fn one_page_by_version_1_spoils_the_last_split_for_good() {
    let all = steps::steps();
    let step = all.get(3).expect("the story has this step");
    let mut seen = Seen::default();
    seen.begin(3);
    seen.record(3, by("v1"));
    for _ in 0..10_000 {
        seen.record(3, by("v2"));
    }
    assert!(step.missing(&seen).is_some());
}

#[test]
fn failures_are_counted_with_the_last_reason() {
    let mut seen = Seen::default();
    seen.record(0, Page::Failed("one".to_owned()));
    seen.record(7, Page::Failed("two".to_owned()));
    assert_eq!((seen.failed, seen.failure.as_deref()), (2, Some("two")));
}

#[test]
fn the_version_is_read_from_the_page() {
    assert_eq!(version("<h1>x</h1>\n<p class=\"version\">v2</p>\n"), by("v2"));
    assert!(matches!(version("<h1>x</h1>"), Page::Failed(_)));
}

#[test]
fn the_rules_of_every_step_are_valid_and_name_both_versions() {
    for step in steps::steps() {
        let Some(change @ Change::Split(v1, v2)) = step.change else { continue };
        assert_eq!(v1 + v2, 100, "{}", step.title);
        let rules = change.rules().expect("a split is a rule");
        let value: serde_json::Value = serde_yaml::from_str(&rules).expect("the rules are YAML");
        let backends = value.pointer("/spec/rules/0/backendRefs").expect("the rule has backends");
        let weight = |at: &str| backends.pointer(at).and_then(serde_json::Value::as_u64);
        assert_eq!(weight("/0/weight"), Some(u64::from(v1)));
        assert_eq!(weight("/1/weight"), Some(u64::from(v2)));
    }
}

#[test]
fn a_broken_version_is_left_out_only_when_the_callers_say_so_and_no_page_is_by_it() {
    let all = steps::steps();
    let step = all.get(5).expect("the story has this step");
    let mut seen = Seen::default();
    seen.begin(5);
    for _ in 0..100 {
        seen.record(5, by("v1"));
    }
    assert!(step.missing(&seen).is_some_and(|missing| missing.contains("reviews-v2-0")));
    seen.out = vec!["reviews-v2-0: Ejected, five errors in a row".to_owned()];
    assert_eq!(step.missing(&seen), None);
    seen.record(5, by("v2"));
    assert!(step.missing(&seen).is_some());
}

#[test]
fn a_version_is_back_when_nobody_leaves_it_out_and_it_made_pages() {
    let all = steps::steps();
    let step = all.get(6).expect("the story has this step");
    let mut seen = Seen::default();
    seen.begin(6);
    seen.out = vec!["reviews-v2-0: Ejected, five errors in a row".to_owned()];
    for _ in 0..50 {
        assert!(step.missing(&seen).is_some());
        seen.record(6, by("v2"));
    }
    assert!(step.missing(&seen).is_some());
    seen.out.clear();
    assert_eq!(step.missing(&seen), None);
}

#[test]
fn a_frame_fits_the_terminal_and_says_what_is_going_on() {
    let steps = steps::steps();
    let mut seen = wired(true);
    seen.begin(1);
    seen.record(1, by("v2"));
    seen.applied = vec!["acknowledged by 2 proxies".to_owned()];
    let frame = Frame {
        step: steps.get(1).map(|step| (1, step)),
        steps: steps.len(),
        seen: &seen,
        elapsed: Duration::from_secs(75),
        program: "meshctl",
        home: "/tmp/meshctl-demo-x/home",
    };
    let plain = anstream::adapter::strip_str(&frame.render(100, 50)).to_string();
    for said in [
        "step 2 of 7",
        "01:15",
        "══mTLS══▶ ratings",
        "web → reviews",
        "100.0 %",
        "acknowledged by 2 proxies",
        "1 of 150 pages so far",
        "export MESHCTL_HOME=/tmp/meshctl-demo-x/home",
        "meshctl apply -f",
        "Ctrl-C",
    ] {
        assert!(plain.contains(said), "`{said}` is missing in\n{plain}");
    }
    for (width, height) in [(20, 10), (80, 24), (200, 60)] {
        let text = anstream::adapter::strip_str(&frame.render(width, height)).to_string();
        assert!(text.lines().count() <= height, "{height}: {text}");
        assert!(text.lines().all(|line| line.chars().count() <= width), "{width}: {text}");
        assert!(text.lines().last().is_some_and(|line| line.starts_with("Ctrl-C")), "{text}");
    }
}

#[test]
fn the_trace_is_shown_with_its_own_step_and_its_id_in_the_command() {
    let steps = steps::steps();
    let mut seen = wired(true);
    let drawing = "web ████\n  reviews ██\n".to_owned();
    seen.trace = Some(Waterfall { id: "0af7".to_owned(), services: Vec::new(), drawing });
    let text = |step: Option<(usize, &Step)>| {
        let (program, home) = ("meshctl", "/h");
        let elapsed = Duration::ZERO;
        Frame { step, steps: steps.len(), seen: &seen, elapsed, program, home }.render(80, 50)
    };
    assert!(!text(steps.first().map(|step| (0, step))).contains("reviews ██"));
    let shown = text(steps.get(4).map(|step| (4, step)));
    assert!(shown.contains("reviews ██") && shown.contains("meshctl trace 0af7"), "{shown}");
    assert!(text(None).contains("the story is over"));
}

#[test]
fn calls_by_one_version_are_one_row_whatever_backend_they_went_through() {
    let mut seen = wired(true);
    seen.edges.push(EdgeStatus { backend: "web-v1".to_owned(), ..edge("visitors", "web", true) });
    let (elapsed, program, home) = (Duration::ZERO, "meshctl", "/h");
    let frame = Frame { step: None, steps: 5, seen: &seen, elapsed, program, home };
    let plain = anstream::adapter::strip_str(&frame.render(100, 50)).to_string();
    let rows: Vec<_> = plain.lines().filter(|line| line.contains("visitors → web")).collect();
    assert_eq!(rows.len(), 1, "{plain}");
    assert!(rows.iter().all(|row| row.contains("24.0")), "{plain}");
}

#[test]
fn a_small_terminal_still_shows_the_step_and_what_to_type() {
    let steps = steps::steps();
    let (seen, elapsed, program, home) = (wired(true), Duration::ZERO, "meshctl", "/h");
    let step = steps.get(1).map(|step| (1, step));
    let frame = Frame { step, steps: 5, seen: &seen, elapsed, program, home };
    let plain = anstream::adapter::strip_str(&frame.render(80, 24)).to_string();
    for said in ["step 2 of 5", "a tenth of the pages", "BY THE REVIEWS", "meshctl status --edges"]
    {
        assert!(plain.contains(said), "`{said}` is missing in\n{plain}");
    }
}

#[test]
fn cutting_a_line_keeps_its_styles() {
    assert_eq!(cut("\u{1b}[1mabc\u{1b}[0m def", 2), "\u{1b}[1mab\u{1b}[0m");
    assert_eq!(cut("äöü", 2), "äö");
}

/// A terminal sends Ctrl-C to every process of its group.
#[test]
fn ctrl_c_reaches_none_of_the_demos_own_commands() {
    use std::process::Stdio;
    let stage = Stage::new().expect("a stage");
    let mut command = stage.command(&["version"]);
    let command = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let mut child = command.spawn().expect("started");
    let pid = rustix::process::Pid::from_child(&child);
    assert_eq!(rustix::process::getpgid(Some(pid)).expect("its group"), pid);
    child.wait().expect("ended");
}
