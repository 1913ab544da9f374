//! What the circuit breaker says of streams that share connections; what becomes of streams when
//! the proxy itself is in trouble.

use std::sync::Arc;
use std::task::Poll;

use tokio::sync::watch;

use super::rig::{App, Begun, Client, Does, Net, get, grpc};
use crate::proxy::decide::{Decision, Endpoints};
use crate::proxy::h2::seat;
use crate::proxy::overload::memory::Fill;
use crate::proxy::serve::tests::rig::{run, soon};
use crate::resource::{CircuitBreaker, ClusterPolicy, Retry, Timeouts};
use crate::telemetry::limits::Limit;

fn net(apps: &[&App], circuit_breaker: CircuitBreaker) -> Net {
    let policy = ClusterPolicy { circuit_breaker, ..ClusterPolicy::default() };
    Net::new(apps, (Retry::DEFAULT, Timeouts::default()), policy)
}

/// A request that an application has begun to answer and does not end.
async fn hold(client: &Client) -> Begun {
    let mut begun = client.begin(get(), false).await;
    begun.send(b"x", false).await;
    begun
}

async fn seen(apps: &[&App], count: usize) {
    soon(async {
        while apps.iter().map(|app| app.count()).sum::<usize>() < count {
            tokio::task::yield_now().await;
        }
    })
    .await;
}

#[test]
fn over_the_most_requests_the_answer_comes_at_once_in_the_callers_words() {
    run(async {
        let app = App::new(Does::Hang).await;
        let limits = CircuitBreaker { max_requests: Some(2), ..CircuitBreaker::default() };
        let net = net(&[&app], limits);
        let client = net.client().await;
        let held = [hold(&client).await, hold(&client).await];
        seen(&[&app], 2).await;
        let answer = client.ask(get(), &[]).await.unwrap();
        assert_eq!((answer.status, answer.reason.as_deref()), (503, Some("max_requests")));
        let answer = client.ask(grpc(), &[b"x"]).await.unwrap();
        assert_eq!((answer.status, answer.code), (200, Some(14)));
        assert_eq!(answer.reason.as_deref(), Some("max_requests"));
        assert_eq!(app.count(), 2);
        drop(held);
        app.does.set(Does::Answer(200));
        // What was given up counts no more.
        soon(async {
            while client.ask(get(), &[]).await.unwrap().status != 200 {
                tokio::task::yield_now().await;
            }
        })
        .await;
    });
}

#[test]
fn streams_share_the_connections_that_there_may_be_and_wait_for_a_seat() {
    run(async {
        let app = App::with_streams(Does::Echo, 1).await;
        let limits = CircuitBreaker {
            max_connections: Some(1),
            max_pending_requests: Some(1),
            ..CircuitBreaker::default()
        };
        let net = net(&[&app], limits);
        let client = net.client().await;
        // The settings of the application come with its first words.
        assert_eq!(client.ask(get(), &[]).await.unwrap().status, 200);
        let mut first = hold(&client).await;
        seen(&[&app], 2).await;
        let second = hold(&client).await;
        let third = loop {
            let answer = client.ask(get(), &[]).await.unwrap();
            if answer.reason.is_some() {
                break answer;
            }
            tokio::task::yield_now().await;
        };
        assert_eq!((third.status, third.reason.as_deref()), (503, Some("max_pending_requests")));
        assert_eq!((app.count(), app.connections.get()), (2, 1));
        first.send(b"end", true).await;
        assert_eq!(first.end().await.unwrap().body, b"xend");
        seen(&[&app], 3).await;
        let mut second = second;
        second.send(b"end", true).await;
        assert_eq!(second.end().await.unwrap().body, b"xend");
        assert_eq!(app.connections.get(), 1);
    });
}

#[test]
fn a_connection_to_another_endpoint_serves_where_no_further_one_may_be_opened() {
    run(async {
        let (one, two) = (App::new(Does::Answer(200)).await, App::new(Does::Answer(200)).await);
        let limits = CircuitBreaker { max_connections: Some(1), ..CircuitBreaker::default() };
        let net = net(&[&one, &two], limits);
        let client = net.client().await;
        for _ in 0..10 {
            assert_eq!(client.ask(get(), &[]).await.unwrap().status, 200);
        }
        assert_eq!(one.connections.get() + two.connections.get(), 1);
    });
}

