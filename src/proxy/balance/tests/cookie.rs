//! A client without the cookie gets one, in HTTP/1.1 and in HTTP/2, and with it comes back to the
//! same endpoint.

use std::collections::HashSet;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::{HeaderMap, Request, Response};
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpListener;

use super::*;
use crate::names::{Protocol, RuleId};
use crate::proxy::directory::Loader;
use crate::proxy::serve::tests::rig::{pair, read_until, run, soon, worker};
use crate::proxy::serve::{Connection, Origin, serve};
use crate::proxy::stream::{Side, Stream};
use crate::proxy::worker::Worker;
use crate::resource::{
    Backend, ClusterPort, Endpoint as WireEndpoint, HashCookie, HashOn, HeaderEdit, Mesh,
    OutboundMode, PathMatch, PortMapping, Resource, Retry, Rewrite, RouteMatch, Rule, Service,
    ServicePort, Timeouts,
};

const LIFE: Duration = Duration::from_secs(60);

const ENDPOINTS: usize = 4;

/// A service with a cookie, whose endpoints are at `apps`.
fn resources(apps: &[SocketAddr], protocol: Protocol) -> Vec<Resource> {
    let mut cluster = wire(0..0);
    let name = cluster.name.clone();
    let cookie = HashCookie { name: "stay".into(), path: "/".into(), ttl: None };
    cluster.policy.load_balancer.algorithm = Algorithm::Maglev;
    cluster.policy.load_balancer.hash_on = Some(HashOn::Cookie(cookie));
    cluster.ports = vec![ClusterPort { port: 80, protocol }];
    let endpoints = apps.iter().enumerate().map(|(number, app)| WireEndpoint {
        workload: format!("w-{number}").parse().unwrap(),
        addresses: vec![app.ip()],
        ports: vec![PortMapping { service_port: 80, target_port: app.port() }],
        identity: None,
        version: String::new(),
        weight: 1,
        zone: String::new(),
    });
    cluster.endpoints = endpoints.map(Arc::new).collect();
    let rule = Rule {
        id: RuleId("default/default/w".into()),
        backends: vec![Backend {
            service: name.clone(),
            port: 80,
            weight: 1,
            resolved: true,
            request_headers: HeaderEdit::default(),
            response_headers: HeaderEdit::default(),
            rewrite: Rewrite::default(),
        }],
        request_headers: HeaderEdit::default(),
        response_headers: HeaderEdit { remove: vec!["set-cookie".into()], ..HeaderEdit::default() },
        redirect: None,
        rewrite: Rewrite::default(),
        timeouts: Timeouts::default(),
        retry: Retry::default(),
    };
    let every = RouteMatch {
        rule: 0,
        path: PathMatch::Prefix("/".into()),
        method: None,
        headers: Vec::new(),
        query: Vec::new(),
    };
    let port =
        ServicePort { port: 80, protocol, matches: vec![every], rules: vec![rule], faults: vec![] };
    let service = Service { name, consumer: None, overridden_in: vec![], ports: vec![port] };
    let mesh = Mesh {
        trust_domain: "cluster.local".parse().unwrap(),
        roots: Vec::new(),
        outbound: OutboundMode::AllowAny,
        sampling_ppm: 0,
    };
    vec![Resource::Mesh(mesh), Resource::Service(service), Resource::Cluster(cluster)]
}

/// A worker that knows the service, and its applications.
async fn rig(protocol: Protocol) -> (Rc<Worker>, Vec<TcpListener>) {
    let worker = worker(None, Vec::new());
    let mut apps = Vec::new();
    for _ in 0..ENDPOINTS {
        apps.push(TcpListener::bind("127.0.0.1:0").await.unwrap());
    }
    let addresses: Vec<_> = apps.iter().map(|app| app.local_addr().unwrap()).collect();
    let now = Instant::now();
    let mut loader = Loader::new(Arc::clone(&worker.shared.directory), now);
    loader.want(&"default/w".parse().unwrap(), now);
    for resource in resources(&addresses, protocol) {
        loader.offer(resource, None, now);
    }
    loader.take_effects();
    (worker, apps)
}

