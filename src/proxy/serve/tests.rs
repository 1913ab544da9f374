//! Connections of HTTP/1.1 on real sockets: what ends them, what is never left hanging, and what
//! a client may believe of an answer.

use std::time::Duration;

use tokio::io::AsyncWriteExt as _;

use rig::{Rig, read_until, run};

mod ends;
mod idle;
mod logs;
pub(crate) mod rig;
mod strain;
mod upgrades;

const LIFE: Duration = Duration::from_secs(3_600);

#[test]
fn a_request_goes_there_and_back_on_connections_that_stay() {
    run(async {
        let rig = Rig::new().await;
        let (mut client, mut app) = rig.call("GET /a HTTP/1.1\r\nHost: web\r\n\r\n").await;
        for _ in 0..2 {
            let sent = read_until(&mut app, "\r\n\r\n").await;
            assert!(sent.starts_with("GET /a HTTP/1.1\r\nhost: web\r\n"), "{sent}");
            app.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi").await.unwrap();
            let answer = read_until(&mut client, "hi").await;
            assert!(!answer.contains("connection: close"), "{answer}");
            client.write_all(b"GET /a HTTP/1.1\r\nHost: web\r\n\r\n").await.unwrap();
        }
    });
}

#[test]
fn a_refusal_keeps_the_connection_unless_a_body_is_on_its_way() {
    run(async {
        let Rig { worker, app } = Rig::new().await;
        // Nobody listens there any more, and nobody else will.
        let address = app.local_addr().unwrap();
        drop(app);
        let held = tokio::net::TcpSocket::new_v4().unwrap();
        held.set_reuseaddr(true).unwrap();
        held.bind(address).unwrap();
        let rig = Rig { worker, ..Rig::new().await };
        for (request, kept) in [
            ("GET / HTTP/1.1\r\nHost: web\r\n\r\n", true),
            ("POST / HTTP/1.1\r\nHost: web\r\nContent-Length: 0\r\n\r\n", true),
            ("POST / HTTP/1.1\r\nHost: web\r\nContent-Length: 3\r\n\r\n", false),
        ] {
            let mut client = rig.client(LIFE).await;
            client.write_all(request.as_bytes()).await.unwrap();
            let answer = read_until(&mut client, "be made\n").await;
            assert!(answer.contains(" 503 "), "{answer}");
            assert_eq!(!answer.contains("connection: close"), kept, "{request} {answer}");
        }
    });
}

#[test]
fn an_idle_connection_keeps_no_room() {
    run(async {
        let rig = Rig::new().await;
        let (mut client, mut app) = rig.call("GET / HTTP/1.1\r\nHost: web\r\n\r\n").await;
        read_until(&mut app, "\r\n\r\n").await;
        let body = "x".repeat(30_000);
        let answer = format!("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n7530\r\n{body}");
        app.write_all(format!("{answer}\r\n0\r\n\r\n").as_bytes()).await.unwrap();
        read_until(&mut client, "0\r\n\r\n").await;
        let given = async {
            while rig.worker.take_room().capacity() < 8_000 {
                tokio::task::yield_now().await;
            }
        };
        rig::soon(given).await;
    });
}

#[test]
fn empty_lines_and_unfinished_heads_do_not_hold_a_connection() {
    run(async {
        let rig = Rig::new().await;
        for begin in ["\r\n", "\r\n\r\n\r\n", "\r", "GET / HT", "\r\nGET"] {
            let mut client = rig.client(LIFE).await;
            client.write_all(begin.as_bytes()).await.unwrap();
            tokio::task::yield_now().await;
            let _ = rig.to_the_end(&mut client).await;
        }
    });
}

