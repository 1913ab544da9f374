//! Calls from one application of the shop to another, with an ordinary HTTP client.
//!
//! The client takes `http_proxy` from the environment. What the called application said comes back
//! as JSON, or as the reason why there is none, in words for the page.

use std::time::Duration;

use http::HeaderMap;
use serde_json::Value;

/// The longest that a call may take.
const TIMEOUT: Duration = Duration::from_secs(5);

/// What an instrumented application passes on from the request that it serves.
const TRACE_HEADERS: &[&str] = &[
    "traceparent",
    "tracestate",
    "b3",
    "x-b3-traceid",
    "x-b3-spanid",
    "x-b3-parentspanid",
    "x-b3-sampled",
    "x-b3-flags",
    "x-request-id",
];

/// A client that knows where the others are.
pub(super) struct Caller {
    client: reqwest::Client,
    reviews: String,
    ratings: String,
}

impl Caller {
    pub(super) fn new(reviews: String, ratings: String) -> anyhow::Result<Self> {
        // The client wants a provider of TLS although it speaks plain HTTP; one that is there
        // already serves as well.
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        let client = reqwest::Client::builder()
            .tls_certs_only([])
            .timeout(TIMEOUT)
            .user_agent("shop")
            .build()?;
        Ok(Self { client, reviews, ratings })
    }

    pub(super) async fn reviews(&self, id: u32, headers: &HeaderMap) -> Result<Value, String> {
        self.get(&format!("{}/reviews/{id}", self.reviews), headers).await
    }

    pub(super) async fn ratings(&self, id: u32, headers: &HeaderMap) -> Result<Value, String> {
        self.get(&format!("{}/ratings/{id}", self.ratings), headers).await
    }

    async fn get(&self, url: &str, headers: &HeaderMap) -> Result<Value, String> {
        let mut request = self.client.get(url);
        for &name in TRACE_HEADERS {
            for value in headers.get_all(name) {
                request = request.header(name, value);
            }
        }
        let answer = request.send().await.map_err(|error| format!("{url}: {error}"))?;
        let status = answer.status();
        let body = answer.bytes().await.map_err(|error| format!("{url}: {error}"))?;
        if !status.is_success() {
            let said = String::from_utf8_lossy(&body);
            return Err(format!("{url}: {status}: {}", said.trim()));
        }
        serde_json::from_slice(&body).map_err(|error| format!("{url}: {error}"))
    }
}
