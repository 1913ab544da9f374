//! What endpoints ask of who would send a request again.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::{BACKOFF, ended, everything, first, is_again, policy};
use crate::proxy::flight::Verdict;
use crate::proxy::tries::{Again, Asked, Ended, MAX_ASKED, Next, pushback, retry_after};
use crate::resource::{Retry, RetryOn};

#[test]
fn an_endpoint_that_asks_for_time_gets_it_up_to_a_bound() {
    let retry = policy(everything());
    let asked = |seconds, left| {
        let asked = Some(Asked::AtLeast(Duration::from_secs(seconds)));
        let ended = Ended { asked, left, ..ended(Verdict::Answered(503, None)) };
        first(&retry, "GET", &ended)
    };
    let wait = Duration::from_secs(1) + BACKOFF.base;
    assert_eq!(asked(1, None), Next::Again(Again { wait, budgeted: true }));
    assert_eq!(asked(MAX_ASKED.as_secs() + 1, None), Next::Stand);
    assert_eq!(asked(1, Some(Duration::from_secs(1))), Next::Stand, "the answer would be too late");
    assert!(is_again(asked(1, Some(Duration::from_secs(2)))));
}

#[test]
fn a_pushback_is_the_wait_itself_up_to_the_same_bound() {
    let retry = Retry { grpc_codes: vec![14], ..policy(RetryOn::default()) };
    let asked = |asked| {
        let ended = Ended { asked: Some(asked), ..ended(Verdict::Answered(200, Some(14))) };
        first(&retry, "GET", &ended)
    };
    for wait in [Duration::ZERO, Duration::from_millis(700), MAX_ASKED] {
        let again = Next::Again(Again { wait, budgeted: true });
        assert_eq!(asked(Asked::After(wait)), again, "nothing is drawn");
    }
    assert_eq!(asked(Asked::After(MAX_ASKED + Duration::from_millis(1))), Next::Stand);
    assert_eq!(asked(Asked::Never), Next::Stand);
    // What the rule does not name is not repeated because the endpoint says when.
    let ended = Ended {
        asked: Some(Asked::After(Duration::ZERO)),
        ..ended(Verdict::Answered(200, Some(5)))
    };
    assert_eq!(first(&retry, "GET", &ended), Next::Stand);
}

#[test]
fn a_pushback_is_a_number_of_milliseconds_or_no() {
    for (value, ms) in [("0", 0), ("700", 700), ("0010", 10), ("2147483647", 2_147_483_647)] {
        let after = Asked::After(Duration::from_millis(ms));
        assert_eq!(pushback(value.as_bytes()), after, "{value}");
    }
    for value in ["-1", "", "soon", "1.5", "+5", " 5", "2147483648", "-2147483648"] {
        assert_eq!(pushback(value.as_bytes()), Asked::Never, "{value}");
    }
    assert_eq!(pushback(b"\xff"), Asked::Never);
}

#[test]
fn retry_after_is_seconds_or_a_date() {
    let now = UNIX_EPOCH + Duration::from_secs(784_111_777 - 30);
    let read = |value: &[u8]| retry_after(value, now);
    assert_eq!(read(b"120"), Some(Duration::from_secs(120)));
    assert_eq!(read(b" 0 "), Some(Duration::ZERO));
    assert_eq!(read(b"99999999999999999999999"), Some(Duration::from_secs(u64::MAX)));
    assert_eq!(read(b"Sun, 06 Nov 1994 08:49:37 GMT"), Some(Duration::from_secs(30)));
    assert_eq!(read(b"Sun, 06 Nov 1994 08:49:00 GMT"), Some(Duration::ZERO));
    for value in [b"soon".as_slice(), b"", b"-1", b"1.5", b"\xff"] {
        assert_eq!(read(value), None, "{value:?}");
    }
    assert_eq!(
        retry_after(b"Sun, 06 Nov 1994 08:49:37 GMT", SystemTime::now()),
        Some(Duration::ZERO)
    );
}
