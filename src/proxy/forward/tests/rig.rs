//! A worker that calls a service whose endpoints are scripts, on real sockets of this thread.

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio::sync::Notify;
use tokio_rustls::TlsAcceptor;

use crate::certs::tls::ClientAuth;
use crate::names::{Protocol, RuleId, ServiceName};
use crate::proxy::connect::Alpn;
use crate::proxy::directory::{Loader, Ticket};
use crate::proxy::serve::tests::rig::{pair, soon, worker};
use crate::proxy::serve::{Connection, Origin, serve};
use crate::proxy::stream::{Side, Stream};
use crate::proxy::vitals::Standing;
use crate::proxy::worker::Worker;
use crate::proxy::{clock, cluster};
use crate::resource::{
    Algorithm, Backend, Cluster, ClusterPolicy, ClusterPort, Endpoint, Fault, HeaderEdit, Mesh,
    OutboundMode, PathMatch, PortMapping, Resource, Retry, Rewrite, RouteMatch, Rule, Service,
    ServicePort, Timeouts,
};

mod client;

pub(super) use client::Client;

/// What an endpoint does with a request.
pub(super) enum Reply {
    /// It answers with this text as it stands.
    Text(String),
    /// It says nothing until the test says so, and then this.
    Later(Rc<Notify>, String),
    /// It begins to answer with the first text, and ends with the second when the test says so.
    Begun(Rc<Notify>, &'static str, &'static str),
    /// It closes the connection; as a sidecar, without a word.
    Close,
    /// It closes the connection, as a sidecar that leaves and has read nothing.
    Leave,
    /// It says this, and closes the connection as one that leaves.
    Parting(&'static str),
    /// It never says anything.
    Silence,
}

/// A request as an endpoint saw it.
#[derive(Debug, Clone)]
pub(super) struct Seen {
    /// Which endpoint.
    pub(super) app: usize,
    /// Which of its connections.
    pub(super) connection: usize,
    pub(super) head: String,
    pub(super) body: String,
}

impl Seen {
    /// The number of the try that it says.
    pub(super) fn attempt(&self) -> Option<&str> {
        let line = self.head.lines().find_map(|line| line.strip_prefix("x-meshctl-attempt: "));
        line.map(str::trim)
    }
}

type Answer = Rc<dyn Fn(usize, &Seen) -> Reply>;

/// What the endpoints have seen, and how many connections each had.
#[derive(Default)]
struct Notes {
    seen: Vec<Seen>,
    closed: Vec<usize>,
    connections: Vec<usize>,
}

/// What holds for the service.
#[derive(Default)]
pub(super) struct Rules {
    pub(super) retry: Retry,
    pub(super) timeouts: Timeouts,
    pub(super) policy: ClusterPolicy,
    /// Endpoints at which nobody listens, before the others.
    pub(super) dead: usize,
    /// Endpoints have a sidecar, and speak mutual TLS.
    pub(super) sidecars: bool,
    /// What is put in on purpose.
    pub(super) faults: Vec<Fault>,
}

pub(super) struct Rig {
    pub(super) worker: Rc<Worker>,
    notes: Rc<RefCell<Notes>>,
}

impl Rig {
    /// `count` endpoints; `answer` gets how many requests came before, to any of them.
    pub(super) async fn new(
        count: usize,
        rules: Rules,
        answer: impl Fn(usize, &Seen) -> Reply + 'static,
    ) -> Self {
        let worker = worker(None, Vec::new());
        let alpn = [Alpn::Http1.as_bytes()];
        let config = worker.shared.tls.server_config(&alpn, ClientAuth::Required);
        let tls = rules.sidecars.then(|| TlsAcceptor::from(config));
        let notes = Rc::new(RefCell::new(Notes::default()));
        let answer: Answer = Rc::new(answer);
        let mut ports = Vec::new();
        for _ in 0..rules.dead {
            let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
            ports.push(listener.local_addr().expect("bound").port());
        }
        for app in 0..count {
            let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
            ports.push(listener.local_addr().expect("bound").port());
            notes.borrow_mut().connections.push(0);
            let (notes, answer) = (Rc::clone(&notes), Rc::clone(&answer));
            tokio::task::spawn_local(listen(listener, tls.clone(), app, notes, answer));
        }
        load(&worker, rules, &ports);
        tokio::task::spawn_local(Rc::clone(&worker).housekeep());
        Self { worker, notes }
    }

