//! What a proxy decides about a request or a connection, before anything is sent.
//!
//! `outbound` and `inbound` make decisions, `forward`, `h2` and `tcp` carry them out. A decision
//! pins its rule and its cluster, not the whole configuration.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use crate::names::{RuleId, ServiceName};
use crate::proxy::balance::{self, Bond, Wish};
use crate::proxy::circuit::Circuit;
use crate::proxy::cluster::{Cluster, Endpoint};
use crate::proxy::fault::{self, Injected};
use crate::proxy::service::{Backend, Rule};
use crate::resource::{AbortHow, HeaderEdit, Timeouts};
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

/// Changes to an answer's header, in order; a later one replaces what an earlier one wrote.
pub type ResponseEdits<'a> = [Option<&'a HeaderEdit>; 3];

/// A request that is not passed on.
#[derive(Debug, Clone)]
pub struct Refusal {
    /// Why.
    pub reason: Reason,
    /// The rule that decided, where one did.
    pub rule: Option<RuleId>,
    /// Where the client is sent instead, where it is.
    pub redirected: Option<Box<Redirected>>,
    /// How it fails on purpose, where it does.
    pub abort: Option<AbortHow>,
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
        match (self.abort, &self.redirected) {
            (Some(how), _) => fault::status(how),
            (None, Some(to)) => to.status,
            (None, None) => self.reason.status(),
        }
    }

    /// Whether there is no answer but a reset.
    pub fn is_reset(&self) -> bool {
        self.abort == Some(AbortHow::Reset)
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
    pub fn edits(&self) -> ResponseEdits<'_> {
        [None, self.redirected.as_ref().map(|to| &to.rule.response_headers), None]
    }
}

impl From<Reason> for Refusal {
    fn from(reason: Reason) -> Self {
        Self { reason, rule: None, redirected: None, abort: None }
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
    pub affinity: Bond,
    /// What is put in on purpose before the request is sent.
    pub fault: Option<Box<Injected>>,
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

    /// Edits of the response's header: the backend's, then the rule's, then the cookie that was
    /// made.
    pub fn response_edits(&self) -> ResponseEdits<'_> {
        let rule = self.rule.as_ref().map(|rule| &rule.response_headers);
        let backend = self.backend().map(|backend| &backend.response_headers);
        [backend, rule, self.affinity.as_ref().and_then(|bond| bond.cookie.as_ref())]
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

    /// The limits on time of what is sent; a delay that was put in counts into the request's.
    pub fn timeouts(&self) -> Timeouts {
        let mut timeouts = self.rule.as_ref().map(|rule| rule.timeouts).unwrap_or_default();
        if let Some(delay) = self.fault.as_ref().and_then(|fault| fault.delay) {
            timeouts.request = timeouts.request.map(|limit| limit.saturating_sub(delay));
        }
        timeouts
    }

    /// What becomes of the request before it is sent, where a fault is put in: see
    /// [`Injected::course`].
    pub fn course(&self) -> Option<(Duration, Option<Reason>)> {
        let limit = self.rule.as_ref().and_then(|rule| rule.timeouts.request);
        self.fault.as_ref().map(|fault| fault.course(limit))
    }

    /// Chooses an endpoint, another than those of `avoid` (by id) where there is one. Each call is a
    /// choice of its own: the caller keeps what it got.
    pub fn pick(&self, avoid: &[u64]) -> Option<Arc<Endpoint>> {
        self.pool.pick(&Wish { avoid, hash: self.affinity.as_ref().map(|bond| bond.hash) })
    }

    /// A refusal in the name of the rule that decided, or of the fault policy.
    pub fn refuse(&self, reason: Reason) -> Refusal {
        if let (Reason::FaultInjected, Some(fault)) = (reason, &self.fault) {
            let (rule, abort) = (Some(fault.id.clone()), fault.abort);
            return Refusal { rule, abort, ..reason.into() };
        }
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
                balance::pick(cluster.port(*port)?, wish, fastrand::u64(..))
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
