//! Connections that switch to another protocol.

use std::sync::atomic::Ordering;

use tokio::io::AsyncWriteExt as _;

use super::rig::{Rig, read_until, run, soon};

const UPGRADE: &str = "GET / HTTP/1.1\r\nHost: web\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n";

const GRANTED: &[u8] =
    b"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n";

#[test]
fn an_upgraded_connection_is_in_flight_and_its_bytes_are_counted() {
    run(async {
        let rig = Rig::new().await;
        let (mut client, mut app) = rig.call(UPGRADE).await;
        read_until(&mut app, "\r\n\r\n").await;
        app.write_all(GRANTED).await.unwrap();
        read_until(&mut client, "\r\n\r\n").await;
        client.write_all(b"ping").await.unwrap();
        read_until(&mut app, "ping").await;
        app.write_all(b"answer").await.unwrap();
        read_until(&mut client, "answer").await;
        let endpoint = rig.worker.app.clone().unwrap();
        let in_flight = || endpoint.in_flight.load(Ordering::Relaxed);
        assert_eq!(in_flight(), 1);
        drop((client, app));
        soon(async {
            while in_flight() > 0 {
                tokio::task::yield_now().await;
            }
        })
        .await;
        let edges = rig.worker.shared.metrics.totals();
        let bytes: Vec<_> = edges.iter().map(|it| (it.request_bytes, it.response_bytes)).collect();
        assert_eq!(bytes, [(4, 6)]);
    });
}

#[test]
fn what_comes_before_a_switch_is_never_carried() {
    run(async {
        let rig = Rig::new().await;
        let (mut client, mut app) = rig.call(UPGRADE).await;
        read_until(&mut app, "\r\n\r\n").await;
        // Both have come before the proxy looks again.
        client.write_all(b"GET /smuggled HTTP/1.1\r\nHost: web\r\n\r\n").await.unwrap();
        app.write_all(GRANTED).await.unwrap();
        let (answer, _) = rig.to_the_end(&mut client).await;
        assert!(answer.starts_with(b"HTTP/1.1 400 "), "{}", answer.escape_ascii());
        let (carried, _) = rig.to_the_end(&mut app).await;
        assert!(carried.is_empty(), "{}", carried.escape_ascii());
    });
}
