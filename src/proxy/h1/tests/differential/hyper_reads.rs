//! Messages as hyper reads them: bytes in, what a service or a caller gets out.

use std::cell::RefCell;
use std::convert::Infallible;
use std::rc::Rc;

use bytes::Bytes;
use http::{HeaderMap, Request, Response};
use http_body_util::{BodyExt as _, Empty};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use crate::proxy::h1::Known;
use crate::proxy::h1::fields::classify;

/// More than any message.
const ROOM: usize = 1 << 20;

/// What a reader makes of a message.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Reading {
    /// The method, or the status.
    pub(super) start: String,
    pub(super) path: String,
    pub(super) query: Option<String>,
    pub(super) authority: String,
    /// Sorted by name.
    pub(super) fields: Vec<(String, Vec<u8>)>,
    pub(super) body: Vec<u8>,
    /// Those that may stand there, sorted by name.
    pub(super) trailers: Vec<(String, Vec<u8>)>,
}

fn block<T>(what: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
    runtime.block_on(what)
}

fn sorted(fields: &HeaderMap) -> Vec<(String, Vec<u8>)> {
    let both = |(name, value): (&http::HeaderName, &http::HeaderValue)| {
        (name.as_str().to_owned(), value.as_bytes().to_vec())
    };
    let mut all: Vec<_> = fields.iter().map(both).collect();
    all.sort_by(|one, other| one.0.cmp(&other.0));
    all
}

fn may_trail(fields: Option<&HeaderMap>) -> Vec<(String, Vec<u8>)> {
    let mut all = fields.map(sorted).unwrap_or_default();
    all.retain(|(name, _)| classify(name.as_bytes()) == Known::Other);
    all
}

/// The requests that a server on hyper gets whole, one after the other, when nothing follows `bytes`.
pub(super) fn requests(bytes: &[u8]) -> Vec<Reading> {
    let seen = Rc::new(RefCell::new(Vec::new()));
    let service = service_fn(|request: Request<Incoming>| {
        let seen = Rc::clone(&seen);
        async move {
            let (head, body) = request.into_parts();
            if let Ok(body) = body.collect().await {
                let host =
                    head.headers.get("host").map(|it| String::from_utf8_lossy(it.as_bytes()));
                let named = head.uri.authority().map(|authority| authority.as_str().into());
                seen.borrow_mut().push(Reading {
                    start: head.method.to_string(),
                    path: if head.method == http::Method::CONNECT { "" } else { head.uri.path() }
                        .to_owned(),
                    query: head.uri.query().map(str::to_owned),
                    authority: named.or(host).unwrap_or_default().into_owned(),
                    fields: sorted(&head.headers),
                    trailers: may_trail(body.trailers()),
                    body: body.to_bytes().to_vec(),
                });
            }
            Ok::<_, Infallible>(Response::new(Empty::<Bytes>::new()))
        }
    });
    block(async {
        let (mut client, server) = tokio::io::duplex(ROOM);
        client.write_all(bytes).await.expect("room for it");
        client.shutdown().await.expect("a pipe");
        let mut builder = hyper::server::conn::http1::Builder::new();
        // What it refuses ends it, and so does the end of what came.
        let _ = builder.half_close(true).serve_connection(TokioIo::new(server), &service).await;
    });
    Rc::into_inner(seen).expect("nobody else has it").into_inner()
}

/// The answer to `method` that a client on hyper gets whole, when nothing follows `bytes`.
pub(super) fn answer(method: &str, bytes: &[u8]) -> Option<Reading> {
    block(async {
        let (mut server, client) = tokio::io::duplex(ROOM);
        let handshake = hyper::client::conn::http1::handshake(TokioIo::new(client)).await;
        let (mut send, connection) = handshake.ok()?;
        let request = Request::builder().method(method).header("host", "a");
        let request = request.body(Empty::<Bytes>::new()).ok()?;
        let asked = async move {
            let (head, body) = send.send_request(request).await.ok()?.into_parts();
            let body = body.collect().await.ok()?;
            Some(Reading {
                start: head.status.as_u16().to_string(),
                fields: sorted(&head.headers),
                trailers: may_trail(body.trailers()),
                body: body.to_bytes().to_vec(),
                ..Reading::default()
            })
        };
        let told = async {
            // An answer before the request would be taken for a stray one.
            let mut room = [0; 256];
            let came = server.read(&mut room).await.ok()?;
            (came > 0).then_some(())?;
            server.write_all(bytes).await.ok()?;
            server.shutdown().await.ok()
        };
        let connection = async {
            // What it refuses is told to who asked.
            let _ = connection.await;
        };
        let ((answer, _), ()) = tokio::join!(async { tokio::join!(asked, told) }, connection);
        answer
    })
}
