//! Applications of captured pods, on listeners that were made in their namespaces.

use std::net::{TcpListener, TcpStream};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::{Request, Response};

use crate::support::{Conn, ok};

/// Answers every request of HTTP/1.1 with the head that it got.
pub(super) fn echo(listener: TcpListener) {
    each(listener, |mut conn| {
        while let Some(request) = conn.request() {
            if conn.try_send(ok(&request.head)).is_err() {
                return;
            }
        }
    });
}

/// Answers every request of HTTP/1.1 with the address that it listens on.
pub(super) fn naming(listener: TcpListener) {
    let name = listener.local_addr().expect("it is bound").ip().to_string();
    each(listener, move |mut conn| {
        while conn.try_head().is_some() {
            if conn.try_send(ok(&name)).is_err() {
                return;
            }
        }
    });
}

/// Speaks first, as a mail server does.
pub(super) fn greeter(listener: TcpListener) {
    each(listener, |mut conn| {
        if conn.try_send("220 mail.test\r\n").is_ok() && conn.exact(6) == b"HELO\r\n" {
            conn.send("250 hello\r\n");
            conn.is_closed();
        }
    });
}

fn each(listener: TcpListener, serve: impl Fn(Conn) + Clone + Send + 'static) {
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let serve = serve.clone();
            std::thread::spawn(move || serve(Conn::new(stream)));
        }
    });
}

/// Answers every request of HTTP/2 with its authority and who calls.
pub(super) fn echo2(listener: TcpListener) {
    listener.set_nonblocking(true).expect("a socket");
    std::thread::spawn(move || {
        block_on(async move {
            let listener = tokio::net::TcpListener::from_std(listener).expect("a socket");
            while let Ok((stream, _)) = listener.accept().await {
                let mut connection = h2::server::handshake(stream).await.expect("HTTP/2");
                tokio::spawn(async move {
                    while let Some(Ok((request, mut respond))) = connection.accept().await {
                        let caller = request.headers().get("x-forwarded-client-cert");
                        let text = format!("{:?} {caller:?}", request.uri().authority());
                        let mut body =
                            respond.send_response(Response::new(()), false).expect("an answer");
                        body.send_data(Bytes::from(text), true).expect("sent");
                    }
                });
            }
        });
    });
}

/// Asks for `url` over HTTP/2 and returns the status and the text.
pub(super) fn get2(stream: TcpStream, url: &str) -> (u16, String) {
    block_on(async move { ask2(&mut open2(stream).await, url).await })
}

/// Asks for `url` over one connection of HTTP/2, so often one after the other; then `act`, and so
/// often again, all at once. The status of each of these, and how long it took.
pub(super) fn get2_around(
    stream: TcpStream,
    url: &'static str,
    count: usize,
    act: impl FnOnce(),
) -> Vec<(u16, Duration)> {
    block_on(async move {
        let mut send = open2(stream).await;
        for _ in 0..count {
            ask2(&mut send, url).await;
        }
        act();
        let ask = |_| {
            let mut send = send.clone();
            tokio::spawn(async move {
                let begun = Instant::now();
                let (status, _) = ask2(&mut send, url).await;
                (status, begun.elapsed())
            })
        };
        let mut answers = Vec::new();
        for asked in (0..count).map(ask).collect::<Vec<_>>() {
            answers.push(asked.await.expect("no panic"));
        }
        answers
    })
}

async fn open2(stream: TcpStream) -> h2::client::SendRequest<Bytes> {
    stream.set_nonblocking(true).expect("a socket");
    let stream = tokio::net::TcpStream::from_std(stream).expect("a socket");
    let (send, connection) = h2::client::handshake(stream).await.expect("HTTP/2");
    tokio::spawn(connection);
    send
}

async fn ask2(send: &mut h2::client::SendRequest<Bytes>, url: &str) -> (u16, String) {
    let request = Request::get(url).body(()).expect("a request");
    let mut send = send.clone().ready().await.expect("HTTP/2");
    let answer = send.send_request(request, true).expect("sent").0.await.expect("answered");
    let (head, mut body) = answer.into_parts();
    let mut text = Vec::new();
    while let Some(data) = body.data().await {
        text.extend_from_slice(&data.expect("whole"));
    }
    (head.status.as_u16(), String::from_utf8(text).expect("text"))
}

fn block_on<T>(work: impl Future<Output = T>) -> T {
    let mut runtime = tokio::runtime::Builder::new_current_thread();
    runtime.enable_all().build().expect("a runtime").block_on(work)
}
