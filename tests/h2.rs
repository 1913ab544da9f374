//! HTTP/2 and gRPC through two sidecars, with real libraries at both ends.
#![expect(clippy::unwrap_used, reason = "a test ends where something is not as it must be")]

use std::net::SocketAddr;
use std::sync::atomic::Ordering;
use std::time::Duration;

use bytes::Bytes;
use futures_util::{StreamExt as _, future, stream};
use h2::Reason;
use http::HeaderValue;
use meshctl::names::Protocol;
use tonic::client::Grpc;
use tonic::codegen::http::uri::PathAndQuery;
use tonic::transport::{Channel, Endpoint};
use tonic::{Code, Request};
use tonic_prost::ProstCodec;

mod echo;
pub(crate) mod raw;
mod resilience;
mod rig;

use echo::Message;
use rig::{DEADLINE, Mesh, eventually};

const MIB: usize = 1024 * 1024;

type Client = Grpc<Channel>;

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Runtime::new().unwrap()
}

/// A client of `echo` over the listener at `address`.
async fn client(address: SocketAddr) -> Client {
    let endpoint = Endpoint::from_shared(format!("http://{address}")).unwrap();
    let endpoint = endpoint.origin("http://echo".parse().unwrap());
    let channel = endpoint.initial_stream_window_size(65_535).connect().await.unwrap();
    Grpc::new(channel).max_decoding_message_size(2 * MIB)
}

/// The client, when it may be called.
async fn ready(client: &mut Client) -> &mut Client {
    client.ready().await.unwrap();
    client
}

fn codec() -> ProstCodec<Message, Message> {
    ProstCodec::default()
}

fn path(method: &str) -> PathAndQuery {
    format!("/test.Echo/{method}").parse().unwrap()
}

/// Waits until a call gets through: the endpoint arrives a moment after the proxies are ready.
async fn settled(address: SocketAddr, authority: &str) {
    let until = tokio::time::Instant::now() + DEADLINE;
    loop {
        let send = raw::client(address).await;
        let head = raw::answer(&send, raw::get(authority, "/")).await;
        match head.map(|head| head.headers().get("meshctl-reason").cloned()) {
            Ok(None) => return,
            other => assert!(tokio::time::Instant::now() < until, "{other:?}"),
        }
    }
}

#[test]
fn all_four_kinds_of_grpc_pass_by_either_listener() {
    let runtime = runtime();
    let (app, _) = runtime.block_on(echo::start());
    let mesh = Mesh::start(&[("echo", app, Protocol::Grpc)]);
    runtime.block_on(async {
        settled(mesh.outbound(), "echo").await;
        for listener in [mesh.outbound(), mesh.upstream("echo")] {
            let mut client = client(listener).await;
            tokio::time::timeout(DEADLINE, four_kinds(&mut client)).await.unwrap();
            let status = ready(&mut client)
                .await
                .unary(Request::new(Message::new()), path("Fail"), codec())
                .await
                .expect_err("it fails");
            assert_eq!(
                (status.code(), status.message()),
                (Code::ResourceExhausted, "too much of it")
            );
            assert_eq!(status.metadata().get("x-why").unwrap(), "because");
        }
    });
}

async fn four_kinds(client: &mut Client) {
    let large: Message = (0..MIB).map(|n| n as u8).collect();
    let answer = ready(client)
        .await
        .unary(Request::new(large.clone()), path("Chat"), codec())
        .await
        .unwrap();
    assert!(answer.into_inner() == large, "1 MiB is the same there and back");

    let mut forged = Request::new(Message::new());
    forged.metadata_mut().insert("x-forwarded-client-cert", "URI=spiffe://evil".parse().unwrap());
    let caller =
        ready(client).await.unary(forged, path("Caller"), codec()).await.unwrap().into_inner();
    let caller = String::from_utf8(caller).unwrap();
    assert!(caller.ends_with("URI=spiffe://cluster.local/ns/default/sa/web"), "{caller}");

    let many =
        ready(client).await.server_streaming(Request::new(Message::new()), path("Count"), codec());
    let many = many.await.unwrap().into_inner().map(|message| message.unwrap().len());
    assert_eq!(many.fold(0, |sum, length| future::ready(sum + length)).await, echo::COUNT);

    let tiny = stream::iter(std::iter::repeat_n(vec![1], echo::COUNT));
    let sum = ready(client)
        .await
        .client_streaming(Request::new(tiny), path("Sum"), codec())
        .await
        .unwrap();
    assert_eq!(sum.into_inner(), echo::COUNT.to_string().into_bytes());

    // One by one: each message must come back before the next is sent.
    let (sender, receiver) = tokio::sync::mpsc::channel(1);
    let outgoing = tokio_stream::wrappers::ReceiverStream::new(receiver);
    let chat = ready(client).await.streaming(Request::new(outgoing), path("Chat"), codec());
    let send = sender.send(large.clone());
    let (chat, sent) = tokio::join!(chat, send);
    sent.unwrap();
    let mut chat = chat.unwrap().into_inner();
    for _ in 0..3 {
        assert!(chat.message().await.unwrap().unwrap() == large);
        sender.send(large.clone()).await.unwrap();
    }
    assert!(chat.message().await.unwrap().unwrap() == large);
    drop(sender);
    assert_eq!(chat.message().await.unwrap(), None);
    assert!(chat.trailers().await.unwrap().is_some());
}

