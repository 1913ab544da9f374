//! One active health check of one endpoint: asked over a connection of its own, the same way as
//! requests go (between sidecars mutual TLS with the endpoint's identity), with an answer that is yes
//! or why not.
//!
//! `warden` says when, `ejection` counts what comes of it.

use std::time::Duration;

use bytes::Bytes;
use http::{Method, Request, Response, StatusCode, header};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::client::conn::{http1, http2};
use hyper_util::rt::{TokioExecutor, TokioIo};
use prost::Message as _;
use tokio::io::AsyncReadExt as _;
use tokio_util::task::AbortOnDropHandle;

use super::cluster::Endpoint;
use super::connect::{Alpn, Dialer, Terms};
use super::stream::Stream;
use crate::names::{Protocol, ServiceName};
use crate::net::causes::chain;
use crate::resource::{HealthCheck, HealthProbe};
use crate::telemetry::reason::Reason;

#[cfg(test)]
mod tests;

/// How checks introduce themselves.
const USER_AGENT: &str = concat!("meshctl/", env!("CARGO_PKG_VERSION"), " health-check");

/// A sidecar takes a connection before its application has: how long it may then take to say that
/// there is none.
const AFTERTHOUGHT: Duration = Duration::from_millis(250);

/// The one method of the gRPC Health Checking Protocol that is called.
pub(super) const CHECK: &str = "/grpc.health.v1.Health/Check";

/// Its answer that means well: `HealthCheckResponse.ServingStatus.SERVING`.
pub(super) const SERVING: i32 = 1;

/// The largest answer that is read, bytes.
const MAX_ANSWER: usize = 4 * 1024;

/// What is asked, and in whose name.
#[derive(Debug, Clone, Copy)]
pub struct Question<'a> {
    /// How, and how long an answer may take.
    pub check: &'a HealthCheck,
    /// The service.
    pub service: &'a ServiceName,
    /// What the endpoint speaks.
    pub protocol: Protocol,
}

/// `grpc.health.v1.HealthCheckRequest`
#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct CheckRequest {
    #[prost(string, tag = "1")]
    pub(super) service: String,
}

/// `grpc.health.v1.HealthCheckResponse`
#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct CheckResponse {
    #[prost(int32, tag = "1")]
    pub(super) status: i32,
}

/// Asks `endpoint` whether it is well.
///
/// # Errors
/// Why not, for people.
pub async fn ask(
    dialer: Dialer<'_>,
    endpoint: &Endpoint,
    question: Question<'_>,
) -> Result<(), String> {
    let limit = question.check.timeout;
    let answered = tokio::time::timeout(limit, answer(dialer, endpoint, question)).await;
    answered.unwrap_or_else(|_| Err(format!("no answer within {limit:?}")))
}

async fn answer(
    dialer: Dialer<'_>,
    endpoint: &Endpoint,
    Question { check, service, protocol }: Question<'_>,
) -> Result<(), String> {
    let speaks_http2 = matches!(protocol, Protocol::Http2 | Protocol::Grpc);
    let alpn = match check.probe {
        HealthProbe::Grpc { .. } => Alpn::Http2,
        _ if speaks_http2 => Alpn::Http2,
        HealthProbe::Http { .. } => Alpn::Http1,
        HealthProbe::Tcp if protocol == Protocol::Http => Alpn::Http1,
        HealthProbe::Tcp => Alpn::Tcp,
    };
    let idle_limit = Duration::ZERO;
    let terms = Terms { timeout: check.timeout, idle_limit, alpn, service };
    let dialed = dialer.dial(endpoint, terms).await;
    let (stream, _) = dialed.map_err(|reason: Reason| reason.as_str().to_owned())?;
    let own_name = || format!("{}.{}", service.name, service.namespace);
    match &check.probe {
        HealthProbe::Tcp if alpn == Alpn::Tcp && endpoint.identity.is_some() => stays(stream).await,
        HealthProbe::Tcp => Ok(()),
        HealthProbe::Http { path, host } => {
            let host = if host.is_empty() { own_name() } else { host.clone() };
            well(&http(stream, alpn, &host, path).await?)
        }
        HealthProbe::Grpc { service } => grpc(stream, &own_name(), service).await,
    }
}

