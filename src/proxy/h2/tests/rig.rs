//! A worker whose application calls a service with applications of its own behind it, all on real
//! sockets of this thread; what a rule and a policy say is made by hand.

use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use h2::SendStream;
use h2::client::SendRequest;
use http::{HeaderValue, Method, Request};

use super::app::App;
use crate::names::{Protocol, RuleId};
use crate::proxy::clock;
use crate::proxy::directory::{Loader, Lookup};
use crate::proxy::h2::serve;
use crate::proxy::outbound::Called;
use crate::proxy::serve::Origin;
use crate::proxy::serve::tests::rig::{pair, soon, worker};
use crate::proxy::stream::{Side, Stream};
use crate::proxy::vitals::Standing;
use crate::proxy::worker::Worker;
use crate::resource::{
    Algorithm, Backend, Cluster, ClusterPolicy, ClusterPort, Endpoint, HeaderEdit, Mesh,
    OutboundMode, PathMatch, PortMapping, Resource, Retry, RetryBackoff, RetryBudget, RetryOn,
    Rewrite, RouteMatch, Rule, Service, ServicePort, Timeouts,
};

/// More than any connection lives.
const LONG: Duration = Duration::from_secs(100_000);

/// The longest wait before a repetition.
const WAIT: Duration = Duration::from_millis(1);

/// A retry policy: what a rule with all conditions says.
pub(super) fn everything() -> Retry {
    Retry {
        attempts: 2,
        on: RetryOn {
            connect_failure: true,
            refused_stream: true,
            gateway_error: true,
            server_error: false,
            reset: true,
        },
        grpc_codes: vec![14],
        backoff: RetryBackoff { base: WAIT, max: WAIT },
        budget: Some(RetryBudget { ppm: 1_000_000, min_per_second: 100 }),
        ..Retry::DEFAULT
    }
}

/// See the head of this file.
pub(super) struct Net {
    pub(super) worker: Rc<Worker>,
    called: Called,
    _loader: Loader,
}

impl Net {
    /// The service `shop/app`, port 80, in front of `apps`; endpoints are chosen in turn.
    pub(super) fn new(
        apps: &[&App],
        (retry, timeouts): (Retry, Timeouts),
        mut policy: ClusterPolicy,
    ) -> Self {
        let worker = worker(None, Vec::new());
        tokio::task::spawn_local(Rc::clone(&worker).housekeep());
        policy.load_balancer.algorithm = Algorithm::RoundRobin;
        let now = Instant::now();
        let mut loader = Loader::new(Arc::clone(&worker.shared.directory), now);
        let mesh = Mesh {
            trust_domain: worker.shared.directory.mesh().trust_domain.clone(),
            roots: vec![],
            outbound: OutboundMode::AllowAny,
            sampling_ppm: 0,
        };
        loader.offer(Resource::Mesh(mesh), None, now);
        let name = "shop/app".parse().unwrap();
        loader.want(&name, now);
        loader.offer(Resource::Service(service(retry, timeouts)), None, now);
        let endpoint = |(index, app): (usize, &&App)| Endpoint {
            workload: format!("app-{index}").parse().unwrap(),
            addresses: vec![app.address.ip()],
            ports: vec![PortMapping { service_port: 80, target_port: app.address.port() }],
            identity: None,
            version: String::new(),
            weight: 1,
            zone: String::new(),
        };
        let cluster = Cluster {
            name: "shop/app".parse().unwrap(),
            ports: vec![ClusterPort { port: 80, protocol: Protocol::Http2 }],
            policy,
            endpoints: apps.iter().enumerate().map(endpoint).collect(),
        };
        loader.offer(Resource::Cluster(cluster), None, now);
        loader.take_effects();
        let Lookup::Ready(cell) = worker.shared.directory.service(&name) else {
            panic!("the service is there");
        };
        Self { worker, called: Called::Service(cell, 80), _loader: loader }
    }

    /// Whether the first application takes part.
    pub(super) fn is_in(&self) -> bool {
        let cluster = self.worker.shared.directory.cluster(&"shop/app".parse().unwrap());
        let port = cluster.load().unwrap();
        let endpoint = port.port(80).unwrap().endpoints.first().unwrap();
        endpoint.vitals.standing(clock::now_ms()) != Standing::Out
    }