#[test]
fn a_slow_reader_holds_back_a_fast_sender_and_a_cancel_reaches_the_server() {
    let runtime = runtime();
    let (app, seen) = runtime.block_on(echo::start());
    let mesh = Mesh::start(&[("echo", app, Protocol::Grpc)]);
    runtime.block_on(async {
        settled(mesh.outbound(), "echo").await;
        let mut client = client(mesh.outbound()).await;
        let request = Request::new(Message::new());
        let drops = ready(&mut client)
            .await
            .server_streaming(request, path("Firehose"), codec())
            .await
            .unwrap();
        let mut drops = drops.into_inner();
        assert_eq!(drops.message().await.unwrap().unwrap().len(), echo::DROP_BYTES);
        // Still when nothing was made for a while; nobody reads meanwhile.
        let mut made = 0;
        while made != seen.drops.load(Ordering::Relaxed) {
            made = seen.drops.load(Ordering::Relaxed);
            tokio::time::sleep(Duration::from_millis(500)).await;
        }
        assert!(made * echo::DROP_BYTES < 8 * MIB, "{made} messages lie on the way");
        let rest = tokio::time::timeout(DEADLINE, drops.count()).await.unwrap();
        assert_eq!(rest, echo::DROPS - 1);

        let hang =
            ready(&mut client).await.unary(Request::new(Message::new()), path("Hang"), codec());
        let began = async {
            while seen.hanging.load(Ordering::Relaxed) == 0 {
                tokio::task::yield_now().await;
            }
        };
        tokio::select! {
            answer = hang => panic!("{answer:?}"),
            () = began => {}
        }
    });
    eventually("the server hears of it", || {
        (seen.cancelled.load(Ordering::Relaxed) == 1).then_some(())
    });
}

#[test]
fn resets_go_both_ways_with_their_codes() {
    let runtime = runtime();
    let (app, mut lost) = runtime.block_on(raw::start());
    let mesh = Mesh::start(&[("raw", app, Protocol::Http2)]);
    let checks = async {
        settled(mesh.outbound(), "raw").await;
        let send = raw::client(mesh.outbound()).await;
        // Refused before anybody looked at it: sent once more, and the caller never knows.
        let head = raw::answer(&send, raw::get("raw", "/refused")).await.unwrap();
        assert_eq!(head.status(), 200);
        let error = raw::answer(&send, raw::get("raw", "/reset")).await.unwrap_err();
        assert_eq!(error.reason(), Some(Reason::INADEQUATE_SECURITY));

        let mut ready = send.clone().ready().await.unwrap();
        let (answer, mut body) = ready.send_request(raw::get("raw", "/half"), false).unwrap();
        let mut answer = answer.await.unwrap().into_body();
        assert_eq!(answer.data().await.unwrap().unwrap(), "half");
        body.send_data(Bytes::new(), true).unwrap();
        let error = answer.data().await.unwrap().unwrap_err();
        assert_eq!(error.reason(), Some(Reason::ENHANCE_YOUR_CALM));

        let (_answer, mut body) = ready.send_request(raw::get("raw", "/hold"), false).unwrap();
        assert_eq!(lost.recv().await, Some(0));
        body.send_reset(Reason::NO_ERROR);
        assert_eq!(lost.recv().await, Some(u32::from(Reason::NO_ERROR)));

        let (answer, body) = ready.send_request(raw::get("raw", "/hold"), false).unwrap();
        assert_eq!(lost.recv().await, Some(0));
        drop((answer, body));
        assert_eq!(lost.recv().await, Some(u32::from(Reason::CANCEL)));
    };
    runtime.block_on(async { tokio::time::timeout(DEADLINE, checks).await }).unwrap();
}

#[test]
fn streams_share_connections_and_survive_their_end() {
    let runtime = runtime();
    let (app, _lost) = runtime.block_on(raw::start());
    let mesh = Mesh::start(&[("raw", app, Protocol::Http2)]);
    let checks = async {
        settled(mesh.outbound(), "raw").await;
        let send = raw::client(mesh.outbound()).await;
        let together = (0..raw::TOGETHER).map(|_| raw::answer(&send, raw::get("raw", "/together")));
        for head in future::join_all(together).await {
            assert_eq!(head.unwrap().status(), 200);
        }
        for round in 0..50 {
            let path = if round % 10 == 0 { "/goaway" } else { "/" };
            let head = raw::answer(&send, raw::get("raw", path)).await.unwrap();
            assert_eq!((head.status().as_u16(), head.headers().get("meshctl-reason")), (200, None));
        }
        let (mut response, _) = send
            .clone()
            .ready()
            .await
            .unwrap()
            .send_request(raw::get("raw", "/early"), true)
            .unwrap();
        let interim = std::future::poll_fn(|cx| response.poll_informational(cx)).await;
        assert_eq!(interim.unwrap().unwrap().status(), 103);
        assert_eq!(response.await.unwrap().status(), 200);
    };
    runtime.block_on(async { tokio::time::timeout(DEADLINE, checks).await }).unwrap();
}

