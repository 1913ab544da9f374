//! One model of a request's head, whatever the protocol: what routing, telemetry and policy read.
//!
//! Two forms implement it: byte ranges over the read buffer for HTTP/1 ([`crate::proxy::h1`]) and
//! `http` types for HTTP/2. Both hold the canonical form already (see [`crate::resource::path`]), so
//! that no two readers can understand one request differently.

use std::borrow::Cow;

use crate::resource::Scheme;

/// Read access to a canonical request head.
pub trait Head {
    /// The method, case-sensitive.
    fn method(&self) -> &str;

    /// The normalized path, without the query; begins with `/` (or is `*`).
    fn path(&self) -> &str;

    /// What follows the `?`, as sent; `None` where there is none.
    fn query(&self) -> Option<&str>;

    /// The scheme of the target.
    fn scheme(&self) -> Scheme;

    /// The authority called, `host[:port]`, as sent.
    fn authority(&self) -> &str;

    /// The first value of the field `name` (lower case).
    fn header(&self, name: &str) -> Option<&[u8]>;

    /// The value of the field `name`, several joined by `, ` (RFC 9110 §5.3).
    fn header_joined(&self, name: &str) -> Option<Cow<'_, [u8]>>;
}

/// Whether a method may be repeated without asking the application (RFC 9110 §9.2.2).
pub fn is_idempotent(method: &str) -> bool {
    matches!(method, "GET" | "HEAD" | "OPTIONS" | "TRACE" | "PUT" | "DELETE")
}

/// Splits `host[:port]`; the port where it is there and valid, brackets of IPv6 literals kept off.
/// `None` where the text is neither.
pub fn split_authority(authority: &str) -> Option<(&str, Option<u16>)> {
    if let Some(rest) = authority.strip_prefix('[') {
        let (host, after) = rest.split_once(']')?;
        return match after.strip_prefix(':') {
            Some(port) => Some((host, Some(parse_port(port)?))),
            None => after.is_empty().then_some((host, None)),
        };
    }
    match authority.split_once(':') {
        Some((host, port)) => Some((host, Some(parse_port(port)?))),
        None => Some((authority, None)),
    }
}

fn parse_port(text: &str) -> Option<u16> {
    let digits = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    digits.then(|| text.parse().ok().filter(|&port| port != 0)).flatten()
}

/// Whether `authority` is a valid `uri-host[:port]` without user information (RFC 3986 §3.2).
pub fn is_valid_authority(authority: &[u8]) -> bool {
    let Ok(text) = std::str::from_utf8(authority) else { return false };
    let Some((host, _)) = split_authority(text) else { return false };
    if text.starts_with('[') {
        return host.parse::<std::net::Ipv6Addr>().is_ok();
    }
    !host.is_empty()
        && host.len() <= 255
        && host.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.' | b'_' | b'~'))
}
