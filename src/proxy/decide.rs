//! What a proxy decides about a request or a connection, before anything is sent.
//!
//! `outbound` and `inbound` make decisions, `forward`, `h2` and `tcp` carry them out. A decision
//! pins its rule and its cluster, not the whole configuration.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use crate::names::{RuleId, ServiceName};
use crate::proxy::balance::{self, Wish};
use crate::proxy::circuit::Circuit;
use crate::proxy::cluster::{Cluster, Endpoint};
use crate::proxy::service::{Backend, Rule};
use crate::resource::{HeaderEdit, Timeouts};
use crate::telemetry::escape;
use crate::telemetry::reason::{REASON_HEADER, RULE_HEADER, Reason};

/// How long a connection to the application may lie idle: shorter than the keep-alive of common
/// servers (5 s in Node.js, Gunicorn and Apache), so that none closes under a request.
const APP_IDLE: Duration = Duration::from_secs(4);

/// How long a connection to another sidecar may lie idle where no policy says.
const HOST_IDLE: Duration = Duration::from_secs(300);

/// How long a connection to a destination outside of the mesh may lie idle.
const OUTSIDE_IDLE: Duration = Duration::from_secs(60);

/// Connecting to what has no policy.
const CONNECT: Duration = Duration::from_secs(1);

/// A request that is not passed on.
#[derive(Debug, Clone)]
pub struct Refusal {
    /// Why.
    pub reason: Reason,
    /// The rule that decided, where one did.
    pub rule: Option<RuleId>,
    /// Where the client is sent instead, where it is.
    pub redirected: Option<Box<Redirected>>,
}

/// Where a client is sent instead.
#[derive(Debug, Clone)]
pub struct Redirected {
    /// What was called, for telemetry.
    pub destination: Arc<str>,
    /// The status of the answer.
    pub status: u16,
    /// Where to.
    pub location: String,
    /// The rule, whose edits the answer's header gets.
    pub rule: Arc<Rule>,
}

impl Refusal {
    /// The status of the answer; 0 where none is sent.
    pub fn status(&self) -> u16 {
        self.redirected.as_ref().map_or_else(|| self.reason.status(), |to| to.status)
    }

    /// What was called, for telemetry, by a request to `authority`.
    pub fn destination<'a>(&'a self, authority: &'a str) -> Cow<'a, str> {
        match &self.redirected {
            Some(redirected) => Cow::Borrowed(&redirected.destination),
            None => escape(authority.as_bytes()),
        }
    }

    /// The fields of the answer but for its framing, in order.
    pub fn fields(&self) -> Vec<(&'static str, &str)> {
        let mut fields = vec![(REASON_HEADER, self.reason.as_str())];
        fields.extend(self.rule.as_ref().map(|rule| (RULE_HEADER, &*rule.0)));
        fields.extend(self.redirected.as_ref().map(|to| ("location", to.location.as_str())));
        fields
    }

    /// Edits of the answer's header, as [`Decision::response_edits`].
    pub fn edits(&self) -> [Option<&HeaderEdit>; 2] {
        [None, self.redirected.as_ref().map(|to| &to.rule.response_headers)]
    }
}

impl From<Reason> for Refusal {
    fn from(reason: Reason) -> Self {
        Self { reason, rule: None, redirected: None }
    }
}

/// What an endpoint is asked for; `None` is what the client asked for.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Target<'d> {
    /// The path, without the query.
    pub path: Option<String>,
    /// The host.
    pub authority: Option<&'d str>,
}

/// Where a request goes.
#[derive(Debug, Clone)]
pub struct Decision {
    /// What was called, for telemetry: `namespace/service`, or the host outside of the mesh.
    pub destination: Arc<str>,
    /// Tells destinations apart in caches of counters.
    pub destination_id: u64,
    /// The service called; for the SNI.
    pub service: ServiceName,
    /// The rule that decided.
    pub rule: Option<Arc<Rule>>,
    /// Index into the rule's backends.
    pub backend: usize,
    /// Who can answer.
    pub pool: Endpoints,
    /// What keeps the client at its endpoint.
    pub affinity: Affinity,
}

/// What keeps a client at its endpoint; nothing but where the algorithm is a consistent one.
#[derive(Debug, Clone, Default)]
pub struct Affinity {
    /// The hash that leads to the endpoint.
    pub hash: Option<u64>,
    /// The `set-cookie` that the answer carries, where the request had no such cookie.
    pub cookie: Option<Box<HeaderEdit>>,
}