#[test]
fn heads_are_canonical_and_the_proxy_answers_in_the_callers_words() {
    let runtime = runtime();
    let (app, _lost) = runtime.block_on(raw::start());
    let mesh = Mesh::start(&[("raw", app, Protocol::Http2), ("old", app, Protocol::Http)]);
    let checks = async {
        settled(mesh.outbound(), "raw").await;
        let send = raw::client(mesh.outbound()).await;
        let mut request = raw::get("raw.default.svc.cluster.local", "/a/../%62//c?d=%2F");
        let forged = HeaderValue::from_static("URI=spiffe://evil");
        request.headers_mut().insert("x-forwarded-client-cert", forged);
        request.headers_mut().insert("x-one", HeaderValue::from_static("1"));
        let head = raw::answer(&send, request).await.unwrap();
        let header = |name: &str| head.headers()[name].to_str().unwrap();
        assert_eq!(header("x-path"), "/b/c");
        assert_eq!(header("x-authority"), "raw.default.svc.cluster.local");
        assert_eq!(header("x-one"), "1");
        assert_eq!(header("traceparent").len(), 55);
        let caller = header("x-forwarded-client-cert");
        assert!(caller.ends_with("URI=spiffe://cluster.local/ns/default/sa/web"), "{caller}");

        let mut two_hosts = raw::get("raw", "/");
        two_hosts.headers_mut().insert("host", HeaderValue::from_static("old"));
        assert_answer(&send, two_hosts, 400, "bad_request").await;
        let mut connect = raw::get("raw", "/");
        *connect.method_mut() = http::Method::CONNECT;
        *connect.uri_mut() = http::Uri::from_static("raw:80");
        assert_answer(&send, connect, 400, "bad_request").await;
        assert_answer(&send, raw::get("raw:81", "/"), 404, "no_route").await;

        let grpc = || {
            let mut request = raw::get("old", "/test.Echo/Chat");
            let kind = HeaderValue::from_static("application/grpc");
            request.headers_mut().insert("content-type", kind);
            request
        };
        // The endpoint of `old` arrives when it is first called.
        assert_answer(&send, raw::get("old", "/"), 502, "protocol_mismatch").await;
        let head = raw::answer(&send, grpc()).await.unwrap();
        assert_eq!(head.status(), 200);
        assert_eq!(head.headers()["grpc-status"], "14");
        assert_eq!(head.headers()["meshctl-reason"], "protocol_mismatch");
        assert!(head.into_body().is_end_stream(), "trailers only");
    };
    runtime.block_on(async { tokio::time::timeout(DEADLINE, checks).await }).unwrap();
}

async fn assert_answer(
    send: &h2::client::SendRequest<Bytes>,
    request: http::Request<()>,
    status: u16,
    reason: &str,
) {
    let head = raw::answer(send, request).await.unwrap();
    assert_eq!(
        (head.status().as_u16(), head.headers()["meshctl-reason"].to_str().unwrap()),
        (status, reason)
    );
}

#[test]
fn a_flood_of_resets_ends_its_connection_alone_and_a_drain_says_goaway() {
    let runtime = runtime();
    let (app, _lost) = runtime.block_on(raw::start());
    let mesh = Mesh::start(&[("raw", app, Protocol::Http2)]);
    let checks = async {
        settled(mesh.outbound(), "raw").await;
        let neighbour = raw::client(mesh.outbound()).await;
        let flood = raw::client(mesh.outbound()).await;
        let error = loop {
            let mut send = match flood.clone().ready().await {
                Ok(send) => send,
                Err(error) => break error,
            };
            if let Ok((_, mut body)) = send.send_request(raw::get("raw", "/hold"), false) {
                tokio::task::yield_now().await;
                body.send_reset(Reason::CANCEL);
            }
        };
        // A client that still writes may see the closed socket before it reads why.
        assert!(matches!(error.reason(), None | Some(Reason::ENHANCE_YOUR_CALM)), "{error}");
        let head = raw::answer(&neighbour, raw::get("raw", "/")).await.unwrap();
        assert_eq!(head.status(), 200);

        mesh.terminate();
        let error = loop {
            match neighbour.clone().ready().await {
                Ok(_) => tokio::task::yield_now().await,
                Err(error) => break error,
            }
        };
        assert_eq!((error.is_go_away(), error.reason()), (true, Some(Reason::NO_ERROR)));
    };
    runtime.block_on(async { tokio::time::timeout(DEADLINE, checks).await }).unwrap();
}
