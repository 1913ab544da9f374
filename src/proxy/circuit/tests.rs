//! Breakers: never over a limit, over threads too; the line is fair and bounded.

use std::sync::atomic::AtomicUsize;
use std::task::{Context, Poll, Waker};

use super::*;

fn circuit(limits: &CircuitBreaker) -> Arc<Circuit> {
    let circuit = Arc::new(Circuit::default());
    circuit.limit(limits, false);
    circuit
}

fn connections(max: u32, pending: u32) -> CircuitBreaker {
    CircuitBreaker {
        max_connections: Some(max),
        max_pending_requests: Some(pending),
        ..CircuitBreaker::default()
    }
}

fn refused(circuit: &Circuit, what: &str) -> u64 {
    let report = circuit.report(Wall::now());
    report.and_then(|report| report.refused.get(what).copied()).unwrap_or(0)
}

/// Looks once whether a wait is over.
fn poll<F: Future + Unpin>(wait: &mut F) -> Poll<F::Output> {
    std::pin::Pin::new(wait).poll(&mut Context::from_waker(Waker::noop()))
}

/// Somebody who waits, boxed so that it can be looked at.
fn wait(
    circuit: &Arc<Circuit>,
    place: Option<Place>,
) -> std::pin::Pin<Box<dyn Future<Output = Result<Grant, Reason>>>> {
    let circuit = Arc::clone(circuit);
    let mut wait: std::pin::Pin<Box<dyn Future<Output = _>>> =
        Box::pin(async move { circuit.connection_or_pooled(place, false).await });
    assert!(poll(&mut wait).is_pending(), "there was no need to wait");
    wait
}

#[test]
fn without_limits_nothing_is_counted() {
    let circuit = circuit(&CircuitBreaker::default());
    assert!(circuit.request().unwrap().is_none());
    assert!(circuit.retry().unwrap().is_none());
    assert_eq!(circuit.report(Wall::now()), None);
    assert_eq!(circuit.max_requests_per_connection(), None);
}

#[test]
fn what_fits_is_never_refused_and_what_does_not_always_is() {
    let limits = CircuitBreaker {
        max_requests: Some(2),
        max_retries: Some(1),
        max_requests_per_connection: Some(9),
        ..CircuitBreaker::default()
    };
    let circuit = circuit(&limits);
    let first = circuit.request().unwrap();
    let _second = circuit.request().unwrap();
    assert_eq!(circuit.request().unwrap_err(), Reason::MaxRequests);
    drop(first);
    assert!(circuit.request().unwrap().is_some());
    let _retry = circuit.retry().unwrap();
    assert_eq!(circuit.retry().unwrap_err(), TooManyRetries);
    assert_eq!(circuit.max_requests_per_connection(), Some(9));
    let report = circuit.report(Wall::now()).unwrap();
    assert!(report.open);
    assert_eq!(report.refused, [("max_requests", 1), ("max_retries", 1)].map(owned).into());
}

fn owned((word, count): (&str, u64)) -> (String, u64) {
    (word.to_owned(), count)
}

#[test]
fn a_breaker_is_open_for_ten_seconds_after_it_last_refused() {
    let refusals = Refusals::default();
    assert!(!refusals.is_open(0));
    refusals.note(Refused::Requests, 5_000);
    assert!(refusals.is_open(5_000) && refusals.is_open(14_999));
    assert!(!refusals.is_open(15_000));
    assert_eq!(refusals.last_ms(), Some(5_000));
}

#[test]
fn threads_together_never_go_over_a_limit() {
    let limits = CircuitBreaker { max_requests: Some(3), ..CircuitBreaker::default() };
    let circuit = circuit(&limits);
    let (inside, most, got) = (AtomicU32::new(0), AtomicU32::new(0), AtomicUsize::new(0));
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                for _ in 0..5_000 {
                    let Ok(permit) = circuit.request() else { continue };
                    most.fetch_max(inside.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                    std::hint::spin_loop();
                    inside.fetch_sub(1, Ordering::SeqCst);
                    got.fetch_add(1, Ordering::Relaxed);
                    drop(permit);
                }
            });
        }
    });
    assert!(most.load(Ordering::SeqCst) <= 3);
    assert_eq!(got.load(Ordering::Relaxed) as u64 + refused(&circuit, "max_requests"), 40_000);
    assert_eq!(circuit.requests.load(Ordering::Relaxed), 0);
}

