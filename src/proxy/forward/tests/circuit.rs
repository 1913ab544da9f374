//! What the circuit breaker lets through, and how it says no.

use std::cell::Cell;
use std::rc::Rc;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use tokio::sync::Notify;

use super::rig::{Client, Reply, Rig, Rules, answer, get, ok};
use super::{eager, with};
use crate::proxy::circuit::Place;
use crate::proxy::decide::{Decision, Endpoints};
use crate::proxy::forward::lease;
use crate::proxy::serve::tests::rig::{run, soon};
use crate::resource::{CircuitBreaker, ClusterPolicy, Retry, Timeouts};

fn limited(circuit_breaker: CircuitBreaker) -> Rules {
    Rules {
        policy: ClusterPolicy { circuit_breaker, ..ClusterPolicy::default() },
        ..Rules::default()
    }
}

/// Endpoints that answer when they are told, once for each time.
async fn told(count: usize, rules: Rules) -> (Rig, Rc<Notify>) {
    let told = Rc::new(Notify::new());
    let later = Rc::clone(&told);
    let text = "HTTP/1.1 200 X\r\ncontent-length: 0\r\n\r\n";
    let rig = Rig::new(count, rules, move |_, _| Reply::Later(Rc::clone(&later), text.to_owned()));
    (rig.await, told)
}

async fn asking(rig: &Rig) -> Client {
    let mut client = rig.client().await;
    client.send(&get("/")).await;
    client
}

#[test]
fn over_the_limit_of_requests_the_answer_is_503_at_once() {
    run(async {
        let breaker = CircuitBreaker { max_requests: Some(2), ..CircuitBreaker::default() };
        let (rig, told) = told(2, limited(breaker)).await;
        let mut under_way = [asking(&rig).await, asking(&rig).await];
        rig.has_seen(2).await;
        for _ in 0..3 {
            let (status, text) = rig.ask(&get("/")).await;
            assert!(status == 503 && text.contains("meshctl-reason: max_requests"), "{text}");
            assert!(!text.contains("connection: close"), "{text}");
        }
        for client in &mut under_way {
            told.notify_one();
            client.answer().await;
        }
        told.notify_one();
        assert_eq!((rig.ask(&get("/")).await.0, rig.seen().len()), (200, 3));
    });
}

#[test]
fn who_waits_for_a_connection_gets_it_and_too_many_do_not_wait() {
    run(async {
        let breaker = CircuitBreaker {
            max_connections: Some(1),
            max_pending_requests: Some(1),
            ..CircuitBreaker::default()
        };
        let (rig, told) = told(1, limited(breaker)).await;
        let mut first = asking(&rig).await;
        rig.has_seen(1).await;
        let mut second = asking(&rig).await;
        let (status, text) = loop {
            let (status, text) = rig.ask(&get("/")).await;
            if !text.contains("max_connections") {
                break (status, text);
            }
        };
        assert!(status == 503 && text.contains("meshctl-reason: max_pending_requests"), "{text}");
        told.notify_one();
        assert_eq!(first.answer().await.0, 200);
        rig.has_seen(2).await;
        told.notify_one();
        assert_eq!(second.answer().await.0, 200);
        assert_eq!(rig.connections(0), 1, "the same connection");
    });
}

#[test]
fn nobody_waits_for_a_connection_without_end() {
    run(async {
        let moment = Duration::from_millis(300);
        let long = Duration::from_secs(60);
        let each = Timeouts { request: None, backend_request: Some(moment) };
        let hedged = Some(Duration::from_millis(10));
        for (connect_timeout, timeouts, hedge_after) in [
            (moment, Timeouts::default(), None),
            (long, each, None),
            (moment, Timeouts::default(), hedged),
            (long, each, hedged),
        ] {
            let circuit_breaker =
                CircuitBreaker { max_connections: Some(1), ..CircuitBreaker::default() };
            let policy =
                ClusterPolicy { circuit_breaker, connect_timeout, ..ClusterPolicy::default() };
            // The one connection is an upgraded one, so that no time of a try ends it.
            let rules = Rules { policy, timeouts, ..with(Retry { hedge_after, ..eager() }) };
            let rig = Rig::new(1, rules, |before, _| match before {
                0 => Reply::Text(
                    "HTTP/1.1 101 X\r\nconnection: upgrade\r\nupgrade: x\r\n\r\n".to_owned(),
                ),
                _ => ok(),
            });
            let rig = rig.await;
            let mut first = rig.client().await;
            let upgrade = "\r\nconnection: upgrade\r\nupgrade: x\r\n\r\n";
            assert_eq!(first.ask(&get("/").replace("\r\n\r\n", upgrade)).await.0, 101);
            let (status, text) = rig.ask(&get("/")).await;
            assert!(status == 503 && text.contains("meshctl-reason: max_connections"), "{text}");
            assert_eq!(rig.seen().len(), 1);
        }
    });
}

