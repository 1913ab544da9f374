//! Tunnels: both directions, each end on its own, and no end that is none.

use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::carry::QUIET;
use super::*;
use crate::proxy::cluster::Endpoint;
use crate::proxy::decide::{Decision, Endpoints};
use crate::proxy::overload::memory::Fill;
use crate::proxy::serve::tests::rig::{Rig, pair, read_until, run, soon};
use crate::proxy::slots::{SWEEP, Slots};
use crate::proxy::stream::Stream;

/// The outer ends of a tunnel: client and endpoint.
async fn tunnel() -> (TcpStream, TcpStream) {
    let ((client, inner), (endpoint, outer)) = (pair().await, pair().await);
    let mut near = Side::new(Stream::Plain(inner));
    let mut far = Side::new(Stream::Plain(outer));
    let slot = Slots::new().take();
    tokio::task::spawn_local(async move {
        carry(&slot, Duration::from_secs(60), &mut near, &mut far).await;
    });
    (client, endpoint)
}

#[test]
fn each_direction_ends_on_its_own() {
    run(async {
        let (mut client, mut endpoint) = tunnel().await;
        client.write_all(b"last words").await.unwrap();
        client.shutdown().await.unwrap();
        let mut heard = String::new();
        soon(endpoint.read_to_string(&mut heard)).await.unwrap();
        assert_eq!(heard, "last words");
        endpoint.write_all(b"answer").await.unwrap();
        drop(endpoint);
        let mut heard = String::new();
        soon(client.read_to_string(&mut heard)).await.unwrap();
        assert_eq!(heard, "answer");
    });
}

/// Each direction of a tunnel held a block for as long as it lasted.
#[test]
fn a_silent_tunnel_holds_no_room_and_goes_on_when_somebody_speaks() {
    run(async {
        let ((mut client, inner), (mut endpoint, outer)) = (pair().await, pair().await);
        let [mut near, mut far] = [inner, outer].map(|tcp| Side::new(Stream::Plain(tcp)));
        let (slots, idle) = (Slots::new(), Duration::from_secs(60));
        let slot = slots.take();
        let mut carried = Box::pin(carry(&slot, idle, &mut near, &mut far));
        for word in ["first", "again"] {
            let mut heard = [0; 5];
            client.write_all(word.as_bytes()).await.unwrap();
            tokio::select! {
                _ = &mut carried => panic!("it ended"),
                _ = soon(endpoint.read_exact(&mut heard)) => {}
            }
            assert_eq!(heard, word.as_bytes());
            slots.advance(slots.now() + QUIET);
            assert!(futures_util::poll!(&mut carried).is_pending(), "it is silent, no more");
        }
        drop(carried);
        assert!(!near.buffer.has_block() && !far.buffer.has_block());
        let mut carried = Box::pin(carry(&slot, idle, &mut near, &mut far));
        assert!(futures_util::poll!(&mut carried).is_pending());
        for (passed, ended) in [(QUIET, false), (idle - QUIET - SWEEP, false), (SWEEP, true)] {
            slots.advance(slots.now() + passed);
            assert_eq!(futures_util::poll!(&mut carried).is_ready(), ended, "{passed:?}");
        }
    });
}

#[test]
fn a_failure_is_passed_on_as_one() {
    run(async {
        let (mut client, mut endpoint) = tunnel().await;
        endpoint.write_all(b"half").await.unwrap();
        read_until(&mut client, "half").await;
        Stream::Plain(endpoint).abort();
        let ended = soon(client.read(&mut [0; 8])).await;
        assert!(ended.is_err(), "{ended:?}");
    });
}

#[test]
fn the_only_endpoint_is_tried_once() {
    run(async {
        let Rig { worker, app } = Rig::new().await;
        // It accepts, and then never answers the handshake.
        let endpoint = Endpoint {
            identity: Some("spiffe://cluster.local/ns/shop/sa/other".parse().unwrap()),
            ..Endpoint::plain("other-0".parse().unwrap(), app.local_addr().unwrap())
        };
        let decision = Decision {
            destination: "other".into(),
            destination_id: 0,
            service: worker.shared.service.clone(),
            rule: None,
            backend: 0,
            pool: Endpoints::App(Arc::new(endpoint)),
            affinity: None,
            fault: None,
        };
        assert_eq!(soon(open(&worker, &decision)).await.err(), Some(Reason::ConnectTimeout));
        soon(app.accept()).await.unwrap();
        let again = tokio::time::timeout(Duration::from_millis(50), app.accept()).await;
        assert!(again.is_err(), "tried twice");
    });
}

#[test]
fn without_memory_nobody_is_dialed_for_a_client_that_is_silent() {
    run(async {
        let rig = Rig::new().await;
        let endpoint = rig.worker.app.clone().unwrap();
        let (_client, inner) = pair().await;
        rig.worker.shared.overload.measure(Fill::of(930));
        assert!(speaks_first(&rig.worker, &inner, &endpoint).await.is_none());
        let called = Called::Address(endpoint.address);
        let mut side = Side::new(Stream::Plain(inner));
        assert!(find_out(&rig.worker, &mut side, &called).await.is_none());
        let came = std::future::poll_fn(|cx| Poll::Ready(rig.app.poll_accept(cx).is_ready()));
        assert!(!came.await, "nobody was dialed");
    });
}

#[test]
fn two_that_are_silent_are_parted_in_the_end() {
    run(async {
        let rig = Rig::new().await;
        let endpoint = rig.worker.app.clone().unwrap();
        let (_client, inner) = pair().await;
        let worker = Rc::clone(&rig.worker);
        let spoke = tokio::task::spawn_local(async move {
            speaks_first(&worker, &inner, &endpoint).await.is_some()
        });
        let (_app, _) = soon(rig.app.accept()).await.unwrap();
        tokio::task::yield_now().await;
        rig.worker.slots.close();
        assert!(!soon(spoke).await.unwrap());
    });
}

/// What has connected it is gone: a tunnel is its two sides, and how far each direction is.
#[test]
fn what_serves_a_tunnel_is_small() {
    fn size_of_future<A, B, C, D, F: Future>(_: impl Fn(A, B, C, D) -> F) -> usize {
        size_of::<F>()
    }
    for size in [size_of_future(serve_inbound), size_of_future(serve_opaque)] {
        assert!(size <= 768, "{size}");
    }
}
