//! The application that calls: its connection to the proxy, what it asks, what it is answered.

use bytes::Bytes;
use h2::SendStream;
use h2::client::SendRequest;
use http::{HeaderValue, Method, Request};

use crate::proxy::serve::tests::rig::soon;

/// The application's connection to its proxy.
#[derive(Clone)]
pub(in crate::proxy::h2::tests) struct Client(pub(in crate::proxy::h2::tests) SendRequest<Bytes>);

/// A request that was begun, and what it is answered with.
pub(in crate::proxy::h2::tests) struct Begun {
    pub(in crate::proxy::h2::tests) answer: h2::client::ResponseFuture,
    pub(in crate::proxy::h2::tests) body: SendStream<Bytes>,
}

/// An answer as a client sees it.
#[derive(Debug, PartialEq)]
pub(in crate::proxy::h2::tests) struct Answer {
    pub(in crate::proxy::h2::tests) status: u16,
    pub(in crate::proxy::h2::tests) reason: Option<String>,
    pub(in crate::proxy::h2::tests) code: Option<u32>,
    pub(in crate::proxy::h2::tests) body: Vec<u8>,
}

impl Answer {
    /// One of the application.
    pub(in crate::proxy::h2::tests) fn app(status: u16, code: Option<u32>, body: &str) -> Self {
        Self { status, reason: None, code, body: body.into() }
    }
}

/// What is asked.
pub(in crate::proxy::h2::tests) fn get() -> Request<()> {
    Request::get("http://app/").body(()).unwrap()
}

pub(in crate::proxy::h2::tests) fn post() -> Request<()> {
    let mut request = get();
    *request.method_mut() = Method::POST;
    request
}

pub(in crate::proxy::h2::tests) fn grpc() -> Request<()> {
    let mut request = post();
    request.headers_mut().insert("content-type", HeaderValue::from_static("application/grpc"));
    request
}

impl Client {
    pub(in crate::proxy::h2::tests) async fn begin(
        &self,
        request: Request<()>,
        ended: bool,
    ) -> Begun {
        let mut send = soon(self.0.clone().ready()).await.unwrap();
        let (answer, body) = send.send_request(request, ended).unwrap();
        Begun { answer, body }
    }

    /// Sends a request with a body (of GET none) and reads its answer.
    pub(in crate::proxy::h2::tests) async fn ask(
        &self,
        request: Request<()>,
        body: &[&[u8]],
    ) -> Result<Answer, h2::Error> {
        let mut begun = self.begin(request, body.is_empty()).await;
        for (index, part) in body.iter().enumerate() {
            begun.send(part, index + 1 == body.len()).await;
        }
        begun.end().await
    }
}

impl Begun {
    /// Sends a part of the body, when there is room for it.
    pub(in crate::proxy::h2::tests) async fn send(&mut self, mut part: &[u8], last: bool) {
        while !part.is_empty() {
            self.body.reserve_capacity(part.len());
            let room = soon(std::future::poll_fn(|cx| self.body.poll_capacity(cx))).await;
            let (now, rest) = part.split_at(room.unwrap().unwrap().min(part.len()));
            part = rest;
            let last = last && part.is_empty();
            self.body.send_data(Bytes::copy_from_slice(now), last).unwrap();
        }
    }

    /// Reads the answer to its end.
    pub(in crate::proxy::h2::tests) async fn end(self) -> Result<Answer, h2::Error> {
        let (head, mut body) = soon(self.answer).await?.into_parts();
        let mut all = Vec::new();
        while let Some(data) = soon(body.data()).await {
            let data = data?;
            let _ = body.flow_control().release_capacity(data.len());
            all.extend_from_slice(&data);
        }
        let trailers = soon(body.trailers()).await?.unwrap_or_default();
        let code = trailers.get("grpc-status").or(head.headers.get("grpc-status"));
        let reason = head.headers.get("meshctl-reason").or(trailers.get("meshctl-reason"));
        Ok(Answer {
            status: head.status.as_u16(),
            reason: reason.map(|reason| reason.to_str().unwrap().to_owned()),
            code: code.map(|code| code.to_str().unwrap().parse().unwrap()),
            body: all,
        })
    }
}
