//! Back-off, the lock that tells who supervises, and the texts that are printed.

use std::time::Duration;

use super::backoff::Backoff;
use super::holder::Held;
use super::*;

fn launch(home: &str) -> Launch {
    Launch {
        program: "/opt/mesh ctl/meshctl".into(),
        home: home.into(),
        log: "/srv/u/log".into(),
        listen: Some(([127, 0, 0, 1], 15012).into()),
        trust_domain: Some("cluster.local".parse().expect("a domain")),
    }
}

#[test]
fn waits_double_up_to_ten_seconds_and_start_over_after_a_steady_minute() {
    let mut backoff = Backoff::default();
    let waits: Vec<_> = (0..9).map(|_| backoff.after(Duration::ZERO).as_millis()).collect();
    assert_eq!(waits, [100, 200, 400, 800, 1600, 3200, 6400, 10_000, 10_000]);
    assert_eq!(backoff.after(Duration::from_secs(61)).as_millis(), 100);
}

#[test]
fn the_holder_of_the_lock_is_found_and_nobody_else() {
    let dir = tempfile::tempdir().expect("a directory");
    assert_eq!(Holder::find(dir.path()).expect("no file"), None);
    let held = Held::take(dir.path()).expect("taken").expect("free");
    assert!(Held::take(dir.path()).expect("tried").is_none());
    let holder = Holder::find(dir.path()).expect("read").expect("held");
    assert_eq!(holder.pid, std::process::id());
    drop(held);
    assert_eq!(Holder::find(dir.path()).expect("read"), None, "a stale id names nobody");
    assert!(!holder.terminate().expect("allowed"), "who let go of the lock is not signalled");
}

#[test]
fn a_long_log_is_put_aside() {
    let dir = tempfile::tempdir().expect("a directory");
    let log = dir.path().join("log");
    let launch = Launch { log: log.clone(), ..launch("/srv/u/mesh") };
    let file = File::create(&log).expect("created");
    file.set_len(LONGEST_LOG + 1).expect("grown");
    launch.open_log().expect("opened");
    assert_eq!(std::fs::metadata(&log).expect("there").len(), 0);
    assert!(dir.path().join("log.1").exists());
}

#[test]
fn the_line_is_quoted_for_shells_and_systemd() {
    let line = launch("/srv/u/%h").line();
    assert_eq!(
        line,
        "\"/opt/mesh ctl/meshctl\" control-plane run --home \"/srv/u/%h\" --listen 127.0.0.1:15012 --trust-domain cluster.local"
    );
    let text = unit(&launch("/srv/u/%h"));
    assert!(text.contains("--home \"/srv/u/%%h\""), "{text}");
}
