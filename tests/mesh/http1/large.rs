//! Bodies larger than any buffer, and answers that come before the request is complete.

use super::with;
use crate::support::{Conn, DEADLINE, Mesh, Origin, ok};

/// What both sides send.
pub(crate) const SIZE: usize = 10 * 1024 * 1024;

/// Bytes of which each place is known.
pub(crate) fn pattern(size: usize) -> Vec<u8> {
    (0..size).map(|at| (at % 251) as u8).collect()
}

/// The length of what came and whether it was the pattern.
fn judge(body: &[u8]) -> String {
    format!("{} {}", body.len(), body == pattern(body.len()))
}

#[test]
fn ten_mebibytes_up() {
    let app = Origin::http(|request| ok(&judge(&request.body)));
    let mesh = with(&app);
    let mut conn = mesh.call("web");
    let body = pattern(SIZE);
    conn.send(format!("POST / HTTP/1.1\r\nhost: app\r\ncontent-length: {SIZE}\r\n\r\n"));
    conn.send(&body);
    assert_eq!(conn.answer().text(), format!("{SIZE} true"));
    conn.send("POST / HTTP/1.1\r\nhost: app\r\ntransfer-encoding: chunked\r\n\r\n");
    for chunk in body.chunks(100_000) {
        conn.send(format!("{:x}\r\n", chunk.len()));
        conn.send(chunk);
        conn.send("\r\n");
    }
    conn.send("0\r\n\r\n");
    assert_eq!(conn.answer().text(), format!("{SIZE} true"));
}

#[test]
fn ten_mebibytes_down() {
    let app = Origin::scripted(|conn, _| {
        while let Some(request) = conn.request() {
            match request.path() {
                "/length" => {
                    conn.send(format!("HTTP/1.1 200 OK\r\ncontent-length: {SIZE}\r\n\r\n"));
                    conn.send(pattern(SIZE));
                }
                _ => {
                    conn.send("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n");
                    for chunk in pattern(SIZE).chunks(77_777) {
                        conn.send(format!("{:x}\r\n", chunk.len()));
                        conn.send(chunk);
                        conn.send("\r\n");
                    }
                    conn.send("0\r\n\r\n");
                }
            }
        }
    });
    let mesh = with(&app);
    let mut conn = mesh.call("web");
    for path in ["/length", "/chunked"] {
        let answer = conn.get("app", path);
        assert_eq!(judge(&answer.body), format!("{SIZE} true"), "{path}");
    }
}

/// The application answers as soon as it has the head and reads no more; the client goes on.
fn early(mesh: &Mesh, upload: &str) -> (u16, Conn) {
    let mut conn = mesh.call("web");
    conn.send(format!("POST / HTTP/1.1\r\nhost: app\r\n{upload}\r\n\r\n"));
    conn.send("4\r\n");
    let answer = conn.answer();
    (answer.status, conn)
}

#[test]
fn an_early_answer_reaches_a_client_that_is_still_sending() {
    let app = Origin::scripted(|conn, _| {
        if let Some(head) = conn.try_head() {
            assert!(head.starts_with("POST "), "{head}");
            conn.send(
                "HTTP/1.1 413 Content Too Large\r\nconnection: close\r\ncontent-length: 0\r\n\r\n",
            );
        }
    });
    let mesh = with(&app);
    for upload in ["content-length: 1000000", "transfer-encoding: chunked"] {
        let (status, mut conn) = early(&mesh, upload);
        assert_eq!(status, 413, "{upload}");
        // What it still sends belongs to a request that is over; it is no new one.
        let _ = conn.try_send("GET / HTTP/1.1\r\nhost: app\r\n\r\n");
        conn.is_closed();
    }
}

#[test]
fn an_early_answer_reaches_a_client_that_reads_only_when_it_has_sent_all() {
    let app = Origin::scripted(|conn, _| {
        if conn.try_head().is_some() {
            let head = "HTTP/1.1 413 Content Too Large\r\nconnection: close\r\n";
            conn.send(format!("{head}content-length: 0\r\n\r\n"));
            conn.finish();
            conn.rest();
        }
    });
    let mesh = with(&app);
    for turn in 0..5 {
        let mut conn = mesh.call("web");
        conn.send("POST / HTTP/1.1\r\nhost: app\r\ncontent-length: 4000000\r\n\r\n");
        conn.send(pattern(4_000_000));
        assert_eq!(conn.answer().status, 413, "turn {turn}");
    }
}

#[test]
fn an_application_that_closes_under_an_upload_is_a_clear_answer() {
    let app = Origin::scripted(|conn, _| {
        // The head, and then the end, with data unread: the kernel resets.
        assert!(conn.try_head().is_some());
    });
    let mesh = with(&app);
    let mut conn = mesh.call("web");
    conn.send("POST / HTTP/1.1\r\nhost: app\r\ncontent-length: 10000000\r\n\r\n");
    let writer = std::thread::spawn(move || {
        let piece = vec![0; 64 * 1024];
        for _ in 0..200 {
            if conn.try_send(&piece).is_err() {
                break;
            }
        }
        conn
    });
    let began = std::time::Instant::now();
    let mut conn = writer.join().expect("no panic");
    let answer = conn.try_answer("POST");
    assert!(began.elapsed() < DEADLINE);
    // Either the answer was read, or the reset of the upload overtook it; never a success.
    if let Some(answer) = answer {
        assert_eq!((answer.status, answer.reason().as_str()), (502, "upstream_reset"));
    }
}