/// Whether the connection is not closed at once.
async fn stays(mut stream: Stream) -> Result<(), String> {
    match tokio::time::timeout(AFTERTHOUGHT, stream.read(&mut [0; 1])).await {
        Ok(Ok(count)) if count > 0 => Ok(()),
        Ok(_) => Err("the endpoint closed the connection".to_owned()),
        // Silence is what a server does that waits for its client.
        Err(_) => Ok(()),
    }
}

async fn http(
    stream: Stream,
    alpn: Alpn,
    host: &str,
    path: &str,
) -> Result<Response<Incoming>, String> {
    let target = match alpn {
        Alpn::Http2 => format!("http://{host}{path}"),
        Alpn::Http1 | Alpn::Tcp => path.to_owned(),
    };
    let request = Request::get(target).header(header::USER_AGENT, USER_AGENT);
    let request = match alpn {
        Alpn::Http2 => request,
        Alpn::Http1 | Alpn::Tcp => request.header(header::HOST, host),
    };
    let request = request.body(Full::default()).map_err(broken)?;
    exchange(stream, alpn, request).await
}

/// Sends one request over a connection that ends when the answer's head is there, or its body read.
async fn exchange(
    stream: Stream,
    alpn: Alpn,
    request: Request<Full<Bytes>>,
) -> Result<Response<Incoming>, String> {
    let io = TokioIo::new(stream);
    match alpn {
        Alpn::Http2 => {
            let (mut send, connection) =
                http2::handshake(TokioExecutor::new(), io).await.map_err(broken)?;
            // Ends by itself with the last of its streams and handles.
            tokio::spawn(connection);
            send.send_request(request).await.map_err(broken)
        }
        Alpn::Http1 | Alpn::Tcp => {
            let (mut send, connection) = http1::handshake(io).await.map_err(broken)?;
            let _driver = AbortOnDropHandle::new(tokio::spawn(connection));
            send.send_request(request).await.map_err(broken)
        }
    }
}

fn well(response: &Response<Incoming>) -> Result<(), String> {
    match response.status() {
        status if status.is_success() => Ok(()),
        status => Err(format!("status {}", status.as_u16())),
    }
}

/// The gRPC Health Checking Protocol (`grpc.health.v1.Health/Check`).
async fn grpc(stream: Stream, host: &str, service: &str) -> Result<(), String> {
    let message = CheckRequest { service: service.to_owned() }.encode_to_vec();
    let length = u32::try_from(message.len()).unwrap_or(u32::MAX).to_be_bytes();
    let body: Vec<u8> = [0].into_iter().chain(length).chain(message).collect();
    let request = Request::builder()
        .method(Method::POST)
        .uri(format!("http://{host}{CHECK}"))
        .header(header::CONTENT_TYPE, "application/grpc")
        .header(header::TE, "trailers")
        .header(header::USER_AGENT, USER_AGENT)
        .body(Full::from(body))
        .map_err(broken)?;
    let response = exchange(stream, Alpn::Http2, request).await?;
    if response.status() != StatusCode::OK {
        return well(&response).and(Err("no gRPC".to_owned()));
    }
    let (head, body) = response.into_parts();
    let body = http_body_util::Limited::new(body, MAX_ANSWER).collect().await;
    let body = body.map_err(|error| format!("no answer: {error}"))?;
    let code = body.trailers().unwrap_or(&head.headers).get("grpc-status");
    let code = code.and_then(|code| code.to_str().ok()).unwrap_or("missing").to_owned();
    if code != "0" {
        return Err(format!("gRPC code {code}"));
    }
    let answer = body.to_bytes();
    let answer = answer.get(5..).and_then(|message| CheckResponse::decode(message).ok());
    match answer.map(|answer| answer.status) {
        Some(SERVING) => Ok(()),
        Some(status) => Err(format!("gRPC health status {status}, not serving")),
        None => Err("an answer that is no health status".to_owned()),
    }
}

fn broken(error: impl std::error::Error) -> String {
    chain(&error)
}
