//! `FaultPolicy`: calls that are made to wait or to fail on purpose, for testing.
//!
//! Shares are percentages as plain numbers, 100 where none is given. A policy has a delay, an abort
//! or both; whom and what it is about is everybody and everything where it does not say.

use std::time::Duration;

use jiff::Timestamp;

use crate::mesh::{FaultPolicy, RouteMatch};
use crate::names::{Namespace, ServiceAccount};
use crate::resource::{
    AbortHow, FaultAbort, FaultDelay, FaultSource, MAX_FAULT_DELAY, PARTS_PER_MILLION,
};
use crate::rules::at::{At, Fields, Shape};
use crate::rules::codes;
use crate::rules::document::Meta;
use crate::rules::problems::{Problems, quoted};
use crate::rules::route::matches;
use crate::rules::{policy, values};

const MAX_SOURCES: usize = 16;
const MAX_NAMES: usize = 64;
const MAX_MATCHES: usize = 64;

const SPEC: Shape = Shape {
    known: &["targetRefs", "from", "matches", "delay", "abort", "expires", "mode"],
    later: &[],
};
const SOURCE: Shape = Shape { known: &["identities", "namespaces"], later: &[] };
const DELAY: Shape = Shape { known: &["duration", "percent"], later: &[] };
const ABORT: Shape = Shape { known: &["status", "grpcCode", "reset", "percent"], later: &[] };

/// Reads the `spec` of a fault policy.
pub(super) fn read<'a>(
    spec: &'a At<'a>,
    meta: &Meta,
    problems: &mut Problems<'_>,
) -> Option<FaultPolicy> {
    let fields = spec.fields(problems, &SPEC)?;
    let targets =
        fields.need(problems, "targetRefs").map(|at| policy::targets(&at, meta, problems));
    let from = fields.get("from").map(|at| sources(&at, problems)).unwrap_or_default();
    let matches = fields.get("matches").map(|at| conditions(&at, problems)).unwrap_or_default();
    let delay = fields.get("delay").map(|at| delay(&at, problems));
    let abort = fields.get("abort").map(|at| abort(&at, problems));
    if delay.is_none() && abort.is_none() {
        let message = "a fault without `delay` and without `abort` does nothing".to_owned();
        spec.error_with(problems, codes::MISSING_FIELD, message, "add one of the two");
    }
    let expires = fields.get("expires").and_then(|at| time(&at, problems));
    let words = [("Enforce", false), ("Shadow", true)];
    let shadow = fields.get("mode").and_then(|at| at.word(problems, &words, &[]));
    Some(FaultPolicy {
        namespace: meta.namespace.clone(),
        name: meta.name.clone(),
        generation: meta.generation,
        created_ms: meta.created_ms,
        targets: targets?,
        from,
        matches,
        delay: delay.flatten(),
        abort: abort.flatten(),
        expires,
        shadow: shadow.unwrap_or_default(),
    })
}

/// The callers, ascending; what several items name counts together.
fn sources<'a>(at: &'a At<'a>, problems: &mut Problems<'_>) -> Vec<FaultSource> {
    let mut sources = Vec::new();
    for item in at.items(problems, 1, MAX_SOURCES) {
        let Some(fields) = item.fields(problems, &SOURCE) else { continue };
        let before = sources.len();
        let errors = problems.errors();
        if let Some(at) = fields.get("identities") {
            let items = at.items(problems, 0, MAX_NAMES);
            sources.extend(items.iter().filter_map(|item| identity(item, problems)));
        }
        if let Some(at) = fields.get("namespaces") {
            let items = at.items(problems, 0, MAX_NAMES);
            let names = items.iter().filter_map(|item| values::name(item, problems));
            sources.extend(names.map(FaultSource::Namespace));
        }
        if sources.len() == before && problems.errors() == errors {
            let message = "this names nobody".to_owned();
            let help = "add `identities:` or `namespaces:`; without `from` it is everybody";
            item.error_with(problems, codes::MISSING_FIELD, message, help);
        }
    }
    sources.sort_unstable();
    sources.dedup();
    sources
}

/// `ns/NAMESPACE/sa/ACCOUNT`, of the mesh's own trust domain.
fn identity(at: &At<'_>, problems: &mut Problems<'_>) -> Option<FaultSource> {
    let text = at.text(problems)?;
    let parts = text.strip_prefix("ns/").and_then(|rest| rest.split_once("/sa/"));
    let parsed = parts.and_then(|(namespace, account)| {
        let namespace: Namespace = namespace.parse().ok()?;
        let account: ServiceAccount = account.parse().ok()?;
        Some(FaultSource::Identity(namespace, account))
    });
    if parsed.is_none() {
        let message = format!("expected `ns/NAMESPACE/sa/ACCOUNT`, found {}", quoted(text));
        let help = "write it like `ns/default/sa/reviews`; the trust domain is the mesh's own";
        at.error_with(problems, codes::BAD_NAME, message, help);
    }
    parsed
}