    /// A connection of the application.
    pub(super) async fn client(&self) -> Client {
        let (stream, accepted) = pair().await;
        let side = Side::new(Stream::Plain(accepted));
        let life = Duration::from_secs(3_600);
        let connection = Connection::new(Rc::clone(&self.worker), side, Origin::Outbound, life);
        tokio::task::spawn_local(serve(connection));
        Client::new(stream)
    }

    /// Status and the rest of the answer to `request` on a connection of its own.
    pub(super) async fn ask(&self, request: &str) -> (u16, String) {
        self.client().await.ask(request).await
    }

    /// Answers to as many GETs.
    pub(super) async fn gets(&self, count: usize) -> Vec<u16> {
        let mut client = self.client().await;
        let mut statuses = Vec::new();
        for _ in 0..count {
            statuses.push(client.ask(&get("/")).await.0);
        }
        statuses
    }

    /// What the endpoints have seen.
    pub(super) fn seen(&self) -> Vec<Seen> {
        self.notes.borrow().seen.clone()
    }

    /// The endpoints, as the proxy sees them.
    fn endpoints(&self) -> Vec<Arc<cluster::Endpoint>> {
        let cluster = self.worker.shared.directory.cluster(&"shop/app".parse().expect("valid"));
        let cluster = cluster.load().expect("loaded");
        cluster.port(80).map(|port| port.endpoints.to_vec()).unwrap_or_default()
    }

    /// What is known of how fast the first endpoint is, milliseconds; 0 where nothing is.
    pub(super) fn latency(&self) -> f64 {
        // At a time before it was observed, so that it has not faded.
        self.endpoints().first().map_or(0.0, |endpoint| endpoint.latency.cost(0.0, 0))
    }

    /// How many endpoints are out.
    pub(super) fn ejected(&self) -> usize {
        let endpoints = self.endpoints();
        let standings = endpoints.iter().map(|one| one.vitals.standing(clock::now_ms()));
        standings.filter(|standing| *standing == Standing::Out).count()
    }

    /// How many connections endpoint `app` has had.
    pub(super) fn connections(&self, app: usize) -> usize {
        self.notes.borrow().connections[app]
    }

    /// Waits until so many requests have come.
    pub(super) async fn has_seen(&self, count: usize) {
        self.until(|notes| notes.seen.len() >= count).await;
    }

    /// Waits until so many connections have ended.
    pub(super) async fn has_closed(&self, count: usize) {
        self.until(|notes| notes.closed.len() >= count).await;
    }

