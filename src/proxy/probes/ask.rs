//! Asks the application as the kubelet would: `httpGet` without a look at certificates and without a
//! proxy of the environment, redirects followed on the same host; `tcpSocket`; gRPC health v1.
//! Source: kubernetes/pkg/probe and KEP-2727.

use std::net::{IpAddr, SocketAddr};

use reqwest::header::{ACCEPT, HeaderMap, HeaderName, HeaderValue, USER_AGENT};
use reqwest::redirect::{Action, Attempt, Policy};
use tokio::net::TcpStream;
use tonic::client::Grpc as GrpcClient;
use tonic::codegen::http::uri::PathAndQuery;
use tonic::transport::Endpoint;
use tonic_prost::ProstCodec;

use super::original::{Grpc, HttpGet, Question, Scheme, TcpSocket};
use crate::net::causes::chain;
use crate::proxy::health::{CHECK, CheckRequest, CheckResponse, SERVING};

/// Redirects are followed so often.
const MOST_REDIRECTS: usize = 10;

/// Asks on behalf of the kubelet.
#[derive(Debug)]
pub(super) struct Asker {
    pod: IpAddr,
    http: reqwest::Client,
}

impl Asker {
    /// Asks applications at the address `pod`.
    pub(super) fn new(pod: IpAddr) -> Result<Self, reqwest::Error> {
        // Another part of the process may have chosen it already.
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        let http = reqwest::Client::builder()
            .http1_only()
            .no_proxy()
            .pool_max_idle_per_host(0)
            .tls_danger_accept_invalid_certs(true)
            .redirect(Policy::custom(redirect))
            .build()?;
        Ok(Self { pod, http })
    }

    /// What the application says: the status of an HTTP answer, else that all is well; `agent` is the
    /// kubelet's own `User-Agent`.
    ///
    /// # Errors
    /// Why there is no answer, or that it is no.
    pub(super) async fn ask(
        &self,
        question: &Question,
        agent: Option<&HeaderValue>,
    ) -> Result<Option<u16>, String> {
        match question {
            Question::HttpGet(get) => self.http_get(get, agent).await.map(Some),
            Question::TcpSocket(socket) => self.tcp_socket(socket).await.map(|()| None),
            Question::Grpc(grpc) => self.grpc(grpc).await.map(|()| None),
        }
    }

    async fn http_get(&self, get: &HttpGet, agent: Option<&HeaderValue>) -> Result<u16, String> {
        let scheme = match get.scheme {
            Scheme::Http => "http",
            Scheme::Https => "https",
        };
        let authority = self.authority(get.host.as_deref(), get.port);
        let slash = if get.path.starts_with('/') { "" } else { "/" };
        let url = format!("{scheme}://{authority}{slash}{}", get.path);
        let request = self.http.get(url).headers(headers(get, agent)?);
        let answer = request.send().await.map_err(|error| chain(&error))?;
        Ok(answer.status().as_u16())
    }

    async fn tcp_socket(&self, socket: &TcpSocket) -> Result<(), String> {
        let authority = self.authority(socket.host.as_deref(), socket.port);
        TcpStream::connect(authority).await.map(drop).map_err(|error| error.to_string())
    }

    async fn grpc(&self, grpc: &Grpc) -> Result<(), String> {
        let endpoint = Endpoint::from_shared(format!("http://{}", self.authority(None, grpc.port)));
        let channel = endpoint.map_err(|error| chain(&error))?.connect().await;
        let mut client = GrpcClient::new(channel.map_err(|error| chain(&error))?);
        client.ready().await.map_err(|error| chain(&error))?;
        let request = CheckRequest { service: grpc.service.clone() };
        let codec: ProstCodec<_, CheckResponse> = ProstCodec::default();
        let path = PathAndQuery::from_static(CHECK);
        let answer = client.unary(tonic::Request::new(request), path, codec).await;
        match answer.map_err(|status| status.message().to_owned())?.into_inner().status {
            SERVING => Ok(()),
            status => Err(format!("the application's health status is {status}, not SERVING")),
        }
    }

    fn authority(&self, host: Option<&str>, port: u16) -> String {
        match host.filter(|host| !host.is_empty()) {
            Some(host) if host.contains(':') && !host.starts_with('[') => {
                format!("[{host}]:{port}")
            }
            Some(host) => format!("{host}:{port}"),
            None => SocketAddr::new(self.pod, port).to_string(),
        }
    }
}

/// The pod's own headers, and what the kubelet adds where they do not say otherwise.
fn headers(get: &HttpGet, agent: Option<&HeaderValue>) -> Result<HeaderMap, String> {
    let mut headers = HeaderMap::new();
    for header in &get.http_headers {
        let name = HeaderName::try_from(&header.name).map_err(|error| error.to_string())?;
        let value = HeaderValue::try_from(&header.value).map_err(|error| error.to_string())?;
        headers.append(name, value);
    }
    if let Some(agent) = agent {
        headers.entry(USER_AGENT).or_insert_with(|| agent.clone());
    }
    headers.entry(ACCEPT).or_insert(HeaderValue::from_static("*/*"));
    Ok(headers)
}

/// On the same host redirects are followed; one that leads elsewhere is an answer.
fn redirect(attempt: Attempt<'_>) -> Action {
    let first = attempt.previous().first();
    let same = first.is_some_and(|first| first.host_str() == attempt.url().host_str());
    match attempt.previous().len() {
        _ if !same => attempt.stop(),
        count if count > MOST_REDIRECTS => attempt.error("too many redirects"),
        _ => attempt.follow(),
    }
}