fn conditions<'a>(at: &'a At<'a>, problems: &mut Problems<'_>) -> Vec<RouteMatch> {
    let items = at.items(problems, 0, MAX_MATCHES);
    items.iter().filter_map(|item| matches::read(item, problems)).collect()
}

fn delay<'a>(at: &'a At<'a>, problems: &mut Problems<'_>) -> Option<FaultDelay> {
    let fields = at.fields(problems, &DELAY)?;
    let least = Duration::from_millis(1);
    let duration = fields
        .need(problems, "duration")
        .and_then(|at| values::duration_within(&at, problems, least, MAX_FAULT_DELAY));
    let ppm = share(&fields, problems);
    Some(FaultDelay { duration: duration?, ppm: ppm? })
}

fn abort<'a>(at: &'a At<'a>, problems: &mut Problems<'_>) -> Option<FaultAbort> {
    let fields = at.fields(problems, &ABORT)?;
    let ppm = share(&fields, problems);
    let ways = ["status", "grpcCode", "reset"].into_iter();
    let mut ways = ways.filter_map(|key| fields.get(key).map(|at| (key, at)));
    let Some((first, one)) = ways.next() else {
        let message = "it is not said how the call fails".to_owned();
        let help = "add one of `status`, `grpcCode` and `reset`";
        at.error_with(problems, codes::MISSING_FIELD, message, help);
        return None;
    };
    for (other, at) in ways {
        let message = format!("a call fails in one way: `{first}` or `{other}`");
        at.error_with(problems, codes::CONTRADICTION, message, "take one of the two away");
    }
    let mut number = |least, most| values::whole(&one, problems, codes::BAD_NUMBER, least, most);
    let how = match first {
        "status" => AbortHow::Status(u16::try_from(number(400, 599)?).ok()?),
        "grpcCode" => AbortHow::Grpc(u32::try_from(number(1, 16)?).ok()?),
        _ => reset(&one, problems)?,
    };
    Some(FaultAbort { how, ppm: ppm? })
}

fn reset(at: &At<'_>, problems: &mut Problems<'_>) -> Option<AbortHow> {
    values::set(at, problems).map(|()| AbortHow::Reset)
}

fn share(fields: &Fields<'_>, problems: &mut Problems<'_>) -> Option<u32> {
    match fields.get("percent") {
        Some(at) => values::percent(&at, problems),
        None => Some(PARTS_PER_MILLION),
    }
}

/// A time of RFC 3339, in whole seconds since the Unix epoch.
fn time(at: &At<'_>, problems: &mut Problems<'_>) -> Option<u64> {
    let text = at.text(problems)?;
    let parsed = Some(text).filter(|text| is_rfc3339(text)).and_then(|text| text.parse().ok());
    // What was before 1970 is over like everything that is.
    let seconds = parsed.map(|time: Timestamp| u64::try_from(time.as_second()).unwrap_or(0));
    if seconds.is_none() {
        let message =
            format!("expected a time such as `2026-12-01T00:00:00Z`, found {}", at.found());
        at.error(problems, codes::BAD_TIME, message);
    }
    seconds
}

/// RFC 3339 §5.6 in its strict form and without leap seconds: a library reads more than that, an API
/// server does not.
fn is_rfc3339(text: &str) -> bool {
    let Some((moment, rest)) = text.split_at_checked(19) else { return false };
    let form = moment.bytes().zip(b"0000-00-00T00:00:00").all(|(byte, form)| match form {
        b'0' => byte.is_ascii_digit(),
        other => byte == *other,
    });
    let fraction = rest.strip_prefix('.').map(|rest| {
        let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
        rest.split_at(digits)
    });
    let zone = match fraction {
        Some((digits, zone)) if (1..=9).contains(&digits.len()) => zone,
        Some(_) => return false,
        None => rest,
    };
    let offset = |zone: &str| {
        let bytes = zone.as_bytes();
        let digits = [1, 2, 4, 5].iter().all(|at| bytes.get(*at).is_some_and(u8::is_ascii_digit));
        bytes.len() == 6 && matches!(bytes[0], b'+' | b'-') && bytes[3] == b':' && digits
    };
    form && !moment.ends_with("60") && (zone == "Z" || offset(zone))
}