/// It waited for a second permit beside the one that it held, until its time was over.
#[test]
fn whose_turn_came_while_another_opened_a_connection_opens_the_next_one() {
    run(async {
        let app = App::new(Does::Answer(200)).await;
        let limits = CircuitBreaker { max_connections: Some(1), ..CircuitBreaker::default() };
        let net = net(&[&app], limits);
        let (worker, endpoint) = (&net.worker, net.first());
        let cluster = worker.shared.directory.cluster(&"shop/app".parse().unwrap());
        let decision = Decision {
            destination: "shop/app".into(),
            destination_id: 1,
            service: "shop/app".parse().unwrap(),
            rule: None,
            backend: 0,
            pool: Endpoints::Mesh(cluster.load().unwrap(), 80),
            affinity: None,
            fault: None,
        };
        let open = decision.pool.circuit().unwrap().connection().await.unwrap();
        let mut wait = Box::pin(seat::acquire(worker, &decision, Arc::clone(&endpoint)));
        let mut waits = async || {
            std::future::poll_fn(|cx| Poll::Ready(wait.as_mut().poll(cx).is_pending())).await
        };
        assert!(waits().await, "it stands in line");
        // Another one has begun to open a connection when its turn comes.
        let (answer, attempt) = watch::channel(None);
        worker.http2.borrow_mut().begin(endpoint.id, attempt);
        drop(open);
        assert!(waits().await, "for that connection");
        // Which comes to nothing that it could use.
        worker.http2.borrow_mut().ended(endpoint.id);
        drop(answer);
        assert!(soon(wait).await.is_ok());
        assert_eq!(app.connections.get(), 1);
    });
}

#[test]
fn who_waits_too_long_for_a_connection_is_told() {
    run(async {
        let app = App::with_streams(Does::Echo, 1).await;
        let limits = CircuitBreaker { max_connections: Some(1), ..CircuitBreaker::default() };
        let net = net(&[&app], limits);
        let client = net.client().await;
        assert_eq!(client.ask(get(), &[]).await.unwrap().status, 200);
        let _held = hold(&client).await;
        seen(&[&app], 2).await;
        let answer = client.ask(get(), &[]).await.unwrap();
        assert_eq!((answer.status, answer.reason.as_deref()), (503, Some("max_connections")));
    });
}

#[test]
fn a_connection_ends_with_the_last_request_that_it_may_carry() {
    run(async {
        let app = App::new(Does::Answer(200)).await;
        let limits = CircuitBreaker {
            max_requests_per_connection: Some(2),
            max_connections: Some(1),
            ..CircuitBreaker::default()
        };
        let net = net(&[&app], limits);
        let client = net.client().await;
        for _ in 0..6 {
            assert_eq!(client.ask(get(), &[]).await.unwrap().status, 200);
        }
        assert_eq!((app.count(), app.connections.get()), (6, 3));
    });
}

#[test]
fn an_idle_connection_makes_way() {
    run(async {
        let (one, two) = (App::with_streams(Does::Echo, 1).await, App::new(Does::Echo).await);
        let limits = CircuitBreaker { max_connections: Some(2), ..CircuitBreaker::default() };
        let both = net(&[&one, &two], limits);
        let client = both.client().await;
        for _ in 0..2 {
            assert_eq!(client.ask(get(), &[]).await.unwrap().status, 200);
        }
        assert_eq!((one.connections.get(), two.connections.get()), (1, 1));
        // Each in turn: the second of those that go to `one` finds no seat there.
        let held = [hold(&client).await, hold(&client).await];
        seen(&[&one, &two], 4).await;
        drop(held);
        for _ in 0..4 {
            assert_eq!(client.ask(get(), &[]).await.unwrap().status, 200);
        }
    });
}

#[test]
#[expect(clippy::await_holding_refcell_ref, reason = "that the pool is taken is what panics")]
fn a_panic_resets_its_stream_and_no_other() {
    run(async {
        let app = App::new(Does::Answer(200)).await;
        let net = net(&[&app], CircuitBreaker::default());
        let client = net.client().await;
        assert_eq!(client.ask(get(), &[]).await.unwrap().status, 200);
        let taken = net.worker.http2.borrow_mut();
        let error = client.ask(get(), &[]).await.expect_err("a reset");
        assert!(error.is_reset(), "{error}");
        drop(taken);
        assert_eq!(client.ask(get(), &[]).await.unwrap().status, 200);
        assert_eq!(net.worker.shared.metrics.panics.total(), 1);
    });
}

#[test]
fn when_memory_is_short_streams_of_new_connections_are_refused_and_then_all() {
    run(async {
        let app = App::new(Does::Answer(200)).await;
        let net = net(&[&app], CircuitBreaker::default());
        let overload = &net.worker.shared.overload;
        let before = net.client().await;
        let statuses = async |client: &Client| {
            let answer = client.ask(get(), &[]).await.unwrap();
            (answer.status, answer.reason)
        };
        let refused = (503, Some("overloaded".to_owned()));
        assert_eq!(statuses(&before).await, (200, None));
        overload.measure(Fill::of(930));
        let new = net.client().await;
        // What it is told of the connection comes with its first answer.
        assert_eq!(statuses(&new).await, refused);
        assert_eq!(statuses(&before).await, (200, None));
        overload.measure(Fill::of(960));
        assert_eq!(statuses(&before).await, refused);
        overload.measure(Fill::of(500));
        assert_eq!(statuses(&new).await, (200, None));
        assert_eq!(net.worker.shared.metrics.limits.of(Limit::Memory), 2);
    });
}
