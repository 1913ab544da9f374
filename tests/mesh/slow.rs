//! Slow and endless peers: whoever does not read pauses whoever writes, and nothing in between grows.
//!
//! Measured in bytes: what a writer got rid of before it was stopped is in the kernel's buffers and in
//! those of two proxies, all of which have a bound.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use super::http1::large::pattern;
use super::resilience::with;
use crate::support::{Conn, DEADLINE, Forger, Mesh, Origin, Tunnel, ok};

/// What two proxies hold of one body in one direction: a read buffer and a TLS record or two each.
const PROXIES: usize = 2 * (64 + 64) * 1024;

/// A writer that could not write for so long is stopped.
const STOPPED: Duration = Duration::from_millis(500);

/// A body larger than everything that could hold it.
const BODY: usize = 256 * 1024 * 1024;

/// What is written at a time.
const PIECE: usize = 64 * 1024;

/// The most that the kernel's buffers of `connections` hold, with both ends of each on this machine.
fn kernel(connections: usize) -> usize {
    let largest = |name: &str| {
        let text = std::fs::read_to_string(format!("/proc/sys/net/ipv4/{name}"));
        let text = text.expect("this is Linux");
        text.split_whitespace().nth(2).and_then(|bytes| bytes.parse::<usize>().ok())
    };
    let ends = largest("tcp_wmem").zip(largest("tcp_rmem")).expect("three numbers");
    connections * (ends.0 + ends.1)
}

/// Writes pieces of the pattern until it is stopped, or has written [`BODY`]; how much.
fn write_until_stopped(stream: &mut TcpStream) -> usize {
    stream.set_write_timeout(Some(STOPPED)).expect("a TCP socket");
    let piece = pattern(PIECE);
    let mut written = 0;
    while written < BODY {
        match stream.write(piece.get(written % PIECE..).expect("inside")) {
            Ok(count) => written += count,
            Err(_) => break,
        }
    }
    stream.set_write_timeout(None).expect("a TCP socket");
    written
}

/// Writes what is missing of [`BODY`].
fn write_rest(stream: &mut TcpStream, mut written: usize) {
    let piece = pattern(PIECE);
    while written < BODY {
        // A reader that has seen enough may go.
        match stream.write(piece.get(written % PIECE..).expect("inside")) {
            Ok(count) => written += count,
            Err(_) => return,
        }
    }
}

/// An application that answers with [`BODY`] bytes, and says how much it wrote until it was stopped.
fn downloads() -> (SocketAddr, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let (address, stopped) = (listener.local_addr().expect("bound"), Arc::default());
    let told: Arc<AtomicUsize> = Arc::clone(&stopped);
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let Ok(mut stream) = stream else { return };
            let told = Arc::clone(&told);
            std::thread::spawn(move || {
                let mut head = [0; 4096];
                if stream.read(&mut head).unwrap_or(0) == 0 {
                    return;
                }
                let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {BODY}\r\n\r\n");
                stream.write_all(head.as_bytes()).expect("written");
                let written = write_until_stopped(&mut stream);
                told.store(written, Ordering::SeqCst);
                write_rest(&mut stream, written);
            });
        }
    });
    (address, stopped)
}

/// Waits until the application was stopped; how much it had written.
fn stopped(told: &AtomicUsize) -> usize {
    crate::support::eventually("the application is stopped", || {
        Some(told.load(Ordering::SeqCst)).filter(|written| *written > 0)
    })
}

/// `BODY` is `PIECE` after `PIECE`, whose bytes count from 0.
fn is_the_body(read: &[u8], from: usize) -> bool {
    read.iter().enumerate().all(|(at, byte)| usize::from(*byte) == (from + at) % PIECE % 251)
}

#[test]
fn a_client_that_does_not_read_pauses_the_application() {
    let (app, told) = downloads();
    let mesh = Mesh::new().caller("web").service_at("app", app).start();
    let mut conn = mesh.call("web");
    conn.send("GET / HTTP/1.1\r\nhost: app\r\n\r\n");
    let written = stopped(&told);
    let most = kernel(3) + PROXIES;
    assert!(written <= most, "{written} bytes are somewhere, {most} fit into the buffers");
    assert!(written < BODY);

    // A little at a time is read, and as little goes on: still nothing piles up, nothing is lost.
    let head = conn.head();
    assert!(head.contains(&format!("content-length: {BODY}\r\n")), "{head}");
    let mut read = 0;
    for _ in 0..64 {
        assert!(is_the_body(&conn.exact(1_000), read));
        read += 1_000;
    }
    // `web` serves nothing, which is an answer too.
    assert_eq!(mesh.call("web").get("web", "/").status, 404, "others are served meanwhile");
}

#[test]
fn the_same_over_tls() {
    let (app, told) = downloads();
    let mesh = Mesh::new().caller("web").service_at("app", app).start();
    let web = Forger::of(&mesh).tls("web", &mesh);
    let inbound = mesh.proxy("app").addresses().inbound;
    let mut conn = Tunnel::open(&web, inbound, "app", b"meshctl/http1.1");
    conn.send("GET / HTTP/1.1\r\nhost: app\r\n\r\n");
    let written = stopped(&told);
    let most = kernel(2) + PROXIES;
    assert!(written <= most, "{written} bytes are somewhere, {most} fit into the buffers");
    conn.head();
    assert!(is_the_body(&conn.exact(1_000_000), 0));
}

#[test]
fn an_endless_upload_is_stopped_by_an_application_that_does_not_read_and_ends_with_its_413() {
    let (answer, told) = std::sync::mpsc::channel::<()>();
    let told = std::sync::Mutex::new(told);
    let app = Origin::scripted(move |conn, _| {
        if conn.try_head().is_none() {
            return;
        }
        told.lock().expect("no panic while held").recv_timeout(DEADLINE).expect("told to answer");
        conn.send(
            "HTTP/1.1 413 Content Too Large\r\nconnection: close\r\ncontent-length: 0\r\n\r\n",
        );
        conn.finish();
        conn.rest();
    });
    let mesh = with(&app);
    let mut stream = TcpStream::connect(mesh.proxy("web").addresses().outbound).expect("listens");
    let head = "POST / HTTP/1.1\r\nhost: app\r\ntransfer-encoding: chunked\r\n\r\n";
    // One chunk without end.
    stream.write_all(format!("{head}7fffffff\r\n").as_bytes()).expect("written");
    let written = write_until_stopped(&mut stream);
    let most = kernel(3) + PROXIES;
    assert!(written <= most, "{written} bytes are somewhere, {most} fit into the buffers");
    answer.send(()).expect("the application waits");
    let mut conn = Conn::new(stream);
    assert_eq!(conn.answer().status, 413);
    conn.is_closed();
    // Nobody else was kept from anything.
    let other = Origin::http(|_| ok("here"));
    assert_eq!(with(&other).call("web").get("app", "/").status, 200);
}