/// Who can answer.
#[derive(Debug, Clone)]
pub enum Endpoints {
    /// One port of a service of the mesh.
    Mesh(Arc<Cluster>, u16),
    /// The application beside this proxy.
    App(Arc<Endpoint>),
    /// A workload, called by its own address.
    Host(Arc<Endpoint>),
    /// Addresses outside of the mesh.
    Outside(Arc<[Arc<Endpoint>]>),
}

impl Decision {
    /// The backend, where a rule chose one.
    pub fn backend(&self) -> Option<&Backend> {
        self.rule.as_ref()?.backends.get(self.backend)
    }

    /// The service that is sent to; the one called where no rule says otherwise.
    pub fn target(&self) -> &ServiceName {
        self.backend().map_or(&self.service, |backend| &backend.service)
    }

    /// Edits of the request's header: the rule's, then the backend's.
    pub fn request_edits(&self) -> [Option<&HeaderEdit>; 2] {
        let rule = self.rule.as_ref().map(|rule| &rule.request_headers);
        [rule, self.backend().map(|backend| &backend.request_headers)]
    }

    /// Edits of the response's header: the backend's, then the rule's.
    pub fn response_edits(&self) -> [Option<&HeaderEdit>; 2] {
        let rule = self.rule.as_ref().map(|rule| &rule.response_headers);
        [self.backend().map(|backend| &backend.response_headers), rule]
    }

    /// What an endpoint is asked for instead of `path`: what the backend says, else the rule.
    pub fn rewritten(&self, path: &str) -> Target<'_> {
        let Some(rule) = &self.rule else { return Target::default() };
        let own = self.backend().map(|backend| &backend.rewrite);
        let edit = own.and_then(|own| own.path.as_ref()).or(rule.rewrite.path.as_ref());
        let host = own.and_then(|own| own.hostname.as_deref());
        Target {
            path: edit.map(|edit| edit.apply(path)),
            authority: host.or(rule.rewrite.hostname.as_deref()),
        }
    }

    /// The limits on time.
    pub fn timeouts(&self) -> Timeouts {
        self.rule.as_ref().map(|rule| rule.timeouts).unwrap_or_default()
    }

    /// Chooses an endpoint, another than those of `avoid` (by id) where there is one. Each call is a
    /// choice of its own: the caller keeps what it got.
    pub fn pick(&self, avoid: &[u64]) -> Option<Arc<Endpoint>> {
        self.pool.pick(&Wish { avoid, hash: self.affinity.hash })
    }

    /// A refusal in the name of the rule that decided.
    pub fn refuse(&self, reason: Reason) -> Refusal {
        let rule = self.rule.as_ref().map(|rule| rule.id.clone());
        Refusal { rule, ..reason.into() }
    }
}

impl Endpoints {
    /// What counts how much is going on; nothing does outside of services.
    pub fn circuit(&self) -> Option<&Arc<Circuit>> {
        match self {
            Self::Mesh(cluster, _) => Some(&cluster.circuit),
            Self::App(_) | Self::Host(_) | Self::Outside(_) => None,
        }
    }

    /// Chooses an endpoint as `wish` says.
    pub fn pick(&self, wish: &Wish<'_>) -> Option<Arc<Endpoint>> {
        match self {
            Self::App(endpoint) | Self::Host(endpoint) => Some(Arc::clone(endpoint)),
            Self::Mesh(cluster, port) => {
                let algorithm = cluster.policy.load_balancer.algorithm;
                balance::pick(algorithm, cluster.port(*port)?, wish, fastrand::u64(..)).cloned()
            }
            Self::Outside(endpoints) => {
                let other = |endpoint: &&Arc<Endpoint>| !wish.avoid.contains(&endpoint.id);
                endpoints.iter().find(other).or_else(|| endpoints.first()).cloned()
            }
        }
    }

    /// TCP and TLS together.
    pub fn connect_timeout(&self) -> Duration {
        match self {
            Self::Mesh(cluster, _) => cluster.policy.connect_timeout,
            Self::App(_) | Self::Host(_) => CONNECT,
            // Outside of the mesh the way may be long.
            Self::Outside(_) => 5 * CONNECT,
        }
    }

    /// How long a pooled connection may lie idle.
    pub fn http_idle(&self) -> Duration {
        match self {
            Self::Mesh(cluster, _) => cluster.policy.http_idle,
            Self::Host(endpoint) if endpoint.identity.is_some() => HOST_IDLE,
            Self::App(_) | Self::Host(_) => APP_IDLE,
            Self::Outside(_) => OUTSIDE_IDLE,
        }
    }

    /// How long an opaque connection may be silent.
    pub fn tcp_idle(&self) -> Duration {
        match self {
            Self::Mesh(cluster, _) => cluster.policy.tcp_idle,
            Self::App(_) | Self::Host(_) | Self::Outside(_) => Duration::from_secs(3600),
        }
    }
}
