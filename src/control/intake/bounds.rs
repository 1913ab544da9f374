//! What a proxy may say of its traffic and of itself: names of real forms, words that are known, and of
//! its own side only what it is. What cannot be is left out or counted as `other`, so that no proxy fills
//! the memory, or speaks in another's name.

use crate::control::registration::Registration;
use crate::names::{Identity, Protocol, TrustDomain};
use crate::telemetry::reason::Reason;
use crate::xds::agent::{Edge, Metrics, RequestCount, State};

#[cfg(test)]
mod tests;

/// What stands for a name that none can be, and for an unknown reason.
pub(super) const OTHER: &str = "other";

/// Bytes of `namespace/service`, or of a host and its port.
const NAME_MAX: usize = 320;

/// Bytes of an identity, as SPIFFE has it.
const IDENTITY_MAX: usize = 2_048;

/// Bytes of a label's value.
const VERSION_MAX: usize = 63;

/// Hexadecimal digits of a serial number or of a hash.
const DIGITS_MAX: usize = 64;

/// What `registration` says of its traffic, within bounds.
pub fn metrics(
    mut said: Metrics,
    registration: &Registration,
    trust_domain: &TrustDomain,
) -> Metrics {
    let service = registration.service_name().to_string();
    let identity = registration.identity(trust_domain).to_string();
    for metrics in &mut said.edges {
        if let Some(edge) = &mut metrics.edge {
            check(edge);
            own_side(edge, &service, &identity);
        }
        metrics.requests.iter_mut().for_each(answer);
    }
    said
}

fn check(edge: &mut Edge) {
    for name in [&mut edge.source, &mut edge.destination, &mut edge.backend] {
        if name.len() > NAME_MAX || name.chars().any(char::is_control) {
            OTHER.clone_into(name);
        }
    }
    if edge.source_identity.len() > IDENTITY_MAX
        || edge.source_identity.parse::<Identity>().is_err()
    {
        edge.source_identity.clear();
    }
    let version = &mut edge.destination_version;
    if version.len() > VERSION_MAX || version.chars().any(char::is_control) {
        version.clear();
    }
    if !Protocol::ALL.iter().any(|known| known.as_str() == edge.protocol) {
        edge.protocol.clear();
    }
}

/// The end that reports is whoever has registered.
fn own_side(edge: &mut Edge, service: &str, identity: &str) {
    match edge.reporter_destination {
        true => service.clone_into(&mut edge.destination),
        false => {
            service.clone_into(&mut edge.source);
            identity.clone_into(&mut edge.source_identity);
        }
    }
}

fn answer(count: &mut RequestCount) {
    let is_known = |word: &str| Reason::ALL.iter().any(|reason| reason.as_str() == word);
    if !count.reason.is_empty() && !is_known(&count.reason) {
        OTHER.clone_into(&mut count.reason);
    }
}

/// What a proxy says of itself, within bounds.
pub fn state(mut said: State) -> State {
    for digits in [&mut said.certificate_serial, &mut said.root] {
        if digits.len() > DIGITS_MAX || !digits.bytes().all(|digit| digit.is_ascii_hexdigit()) {
            digits.clear();
        }
    }
    said
}
