//! Clients that send what only costs: they are told to calm down, and it is counted; those that do
//! no more than libraries do are left alone.

use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::rig::{App, Does, Net, get};
use crate::proxy::h2::meter::Meter;
use crate::proxy::serve::tests::rig::{run, soon};
use crate::resource::{ClusterPolicy, Retry, Timeouts};
use crate::telemetry::limits::Limit;

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

const HEADERS: u8 = 0x1;
const RST_STREAM: u8 = 0x3;
const SETTINGS: u8 = 0x4;
const PING: u8 = 0x6;
const GOAWAY: u8 = 0x7;
const WINDOW_UPDATE: u8 = 0x8;
const CONTINUATION: u8 = 0x9;
const END_STREAM: u8 = 0x1;
const END_HEADERS: u8 = 0x4;

/// The code of RFC 9113 §7.
const ENHANCE_YOUR_CALM: u32 = 0xb;

/// `GET http://app/` by the static table of HPACK, the authority spelt out.
const GET: &[u8] = b"\x82\x86\x84\x41\x03app";

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).expect("a short frame").to_be_bytes();
    [&length[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
}

async fn net(does: Does) -> (App, Net) {
    let app = App::new(does).await;
    let net = Net::new(&[&app], (Retry::DEFAULT, Timeouts::default()), ClusterPolicy::default());
    (app, net)
}

/// Writes `flood` again and again, as long as the proxy takes it, and reads beside that; the code
/// of the GOAWAY that came.
async fn goaway(mut client: TcpStream, begin: &[u8], mut flood: impl FnMut(u32) -> Vec<u8>) -> u32 {
    let (mut from, mut to) = client.split();
    let mut seen = Vec::new();
    let write = async {
        let begin = [PREFACE, &frame(SETTINGS, 0, 0, &[]), begin].concat();
        if to.write_all(&begin).await.is_err() {
            return;
        }
        for round in 0..100_000 {
            // Whoever is told to go may see the closed socket before it reads why.
            if to.write_all(&flood(round)).await.is_err() {
                break;
            }
        }
    };
    // What was read before a reset is kept.
    let read = async { while from.read_buf(&mut seen).await.is_ok_and(|count| count > 0) {} };
    soon(async { tokio::join!(write, read) }).await;
    code_of(&seen)
}

/// The code of the last GOAWAY among the frames of a server.
fn code_of(mut frames: &[u8]) -> u32 {
    let mut code = u32::MAX;
    while let Some((head, rest)) = frames.split_at_checked(9) {
        let length = u32::from_be_bytes([0, head[0], head[1], head[2]]) as usize;
        let Some((payload, rest)) = rest.split_at_checked(length) else { break };
        if head[3] == GOAWAY {
            code = u32::from_be_bytes(payload[4..8].try_into().expect("four bytes"));
        }
        frames = rest;
    }
    code
}

/// How many connections were ended because of floods, and because of resets.
fn ended(net: &Net) -> (u64, u64) {
    let limits = &net.worker.shared.metrics.limits;
    (limits.of(Limit::Http2Floods), limits.of(Limit::Http2Resets))
}

/// How many requests the protocol library refused by itself.
fn malformed(net: &Net) -> u64 {
    let all = net.counted().into_iter();
    all.filter(|(status, _, why, _)| *status == 0 && why == "bad_request").map(|it| it.3).sum()
}

#[test]
fn floods_are_ended_and_counted() {
    let many = |kind, payload: &'static [u8]| move |_: u32| frame(kind, 0, 0, payload).repeat(100);
    let update = |_: u32| frame(WINDOW_UPDATE, 0, 0, &[0, 0, 0, 1]).repeat(100);
    let unknown = |_: u32| frame(0xfa, 0, 0, b"grease").repeat(100);
    run(async {
        let floods: [Box<dyn FnMut(u32) -> Vec<u8>>; 4] = [
            Box::new(many(PING, b"12345678")),
            Box::new(many(SETTINGS, &[])),
            Box::new(update),
            Box::new(unknown),
        ];
        for (index, flood) in floods.into_iter().enumerate() {
            let (_app, net) = net(Does::Answer(200)).await;
            let code = goaway(net.connect().await, &[], flood).await;
            assert!(matches!(code, ENHANCE_YOUR_CALM | u32::MAX), "{index}: {code}");
            assert_eq!(ended(&net), (1, 0), "{index}");
            // The neighbour has noticed nothing.
            assert_eq!(net.client().await.ask(get(), &[]).await.unwrap().status, 200, "{index}");
        }
    });
}

#[test]
fn streams_that_are_reset_at_once_are_counted() {
    run(async {
        let (_app, net) = net(Does::Hang).await;
        let code = goaway(net.connect().await, &[], |round| {
            let stream = round * 2 + 1;
            let open = frame(HEADERS, END_HEADERS | END_STREAM, stream, GET);
            [open, frame(RST_STREAM, 0, stream, &[0, 0, 0, 8])].concat()
        });
        let code = code.await;
        assert!(matches!(code, ENHANCE_YOUR_CALM | u32::MAX), "{code}");
        // Resets that come with their streams are seen by the crate first.
        let (floods, resets) = ended(&net);
        assert_eq!(floods + resets, 1, "{floods} {resets}");
    });
}

#[test]
fn field_lines_without_end_are_ended_and_counted() {
    run(async {
        let (app, net) = net(Does::Answer(200)).await;
        let begin = frame(HEADERS, END_STREAM, 1, GET);
        let code =
            goaway(net.connect().await, &begin, |_| frame(CONTINUATION, 0, 1, b"\x40\x01x\x01y"));
        let code = code.await;
        assert!(matches!(code, ENHANCE_YOUR_CALM | u32::MAX), "{code}");
        assert_eq!((ended(&net), app.count()), ((1, 0), 0));
    });
}

#[test]
fn a_few_bytes_that_stand_for_many_are_ended_and_counted() {
    run(async {
        let (app, net) = net(Does::Answer(200)).await;
        // A cookie of 4,000 bytes into the dynamic table (index 62 then), and each byte is one more.
        let length = [0x7f, 0xa1, 0x1e];
        let entry = [b"\x60".as_slice(), &length, &[b'c'; 4_000]].concat();
        let bomb = [GET, &entry, &[0xbe; 8_000]].concat();
        let open = frame(HEADERS, END_HEADERS | END_STREAM, 1, &bomb);
        let code = goaway(net.connect().await, &open, |_| frame(PING, 0, 0, b"12345678")).await;
        assert!(matches!(code, ENHANCE_YOUR_CALM | u32::MAX), "{code}");
        assert_eq!((ended(&net), app.count()), ((1, 0), 0));
    });
}

#[test]
fn what_the_crate_refuses_itself_is_counted() {
    run(async {
        let (app, net) = net(Does::Answer(200)).await;
        let client = net.client().await;
        let mut request = get();
        let long = http::HeaderValue::from_bytes(&[b'x'; 20_000]).unwrap();
        request.headers_mut().insert("x", long);
        assert_eq!(client.ask(request, &[]).await.unwrap().status, 431);
        assert_eq!(client.ask(get(), &[]).await.unwrap().status, 200);
        assert_eq!((malformed(&net), app.count()), (1, 1));
    });
}

#[test]
fn measuring_a_download_is_no_flood() {
    let ping = frame(PING, 0, 0, b"12345678");
    let update = frame(WINDOW_UPDATE, 0, 1, &[0, 0, 0, 6]);
    let mut meter = Meter::new();
    meter.arrived(PREFACE);
    // A library that pings for each of the smallest messages, and gives back every window at once.
    for _ in 0..100_000 {
        meter.sent(Some(9 + 5 + 1));
        meter.arrived(&[ping.as_slice(), &update, &update].concat());
        meter.sent(Some(17));
        assert!(!meter.is_flooded(Duration::ZERO));
    }
    let pings = |meter: &mut Meter, since: u64| {
        let until = (0..).take_while(|_| {
            meter.arrived(&ping);
            meter.sent(Some(17));
            !meter.is_flooded(Duration::from_secs(since))
        });
        until.count()
    };
    let mut meter = Meter::new();
    meter.arrived(PREFACE);
    assert_eq!(pings(&mut meter, 0), 10_000);
    assert_eq!(pings(&mut meter, 3), 3_000 - 1, "time allows for more");
}

#[test]
fn frames_are_found_however_they_arrive() {
    let open = |stream| frame(HEADERS, END_HEADERS, stream, GET);
    let bytes = [
        PREFACE,
        &frame(SETTINGS, 0, 0, &[0; 6]),
        &open(1),
        &frame(0x0, 0, 1, &[0; 300]),
        // Trailers open nothing.
        &open(1),
        &frame(HEADERS, 0, 3, GET),
        &frame(CONTINUATION, 0, 3, b""),
        &frame(CONTINUATION, END_HEADERS, 3, b""),
        &open(5),
    ]
    .concat();
    for step in [1, 2, 7, 9, 10, 64, bytes.len()] {
        let mut meter = Meter::new();
        bytes.chunks(step).for_each(|piece| meter.arrived(piece));
        assert_eq!(meter.opened(), 3, "in pieces of {step}");
    }
}
