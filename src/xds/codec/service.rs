//! The message `meshctl.v1.Service`: ports and rules, to bytes and back; what a rule matches stands in
//! `route`.

use std::time::Duration;

use prost::Message;

use super::fault::{self, WireFault};
use super::retry::{self, WireRetry};
use super::route::{self, WireEdit, WireMatch};
use super::url::{self, WireRedirect, WireRewrite};
use super::{DecodeError, field};
use crate::names::RuleId;
use crate::resource::{Backend, Retry, Rule, Service, ServicePort, Timeouts};

/// The longest id of a rule: kind, namespace, name and rule with room to spare.
const RULE_ID_BYTES: usize = 1024;

#[derive(Clone, PartialEq, Message)]
struct Wire {
    #[prost(string, tag = "1")]
    name: String,
    #[prost(string, tag = "2")]
    consumer: String,
    #[prost(string, repeated, tag = "3")]
    overridden_in: Vec<String>,
    #[prost(message, repeated, tag = "4")]
    ports: Vec<WirePort>,
    #[prost(uint32, tag = "15")]
    requires: u32,
}

#[derive(Clone, PartialEq, Message)]
struct WirePort {
    #[prost(uint32, tag = "1")]
    port: u32,
    #[prost(uint32, tag = "2")]
    protocol: u32,
    #[prost(message, repeated, tag = "3")]
    matches: Vec<WireMatch>,
    #[prost(message, repeated, tag = "4")]
    rules: Vec<WireRule>,
    #[prost(message, repeated, tag = "5")]
    faults: Vec<WireFault>,
}

#[derive(Clone, PartialEq, Message)]
struct WireRule {
    #[prost(string, tag = "1")]
    id: String,
    #[prost(message, repeated, tag = "2")]
    backends: Vec<WireBackend>,
    #[prost(message, optional, tag = "3")]
    request_headers: Option<WireEdit>,
    #[prost(message, optional, tag = "4")]
    response_headers: Option<WireEdit>,
    #[prost(uint64, optional, tag = "5")]
    request_timeout_us: Option<u64>,
    #[prost(uint64, optional, tag = "6")]
    backend_request_timeout_us: Option<u64>,
    #[prost(message, optional, tag = "7")]
    redirect: Option<WireRedirect>,
    #[prost(message, optional, tag = "8")]
    rewrite: Option<WireRewrite>,
    #[prost(message, optional, tag = "9")]
    retry: Option<WireRetry>,
}

#[derive(Clone, PartialEq, Message)]
struct WireBackend {
    #[prost(string, tag = "1")]
    service: String,
    #[prost(uint32, tag = "2")]
    port: u32,
    #[prost(uint32, tag = "3")]
    weight: u32,
    #[prost(bool, tag = "4")]
    resolved: bool,
    #[prost(message, optional, tag = "5")]
    request_headers: Option<WireEdit>,
    #[prost(message, optional, tag = "6")]
    response_headers: Option<WireEdit>,
    #[prost(message, optional, tag = "7")]
    rewrite: Option<WireRewrite>,
}

pub(super) fn encode(service: &Service) -> Vec<u8> {
    let ports = service.ports.iter().map(|port| WirePort {
        port: port.port.into(),
        protocol: field::protocol::encode(port.protocol),
        matches: port.matches.iter().map(route::encode_match).collect(),
        rules: port.rules.iter().map(encode_rule).collect(),
        faults: port.faults.iter().map(fault::encode).collect(),
    });
    let wire = Wire {
        name: service.name.to_string(),
        consumer: service.consumer.as_ref().map(ToString::to_string).unwrap_or_default(),
        overridden_in: service.overridden_in.iter().map(ToString::to_string).collect(),
        ports: ports.collect(),
        requires: requires(service),
    };
    wire.encode_to_vec()
}

fn encode_rule(rule: &Rule) -> WireRule {
    let backends = rule.backends.iter().map(|backend| WireBackend {
        service: backend.service.to_string(),
        port: backend.port.into(),
        weight: backend.weight,
        resolved: backend.resolved,
        request_headers: route::encode_edit(&backend.request_headers),
        response_headers: route::encode_edit(&backend.response_headers),
        rewrite: url::encode_rewrite(&backend.rewrite),
    });
    WireRule {
        id: rule.id.to_string(),
        backends: backends.collect(),
        request_headers: route::encode_edit(&rule.request_headers),
        response_headers: route::encode_edit(&rule.response_headers),
        request_timeout_us: rule.timeouts.request.map(field::micros),
        backend_request_timeout_us: rule.timeouts.backend_request.map(field::micros),
        redirect: rule.redirect.as_ref().map(url::encode_redirect),
        rewrite: url::encode_rewrite(&rule.rewrite),
        retry: retry::encode(&rule.retry),
    }
}

