//! Where a client is sent that a rule redirects (Gateway API, `HTTPRequestRedirectFilter`).
//!
//! What the rule leaves open stays as in the request, whose path is canonical and whose authority
//! was checked, so that `Location` holds nothing that a client could have smuggled in.

use std::fmt::Write as _;
use std::sync::Arc;

use crate::proxy::decide::{Redirected, Refusal};
use crate::proxy::head::{Head, split_authority};
use crate::proxy::service::{Rule, ServiceTable};
use crate::resource::Redirect;
use crate::telemetry::reason::Reason;

#[cfg(test)]
mod tests;

/// The answer to a request for `port` of a service that falls under a rule which redirects.
pub fn refusal(
    table: &ServiceTable,
    rule: &Arc<Rule>,
    redirect: &Redirect,
    head: &impl Head,
    port: u16,
) -> Refusal {
    let redirected = Redirected {
        destination: Arc::clone(&table.label),
        status: redirect.status,
        location: location(redirect, head, port),
        rule: Arc::clone(rule),
    };
    Refusal {
        reason: Reason::Redirected,
        rule: Some(rule.id.clone()),
        redirected: Some(Box::new(redirected)),
        abort: None,
    }
}

/// The value of `Location`. The port is left out where the scheme says it; the query stays.
fn location(redirect: &Redirect, head: &impl Head, called: u16) -> String {
    let scheme = redirect.scheme.unwrap_or(head.scheme());
    let (host, named) = split_authority(head.authority()).unwrap_or_default();
    let mut out = String::new();
    let host = redirect.hostname.as_deref().unwrap_or(host);
    // Whoever names no host, in HTTP/1.0, is told a path of the same one.
    if !host.is_empty() {
        // A host that stays is asked at the port at which the client sees it.
        let stays = named.filter(|_| redirect.hostname.is_none()).unwrap_or(called);
        let implied = redirect.scheme.map_or(stays, |scheme| scheme.port());
        let port = redirect.port.unwrap_or(implied);
        let bracketed = host.contains(':');
        let (open, close) = if bracketed { ("[", "]") } else { ("", "") };
        // Writing to a `String` cannot fail.
        let _ = write!(out, "{}://{open}{host}{close}", scheme.as_str());
        if port != scheme.port() {
            let _ = write!(out, ":{port}");
        }
    }
    match (head.path(), &redirect.path) {
        // `OPTIONS *` is about the host as a whole.
        ("*", _) => {}
        (path, Some(edit)) => out.push_str(&edit.apply(path)),
        (path, None) => out.push_str(path),
    }
    if let Some(query) = head.query() {
        let _ = write!(out, "?{query}");
    }
    out
}
