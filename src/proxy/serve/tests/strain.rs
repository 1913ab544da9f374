//! What becomes of requests when the proxy itself is in trouble: a panic, no memory, limits.

use tokio::io::AsyncWriteExt as _;

use super::LIFE;
use super::rig::{Rig, read_until, run, soon};
use crate::proxy::overload::memory::Fill;
use crate::telemetry::limits::Limit;

const GET: &str = "GET / HTTP/1.1\r\nHost: web\r\n\r\n";

/// A whole answer, on a connection that closes after it.
async fn refusal(rig: &Rig, client: &mut tokio::net::TcpStream) -> String {
    client.write_all(GET.as_bytes()).await.expect("sent");
    let (answer, _) = rig.to_the_end(client).await;
    String::from_utf8(answer).expect("text")
}

/// The application answers one request that has come to it.
async fn answer(app: &mut tokio::net::TcpStream, client: &mut tokio::net::TcpStream) {
    read_until(app, "\r\n\r\n").await;
    app.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi").await.expect("sent");
    read_until(client, "hi").await;
}

#[test]
#[expect(clippy::await_holding_refcell_ref, reason = "that the pool is taken is what panics")]
fn a_panic_costs_its_request_and_nobody_else() {
    run(async {
        let rig = Rig::new().await;
        let panics = || rig.worker.shared.metrics.panics.total();
        let (mut before, mut app) = rig.call(GET).await;
        answer(&mut app, &mut before).await;

        let taken = rig.worker.pool.borrow_mut();
        let mut client = rig.client(LIFE).await;
        let said = refusal(&rig, &mut client).await;
        assert!(said.starts_with("HTTP/1.1 500 "), "{said}");
        assert!(said.contains("meshctl-reason: internal\r\n"), "{said}");
        assert_eq!(panics(), 1);
        drop(taken);

        before.write_all(GET.as_bytes()).await.expect("sent");
        answer(&mut app, &mut before).await;
        assert_eq!(panics(), 1);
    });
}

#[test]
#[expect(clippy::await_holding_refcell_ref, reason = "that the pool is taken is what panics")]
fn a_panic_behind_the_head_of_an_answer_makes_the_end_a_reset() {
    run(async {
        let rig = Rig::new().await;
        let (mut client, mut app) = rig.call(GET).await;
        read_until(&mut app, "\r\n\r\n").await;
        // The connection to the application cannot be given back.
        let taken = rig.worker.pool.borrow_mut();
        app.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi").await.expect("sent");
        let (_, ended) = rig.to_the_end(&mut client).await;
        assert!(ended.is_err(), "no plain end");
        assert_eq!(rig.worker.shared.metrics.panics.total(), 1);
        drop(taken);
    });
}

#[test]
fn when_memory_is_short_new_callers_are_refused_and_then_all() {
    run(async {
        let rig = Rig::new().await;
        let overload = &rig.worker.shared.overload;
        let refused = |said: &str| {
            assert!(said.starts_with("HTTP/1.1 503 "), "{said}");
            assert!(said.contains("meshctl-reason: overloaded\r\n"), "{said}");
            assert!(said.contains("connection: close\r\n"), "{said}");
        };
        let (mut before, mut app) = rig.call(GET).await;
        answer(&mut app, &mut before).await;

        overload.measure(Fill::of(930));
        refused(&refusal(&rig, &mut rig.client(LIFE).await).await);
        before.write_all(GET.as_bytes()).await.expect("sent");
        answer(&mut app, &mut before).await;

        overload.measure(Fill::of(960));
        refused(&refusal(&rig, &mut rig.client(LIFE).await).await);
        refused(&refusal(&rig, &mut before).await);
        assert_eq!(rig.worker.shared.metrics.limits.of(Limit::Memory), 3);

        overload.measure(Fill::of(500));
        let mut after = rig.client(LIFE).await;
        after.write_all(GET.as_bytes()).await.expect("sent");
        answer(&mut app, &mut after).await;
    });
}

#[test]
fn when_memory_has_run_out_who_idles_or_stalls_is_cut() {
    run(async {
        let rig = Rig::new().await;
        let worker = std::rc::Rc::clone(&rig.worker);
        // Without what keeps time: it would set back the clock that is moved here.
        tokio::task::spawn_local(async move { worker.heed().await });
        let (stalled, _app) = rig.call(GET).await;
        let idle = rig.client(LIFE).await;
        while rig.worker.slots.in_use() < 2 {
            tokio::task::yield_now().await;
        }
        rig.worker.shared.overload.measure(Fill::of(960));
        let bell = rig.worker.shared.directory.bell();
        soon(async {
            while rig.worker.shared.metrics.limits.of(Limit::Memory) < 2 {
                rig.worker.slots.advance(rig.worker.slots.now() + crate::proxy::slots::STALLED);
                bell.ring_shortage();
                tokio::task::yield_now().await;
            }
        })
        .await;
        for client in [stalled, idle] {
            soon(client.readable()).await.expect("it ended");
        }
    });
}

#[test]
fn a_head_over_a_limit_is_counted_under_that_limit() {
    run(async {
        let rig = Rig::new().await;
        let fields = "x: 1\r\n".repeat(101);
        let long = "x".repeat(60 * 1024);
        for (head, limit, status) in [
            (format!("GET / HTTP/1.1\r\nHost: web\r\n{fields}\r\n"), Limit::HttpFields, 431),
            (format!("GET / HTTP/1.1\r\nHost: web\r\nx: {long}\r\n\r\n"), Limit::Http1Head, 431),
            (format!("GET /{long} HTTP/1.1\r\nHost: web\r\n\r\n"), Limit::Http1Head, 414),
            ("GET / HTTP/1.1\r\nHost: w".to_owned(), Limit::HeadTime, 408),
        ] {
            let before = rig.worker.shared.metrics.limits.of(limit);
            let mut client = rig.client(LIFE).await;
            // The proxy may have answered and closed before all of it was taken.
            let _ = client.write_all(head.as_bytes()).await;
            let (said, _) = rig.to_the_end(&mut client).await;
            let said = String::from_utf8_lossy(&said);
            assert!(said.starts_with(&format!("HTTP/1.1 {status} ")), "{limit:?}: {said}");
            assert_eq!(rig.worker.shared.metrics.limits.of(limit), before + 1, "{limit:?}");
        }
    });
}
