//! The kubelet's questions on real sockets, answered by applications that the tests play.

use std::sync::Arc;

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio_util::task::AbortOnDropHandle;

use super::*;

/// A pod with one container, `web`, whose application listens at `port`.
struct Pod {
    address: SocketAddr,
    status: watch::Sender<Status>,
    waiting: watch::Sender<Option<String>>,
    _server: AbortOnDropHandle<io::Result<Infallible>>,
}

impl Pod {
    /// One whose originals are `{"web/KIND": …}`.
    fn new(originals: &Value) -> Self {
        let config = Config {
            listen: ([127, 0, 0, 1], 0).into(),
            pod: [127, 0, 0, 1].into(),
            originals: read(&originals.to_string()).expect("originals"),
        };
        let probes = Probes::bind(config, &mut Listeners::default()).expect("a free port");
        let address = probes.address().expect("bound");
        let (status, seen) = watch::channel(Status::default());
        let (waiting, refused) = watch::channel(None);
        let server =
            AbortOnDropHandle::new(tokio::spawn(probes.serve(seen, refused, Arc::default())));
        Self { address, status, waiting, _server: server }
    }

    /// The whole answer to a request; empty where there is none.
    async fn ask(&self, request: &str) -> String {
        let mut stream = TcpStream::connect(self.address).await.expect("it listens");
        let request =
            format!("{request} HTTP/1.1\r\nhost: pod\r\nuser-agent: kube-probe/1.32\r\n\r\n");
        stream.write_all(request.as_bytes()).await.expect("sent");
        let mut answer = String::new();
        // A connection that is cut has no answer either.
        let _ = stream.read_to_string(&mut answer).await;
        answer
    }

    /// The status and the text of the answer to a question about `web`.
    async fn probe(&self, kind: &str) -> (u16, String) {
        let answer = self.ask(&format!("GET /app/web/{kind}")).await;
        let status = answer.get(9..12).and_then(|status| status.parse().ok()).unwrap_or_default();
        let (_, body) = answer.split_once("\r\n\r\n").unwrap_or_default();
        (status, body.trim().to_owned())
    }
}

/// An application that gives each request the answer to its target, and tells what it was asked.
async fn app(answers: &'static [(&'static str, &'static str)]) -> (u16, mpsc::Receiver<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let port = listener.local_addr().expect("bound").port();
    let (told, heard) = mpsc::channel(16);
    tokio::spawn(async move {
        let mut unanswered = Vec::new();
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut request = Vec::new();
            while !request.ends_with(b"\r\n\r\n") {
                if stream.read_buf(&mut request).await.unwrap_or(0) == 0 {
                    break;
                }
            }
            let request = String::from_utf8(request).expect("text");
            let target = request.split(' ').nth(1).unwrap_or_default();
            let head = answers.iter().find(|(path, _)| *path == target).map(|(_, head)| *head);
            if told.send(request).await.is_err() {
                return;
            }
            match head {
                Some(head) => {
                    let answer = format!("HTTP/1.1 {head}\r\ncontent-length: 0\r\n\r\n");
                    let _ = stream.write_all(answer.as_bytes()).await;
                }
                None => unanswered.push(stream),
            }
        }
    });
    (port, heard)
}

#[tokio::test]
async fn one_address_does_not_keep_the_kubelet_out() {
    let pod = Pod::new(&json!({}));
    let from = async |ip: [u8; 4]| {
        let socket = tokio::net::TcpSocket::new_v4().expect("a socket");
        socket.bind((ip, 0).into()).expect("loopback has them all");
        socket.connect(pod.address).await.expect("it listens")
    };
    let mut silent = Vec::new();
    for _ in 0..MOST {
        silent.push(from([127, 0, 0, 2]).await);
    }
    // The last of them is closed at once, because its address has its share.
    let mut last = silent.pop().expect("there are some");
    assert!(matches!(last.read(&mut [0]).await, Ok(0) | Err(_)));
    let answer = tokio::time::timeout(HEAD / 2, pod.ask("GET /nothing")).await;
    assert!(answer.expect("answered while they are silent").starts_with("HTTP/1.1 404"));
}

