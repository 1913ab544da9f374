//! The long versions with their marks, which `.ci/soak` runs.

use std::time::{Duration, Instant};

use super::{churn, down};
use crate::support::Origin;

fn quantile(times: &mut [Duration], percent: usize) -> Duration {
    times.sort();
    times[(times.len() * percent / 100).min(times.len() - 1)]
}

#[test]
#[ignore = "takes a minute"]
#[expect(clippy::print_stderr, reason = "figures are what these tests are for")]
fn endpoints_come_and_go_for_a_minute() {
    let mut times = churn::run(Duration::from_secs(60));
    let changes = times.len();
    let (p50, p99) = (quantile(&mut times, 50), quantile(&mut times, 99));
    eprintln!("{changes} changes reached the caller in {p50:?} at the median, {p99:?} at p99");
    assert!(changes >= 400, "only {changes} changes");
    assert!(p99 <= Duration::from_millis(250), "p99 {p99:?}");
}

/// CPU time of all threads of this process whose name begins so, from the scheduler.
fn cpu() -> Duration {
    let threads = std::fs::read_dir("/proc/self/task").expect("this is Linux");
    let of = |entry: std::io::Result<std::fs::DirEntry>| {
        let path = entry.ok()?.path().join("schedstat");
        let text = std::fs::read_to_string(path).ok()?;
        text.split(' ').next()?.parse::<u64>().ok()
    };
    Duration::from_nanos(threads.filter_map(of).sum())
}

#[test]
#[ignore = "takes ten seconds of a quiet machine"]
#[expect(clippy::print_stderr, reason = "figures are what these tests are for")]
fn with_all_endpoints_down_hardly_any_work_is_done() {
    let app = Origin::saying("here");
    let mesh = down::abandoned(&app);
    let (mut times, begun, before) = (Vec::new(), Instant::now(), cpu());
    // 100 requests per second.
    for number in 0..1000 {
        let due = begun + Duration::from_millis(10) * number;
        std::thread::sleep(due.saturating_duration_since(Instant::now()));
        times.append(&mut down::refusals(&mesh, 1));
    }
    let share = (cpu() - before).as_secs_f64() / begun.elapsed().as_secs_f64();
    let p99 = quantile(&mut times, 99);
    eprintln!("p99 {p99:?}, {:.1} % of a core, the client's part included", share * 100.0);
    assert!(p99 <= Duration::from_millis(10), "p99 {p99:?}");
    assert!(share <= 0.1, "{:.1} % of a core", share * 100.0);
}