#[test]
fn empty_lines_before_a_request_are_ignored_however_they_arrive() {
    run(async {
        let rig = Rig::new().await;
        let mut client = rig.client(LIFE).await;
        client.set_nodelay(true).unwrap();
        for part in ["\r", "\n\r\n", "GET / HTTP/1.1\r\n", "Host: web\r\n\r\n"] {
            client.write_all(part.as_bytes()).await.unwrap();
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        rig::soon(rig.app.accept()).await.expect("the request arrives");
    });
}

#[test]
fn an_idle_connection_ends_with_its_life() {
    run(async {
        let rig = Rig::new().await;
        let client = rig.client(Duration::from_secs(60)).await;
        while rig.worker.slots.in_use() == 0 {
            tokio::task::yield_now().await;
        }
        tokio::task::yield_now().await;
        rig.worker.slots.advance(Duration::from_secs(70));
        rig::soon(client.readable()).await.unwrap();
    });
}

#[test]
fn a_client_that_reads_no_answers_is_given_up() {
    run(async {
        let rig = Rig::without_app().await;
        let mut client = rig.client(LIFE).await;
        let many = "GET / HTTP/1.1\r\nHost: web\r\n\r\n".repeat(1_000);
        let full = async { while client.write_all(many.as_bytes()).await.is_ok() {} };
        // Until neither side can write: the client's answers are in the way.
        let _ = tokio::time::timeout(Duration::from_millis(300), full).await;
        assert_eq!(rig.worker.slots.in_use(), 1);
        rig.to_nothing().await;
    });
}

#[test]
fn what_is_cut_short_never_looks_whole() {
    run(async {
        let rig = Rig::new().await;
        let chunked = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n";
        for (version, head, end) in [
            ("1.1", chunked, "abc\r\n"),
            ("1.1", "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc", "abc"),
            ("1.0", chunked, "abc"),
        ] {
            let request = format!("GET / HTTP/{version}\r\nHost: web\r\n\r\n");
            let (mut client, mut app) = rig.call(&request).await;
            read_until(&mut app, "\r\n\r\n").await;
            app.write_all(head.as_bytes()).await.unwrap();
            let begin = read_until(&mut client, end).await;
            drop(app);
            let (rest, ended) = rig.to_the_end(&mut client).await;
            let answer = begin + &String::from_utf8_lossy(&rest);
            let whole = answer.ends_with("0\r\n\r\n") || answer.contains("content-length: 3");
            assert!(!whole, "{answer}");
            // Nothing but the end of the connection could tell a client of HTTP/1.0.
            assert!(version == "1.1" || ended.is_err(), "{answer}");
        }
    });
}

#[test]
fn an_own_answer_never_follows_half_of_an_interim_one() {
    run(async {
        let rig = Rig::new().await;
        let (mut client, mut app) = rig.call("GET / HTTP/1.1\r\nHost: web\r\n\r\n").await;
        read_until(&mut app, "\r\n\r\n").await;
        // The client reads nothing until the proxy stands in the middle of one of these.
        let hint = format!("HTTP/1.1 103 Early Hints\r\nLink: {}\r\n\r\n", "x".repeat(30_000));
        let full = async { while app.write_all(hint.as_bytes()).await.is_ok() {} };
        let _ = tokio::time::timeout(Duration::from_millis(300), full).await;
        rig.worker.slots.advance(Duration::from_secs(500));
        let (answer, _) = rig.to_the_end(&mut client).await;
        assert!(!String::from_utf8_lossy(&answer).contains("504"));
    });
}

#[test]
fn an_own_answer_tells_a_client_of_http_1_0_that_it_may_stay() {
    run(async {
        let rig = Rig::without_app().await;
        let mut client = rig.client(LIFE).await;
        for _ in 0..2 {
            let request = b"HEAD / HTTP/1.0\r\nHost: web\r\nConnection: keep-alive\r\n\r\n";
            client.write_all(request).await.unwrap();
            let answer = read_until(&mut client, "\r\n\r\n").await;
            assert!(answer.contains("connection: keep-alive\r\n"), "{answer}");
        }
    });
}