#[tokio::test]
async fn it_is_ready_with_a_certificate_a_configuration_and_until_it_drains() {
    let pod = Pod::new(&json!({}));
    let ready = async || pod.ask("GET /ready").await;
    pod.waiting.send_replace(Some("the token was refused".to_owned()));
    let answer = ready().await;
    assert!(answer.ends_with("\r\n\r\nno certificate yet: the token was refused\n"), "{answer}");
    pod.waiting.send_replace(None);
    for (change, code, why) in [
        ((|_| {}) as fn(&mut Status), "503", "no certificate yet"),
        (|status| status.certified = true, "503", "no configuration from the control plane yet"),
        (|status| status.configured = true, "503", "starting"),
        (|status| status.serving = true, "200", "ready"),
        (|status| status.draining = true, "503", "draining"),
    ] {
        pod.status.send_modify(change);
        let answer = ready().await;
        assert!(answer.starts_with(&format!("HTTP/1.1 {code} ")), "{answer}");
        assert!(answer.ends_with(&format!("\r\n\r\n{why}\n")), "{answer}");
    }
}

#[tokio::test]
async fn only_what_stands_in_the_pod_is_asked() {
    let pod = Pod::new(&json!({"web/readiness": {"tcpSocket": {"port": 1}}}));
    for (request, code) in [
        ("GET /app/web/liveness", "404"),
        ("GET /app/web/readiness/", "404"),
        ("GET /app/other/readiness", "404"),
        ("GET /", "404"),
        ("POST /app/web/readiness", "405"),
    ] {
        let answer = pod.ask(request).await;
        assert!(answer.starts_with(&format!("HTTP/1.1 {code} ")), "{request}: {answer}");
    }
}

#[tokio::test]
async fn a_request_succeeds_as_the_kubelet_has_it() {
    let answers: &[(&str, &str)] = &[
        ("/ok?deep=1", "200 OK"),
        ("/bad", "500 Internal Server Error"),
        ("/moved", "302 Found\r\nlocation: /bad"),
        ("/elsewhere", "302 Found\r\nlocation: http://192.0.2.1/"),
        ("/circle", "302 Found\r\nlocation: /circle"),
    ];
    let (port, mut heard) = app(answers).await;
    let get = |path: &str| json!({"httpGet": {"path": path, "port": port}, "periodSeconds": 3});
    let mut originals = json!({
        "web/ok": get("/ok?deep=1"), "web/bad": get("bad"), "web/moved": get("/moved"),
        "web/elsewhere": get("/elsewhere"), "web/circle": get("/circle"), "web/mute": get("/mute"),
    });
    originals["web/ok"]["httpGet"]["httpHeaders"] =
        json!([{"name": "Host", "value": "shop.test"}, {"name": "X-Probe", "value": "yes"}]);
    let pod = Pod::new(&originals);
    assert_eq!(pod.probe("ok").await, (200, "ok".to_owned()));
    let request = heard.recv().await.expect("asked").to_ascii_lowercase();
    for line in ["host: shop.test", "x-probe: yes", "user-agent: kube-probe/1.32", "accept: */*"] {
        assert_eq!(request.matches(&format!("{line}\r\n")).count(), 1, "{request}");
    }
    let refused = (503, "the application answered 500".to_owned());
    assert_eq!(pod.probe("bad").await, refused);
    assert_eq!(pod.probe("moved").await, refused, "followed on the same host");
    assert_eq!(pod.probe("elsewhere").await.0, 200, "an answer of its own");
    let (status, why) = pod.probe("circle").await;
    assert!(status == 503 && why.contains("too many redirects"), "{why}");
    let (status, why) = pod.probe("mute").await;
    assert!(status == 503 && why.contains("within 1 s"), "{why}");
}

