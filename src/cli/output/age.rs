//! Spans of time and figures for people: `42s`, `3m10s`, `5h2m`, `12d`; the largest two units.

use jiff::Timestamp;

/// How long ago `then` is, seen from `now`; what lies ahead counts as now.
pub(crate) fn age(then: Timestamp, now: Timestamp) -> String {
    span(now.as_second().saturating_sub(then.as_second()))
}

/// How long until `then`, seen from `now`; `expired` when it is past.
pub(crate) fn until(then: Timestamp, now: Timestamp) -> String {
    match then.as_second().saturating_sub(now.as_second()) {
        left if left <= 0 => "expired".to_owned(),
        left => span(left),
    }
}

/// Milliseconds with as many digits as are worth reading; `-` without traffic.
pub(crate) fn milliseconds(value: Option<f64>) -> String {
    match value {
        None => "-".to_owned(),
        Some(ms) if ms < 10.0 => format!("{ms:.1}ms"),
        Some(ms) if ms < 10_000.0 => format!("{ms:.0}ms"),
        Some(ms) => format!("{:.1}s", ms / 1000.0),
    }
}

fn span(seconds: i64) -> String {
    let seconds = seconds.max(0);
    let (minutes, hours, days) = (seconds / 60, seconds / 3600, seconds / 86_400);
    match seconds {
        0..120 => format!("{seconds}s"),
        120..600 if seconds % 60 != 0 => format!("{minutes}m{}s", seconds % 60),
        120..7200 => format!("{minutes}m"),
        7200..36_000 if minutes % 60 != 0 => format!("{hours}h{}m", minutes % 60),
        7200..172_800 => format!("{hours}h"),
        172_800..63_072_000 => format!("{days}d"),
        _ => format!("{}y", days / 365),
    }
}
