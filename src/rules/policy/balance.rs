//! `loadBalancer`: how an endpoint is chosen.

use std::time::Duration;

use crate::resource::{Algorithm, HashCookie, HashOn, LoadBalancer, Locality};
use crate::rules::at::{At, Shape};
use crate::rules::codes;
use crate::rules::policy::{LONGEST, SHORTEST, time};
use crate::rules::problems::{Problems, quoted};
use crate::rules::values;

const BALANCER: Shape =
    Shape { known: &["algorithm", "hashOn", "slowStart", "locality"], later: &[] };
const HASH_ON: Shape = Shape { known: &["header", "cookie", "sourceIp"], later: &[] };
const COOKIE: Shape = Shape { known: &["name", "path", "ttl"], later: &[] };
/// What browsers keep of a cookie's name and path at least.
const MAX_COOKIE_TEXT: usize = 256;

const LOCALITIES: &[(&str, Locality)] = &[("off", Locality::Off), ("prefer", Locality::Prefer)];

pub(super) fn read<'a>(at: &'a At<'a>, problems: &mut Problems<'_>) -> LoadBalancer {
    let Some(fields) = at.fields(problems, &BALANCER) else { return LoadBalancer::default() };
    let words = Algorithm::ALL.map(|algorithm| (algorithm.as_str(), algorithm));
    let algorithm = match fields.get("algorithm") {
        Some(at) => at.word(problems, &words, &[]),
        None => Some(Algorithm::default()),
    };
    let hash_on = fields.get("hashOn").map(|at| hash_on(&at, problems));
    // Of an unknown algorithm nothing is known.
    let hashes = algorithm.is_none_or(Algorithm::hashes);
    if let Some(at) = fields.get("hashOn").filter(|_| !hashes) {
        let algorithm = algorithm.unwrap_or_default().as_str();
        let message = format!("`hashOn` means nothing to the algorithm `{algorithm}`");
        let help = "say `algorithm: ring-hash` or `algorithm: maglev`, or take `hashOn` away";
        at.error_with(problems, codes::CONTRADICTION, message, help);
    }
    let locality = fields.get("locality");
    LoadBalancer {
        algorithm: algorithm.unwrap_or_default(),
        hash_on: hash_on.flatten().or_else(|| hashes.then_some(HashOn::SourceIp)),
        slow_start: time(&fields, problems, "slowStart", SHORTEST, LONGEST),
        locality: locality.and_then(|at| at.word(problems, LOCALITIES, &[])).unwrap_or_default(),
    }
}

fn hash_on<'a>(at: &'a At<'a>, problems: &mut Problems<'_>) -> Option<HashOn> {
    let fields = at.fields(problems, &HASH_ON)?;
    at.only_one_of(&fields, HASH_ON.known, problems)?;
    if let Some(at) = fields.get("header") {
        return values::header_name(&at, problems).map(HashOn::Header);
    }
    if let Some(at) = fields.get("cookie") {
        return cookie(&at, problems).map(HashOn::Cookie);
    }
    values::set(&fields.get("sourceIp")?, problems).map(|()| HashOn::SourceIp)
}

fn cookie<'a>(at: &'a At<'a>, problems: &mut Problems<'_>) -> Option<HashCookie> {
    let fields = at.fields(problems, &COOKIE)?;
    let name = fields.need(problems, "name").and_then(|at| cookie_name(&at, problems));
    let path = match fields.get("path") {
        Some(at) => cookie_path(&at, problems),
        None => Some("/".to_owned()),
    };
    let ttl = time(&fields, problems, "ttl", Duration::from_secs(1), LONGEST);
    Some(HashCookie { name: name?, path: path?, ttl })
}

/// A token (RFC 6265 §4.1.1, RFC 9110 §5.6.2); unlike a header's name its case counts.
fn cookie_name(at: &At<'_>, problems: &mut Problems<'_>) -> Option<String> {
    let text = at.bounded_text(problems, 1, MAX_COOKIE_TEXT)?;
    if text.bytes().all(values::is_token) {
        return Some(text.to_owned());
    }
    let message = format!("{} is not a cookie name: it must be a token (RFC 6265)", quoted(text));
    at.error(problems, codes::BAD_TEXT, message);
    None
}

fn cookie_path(at: &At<'_>, problems: &mut Problems<'_>) -> Option<String> {
    let text = at.bounded_text(problems, 1, MAX_COOKIE_TEXT)?;
    let plain = |byte: u8| byte.is_ascii_graphic() && byte != b';';
    if text.starts_with('/') && text.bytes().all(plain) {
        return Some(text.to_owned());
    }
    let message = format!("{} is not a cookie path: visible ASCII after `/`, no `;`", quoted(text));
    at.error(problems, codes::BAD_TEXT, message);
    None
}
