//! `healthCheck`: endpoints are asked whether they work.

use std::time::Duration;

use crate::resource::{HealthCheck, HealthProbe};
use crate::rules::at::{At, Fields, Shape};
use crate::rules::codes;
use crate::rules::policy::{INTERVALS, SHORTEST, number, ordered, time};
use crate::rules::problems::{Problems, quoted};
use crate::rules::values::show;

const USUAL_INTERVAL: Duration = Duration::from_secs(5);
const USUAL_TIMEOUT: Duration = Duration::from_secs(1);
const MAX_IN_A_ROW: u32 = 100;
const MAX_PATH: usize = 1_024;
const MAX_NAME: usize = 253;

const HEALTH: Shape = Shape {
    known: &["http", "grpc", "tcp", "interval", "timeout", "unhealthyAfter", "healthyAfter"],
    later: &[],
};
const PROBES: &[&str] = &["http", "grpc", "tcp"];
const HTTP: Shape = Shape { known: &["path", "host"], later: &[] };
const GRPC: Shape = Shape { known: &["service"], later: &[] };
const TCP: Shape = Shape { known: &[], later: &[] };

pub(super) fn read<'a>(at: &'a At<'a>, problems: &mut Problems<'_>) -> Option<HealthCheck> {
    let fields = at.fields(problems, &HEALTH)?;
    let probe = at.only_one_of(&fields, PROBES, problems).and_then(|()| probe(&fields, problems));
    let (least, most) = INTERVALS;
    let interval = time(&fields, problems, "interval", least, most);
    let timeout = time(&fields, problems, "timeout", SHORTEST, most);
    let (timeout, interval) = match (timeout, interval) {
        (Some(timeout), Some(interval)) => (timeout, interval),
        (Some(timeout), None) => (timeout, USUAL_INTERVAL.max(timeout)),
        (None, Some(interval)) => (USUAL_TIMEOUT.min(interval), interval),
        (None, None) => (USUAL_TIMEOUT, USUAL_INTERVAL),
    };
    ordered(&fields, problems, ("timeout", timeout), ("interval", interval), show);
    let mut row = |key, usual| number(&fields, problems, key, 1, MAX_IN_A_ROW).unwrap_or(usual);
    let (unhealthy_after, healthy_after) = (row("unhealthyAfter", 3), row("healthyAfter", 2));
    Some(HealthCheck { probe: probe?, interval, timeout, unhealthy_after, healthy_after })
}

fn probe(fields: &Fields<'_>, problems: &mut Problems<'_>) -> Option<HealthProbe> {
    if let Some(at) = fields.get("http") {
        let fields = at.fields(problems, &HTTP)?;
        let path = fields.get("path").map_or(Some("/".to_owned()), |at| path(&at, problems));
        let host = fields.get("host").map_or(Some(String::new()), |at| host(&at, problems));
        return Some(HealthProbe::Http { path: path?, host: host? });
    }
    if let Some(at) = fields.get("grpc") {
        let fields = at.fields(problems, &GRPC)?;
        let service =
            fields.get("service").map_or(Some(String::new()), |at| service(&at, problems));
        return Some(HealthProbe::Grpc { service: service? });
    }
    fields.get("tcp")?.fields(problems, &TCP)?;
    Some(HealthProbe::Tcp)
}

/// Path and query, as they are sent.
fn path(at: &At<'_>, problems: &mut Problems<'_>) -> Option<String> {
    let text = at.bounded_text(problems, 1, MAX_PATH)?;
    let plain = |byte: u8| byte.is_ascii_graphic() && byte != b'#';
    if text.starts_with('/') && text.bytes().all(plain) {
        return Some(text.to_owned());
    }
    let message = format!("{} is not a path: visible ASCII after `/`, no `#`", quoted(text));
    at.error_with(problems, codes::BAD_PATH, message, "write it like `/healthz`");
    None
}

/// A host name or address, with or without a port.
fn host(at: &At<'_>, problems: &mut Problems<'_>) -> Option<String> {
    let text = at.bounded_text(problems, 1, MAX_NAME)?;
    let (name, port) = text.split_once(':').map_or((text, None), |(name, port)| (name, Some(port)));
    let inside = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.');
    let named = !name.is_empty() && name.bytes().all(inside);
    let digits = |port: &str| {
        (1..=5).contains(&port.len()) && port.bytes().all(|byte| byte.is_ascii_digit())
    };
    if named && port.is_none_or(digits) {
        return Some(text.to_owned());
    }
    let message = format!("{} is not a host name, with or without a port", quoted(text));
    at.error(problems, codes::BAD_TEXT, message);
    None
}

/// The full name of a gRPC service, `package.Service`.
fn service(at: &At<'_>, problems: &mut Problems<'_>) -> Option<String> {
    let text = at.bounded_text(problems, 1, MAX_NAME)?;
    let inside = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.');
    if text.bytes().all(inside) {
        return Some(text.to_owned());
    }
    let message = format!("{} is not the name of a gRPC service", quoted(text));
    at.error_with(problems, codes::BAD_TEXT, message, "write it like `shop.v1.Reviews`");
    None
}