#[tokio::test]
async fn https_is_asked_without_a_look_at_the_certificate() {
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let made = rcgen::generate_simple_self_signed(["elsewhere.test".to_owned()]).unwrap();
    let key = rustls::pki_types::PrivateKeyDer::try_from(made.signing_key.serialize_der()).unwrap();
    let config = rustls::ServerConfig::builder().with_no_client_auth();
    let config = config.with_single_cert(vec![made.cert.der().clone()], key).unwrap();
    let acceptor = tokio_rustls::TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        let mut tls = acceptor.accept(listener.accept().await.unwrap().0).await.unwrap();
        assert!(tls.read(&mut [0; 1024]).await.unwrap() > 0);
        tls.write_all(b"HTTP/1.1 204 No Content\r\n\r\n").await.unwrap();
        tls.shutdown().await.unwrap();
    });
    let get = json!({"port": port, "scheme": "HTTPS", "path": "/"});
    let pod = Pod::new(&json!({"web/startup": {"httpGet": get, "timeoutSeconds": 20}}));
    assert_eq!(pod.probe("startup").await.0, 200);
}

#[tokio::test]
async fn a_connection_is_enough_for_a_tcp_probe() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let pod = Pod::new(&json!({"web/liveness": {"tcpSocket": {"port": port}}}));
    assert_eq!(pod.probe("liveness").await.0, 200);
    drop(listener);
    assert_eq!(pod.probe("liveness").await.0, 503);
}

#[tokio::test]
async fn grpc_must_be_serving() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(health(stream));
        }
    });
    let grpc = |service| json!({"grpc": {"port": port, "service": service}, "timeoutSeconds": 20});
    let pod = Pod::new(&json!({"web/readiness": grpc("db"), "web/liveness": grpc("down")}));
    assert_eq!(pod.probe("readiness").await, (200, "ok".to_owned()));
    let (status, why) = pod.probe("liveness").await;
    assert!(status == 503 && why.contains("status is 2"), "{why}");
}

/// A gRPC server whose service `db` serves, and no other.
async fn health(stream: TcpStream) {
    let mut connection = h2::server::handshake(stream).await.expect("HTTP/2");
    while let Some(Ok((request, mut respond))) = connection.accept().await {
        assert_eq!(request.uri().path(), "/grpc.health.v1.Health/Check");
        tokio::spawn(async move {
            let asked = request.into_body().data().await.expect("a message").expect("whole");
            let status = if asked.ends_with(b"db") { 1 } else { 2 };
            let head = Response::builder().header("content-type", "application/grpc");
            let mut body = respond.send_response(head.body(()).unwrap(), false).unwrap();
            body.send_data(Bytes::from(vec![0, 0, 0, 0, 2, 8, status]), false).unwrap();
            let trailers = [("grpc-status", "0")].map(|(name, value)| {
                (http::HeaderName::from_static(name), HeaderValue::from_static(value))
            });
            body.send_trailers(trailers.into_iter().collect()).unwrap();
        });
    }
}

#[tokio::test]
async fn a_lifecycle_handler_that_fails_gets_no_answer_that_the_kubelet_would_take_for_success() {
    let (port, _heard) = app(&[("/stop", "500 Internal Server Error"), ("/start", "200 OK")]).await;
    let get = |path| json!({"httpGet": {"path": path, "port": port}});
    let nobody = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap().port();
    let gone = json!({"httpGet": {"path": "/stop", "port": nobody}});
    let originals =
        json!({"web/prestop": get("/stop"), "web/poststart": get("/start"), "db/prestop": gone});
    let pod = Pod::new(&originals);
    assert_eq!(pod.probe("poststart").await.0, 200);
    assert_eq!(pod.probe("prestop").await.0, 200, "the kubelet does not look at the status");
    assert_eq!(pod.ask("GET /app/db/prestop").await, "");
}

#[test]
fn what_is_not_one_question_is_refused() {
    for wrong in [
        r#"{"web/liveness": {}}"#,
        r#"{"web/liveness": {"exec": {"command": ["true"]}}}"#,
        r#"{"web/liveness": {"tcpSocket": {"port": "http"}}}"#,
        r#"{"web/liveness": {"httpGet": {"port": 1, "scheme": "FTP"}}}"#,
    ] {
        assert!(read(wrong).is_err(), "{wrong}");
    }
}
