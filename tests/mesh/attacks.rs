//! Attacks beside a good neighbour: it loses no request, and what was done about them is counted.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use super::resilience::{Traffic, with};
use crate::support::{DEADLINE, Mesh, Origin, Proxy, eventually};

mod soak;

/// Connections of an attack at a time.
const CROWD: usize = 30;

/// What HTTP/2 begins with, and empty settings.
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";

/// How often a limit was reached, as a proxy says it.
fn hits(proxy: &Proxy, limit: &str) -> u64 {
    let stats: serde_json::Value = serde_json::from_slice(&proxy.ask("/stats").body).expect("JSON");
    let limits = stats["limits"].as_array().expect("a list").iter();
    limits.filter(|one| one["limit"] == limit).filter_map(|one| one["hits"].as_u64()).sum()
}

#[track_caller]
fn is_counted(proxy: &Proxy, limit: &str, times: u64) {
    eventually(&format!("{limit} is counted {times} times"), || {
        (hits(proxy, limit) >= times).then_some(())
    });
}

fn connect(to: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(to).expect("it listens");
    stream.set_read_timeout(Some(DEADLINE)).expect("a TCP socket");
    stream.set_write_timeout(Some(Duration::from_millis(500))).expect("a TCP socket");
    stream
}

/// Many connections that each begin like this and then say nothing.
fn crowd(to: SocketAddr, begin: &[u8]) -> Vec<TcpStream> {
    let one = |_| {
        let mut stream = connect(to);
        // Who is refused at once is refused.
        let _ = stream.write_all(begin);
        stream
    };
    (0..CROWD).map(one).collect()
}

/// Whether the connection ends in time, whatever is said before.
#[track_caller]
fn ends(stream: &mut TcpStream) {
    let mut room = [0; 4096];
    let began = Instant::now();
    loop {
        match stream.read(&mut room) {
            Ok(0) => return,
            Ok(_) => assert!(began.elapsed() < DEADLINE, "it goes on and on"),
            Err(error) => {
                let late = matches!(error.kind(), std::io::ErrorKind::WouldBlock);
                return assert!(!late, "still open");
            }
        }
    }
}

/// A frame of HTTP/2.
fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).expect("short").to_be_bytes();
    let mut frame = length[1..].to_vec();
    frame.extend([kind, flags]);
    frame.extend(stream.to_be_bytes());
    frame.extend(payload);
    frame
}

/// Sends `frame` again and again until the connection ends or nobody reads any more.
fn flood(to: SocketAddr, begin: &[u8], frame: &[u8]) {
    let mut stream = connect(to);
    stream.write_all(PREFACE).expect("read");
    stream.write_all(begin).expect("read");
    let many = frame.repeat((64 * 1024 / frame.len()).max(1));
    for _ in 0..400 {
        if stream.write_all(&many).is_err() {
            break;
        }
    }
}

fn under_attack(attack: impl FnOnce(&Mesh)) {
    let app = Origin::forgetful("here");
    let mesh = with(&app);
    let traffic = Traffic::start(&mesh);
    attack(&mesh);
    traffic.goes_on(50);
    traffic.none_failed();
    for proxy in mesh.proxies() {
        let stats: serde_json::Value =
            serde_json::from_slice(&proxy.ask("/stats").body).expect("JSON");
        assert_eq!(stats["panics"], 0);
    }
}

/// Heads and handshakes that begin and do not go on; connections that do not even begin.
fn half_handshakes(mesh: &Mesh) {
    let (web, app) = (mesh.proxy("web"), mesh.proxy("app"));
    let before = (hits(web, "head_time"), hits(app, "handshake_time"));
    let mut slow = crowd(web.addresses().outbound, b"GET / HTTP/1.1\r\nhost: a");
    let hello = [0x16, 3, 1, 2, 0, 1, 0, 1, 0xfc, 3, 3];
    let mut half = crowd(app.addresses().inbound, &hello);
    let _silent = crowd(app.addresses().inbound, b"");
    let _idle = crowd(web.addresses().outbound, b"");
    is_counted(web, "head_time", before.0 + CROWD as u64);
    is_counted(app, "handshake_time", before.1 + 2 * CROWD as u64);
    slow.iter_mut().chain(&mut half).for_each(ends);
}

#[test]
fn slow_heads_and_half_handshakes() {
    under_attack(half_handshakes);
}

/// Heads of too many fields, and of too many bytes.
fn heads_too_large(mesh: &Mesh) {
    let web = mesh.proxy("web");
    let before = (hits(web, "http_fields"), hits(web, "http1_head"));
    let to = web.addresses().outbound;
    let fields = format!("GET / HTTP/1.1\r\nhost: app\r\n{}\r\n", "x: 1\r\n".repeat(200));
    let long = format!("GET / HTTP/1.1\r\nhost: app\r\nx: {}\r\n\r\n", "x".repeat(70_000));
    for bomb in [fields, long] {
        crowd(to, bomb.as_bytes()).iter_mut().for_each(ends);
    }
    is_counted(web, "http_fields", before.0 + CROWD as u64);
    is_counted(web, "http1_head", before.1 + CROWD as u64);
}

#[test]
fn heads_that_are_too_large() {
    under_attack(heads_too_large);
}

/// Frames that cost their sender little.
fn floods(mesh: &Mesh) {
    let web = mesh.proxy("web");
    let to = web.addresses().outbound;
    // PING; SETTINGS; a head that is continued without end; empty DATA of a stream; WINDOW_UPDATE.
    let head = [0x83, 0x86, 0x84, 0x41, 3, b'a', b'p', b'p'];
    flood(to, &[], &frame(6, 0, 0, &[0; 8]));
    flood(to, &[], &frame(4, 0, 0, &[]));
    flood(to, &frame(1, 0, 1, &head), &frame(9, 0, 1, &[0x00, 1, b'x', 1, b'y'].repeat(100)));
    flood(to, &frame(1, 4, 1, &head), &frame(0, 0, 1, &[]));
    flood(to, &frame(1, 4, 1, &head), &frame(8, 0, 1, &[0, 0, 0, 1]));
    // Streams that are opened only to be reset.
    let before = calmed(web);
    let mut resets = Vec::new();
    for stream in (1..20_001).step_by(2) {
        resets.extend(frame(1, 5, stream, &head));
        resets.extend(frame(3, 0, stream, &8_u32.to_be_bytes()));
    }
    let mut stream = connect(to);
    stream.write_all(PREFACE).expect("read");
    let _ = stream.write_all(&resets);
    eventually("the resets are counted", || (calmed(web) > before).then_some(()));
    ends(&mut stream);
}

/// Connections that were ended because of what they did.
fn calmed(proxy: &Proxy) -> u64 {
    hits(proxy, "http2_resets") + hits(proxy, "http2_floods")
}

#[test]
fn floods_of_frames() {
    under_attack(floods);
}

#[test]
fn streams_that_nobody_reads() {
    let app = Origin::http(|request| match request.path() {
        "/large" => crate::support::ok(&"x".repeat(4 * 1024 * 1024)),
        _ => crate::support::ok("here"),
    });
    let mesh = with(&app);
    let traffic = Traffic::start(&mesh);
    let mut stalled =
        crowd(mesh.proxy("web").addresses().outbound, b"GET /large HTTP/1.1\r\nhost: app\r\n\r\n");
    traffic.goes_on(100);
    traffic.none_failed();
    // They are stalled, not broken.
    let mut first = [0; 12];
    stalled[0].read_exact(&mut first).expect("it goes on when it is read");
    assert_eq!(&first, b"HTTP/1.1 200");
}
