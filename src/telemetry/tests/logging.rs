//! Lines arrive whole, filters change while running, and a stuck reader holds up nobody.

use std::io::{self, Write};
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tracing_subscriber::fmt::MakeWriter;

use crate::telemetry::logging::{DEFAULT_FILTER, Format, Lines, LoggingError, init};

/// An output that can be looked at.
#[derive(Clone, Default)]
struct Shown(Arc<Mutex<Vec<u8>>>);

impl Write for Shown {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().expect("nobody panics").write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// An output that waits until it is let go.
struct Stuck(Receiver<()>);

impl Write for Stuck {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let _ = self.0.recv();
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn write(lines: &Lines, text: &str) {
    lines.make_writer().write_all(text.as_bytes()).expect("never fails");
}

#[test]
fn lines_are_written_in_order_whole_and_cut() {
    let shown = Shown::default();
    let lines = Lines::start(shown.clone()).expect("a thread");
    write(&lines, "one\n");
    write(&lines, "two");
    write(&lines, &"x".repeat(100_000));
    lines.flush(Duration::from_secs(10));
    let bytes = shown.0.lock().expect("nobody panics").clone();
    let text = String::from_utf8(bytes).expect("text");
    let lengths: Vec<_> = text.lines().map(str::len).collect();
    assert_eq!(lengths, [3, 3, 16 * 1024]);
    assert!(text.starts_with("one\ntwo\nx"));
    assert_eq!(lines.dropped(), 0);
}

#[test]
fn a_stuck_output_drops_lines_and_counts_them() {
    let (release, wait) = channel();
    let lines = Lines::start(Stuck(wait)).expect("a thread");
    for _ in 0..3_000 {
        write(&lines, "line\n");
    }
    assert!((1_900..2_000).contains(&lines.dropped()), "{}", lines.dropped());
    drop(release);
    // With the sender gone every write returns at once, so what waits is worked off.
    lines.flush(Duration::from_secs(10));
}

#[test]
fn logging_is_set_up_once_and_its_filter_changes() {
    let logging = init(Format::Json, DEFAULT_FILTER).expect("the first");
    assert!(matches!(init(Format::Text, DEFAULT_FILTER), Err(LoggingError::Twice)));
    let level = logging.level();
    assert!(!tracing::enabled!(target: "meshctl::proxy", tracing::Level::DEBUG));
    level.set_filter("warn,meshctl::proxy=debug").expect("a filter");
    assert!(tracing::enabled!(target: "meshctl::proxy", tracing::Level::DEBUG));
    assert!(!tracing::enabled!(target: "meshctl::control", tracing::Level::INFO));
    let long = "a=debug,".repeat(1_000);
    for bad in ["", "loud", "meshctl=", "=debug", "info,", "meshctl=loud\n", &long] {
        let refused = level.set_filter(bad).expect_err("no filter").to_string();
        assert!(refused.len() < 2_000 && !refused.contains('\n'), "{refused}");
    }
    assert!(tracing::enabled!(target: "meshctl::proxy", tracing::Level::DEBUG));
    assert_eq!(logging.dropped(), 0);
    level.set_filter("off").expect("a filter");
}