    /// A connection of the application.
    pub(super) async fn client(&self) -> Client {
        let (client, accepted) = pair().await;
        let side = Side::new(Stream::Plain(accepted));
        let origin = Origin::Upstream(self.called.clone());
        tokio::task::spawn_local(serve(Rc::clone(&self.worker), side, origin, LONG));
        let (send, connection) = h2::client::handshake(client).await.unwrap();
        tokio::task::spawn_local(async move {
            // Its end is what a test ends with.
            let _ = connection.await;
        });
        Client(send)
    }

    /// What was counted so far: status, code of gRPC, reason, how often.
    pub(super) fn counted(&self) -> Vec<(u16, Option<u32>, String, u64)> {
        let edges = self.worker.shared.metrics.totals();
        let requests = edges.into_iter().flat_map(|edge| edge.requests);
        requests.map(|it| (it.status, it.grpc, it.reason.into_owned(), it.count)).collect()
    }
}

/// The application's connection to its proxy.
#[derive(Clone)]
pub(super) struct Client(SendRequest<Bytes>);

/// A request that was begun, and what it is answered with.
pub(super) struct Begun {
    pub(super) answer: h2::client::ResponseFuture,
    pub(super) body: SendStream<Bytes>,
}

/// An answer as a client sees it.
#[derive(Debug, PartialEq)]
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) reason: Option<String>,
    pub(super) code: Option<u32>,
    pub(super) body: Vec<u8>,
}

impl Answer {
    /// One of the application.
    pub(super) fn app(status: u16, code: Option<u32>, body: &str) -> Self {
        Self { status, reason: None, code, body: body.into() }
    }
}

/// What is asked.
pub(super) fn get() -> Request<()> {
    Request::get("http://app/").body(()).unwrap()
}

pub(super) fn post() -> Request<()> {
    let mut request = get();
    *request.method_mut() = Method::POST;
    request
}

pub(super) fn grpc() -> Request<()> {
    let mut request = post();
    request.headers_mut().insert("content-type", HeaderValue::from_static("application/grpc"));
    request
}

impl Client {
    pub(super) async fn begin(&self, request: Request<()>, ended: bool) -> Begun {
        let mut send = soon(self.0.clone().ready()).await.unwrap();
        let (answer, body) = send.send_request(request, ended).unwrap();
        Begun { answer, body }
    }

    /// Sends a request with a body (of GET none) and reads its answer.
    pub(super) async fn ask(
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
    pub(super) async fn send(&mut self, mut part: &[u8], last: bool) {
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
    pub(super) async fn end(self) -> Result<Answer, h2::Error> {
        let (head, mut body) = soon(self.answer).await?.into_parts();
        let mut all = Vec::new();
        while let Some(data) = soon(body.data()).await {
            let data = data?;
            let _ = body.flow_control().release_capacity(data.len());
            all.extend_from_slice(&data);
        }
        let trailers = soon(body.trailers()).await?.unwrap_or_default();
        let code = trailers.get("grpc-status").or(head.headers.get("grpc-status"));
        let reason = head.headers.get("meshctl-reason");
        Ok(Answer {
            status: head.status.as_u16(),
            reason: reason.map(|reason| reason.to_str().unwrap().to_owned()),
            code: code.map(|code| code.to_str().unwrap().parse().unwrap()),
            body: all,
        })
    }
}

fn service(retry: Retry, timeouts: Timeouts) -> Service {
    let name: crate::names::ServiceName = "shop/app".parse().unwrap();
    let backend = Backend {
        service: name.clone(),
        port: 80,
        weight: 1,
        resolved: true,
        request_headers: HeaderEdit::default(),
        response_headers: HeaderEdit::default(),
        rewrite: Rewrite::default(),
    };
    let rule = Rule {
        id: RuleId("HTTPRoute/shop/app/0".into()),
        backends: vec![backend],
        request_headers: HeaderEdit::default(),
        response_headers: HeaderEdit::default(),
        redirect: None,
        rewrite: Rewrite::default(),
        timeouts,
        retry,
    };
    let all = RouteMatch {
        rule: 0,
        path: PathMatch::Prefix("/".into()),
        method: None,
        headers: vec![],
        query: vec![],
    };
    let port = ServicePort {
        port: 80,
        protocol: Protocol::Http2,
        matches: vec![all],
        rules: vec![rule],
        faults: vec![],
    };
    Service { name, consumer: None, overridden_in: vec![], ports: vec![port] }
}
