//! Who guesses tokens has to wait, and nobody else.

use tonic::Code;

use super::*;

#[test]
fn who_shows_many_bad_tokens_waits_and_nobody_else() {
    let (throttle, now) = (Throttle::default(), Instant::now());
    let [bad, good] = ["10.0.0.1", "10.0.0.2"].map(|text| text.parse().ok());
    for _ in 0..MOST {
        assert!(!throttle.is_shut(bad, now));
        throttle.refused(bad, now);
    }
    assert!(throttle.is_shut(bad, now));
    let refused = throttle.admit(bad, now).expect_err("it has to wait");
    assert_eq!(refused.code(), Code::ResourceExhausted);
    assert!(!throttle.is_shut(good, now) && !throttle.is_shut(None, now));
    assert!(!throttle.is_shut(bad, now + WINDOW));
}