/// The least revision in which a proxy does what the service says.
fn requires(service: &Service) -> u32 {
    let new = |port: &ServicePort| {
        !port.faults.is_empty() || port.rules.iter().any(|it| it.retry != Retry::default())
    };
    if service.ports.iter().any(new) {
        field::RESILIENCE
    } else if changes_targets(service) {
        field::CHANGES_TARGETS
    } else {
        0
    }
}

/// Whether a proxy that knows neither redirects nor rewriting would do something else.
fn changes_targets(service: &Service) -> bool {
    service.ports.iter().flat_map(|port| &port.rules).any(|rule| {
        rule.redirect.is_some()
            || !rule.rewrite.is_empty()
            || rule.backends.iter().any(|backend| !backend.rewrite.is_empty())
    })
}

pub(super) fn decode(body: &[u8]) -> Result<Service, DecodeError> {
    let wire: Wire = field::message(body)?;
    field::understood(wire.requires)?;
    let overridden_in =
        field::each("overridden_in", wire.overridden_in, |name| field::parse("", &name))?;
    field::ascending("overridden_in", &overridden_in, Clone::clone)?;
    let consumer = field::optional("consumer", &wire.consumer)?;
    if consumer.is_some() && !overridden_in.is_empty() {
        return Err(DecodeError::new("overridden_in", "is set together with consumer"));
    }
    let ports = field::each("ports", wire.ports, decode_port)?;
    field::ascending("ports", &ports, |port| port.port)?;
    Ok(Service { name: field::parse("name", &wire.name)?, consumer, overridden_in, ports })
}

fn decode_port(wire: WirePort) -> Result<ServicePort, DecodeError> {
    let rules = field::each("rules", wire.rules, decode_rule)?;
    let matches = field::each("matches", wire.matches, |one| {
        let decoded = route::decode_match(one)?;
        match rules.get(decoded.rule as usize) {
            Some(_) => Ok(decoded),
            None => Err(DecodeError::new("rule", format!("there is no rule {}", decoded.rule))),
        }
    })?;
    Ok(ServicePort {
        port: field::port("port", wire.port)?,
        protocol: field::protocol::decode("protocol", wire.protocol)?,
        matches,
        rules,
        faults: field::each("faults", wire.faults, fault::decode)?,
    })
}

fn decode_rule(wire: WireRule) -> Result<Rule, DecodeError> {
    let timeouts = Timeouts {
        request: wire.request_timeout_us.map(Duration::from_micros),
        backend_request: wire.backend_request_timeout_us.map(Duration::from_micros),
    };
    Ok(Rule {
        id: decode_id(&wire.id)?,
        backends: field::each("backends", wire.backends, decode_backend)?,
        request_headers: route::decode_edit("request_headers", wire.request_headers)?,
        response_headers: route::decode_edit("response_headers", wire.response_headers)?,
        redirect: wire.redirect.map(url::decode_redirect).transpose()?,
        rewrite: url::decode_rewrite(wire.rewrite)?,
        timeouts,
        retry: retry::decode(wire.retry)?,
    })
}

/// The id goes into a response header and into logs as it is.
pub(super) fn decode_id(id: &str) -> Result<RuleId, DecodeError> {
    let printable = id.bytes().all(|byte| byte.is_ascii_graphic());
    if printable && (1..=RULE_ID_BYTES).contains(&id.len()) {
        return Ok(RuleId(id.into()));
    }
    Err(DecodeError::new("id", format!("is not 1 to {RULE_ID_BYTES} visible ASCII characters")))
}

fn decode_backend(wire: WireBackend) -> Result<Backend, DecodeError> {
    Ok(Backend {
        service: field::parse("service", &wire.service)?,
        port: field::port("port", wire.port)?,
        weight: wire.weight,
        resolved: wire.resolved,
        request_headers: route::decode_edit("request_headers", wire.request_headers)?,
        response_headers: route::decode_edit("response_headers", wire.response_headers)?,
        rewrite: url::decode_rewrite(wire.rewrite)?,
    })
}
