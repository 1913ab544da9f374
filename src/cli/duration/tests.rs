//! Units are needed, sums work, nonsense is told so.

use super::*;

#[test]
fn durations_have_units() {
    let good =
        [("500ms", 500), ("60s", 60_000), ("2m", 120_000), ("1m30s", 90_000), ("1h", 3_600_000)];
    for (text, millis) in good {
        assert_eq!(parse(text), Ok(Duration::from_millis(millis)), "{text}");
    }
    assert_eq!(parse("5"), Err("`5` has no unit, write `5s` for seconds".to_owned()));
    for text in ["", "s", "1d", "-1s", "1.5s", "0s", "1s1", "99999999999999999999s", "é"] {
        assert!(parse(text).is_err_and(|why| why.contains("not a duration")), "{text}");
    }
    assert!(parse("9000h").is_err_and(|why| why.contains("longer than a year")));
}