    async fn until(&self, holds: impl Fn(&Notes) -> bool) {
        soon(async {
            while !holds(&self.notes.borrow()) {
                tokio::task::yield_now().await;
            }
        })
        .await;
    }
}

pub(super) fn get(path: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nhost: app\r\n\r\n")
}

pub(super) fn answer(status: u16, fields: &str, body: &str) -> Reply {
    let length = body.len();
    Reply::Text(format!("HTTP/1.1 {status} X\r\n{fields}content-length: {length}\r\n\r\n{body}"))
}

pub(super) fn ok() -> Reply {
    answer(200, "", "ok")
}

/// A connection, plain or of TLS.
trait Wire: AsyncRead + AsyncWrite + Unpin {}

impl<T: AsyncRead + AsyncWrite + Unpin> Wire for T {}

async fn listen(
    listener: TcpListener,
    tls: Option<TlsAcceptor>,
    app: usize,
    notes: Rc<RefCell<Notes>>,
    answer: Answer,
) {
    while let Ok((stream, _)) = listener.accept().await {
        let connection = notes.borrow().connections[app];
        notes.borrow_mut().connections[app] += 1;
        let (notes, answer) = (Rc::clone(&notes), Rc::clone(&answer));
        let tls = tls.clone();
        tokio::task::spawn_local(async move {
            let stream: Box<dyn Wire> = match tls {
                Some(tls) => Box::new(tls.accept(stream).await.expect("mutual TLS")),
                None => Box::new(stream),
            };
            talk(stream, (app, connection), &notes, answer).await;
            notes.borrow_mut().closed.push(app);
        });
    }
}

async fn talk(
    mut stream: Box<dyn Wire>,
    (app, connection): (usize, usize),
    notes: &RefCell<Notes>,
    answer: Answer,
) {
    let mut ahead = Vec::new();
    while let Some((head, body)) = message(&mut stream, &mut ahead).await {
        let seen = Seen { app, connection, head, body };
        let before = notes.borrow().seen.len();
        notes.borrow_mut().seen.push(seen.clone());
        let text = match answer(before, &seen) {
            Reply::Text(text) => text,
            Reply::Later(told, text) => {
                told.notified().await;
                text
            }
            Reply::Begun(told, first, rest) => {
                if stream.write_all(first.as_bytes()).await.is_err() {
                    return;
                }
                told.notified().await;
                rest.to_owned()
            }
            Reply::Close => return,
            Reply::Leave => return stream.shutdown().await.expect("said"),
            Reply::Parting(text) => {
                stream.write_all(text.as_bytes()).await.expect("written");
                return stream.shutdown().await.expect("said");
            }
            Reply::Silence => continue,
        };
        if stream.write_all(text.as_bytes()).await.is_err() || stream.flush().await.is_err() {
            return;
        }
    }
}

/// Head and body of the next message; `None` at the end.
async fn message(
    stream: &mut (impl AsyncRead + Unpin),
    ahead: &mut Vec<u8>,
) -> Option<(String, String)> {
    let end = loop {
        if let Some(at) = ahead.windows(4).position(|four| four == b"\r\n\r\n") {
            break at + 4;
        }
        if stream.read_buf(ahead).await.unwrap_or(0) == 0 {
            return None;
        }
    };
    let head: Vec<u8> = ahead.drain(..end).collect();
    let head = String::from_utf8(head).expect("text");
    let value = |name: &str| {
        let line = head.lines().find(|line| line.to_ascii_lowercase().starts_with(name));
        line.and_then(|line| line.split(':').nth(1)).map(|value| value.trim().to_owned())
    };
    let length = value("content-length:").map(|length| length.parse::<usize>().expect("digits"));
    let chunked = value("transfer-encoding:").is_some();
    let whole = |ahead: &[u8]| match (length, chunked) {
        (Some(length), _) => ahead.len() >= length,
        (None, true) => ahead.ends_with(b"0\r\n\r\n"),
        (None, false) => true,
    };
    while !whole(ahead) {
        if stream.read_buf(ahead).await.unwrap_or(0) == 0 {
            return None;
        }
    }
    let body = ahead.drain(..length.unwrap_or(if chunked { ahead.len() } else { 0 })).collect();
    Some((head, String::from_utf8(body).expect("text")))
}

/// The service `app` with endpoints at `ports`, each in turn where no policy says how.
fn load(worker: &Worker, rules: Rules, ports: &[u16]) {
    let name: ServiceName = "shop/app".parse().expect("valid");
    let now = Instant::now();
    let mut loader = Loader::new(Arc::clone(&worker.shared.directory), now);
    loader.want(&name, now);
    let mesh = Mesh {
        trust_domain: "cluster.local".parse().expect("valid"),
        roots: Vec::new(),
        outbound: OutboundMode::AllowAny,
        sampling_ppm: 0,
    };
    let endpoint = |(index, &port): (usize, &u16)| Endpoint {
        workload: format!("app-{index}").parse().expect("valid"),
        addresses: vec!["127.0.0.1".parse().expect("valid")],
        ports: vec![PortMapping { service_port: 80, target_port: port }],
        identity: rules.sidecars.then(|| worker.shared.directory.workload().identity.clone()),
        version: String::new(),
        weight: 1,
        zone: String::new(),
    };
    let mut policy = rules.policy.clone();
    if policy.load_balancer.algorithm != Algorithm::Ewma {
        policy.load_balancer.algorithm = Algorithm::RoundRobin;
    }
    let cluster = Cluster {
        name: name.clone(),
        ports: vec![ClusterPort { port: 80, protocol: Protocol::Http }],
        policy,
        endpoints: ports.iter().enumerate().map(endpoint).map(Arc::new).collect(),
    };
    let resources =
        [Resource::Mesh(mesh), Resource::Service(service(name, rules)), Resource::Cluster(cluster)];
    for (ticket, resource) in (1..).zip(resources) {
        loader.offer(resource, Some(Ticket(ticket)), now);
    }
    loader.take_effects();
}

/// How `name` is called: one rule for everything.
fn service(name: ServiceName, rules: Rules) -> Service {
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
        id: RuleId("default/shop/app".into()),
        backends: vec![backend],
        request_headers: HeaderEdit::default(),
        response_headers: HeaderEdit::default(),
        redirect: None,
        rewrite: Rewrite::default(),
        timeouts: rules.timeouts,
        retry: rules.retry,
    };
    let all = RouteMatch {
        rule: 0,
        path: PathMatch::Prefix("/".into()),
        method: None,
        headers: Vec::new(),
        query: Vec::new(),
    };
    let port = ServicePort {
        port: 80,
        protocol: Protocol::Http,
        matches: vec![all],
        rules: vec![rule],
        faults: rules.faults,
    };
    Service { name, consumer: None, overridden_in: Vec::new(), ports: vec![port] }
}
