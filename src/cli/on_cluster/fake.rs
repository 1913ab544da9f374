//! A cluster for tests: whoever tests says what the API server answers to each request.

use http::{Method, Response};
use http_body_util::Full;
use kube::client::Body;
use serde_json::{Value, json};

use super::OnCluster;
use crate::platform::kubernetes::client::Connection;

/// Status and body; `None` closes the connection without an answer.
pub(crate) type Answer = Option<(u16, Value)>;

/// A cluster that answers so to a method and a path.
pub(crate) fn cluster(
    answer: impl Fn(&Method, &str) -> Answer + Clone + Send + Sync + 'static,
) -> OnCluster {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.expect("a runtime");
    let service = tower::service_fn(move |asked: http::Request<Body>| {
        let answer = answer(asked.method(), asked.uri().path());
        async move {
            let Some((status, body)) = answer else {
                return Err(std::io::Error::from(std::io::ErrorKind::ConnectionReset));
            };
            let answer = Response::builder().status(status);
            let body = Full::new(bytes::Bytes::from(body.to_string()));
            Ok(answer.body(body).expect("an answer"))
        }
    });
    let client = {
        let _inside = runtime.enter();
        kube::Client::new(service, "default")
    };
    let connection = Connection {
        client,
        context: "prod".to_owned(),
        server: "https://fake".to_owned(),
        namespace: "default".to_owned(),
        insecure: false,
    };
    OnCluster { connection, runtime }
}

/// That there is no such thing.
pub(crate) fn absent() -> Answer {
    failed(404, "NotFound")
}

/// That a request failed, and in a word why.
pub(crate) fn failed(code: u16, reason: &str) -> Answer {
    let body = json!({
        "apiVersion": "v1", "kind": "Status", "status": "Failure",
        "code": code, "reason": reason, "message": reason,
    });
    Some((code, body))
}

/// A list of these.
pub(crate) fn list(items: &[Value]) -> Answer {
    Some((200, json!({ "apiVersion": "v1", "kind": "List", "metadata": {}, "items": items })))
}
