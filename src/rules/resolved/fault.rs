//! The `spec` of a `FaultPolicy`, every share and every match written out.

use jiff::Timestamp;
use serde_json::{Map, Number, Value as Json, json};

use super::{put, route, target_refs};
use crate::mesh::FaultPolicy;
use crate::resource::{AbortHow, FaultSource};
use crate::rules::values::show;

pub(super) fn spec(policy: &FaultPolicy) -> Map<String, Json> {
    let mut spec = Map::new();
    put(&mut spec, "targetRefs", target_refs(&policy.targets));
    if !policy.from.is_empty() {
        put(&mut spec, "from", vec![callers(&policy.from)]);
    }
    if !policy.matches.is_empty() {
        put(&mut spec, "matches", policy.matches.iter().map(route::conditions).collect::<Vec<_>>());
    }
    if let Some(delay) = policy.delay {
        let fields = json!({"duration": show(delay.duration), "percent": percent(delay.ppm)});
        put(&mut spec, "delay", fields);
    }
    if let Some(abort) = policy.abort {
        let mut fields = Map::new();
        match abort.how {
            AbortHow::Status(status) => put(&mut fields, "status", status),
            AbortHow::Grpc(code) => put(&mut fields, "grpcCode", code),
            AbortHow::Reset => put(&mut fields, "reset", true),
        }
        put(&mut fields, "percent", percent(abort.ppm));
        put(&mut spec, "abort", fields);
    }
    let expires =
        policy.expires.and_then(|it| Timestamp::from_second(i64::try_from(it).ok()?).ok());
    if let Some(expires) = expires {
        put(&mut spec, "expires", expires.to_string());
    }
    put(&mut spec, "mode", if policy.shadow { "Shadow" } else { "Enforce" });
    spec
}

fn callers(from: &[FaultSource]) -> Json {
    let (mut identities, mut namespaces) = (Vec::new(), Vec::new());
    for source in from {
        match source {
            FaultSource::Identity(namespace, account) => {
                identities.push(format!("ns/{namespace}/sa/{account}"));
            }
            FaultSource::Namespace(namespace) => namespaces.push(namespace.to_string()),
        }
    }
    let mut fields = Map::new();
    for (key, names) in [("identities", identities), ("namespaces", namespaces)] {
        if !names.is_empty() {
            put(&mut fields, key, names);
        }
    }
    Json::Object(fields)
}

/// Parts per million as rules write them: whole where it is.
fn percent(ppm: u32) -> Number {
    match ppm.is_multiple_of(10_000) {
        true => Number::from(ppm / 10_000),
        false => Number::from_f64(f64::from(ppm) / 10_000.0).unwrap_or_else(|| Number::from(0)),
    }
}