#[test]
fn in_shadow_everything_is_counted_and_nothing_refused() {
    let limits = CircuitBreaker { max_requests: Some(1), ..connections(1, 1) };
    let circuit = circuit(&limits);
    circuit.limit(&limits, true);
    let requests: Vec<_> = (0..3).map(|_| circuit.request().unwrap()).collect();
    let mut open = Vec::new();
    for _ in 0..3 {
        let mut connection = Box::pin(circuit.connection());
        let Poll::Ready(Ok(Some(permit))) = poll(&mut connection) else { panic!("it waits") };
        open.push(permit);
    }
    assert_eq!((refused(&circuit, "max_requests"), refused(&circuit, "max_connections")), (2, 2));
    drop((requests, open));
    assert_eq!((circuit.requests.load(Ordering::Relaxed), circuit.line.counts()), (0, (0, 0)));
}

#[test]
fn who_waits_is_served_in_order_and_the_line_is_bounded() {
    let circuit = circuit(&connections(1, 2));
    let Poll::Ready(Ok(Some(open))) = poll(&mut Box::pin(circuit.connection())) else {
        panic!("the first does not wait")
    };
    let (mut first, mut second) = (wait(&circuit, None), wait(&circuit, None));
    assert!(circuit.is_waited_for());
    let Poll::Ready(full) = poll(&mut Box::pin(circuit.connection())) else { panic!("no bound") };
    assert_eq!(full.unwrap_err(), Reason::MaxPendingRequests);
    drop(open);
    assert!(poll(&mut second).is_pending());
    let Poll::Ready(Ok(Grant::Open(permit))) = poll(&mut first) else { panic!("not served") };
    drop(permit);
    assert!(poll(&mut second).is_ready());
    assert!(!circuit.is_waited_for());
    assert_eq!(circuit.gave_up(), Reason::MaxConnections);
    assert_eq!(refused(&circuit, "max_pending_requests"), 1);
    assert_eq!(refused(&circuit, "max_connections"), 1);
}

#[test]
fn who_goes_away_loses_nothing_for_the_others() {
    let circuit = circuit(&connections(1, 8));
    let Poll::Ready(Ok(Some(open))) = poll(&mut Box::pin(circuit.connection())) else { panic!() };
    let (gone, served, mut last) =
        (wait(&circuit, None), wait(&circuit, None), wait(&circuit, None));
    drop(gone);
    drop(open);
    // It has been served, but goes away without having looked.
    drop(served);
    let Poll::Ready(Ok(Grant::Open(permit))) = poll(&mut last) else { panic!("not served") };
    assert_eq!(circuit.line.counts(), (1, 0));
    drop(permit);
    assert_eq!(circuit.line.counts(), (0, 0));
}

#[test]
fn a_higher_limit_lets_the_line_through_and_a_lower_one_lets_end() {
    let circuit = circuit(&connections(1, 8));
    let Poll::Ready(Ok(Some(_open))) = poll(&mut Box::pin(circuit.connection())) else { panic!() };
    let mut waiting = [wait(&circuit, None), wait(&circuit, None), wait(&circuit, None)];
    circuit.limit(&connections(3, 8), false);
    let served: Vec<_> = waiting.iter_mut().map(poll).filter(Poll::is_ready).collect();
    assert_eq!((served.len(), circuit.line.counts()), (2, (3, 1)));
    circuit.limit(&connections(1, 8), false);
    drop(served);
    assert_eq!(circuit.line.counts(), (1, 1));
    circuit.limit(&CircuitBreaker::default(), false);
    let [.., last] = &mut waiting;
    assert!(poll(last).is_ready());
}

