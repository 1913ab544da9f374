//! What a proxy shows of itself: readiness, configuration, counters, log level. The admin server
//! and the control plane's commands both ask here, so they say the same.
//!
//! Holds no key and no path to one; certificates are named by serial number and times.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::SystemTime;

use parking_lot::Mutex;
use serde_json::{Value, json};
use tokio::sync::watch;

use crate::certs::Tls;
use crate::names::{ProxyId, ServiceName};
use crate::resource::Key;
use crate::telemetry::collector::Collector;
use crate::telemetry::logging::LogLevel;
use crate::telemetry::prometheus;
use crate::telemetry::span::SpanQueue;
use crate::xds::codec::{self, Encoded};

use super::directory::Directory;

mod json;
mod policy;
mod pools;

/// How a proxy is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Status {
    /// There is a certificate.
    pub certified: bool,
    /// Everything listens and there is a certificate.
    pub serving: bool,
    /// Mesh settings and our own workload have come, from whichever source.
    pub configured: bool,
    /// It is about to end.
    pub draining: bool,
    /// It started from its last good configuration and has not synced since.
    pub last_good: bool,
    /// Both streams to the control plane are open.
    pub connected: bool,
    /// The mesh knows that the workload takes requests.
    pub announced: bool,
    /// The certificate has expired: nothing gets in or out.
    pub cert_expired: bool,
}

impl Status {
    /// Whether it takes requests.
    pub fn is_ready(&self) -> bool {
        self.why_not_ready().is_none()
    }

    /// Why it does not.
    pub fn why_not_ready(&self) -> Option<&'static str> {
        match self {
            Self { draining: true, .. } => Some("draining"),
            Self { cert_expired: true, .. } => Some("cert_expired"),
            Self { serving: false, .. } => Some("starting"),
            _ => None,
        }
    }
}

/// What is accepted, by key; written by the control thread alone.
pub type Accepted = Arc<Mutex<BTreeMap<Key, Encoded>>>;

/// See the head of this file.
#[derive(Debug, Clone)]
pub struct View {
    /// The proxy.
    pub proxy: ProxyId,
    /// The service that it registers under.
    pub service: ServiceName,
    /// Where its application listens; `None` where the workload only calls.
    pub app: Option<SocketAddr>,
    /// Its configuration in use.
    pub directory: Arc<Directory>,
    /// Its certificate.
    pub tls: Arc<Tls>,
    /// Its counters.
    pub metrics: Arc<Collector>,
    /// Its spans.
    pub spans: Arc<SpanQueue>,
    /// What it accepted.
    pub accepted: Accepted,
    /// How it is.
    pub status: watch::Receiver<Status>,
    /// What changes its log level; `None` where logging is not ours to change.
    pub log: Option<LogLevel>,
}

impl View {
    /// The configuration in use.
    pub fn config(&self) -> Value {
        let accepted: Vec<_> = self.accepted.lock().values().cloned().collect();
        let resources: Vec<_> = accepted.iter().map(shown).collect();
        let names = self.directory.names();
        json!({
            "kind": "ProxyConfig",
            "proxy": self.proxy.to_string(),
            "service": self.service.to_string(),
            "app": self.app.map(|app| app.to_string()),
            "status": self.status(),
            "certificate": self.certificate(),
            "services": names.iter().map(ServiceName::to_string).collect::<Vec<_>>(),
            "resources": resources,
        })
    }

    /// Counters and gauges.
    pub fn stats(&self) -> Value {
        let totals = self.metrics.totals();
        json!({
            "kind": "ProxyStats",
            "proxy": self.proxy.to_string(),
            "status": self.status(),
            "spansDropped": self.spans.dropped(),
            "edges": totals.iter().map(json::edge).collect::<Vec<_>>(),
            "pools": self.directory.pools().iter().map(pools::json).collect::<Vec<_>>(),
        })
    }

    /// The counters as OpenMetrics text.
    pub fn metrics(&self) -> String {
        let (proxy, service) = (self.proxy.to_string(), self.service.to_string());
        let pools = self.directory.pools();
        let pools: Vec<_> = pools.iter().map(|it| pools::counts(it, &proxy, &service)).collect();
        prometheus::render(&prometheus::Families {
            edges: &self.metrics.totals(),
            pools: &pools,
            faults: &self.metrics.faults.totals(),
            propagation: None,
            refused: &[],
        })
    }

    /// Changes what is logged.
    ///
    /// # Errors
    /// The reason, for people.
    pub fn set_log(&self, filter: &str) -> Result<(), String> {
        let level = self.log.as_ref().ok_or("the log level of this process cannot be changed")?;
        level.set_filter(filter).map_err(|error| error.to_string())?;
        tracing::info!(filter, "log level changed");
        Ok(())
    }

    /// How it is now.
    pub fn status_now(&self) -> Status {
        *self.status.borrow()
    }

    fn status(&self) -> Value {
        let status = self.status_now();
        json!({
            "ready": status.is_ready(),
            "reason": status.why_not_ready().unwrap_or_default(),
            "connected": status.connected,
            "lastGood": status.last_good,
            "draining": status.draining,
        })
    }

    fn certificate(&self) -> Value {
        let credentials = self.tls.credentials();
        json!({
            "identity": credentials.identity().to_string(),
            "serial": credentials.serial(),
            "notBefore": time(credentials.not_before()),
            "notAfter": time(credentials.not_after()),
            "root": credentials.root(),
        })
    }
}

fn shown(encoded: &Encoded) -> Value {
    let Encoded { key, version, body } = encoded;
    let content = match codec::decode(key.kind, &key.name, body) {
        Ok(resource) => json::resource(&resource),
        Err(error) => json!({"unreadable": error.to_string()}),
    };
    json!({"kind": format!("{:?}", key.kind), "name": *key.name, "version": **version, "resource": content})
}

fn time(time: SystemTime) -> Value {
    jiff::Timestamp::try_from(time).map_or(Value::Null, |time| time.to_string().into())
}
