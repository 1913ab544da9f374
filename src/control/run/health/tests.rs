//! The end of a control plane on a cluster: it is not ready any more, and serves on for a while.

use std::time::Instant;

use super::*;

/// Tells a control plane to end and waits until it does; how long that took, and what it was doing
/// when it was told.
async fn told_to_end(served: bool, last_calls: Duration) -> (Duration, Option<String>) {
    let health = Health::starting();
    if served {
        *health.waiting.lock() = None;
    }
    let (shutdown, stop) = (CancellationToken::new(), CancellationToken::new());
    shutdown.cancel();
    let began = Instant::now();
    leave(Arc::clone(&health), shutdown, stop.clone(), last_calls).await;
    assert!(stop.is_cancelled());
    (began.elapsed(), health.waiting.lock().clone())
}

#[tokio::test]
async fn who_is_told_to_end_serves_those_who_have_not_heard_of_it() {
    let last_calls = Duration::from_millis(30);
    let (took, says) = told_to_end(true, last_calls).await;
    assert!(took >= last_calls, "{took:?}");
    assert_eq!(says.as_deref(), Some("about to end"));
}

#[tokio::test]
async fn who_never_served_ends_at_once() {
    let (took, _) = told_to_end(false, Duration::from_secs(3600)).await;
    assert!(took < Duration::from_secs(60), "{took:?}");
}