#[test]
fn an_idle_connection_goes_to_who_can_use_it_but_not_for_ever() {
    let (here, there) = (Place { worker: 1, endpoint: 5 }, Place { worker: 2, endpoint: 5 });
    let circuit = circuit(&connections(1, 100));
    let Poll::Ready(Ok(Some(open))) = poll(&mut Box::pin(circuit.connection())) else { panic!() };
    assert!(open.keep_idle(here), "nobody waits");
    let mut elsewhere = wait(&circuit, Some(there));
    assert!(open.is_waited_for());
    for _ in 0..16 {
        let mut local = wait(&circuit, Some(here));
        assert!(open.keep_idle(here));
        assert!(matches!(poll(&mut local), Poll::Ready(Ok(Grant::Pooled))));
    }
    let mut local = wait(&circuit, Some(here));
    assert!(!open.keep_idle(here), "the first in line has been overtaken often enough");
    drop(open);
    let Poll::Ready(Ok(Grant::Open(permit))) = poll(&mut elsewhere) else { panic!("not served") };
    assert!(poll(&mut local).is_pending());
    // Who was told of a pooled one that another took is first in line again.
    let other = wait(&circuit, None);
    let mut again = Box::pin(circuit.connection_or_pooled(Some(there), true));
    assert!(poll(&mut again).is_pending());
    drop(permit);
    assert!(poll(&mut again).is_ready());
    drop((local, other));
}

/// Whoever waited then did so until their time was over, beside a connection that nobody used.
#[test]
fn an_idle_connection_that_came_too_late_for_one_goes_to_the_next() {
    let (here, there) = (Place { worker: 1, endpoint: 5 }, Place { worker: 2, endpoint: 5 });
    let bell = Arc::new(Bell::default());
    let mut shortages = bell.shortages();
    let circuit = Arc::new(Circuit::new(bell));
    circuit.limit(&connections(1, 100), false);
    let Poll::Ready(Ok(Some(open))) = poll(&mut Box::pin(circuit.connection())) else { panic!() };
    let (gone, mut elsewhere, mut next) =
        (wait(&circuit, Some(here)), wait(&circuit, Some(there)), wait(&circuit, Some(here)));
    shortages.mark_unchanged();
    assert!(open.keep_idle(here));
    drop(gone);
    assert!(matches!(poll(&mut next), Poll::Ready(Ok(Grant::Pooled))), "the next at that place");
    assert!(!shortages.has_changed().unwrap());
    // Where nobody else waits there it is to be closed for who waits elsewhere.
    let gone = wait(&circuit, Some(here));
    shortages.mark_unchanged();
    assert!(open.keep_idle(here));
    drop(gone);
    assert!(shortages.has_changed().unwrap() && open.is_waited_for());
    drop(open);
    assert!(matches!(poll(&mut elsewhere), Poll::Ready(Ok(Grant::Open(_)))));
    assert_eq!(circuit.line.counts(), (0, 0));
}

#[tokio::test]
async fn a_wait_rings_for_idle_connections() {
    let bell = Arc::new(Bell::default());
    let mut shortages = bell.shortages();
    let circuit = Arc::new(Circuit::new(bell));
    circuit.limit(&connections(1, 8), false);
    let open = circuit.connection().await.unwrap();
    assert!(!shortages.has_changed().unwrap());
    let waiting = tokio::spawn({
        let circuit = Arc::clone(&circuit);
        async move { circuit.connection().await }
    });
    shortages.changed().await.unwrap();
    assert!(open.as_ref().is_some_and(Permit::is_waited_for));
    drop(open);
    assert!(waiting.await.unwrap().unwrap().is_some());
}

#[test]
fn workers_together_never_open_more_than_may_be_and_all_are_served() {
    let circuit = circuit(&connections(3, 10_000));
    let (inside, most) = (AtomicU32::new(0), AtomicU32::new(0));
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                let runtime = tokio::runtime::LocalRuntime::new().unwrap();
                runtime.block_on(async {
                    let serve = async || {
                        for _ in 0..50 {
                            let permit = circuit.connection().await.unwrap();
                            let now = inside.fetch_add(1, Ordering::SeqCst) + 1;
                            most.fetch_max(now, Ordering::SeqCst);
                            tokio::task::yield_now().await;
                            inside.fetch_sub(1, Ordering::SeqCst);
                            drop(permit);
                        }
                    };
                    futures_util::future::join_all((0..20).map(|_| serve())).await;
                });
            });
        }
    });
    assert!((1..=3).contains(&most.load(Ordering::SeqCst)));
    assert_eq!(circuit.line.counts(), (0, 0));
}