/// The cookie of an answer, without its attributes.
fn made(answer: &str) -> Option<&str> {
    let (_, rest) = answer.split_once("set-cookie: ")?;
    assert!(!rest.contains("set-cookie"), "one is enough: {answer}");
    rest.split_once("; Path=/; HttpOnly\r\n").map(|(pair, _)| pair)
}

#[test]
fn of_http1() {
    run(async {
        let (worker, apps) = rig(Protocol::Http).await;
        for (number, app) in apps.into_iter().enumerate() {
            tokio::task::spawn_local(async move {
                while let Ok((mut stream, _)) = app.accept().await {
                    tokio::task::spawn_local(async move {
                        loop {
                            read_until(&mut stream, "\r\n\r\n").await;
                            let answer = format!(
                                "HTTP/1.1 200 OK\r\nSet-Cookie: own=1\r\nContent-Length: 2\r\n\r\n{number}."
                            );
                            stream.write_all(answer.as_bytes()).await.unwrap();
                        }
                    });
                }
            });
        }
        let (mut client, accepted) = pair().await;
        let side = Side::new(Stream::Plain(accepted));
        tokio::task::spawn_local(serve(Connection::new(worker, side, Origin::Outbound, LIFE)));
        let mut homes = HashSet::new();
        for _ in 0..20 {
            client.write_all(b"GET / HTTP/1.1\r\nHost: w.default\r\n\r\n").await.unwrap();
            let first = read_until(&mut client, ".").await;
            let cookie = made(&first).expect("a cookie is made");
            let again =
                format!("GET / HTTP/1.1\r\nHost: w.default\r\nCookie: a=b; {cookie}\r\n\r\n");
            for _ in 0..2 {
                client.write_all(again.as_bytes()).await.unwrap();
                let second = read_until(&mut client, ".").await;
                assert!(made(&second).is_none(), "it has one: {second}");
                assert_eq!(second.get(second.len() - 2..), first.get(first.len() - 2..));
            }
            homes.insert(first.get(first.len() - 2..).unwrap().to_owned());
        }
        assert!(homes.len() > 1, "twenty clients are not all at one endpoint: {homes:?}");
    });
}

#[test]
fn of_http2() {
    run(async {
        let (worker, apps) = rig(Protocol::Http2).await;
        for (number, app) in apps.into_iter().enumerate() {
            tokio::task::spawn_local(async move {
                while let Ok((stream, _)) = app.accept().await {
                    tokio::task::spawn_local(async move {
                        let mut connection = h2::server::handshake(stream).await.unwrap();
                        while let Some(Ok((_, mut respond))) = connection.accept().await {
                            let answer = Response::builder().header("at", number).body(()).unwrap();
                            respond.send_response(answer, true).unwrap();
                        }
                    });
                }
            });
        }
        let (client, accepted) = pair().await;
        let side = Side::new(Stream::Plain(accepted));
        let life = Duration::from_secs(60);
        let origin = Origin::Outbound;
        tokio::task::spawn_local(crate::proxy::h2::serve(worker, side, origin, life));
        let (client, connection) = h2::client::handshake(client).await.unwrap();
        tokio::task::spawn_local(connection);
        for _ in 0..5 {
            let first = get(&client, None).await;
            let cookie = first["set-cookie"].to_str().unwrap();
            let pair = cookie.strip_suffix("; Path=/; HttpOnly").unwrap();
            let second = get(&client, Some(pair)).await;
            assert!(!second.contains_key("set-cookie"), "{second:?}");
            assert_eq!(second["at"], first["at"]);
        }
    });
}

async fn get(client: &h2::client::SendRequest<Bytes>, cookie: Option<&str>) -> HeaderMap {
    let mut client = client.clone().ready().await.unwrap();
    let mut request = Request::get("http://w.default/");
    if let Some(cookie) = cookie {
        request = request.header("cookie", cookie);
    }
    let (answer, _) = client.send_request(request.body(()).unwrap(), true).unwrap();
    let answer = soon(answer).await.unwrap();
    assert_eq!(answer.status(), 200, "{answer:?}");
    answer.headers().clone()
}
