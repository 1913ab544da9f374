//! It goes off at the last deadline that was set, and not before.

use std::future::poll_fn;
use std::time::Duration;

use super::*;

const MOMENT: Duration = Duration::from_millis(20);
const LONG: Duration = Duration::from_secs(3_600);

async fn over(alarm: &mut Alarm) -> Instant {
    let over = tokio::time::timeout(Duration::from_secs(20), poll_fn(|cx| alarm.poll(cx))).await;
    over.expect("it goes off");
    Instant::now()
}

async fn is_pending(alarm: &mut Alarm) -> bool {
    poll_fn(|cx| Poll::Ready(alarm.poll(cx).is_pending())).await
}

#[tokio::test]
async fn a_deadline_that_moves_on_is_waited_for() {
    let (start, mut alarm) = (Instant::now(), Alarm::default());
    for moments in 1..=5 {
        alarm.set(Some(start + MOMENT * moments));
        let _ = is_pending(&mut alarm).await;
    }
    assert!(over(&mut alarm).await >= start + MOMENT * 5);
}

#[tokio::test]
async fn a_deadline_that_comes_nearer_is_kept() {
    let (start, mut alarm) = (Instant::now(), Alarm::default());
    alarm.set(Some(start + LONG));
    assert!(is_pending(&mut alarm).await);
    alarm.set(Some(start + MOMENT));
    assert!(over(&mut alarm).await < start + LONG);
}

#[tokio::test]
async fn one_that_went_off_can_be_set_again_or_never() {
    let (start, mut alarm) = (Instant::now(), Alarm::default());
    alarm.set(Some(start));
    over(&mut alarm).await;
    alarm.set(None);
    assert!(is_pending(&mut alarm).await);
    alarm.set(Some(start + LONG));
    assert!(is_pending(&mut alarm).await);
    alarm.set(Some(start + MOMENT));
    assert!(over(&mut alarm).await >= start + MOMENT);
}
