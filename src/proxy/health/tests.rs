//! Checks against servers on sockets: what counts as well, and what is said where it is not.

use std::convert::Infallible;
use std::net::SocketAddr;

use hyper::service::service_fn;
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpListener;

use super::*;
use crate::proxy::serve::tests::rig;
use crate::resource::OutboundMode;

fn check(probe: HealthProbe) -> HealthCheck {
    HealthCheck {
        probe,
        interval: Duration::from_secs(5),
        timeout: Duration::from_secs(5),
        unhealthy_after: 3,
        healthy_after: 2,
    }
}

async fn asked(address: SocketAddr, protocol: Protocol, check: &HealthCheck) -> Result<(), String> {
    let worker = rig::worker(None, Vec::new());
    let tls = &*worker.shared.tls;
    let dialer = Dialer { tls, outbound: OutboundMode::AllowAny, own_pod: None };
    let endpoint = Endpoint::plain("w-0".parse().unwrap(), address);
    let service = "shop/w".parse().unwrap();
    ask(dialer, &endpoint, Question { check, service: &service, protocol }).await
}

fn get(path: &str, host: &str) -> HealthCheck {
    check(HealthProbe::Http { path: path.into(), host: host.into() })
}

/// Answers one HTTP/1.1 request, and hands out its head.
async fn answers(status: &'static str) -> (SocketAddr, tokio::task::JoinHandle<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let served = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(stream.read_u8().await.unwrap());
        }
        let answer = format!("HTTP/1.1 {status}\r\ncontent-length: 0\r\n\r\n");
        stream.write_all(answer.as_bytes()).await.unwrap();
        String::from_utf8(head).unwrap()
    });
    (address, served)
}

#[tokio::test]
async fn any_status_of_two_hundred_is_well() {
    let (address, served) = answers("204 No Content").await;
    assert_eq!(asked(address, Protocol::Http, &get("/healthz?deep=1", "")).await, Ok(()));
    let head = served.await.unwrap().to_lowercase();
    assert!(head.starts_with("get /healthz?deep=1 http/1.1\r\n"), "{head}");
    assert!(head.contains("host: w.shop\r\n") && head.contains("user-agent: meshctl/"), "{head}");
    let (address, served) = answers("503 Service Unavailable").await;
    let said = asked(address, Protocol::Detect, &get("/", "other.example")).await;
    assert_eq!(said, Err("status 503".into()));
    assert!(served.await.unwrap().contains("host: other.example\r\n"));
    let (address, _served) = answers("301 Moved Permanently").await;
    let said = asked(address, Protocol::Http, &get("/", "")).await;
    assert_eq!(said, Err("status 301".into()));
}

#[tokio::test]
async fn nobody_there_and_no_answer_are_told_apart() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let hasty = HealthCheck { timeout: Duration::from_millis(50), ..get("/", "") };
    let said = asked(address, Protocol::Http, &hasty).await;
    assert_eq!(said, Err("no answer within 50ms".into()));
    assert_eq!(asked(address, Protocol::Tcp, &check(HealthProbe::Tcp)).await, Ok(()));
    drop(listener);
    let said = asked(address, Protocol::Tcp, &check(HealthProbe::Tcp)).await;
    assert_eq!(said, Err("connect_failure".into()));
}

/// A gRPC server that answers every check with `status`, or with `code` alone.
async fn grpc_server(status: i32, code: &'static str) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let answer = move |request: Request<Incoming>| async move {
        assert_eq!(request.uri().path(), "/grpc.health.v1.Health/Check");
        assert_eq!(request.headers()["content-type"], "application/grpc");
        let asked = request.into_body().collect().await.unwrap().to_bytes();
        assert_eq!(CheckRequest::decode(&asked[5..]).unwrap().service, "shop.Reviews");
        let message = CheckResponse { status }.encode_to_vec();
        let mut body = vec![0, 0, 0, 0, u8::try_from(message.len()).unwrap()];
        body.extend(message);
        let response = Response::builder().header("content-type", "application/grpc");
        let body: Full<Bytes> = if code == "0" { Full::from(body) } else { Full::default() };
        let mut trailers = http::HeaderMap::new();
        trailers.insert("grpc-status", code.parse().unwrap());
        let body = body.with_trailers(async move { Some(Ok(trailers)) });
        Ok::<_, Infallible>(response.body(body).unwrap())
    };
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let server = hyper::server::conn::http2::Builder::new(TokioExecutor::new());
            tokio::spawn(server.serve_connection(TokioIo::new(stream), service_fn(answer)));
        }
    });
    address
}

#[tokio::test]
async fn grpc_servers_say_how_they_are() {
    let probe = || check(HealthProbe::Grpc { service: "shop.Reviews".into() });
    let serving = grpc_server(1, "0").await;
    assert_eq!(asked(serving, Protocol::Grpc, &probe()).await, Ok(()));
    let not_serving = grpc_server(2, "0").await;
    let said = asked(not_serving, Protocol::Grpc, &probe()).await;
    assert_eq!(said, Err("gRPC health status 2, not serving".into()));
    let unknown = grpc_server(0, "5").await;
    assert_eq!(asked(unknown, Protocol::Http2, &probe()).await, Err("gRPC code 5".into()));
}
