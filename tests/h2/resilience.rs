//! What rules say of retries and breakers, with the libraries and programs that people use.

use std::io::Write as _;
use std::process::{Command, Stdio};

use super::*;
use crate::support::Mesh as Rules;

/// `web` calls `echo`, two applications with a sidecar each, under a policy; the first of the two
/// says of what it has seen.
fn mesh(apps: [SocketAddr; 2], protocol: Protocol, policy: &str) -> Rules {
    let rules = format!(
        "apiVersion: meshctl.dev/v1alpha1\nkind: TrafficPolicy\nmetadata: {{name: echo}}\n\
         spec:\n  targetRefs: [{{kind: Service, name: echo}}]\n\
         \x20 loadBalancer: {{algorithm: round-robin}}\n{policy}"
    );
    let mut mesh = Rules::new().caller("web").upstream("echo");
    for app in apps {
        mesh = mesh.service_at("echo", app).protocol(protocol);
    }
    mesh.rules(&rules).start()
}

fn upstream(mesh: &Rules) -> SocketAddr {
    mesh.proxy("web").addresses().upstreams["echo:80"]
}

const RETRY: &str = "  retry: {attempts: 2, on: [connect-failure, refused-stream, unavailable], \
                     methods: all, budget: {percent: 100}}\n";

#[test]
fn callers_of_grpc_never_see_a_sick_server_and_no_message_comes_twice() {
    let runtime = runtime();
    let (sick, seen) = runtime.block_on(echo::start());
    let (well, also) = runtime.block_on(echo::start());
    seen.sick.store(true, Ordering::Relaxed);
    let calls = || seen.calls.load(Ordering::Relaxed) + also.calls.load(Ordering::Relaxed);
    let mesh = mesh([sick, well], Protocol::Grpc, RETRY);
    runtime.block_on(async {
        let mut client = client(upstream(&mesh)).await;
        for _ in 0..20 {
            let small = Request::new(vec![1; 1_000]);
            let answer = ready(&mut client).await.unary(small, path("Frail"), codec()).await;
            assert_eq!(answer.unwrap().into_inner(), b"1000");
        }
        assert!(calls() > 20, "the sick one was tried");
        // More than is kept of a body, and what has begun to answer: once, whatever comes of it.
        let (before, mut failed) = (calls(), 0);
        for _ in 0..10 {
            let large = Request::new(vec![1; 100_000]);
            let answer = ready(&mut client).await.unary(large, path("Frail"), codec()).await;
            failed += usize::from(answer.is_err());
        }
        let many = calls() - before;
        assert!((1..10).contains(&failed) && many >= 10, "{failed} of {many}");
        let before = calls();
        for _ in 0..10 {
            let request = Request::new(Message::new());
            let answer = ready(&mut client).await.server_streaming(request, path("Break"), codec());
            let mut messages = answer.await.unwrap().into_inner();
            assert_eq!(messages.message().await.unwrap().unwrap(), b"first");
            match messages.message().await {
                Ok(more) => assert_eq!(more, None),
                Err(status) => assert_eq!(status.code(), Code::Unavailable),
            }
        }
        assert_eq!(calls() - before, 10, "none was repeated");
    });
    let metrics =
        |proxy: &crate::support::Proxy| String::from_utf8(proxy.ask("/metrics").body).unwrap();
    let ours = metrics(mesh.proxy("web"));
    let has = |text: &str, code: &str| {
        let code = format!("grpc_response_status=\"{code}\"");
        text.lines().any(|line| line.contains("request_protocol=\"grpc\"") && line.contains(&code))
    };
    assert!(has(&ours, "0") && has(&ours, "14"), "{ours}");
    assert!(has(&metrics(mesh.proxy("echo")), "14"), "the called side tells them too");
}

#[test]
fn a_caller_of_grpc_hears_of_the_breaker_in_its_own_words() {
    let runtime = runtime();
    let (app, seen) = runtime.block_on(echo::start());
    let policy = "  circuitBreaker: {maxRequests: 1}\n";
    let mesh = mesh([app, app], Protocol::Grpc, policy);
    runtime.block_on(async {
        let mut client = client(upstream(&mesh)).await;
        let mut second = client.clone();
        let hang =
            ready(&mut client).await.unary(Request::new(Message::new()), path("Hang"), codec());
        let refused = async {
            while seen.hanging.load(Ordering::Relaxed) == 0 {
                tokio::task::yield_now().await;
            }
            let request = Request::new(Message::new());
            ready(&mut second).await.unary(request, path("Frail"), codec()).await.unwrap_err()
        };
        let status = tokio::select! {
            answer = hang => panic!("{answer:?}"),
            status = refused => status,
        };
        assert_eq!(status.code(), Code::Unavailable);
        assert_eq!(status.metadata().get("meshctl-reason").unwrap(), "max_requests");
    });
    let open = || mesh.service("echo").map(|service| service["breaker"].clone());
    eventually("the breaker is seen to be open", || {
        (open()?.to_string().to_lowercase().contains("open")).then_some(())
    });
}

#[test]
fn curl_and_nghttp_get_through_and_what_was_refused_is_sent_again() {
    let runtime = runtime();
    let (one, _lost) = runtime.block_on(raw::start());
    let (two, _also) = runtime.block_on(raw::start());
    let mesh = mesh([one, two], Protocol::Http2, RETRY);
    let address = upstream(&mesh);
    // The first of either application refuses.
    for _ in 0..4 {
        let mut curl = Command::new("curl");
        curl.args(["--silent", "--show-error", "--http2-prior-knowledge", "--max-time", "20"]);
        curl.args(["--data-binary", "@-", "--write-out", "%{http_version} %{http_code}"]);
        curl.arg(format!("http://{address}/refused"));
        let mut child = curl.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        child.stdin.take().unwrap().write_all(&[b'x'; 50_000]).unwrap();
        let said = child.wait_with_output().unwrap();
        assert_eq!(String::from_utf8_lossy(&said.stdout), "2 200");
    }
    let mut nghttp = Command::new("nghttp");
    nghttp.args(["--no-dep", "-nv", "-m", "50"]).arg(format!("http://{address}/"));
    let said = nghttp.output().unwrap();
    let text = String::from_utf8_lossy(&said.stdout);
    assert_eq!(text.matches(":status: 200").count(), 50, "{text}");
}
