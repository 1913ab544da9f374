//! What the kubelet would have asked the application, as it stood in the pod.
//!
//! Goes in: JSON, by `CONTAINER/KIND`, each a probe or a lifecycle handler of the pod with its ports
//! as numbers (Kubernetes API, core/v1, `Probe` and `LifecycleHandler`). Fields that only say when
//! to ask are the kubelet's business still.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::Deserialize;

/// All of a pod, by `CONTAINER/KIND`.
pub type Originals = BTreeMap<String, Original>;

/// One probe or lifecycle handler.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Original {
    /// What to ask.
    #[serde(flatten)]
    pub question: Question,
    timeout_seconds: Option<u32>,
}

/// What to ask; exactly one of the three.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Question {
    /// A request, answered by 200 to 399.
    HttpGet(HttpGet),
    /// A connection.
    TcpSocket(TcpSocket),
    /// The gRPC health protocol, answered by SERVING.
    Grpc(Grpc),
}

/// A request.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct HttpGet {
    /// Another host than the pod.
    pub host: Option<String>,
    /// The port.
    pub port: u16,
    /// Path and query.
    #[serde(default)]
    pub path: String,
    /// HTTP or HTTPS, the latter without a look at the certificate.
    #[serde(default)]
    pub scheme: Scheme,
    /// More headers, `Host` among them.
    #[serde(default)]
    pub http_headers: Vec<Header>,
}

/// A request's scheme.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum Scheme {
    /// Plaintext.
    #[default]
    Http,
    /// TLS.
    Https,
}

/// A header.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Header {
    /// Its name.
    pub name: String,
    /// Its value.
    #[serde(default)]
    pub value: String,
}

/// A connection.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct TcpSocket {
    /// Another host than the pod.
    pub host: Option<String>,
    /// The port.
    pub port: u16,
}

/// A health check.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Grpc {
    /// The port.
    pub port: u16,
    /// The service asked about; empty for the server as a whole.
    #[serde(default)]
    pub service: String,
}

impl Original {
    /// How long the application may take: a second where a probe says nothing, and no limit but the
    /// kubelet's own for a lifecycle handler.
    pub fn timeout(&self, is_lifecycle: bool) -> Option<Duration> {
        match self.timeout_seconds {
            _ if is_lifecycle => None,
            Some(seconds) => Some(Duration::from_secs(u64::from(seconds.max(1)))),
            None => Some(Duration::from_secs(1)),
        }
    }
}

/// Reads the originals of a pod.
///
/// # Errors
/// What is wrong with the JSON.
pub fn read(json: &str) -> Result<Originals, serde_json::Error> {
    serde_json::from_str(json)
}