#[test]
fn an_idle_connection_makes_way_for_one_that_is_needed_elsewhere() {
    run(async {
        let breaker = CircuitBreaker { max_connections: Some(1), ..CircuitBreaker::default() };
        let rig = Rig::new(2, limited(breaker), |_, _| ok()).await;
        // Each in turn, so that none can use the connection of the one before.
        assert_eq!(rig.gets(6).await, [200; 6]);
        assert_eq!((rig.connections(0), rig.connections(1)), (3, 3));
    });
}

#[test]
fn a_connection_carries_no_more_requests_than_it_may() {
    run(async {
        let breaker =
            CircuitBreaker { max_requests_per_connection: Some(2), ..CircuitBreaker::default() };
        let rig = Rig::new(1, limited(breaker), |_, _| ok()).await;
        assert_eq!(rig.gets(6).await, [200; 6]);
        assert_eq!(rig.connections(0), 3);
        assert!(rig.seen().iter().all(|seen| seen.connection < 3));
    });
}

#[test]
fn there_are_no_more_repetitions_at_once_than_there_may_be() {
    run(async {
        let circuit_breaker = CircuitBreaker { max_retries: Some(1), ..CircuitBreaker::default() };
        let policy = ClusterPolicy { circuit_breaker, ..ClusterPolicy::default() };
        let hanging = |_: usize, seen: &super::rig::Seen| match seen.attempt() {
            Some("3") => Reply::Silence,
            _ => answer(503, "", ""),
        };
        let rig = Rig::new(2, Rules { policy, ..with(eager()) }, hanging).await;
        let _under_way = asking(&rig).await;
        rig.has_seen(3).await;
        assert_eq!((rig.ask(&get("/")).await.0, rig.seen().len()), (503, 4), "it stands");
    });
}

/// It took one of the pool, which may end as the one before did that it is to replace.
#[test]
fn who_must_have_a_fresh_connection_is_not_told_of_a_pooled_one() {
    run(async {
        let breaker = CircuitBreaker { max_connections: Some(1), ..CircuitBreaker::default() };
        let rig = Rig::new(1, limited(breaker), |_, _| ok()).await;
        let worker = &rig.worker;
        let cluster = worker.shared.directory.cluster(&"shop/app".parse().unwrap()).load().unwrap();
        let endpoint = Arc::clone(&cluster.port(80).unwrap().endpoints[0]);
        let decision = Decision {
            destination: "shop/app".into(),
            destination_id: 1,
            service: "shop/app".parse().unwrap(),
            rule: None,
            backend: 0,
            pool: Endpoints::Mesh(cluster, 80),
            affinity: None,
            fault: None,
        };
        let in_line = Cell::new(false);
        let first = lease::acquire(worker, &decision, &endpoint, true, &in_line).await.unwrap();
        let mut wait = Box::pin(lease::acquire(worker, &decision, &endpoint, true, &in_line));
        let waits = std::future::poll_fn(|cx| Poll::Ready(wait.as_mut().poll(cx).is_pending()));
        assert!(waits.await && in_line.get());
        let place = Place { worker: Rc::as_ptr(worker) as usize, endpoint: endpoint.id };
        match first.permit.as_ref().unwrap().keep_idle(place) {
            true => assert!(worker.pool.borrow_mut().give(first, worker.slots.now())),
            false => drop(first),
        }
        assert!(!soon(wait).await.unwrap().is_reused());
    });
}
