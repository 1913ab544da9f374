//! Listeners and workers (stand-in until the request path's own).

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::Duration;

use crate::certs::Tls;
use crate::names::{ProxyId, ServiceName};
use crate::telemetry::collector::Collector;
use crate::telemetry::span::SpanQueue;

use super::directory::Directory;

/// What to listen on.
#[derive(Debug, Clone)]
pub struct Config {
    /// Calls from the mesh.
    pub inbound: SocketAddr,
    /// Calls from the application.
    pub outbound: SocketAddr,
    /// Local ports for one service's port each.
    pub upstreams: Vec<(ServiceName, u16, SocketAddr)>,
    /// Where the application listens.
    pub app: Option<SocketAddr>,
    /// Threads.
    pub workers: NonZeroUsize,
}

/// What all workers share.
#[derive(Debug)]
pub struct Shared {
    /// The configuration.
    pub directory: Arc<Directory>,
    /// Credentials and roots.
    pub tls: Arc<Tls>,
    /// Counters.
    pub metrics: Arc<Collector>,
    /// Spans.
    pub spans: Arc<SpanQueue>,
    /// The proxy.
    pub proxy: ProxyId,
    /// Its service.
    pub service: ServiceName,
}

/// Where it listens.
#[derive(Debug, Clone)]
pub struct Addresses {
    /// Inbound.
    pub inbound: SocketAddr,
    /// Outbound.
    pub outbound: SocketAddr,
    /// In the order of the configuration.
    pub upstreams: Vec<SocketAddr>,
}

/// Bound listeners.
#[derive(Debug)]
pub struct DataPlane {
    addresses: Addresses,
    listeners: Vec<TcpListener>,
}

/// Running workers.
#[derive(Debug)]
pub struct Running {
    _listeners: Vec<TcpListener>,
    _shared: Arc<Shared>,
}

impl DataPlane {
    /// Binds.
    ///
    /// # Errors
    /// That of the system.
    pub fn bind(config: Config) -> io::Result<Self> {
        let mut listeners = Vec::new();
        let mut bind = |address: SocketAddr| {
            let listener = TcpListener::bind(address)?;
            let bound = listener.local_addr()?;
            listeners.push(listener);
            io::Result::Ok(bound)
        };
        let addresses = Addresses {
            inbound: bind(config.inbound)?,
            outbound: bind(config.outbound)?,
            upstreams: config.upstreams.iter().map(|u| bind(u.2)).collect::<Result<_, _>>()?,
        };
        Ok(Self { addresses, listeners })
    }

    /// Where it listens.
    pub fn addresses(&self) -> &Addresses {
        &self.addresses
    }

    /// Starts.
    pub fn start(self, shared: Arc<Shared>) -> Running {
        Running { _listeners: self.listeners, _shared: shared }
    }
}

impl Running {
    /// Drains.
    pub async fn drain(self, _within: Duration) {}
}
