//! A worker whose application calls a service with applications of its own behind it, all on real
//! sockets of this thread; what a rule and a policy say is made by hand.

use std::cell::{Cell, RefCell};
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::net::{TcpListener, TcpStream};

use crate::names::{Protocol, RuleId};
use crate::proxy::directory::{Loader, Lookup};
use crate::proxy::h2::serve;
use crate::proxy::outbound::Called;
use crate::proxy::serve::Origin;
use crate::proxy::serve::tests::rig::{pair, worker};
use crate::proxy::stream::{Side, Stream};
use crate::proxy::vitals::Standing;
use crate::proxy::worker::Worker;
use crate::proxy::{clock, cluster};
use crate::resource::{
    Algorithm, Backend, Cluster, ClusterPolicy, ClusterPort, Endpoint, HeaderEdit, Mesh,
    OutboundMode, PathMatch, PortMapping, Resource, Retry, RetryBackoff, RetryBudget, RetryOn,
    Rewrite, RouteMatch, Rule, Service, ServicePort, Timeouts,
};

mod answers;
mod client;

use answers::answer;
pub(super) use client::{Answer, Begun, Client, get, grpc, post};

/// More than any connection lives.
const LONG: Duration = Duration::from_secs(100_000);

/// The number of a try, and the body as far as it was read.
type Came = (Option<String>, Vec<u8>);

/// What an application does with every request.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Does {
    /// Reads all of it and answers with this status.
    Answer(u16),
    /// As [`Does::Answer`] with 503, and asks to be left alone for so many seconds.
    Busy(u64),
    /// Reads all of it and ends with this code of gRPC and nothing else.
    TrailersOnly(u32),
    /// Ends with the code of gRPC for unavailable and nothing else but what is said of repetitions.
    PushBack(&'static str),
    /// A message, then trailers with this code.
    Message(u32),
    /// A message, and an end without a code.
    Codeless,
    /// A page with this status.
    Page(u16),
    /// Reads nothing and ends with RESOURCE_EXHAUSTED.
    TooMuch,
    /// A message, then a reset.
    HalfMessage,
    /// Sends back what it reads, as it comes.
    Echo,
    /// Sends on and on.
    Flood,
    /// RST_STREAM with REFUSED_STREAM.
    Refuse,
    /// RST_STREAM with INTERNAL_ERROR, after it has read all.
    Reset,
    /// Nothing, for ever.
    Hang,
    /// An interim answer, then 503.
    Interim,
}

/// An application.
pub(super) struct App {
    pub(super) address: SocketAddr,
    pub(super) does: Rc<Cell<Does>>,
    /// What came: the number of the try, and the body as far as it was read.
    pub(super) seen: Rc<RefCell<Vec<Came>>>,
    /// Connections so far.
    pub(super) connections: Rc<Cell<u32>>,
    /// Streams that were given up by the proxy before their end.
    pub(super) lost: Rc<Cell<u32>>,
}

impl App {
    /// One that lets so many streams of a connection run at a time.
    pub(super) async fn with_streams(does: Does, streams: u32) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let app = Self {
            address: listener.local_addr().unwrap(),
            does: Rc::new(Cell::new(does)),
            seen: Rc::default(),
            connections: Rc::default(),
            lost: Rc::default(),
        };
        let (does, seen) = (Rc::clone(&app.does), Rc::clone(&app.seen));
        let (connections, lost) = (Rc::clone(&app.connections), Rc::clone(&app.lost));
        tokio::task::spawn_local(async move {
            while let Ok((tcp, _)) = listener.accept().await {
                connections.set(connections.get() + 1);
                let (does, seen, lost) = (Rc::clone(&does), Rc::clone(&seen), Rc::clone(&lost));
                tokio::task::spawn_local(async move {
                    let mut builder = h2::server::Builder::new();
                    let handshake = builder.max_concurrent_streams(streams).handshake(tcp);
                    let Ok(mut connection) = handshake.await else { return };
                    while let Some(Ok((request, respond))) = connection.accept().await {
                        let (seen, lost) = (Rc::clone(&seen), Rc::clone(&lost));
                        let attempt = request.headers().get("x-meshctl-attempt");
                        let attempt = attempt.map(|value| value.to_str().unwrap().to_owned());
                        let index = seen.borrow().len();
                        seen.borrow_mut().push((attempt, Vec::new()));
                        let does = does.get();
                        tokio::task::spawn_local(async move {
                            let body = request.into_body();
                            let answered = answer(does, body, respond, |data| {
                                seen.borrow_mut()[index].1.extend_from_slice(data);
                            });
                            if answered.await.is_err() {
                                lost.set(lost.get() + 1);
                            }
                        });
                    }
                });
            }
        });
        app
    }

    pub(super) async fn new(does: Does) -> Self {
        Self::with_streams(does, 1_000).await
    }

    /// The numbers of tries that came.
    pub(super) fn attempts(&self) -> Vec<Option<String>> {
        self.seen.borrow().iter().map(|(attempt, _)| attempt.clone()).collect()
    }

    /// How many requests came.
    pub(super) fn count(&self) -> usize {
        self.seen.borrow().len()
    }
}

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
    clock: tokio::task::JoinHandle<()>,
}

impl Net {
    /// The service `shop/app`, port 80, in front of `apps`; endpoints are chosen in turn where
    /// no policy says how.
    pub(super) fn new(
        apps: &[&App],
        (retry, timeouts): (Retry, Timeouts),
        mut policy: ClusterPolicy,
    ) -> Self {
        let worker = worker(None, Vec::new());
        let clock = tokio::task::spawn_local(Rc::clone(&worker).housekeep());
        if policy.load_balancer.algorithm != Algorithm::Ewma {
            policy.load_balancer.algorithm = Algorithm::RoundRobin;
        }
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
            endpoints: apps.iter().enumerate().map(endpoint).map(Arc::new).collect(),
        };
        loader.offer(Resource::Cluster(cluster), None, now);
        loader.take_effects();
        let Lookup::Ready(cell) = worker.shared.directory.service(&name) else {
            panic!("the service is there");
        };
        Self { worker, called: Called::Service(cell, 80), _loader: loader, clock }
    }

    /// From now on time passes only where a test says so.
    pub(super) fn stop_clock(&self) {
        self.clock.abort();
    }

    /// Whether the first application takes part.
    pub(super) fn is_in(&self) -> bool {
        self.first().vitals.standing(clock::now_ms()) != Standing::Out
    }

    /// The first application, as the proxy sees it.
    pub(super) fn first(&self) -> Arc<cluster::Endpoint> {
        let cluster = self.worker.shared.directory.cluster(&"shop/app".parse().unwrap());
        Arc::clone(cluster.load().unwrap().port(80).unwrap().endpoints.first().unwrap())
    }

    /// A connection of the application on which nothing was said.
    pub(super) async fn connect(&self) -> TcpStream {
        let (client, accepted) = pair().await;
        let side = Side::new(Stream::Plain(accepted));
        let origin = Origin::Upstream(self.called.clone());
        tokio::task::spawn_local(serve(Rc::clone(&self.worker), side, origin, LONG));
        client
    }

    /// A connection of the application.
    pub(super) async fn client(&self) -> Client {
        let (send, connection) = h2::client::handshake(self.connect().await).await.unwrap();
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
