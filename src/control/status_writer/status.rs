//! What the `status` of an object says now and what it should say, put together.
//!
//! Of a route only our own entries of `parents` are touched; those of other controllers stay as and
//! where they are. A time is that of the last change of `status`, as Kubernetes has it.

use jiff::Timestamp;
use serde_json::{Map, Value, json};

use crate::control::conditions::{Condition, PENDING, ParentStatus};
use crate::names::sidecar::CONTROLLER_NAME;

/// As many as the Gateway API allows.
const MAX_PARENTS: usize = 32;

/// What a status should say.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Wanted {
    /// Of a route: about each parent of ours.
    Parents(Vec<ParentStatus>),
    /// Of our own kinds.
    Conditions(Vec<Condition>),
}

impl Wanted {
    /// Whether the rule is on its way to proxies.
    pub(super) fn is_pending(&self) -> bool {
        let pending = |it: &Condition| it.kind == "Programmed" && it.reason == PENDING;
        match self {
            Self::Parents(parents) => parents.iter().flat_map(|it| &it.conditions).any(pending),
            Self::Conditions(conditions) => conditions.iter().any(pending),
        }
    }

    /// Whether `live` is about the same generation.
    pub(super) fn was_told(&self, live: &Value) -> bool {
        let told = |live: &Value, wanted: &[Condition]| {
            let live = live.as_array().map(Vec::as_slice).unwrap_or_default();
            let same = |wanted: &Condition, live: &Value| {
                live["type"] == wanted.kind
                    && live["observedGeneration"] == wanted.observed_generation
            };
            wanted.iter().all(|wanted| live.iter().any(|live| same(wanted, live)))
        };
        match self {
            Self::Conditions(wanted) => told(&live["conditions"], wanted),
            Self::Parents(wanted) => wanted.iter().all(|wanted| {
                let entries = live["parents"].as_array().into_iter().flatten();
                let mut ours = entries.filter(|it| it["controllerName"] == CONTROLLER_NAME);
                ours.find(|it| same_parent(&it["parentRef"], &wanted.parent))
                    .is_some_and(|it| told(&it["conditions"], &wanted.conditions))
            }),
        }
    }
}

/// The status to write in place of `live`, and the conditions in it that are news; `None` where
/// nothing has to be written.
pub(super) fn merge(
    live: &Value,
    wanted: &Wanted,
    now: Timestamp,
) -> Option<(Value, Vec<Condition>)> {
    let mut news = Vec::new();
    let mut status = live.as_object().cloned().unwrap_or_default();
    let (field, value) = match wanted {
        Wanted::Parents(wanted) => ("parents", parents(&live["parents"], wanted, now, &mut news)),
        Wanted::Conditions(wanted) => {
            ("conditions", conditions(&live["conditions"], wanted, now, &mut news))
        }
    };
    // Absent and empty are the same; what is required is written with the first entry.
    let before = live[field].as_array().map(Vec::as_slice).unwrap_or_default();
    if before == value {
        return None;
    }
    status.insert(field.to_owned(), Value::Array(value));
    Some((Value::Object(status), news))
}

fn parents(
    live: &Value,
    wanted: &[ParentStatus],
    now: Timestamp,
    news: &mut Vec<Condition>,
) -> Vec<Value> {
    let live = live.as_array().map(Vec::as_slice).unwrap_or_default();
    let is_ours = |entry: &&Value| entry["controllerName"] == CONTROLLER_NAME;
    let (ours, others): (Vec<&Value>, Vec<&Value>) = live.iter().partition(is_ours);
    let entry = |wanted: &ParentStatus| {
        let old = ours.iter().find(|old| same_parent(&old["parentRef"], &wanted.parent));
        let old = old.map_or(&Value::Null, |old| &old["conditions"]);
        json!({
            "parentRef": wanted.parent,
            "controllerName": CONTROLLER_NAME,
            "conditions": conditions(old, &wanted.conditions, now, news),
        })
    };
    let mut fresh: Vec<Value> = wanted.iter().map(entry).collect();
    // Ours keep their place, so that an order that another controller made says nothing new.
    let unchanged = ours.len() == fresh.len() && ours.iter().zip(&fresh).all(|(a, b)| *a == b);
    if unchanged {
        return live.to_vec();
    }
    let room = MAX_PARENTS.saturating_sub(others.len());
    fresh.truncate(room);
    others.into_iter().cloned().chain(fresh).collect()
}

/// Whether two references are the same, with what an API server fills in.
fn same_parent(one: &Value, other: &Value) -> bool {
    let text = |reference: &Value, field: &str| match reference[field].as_str() {
        None | Some("core") if field == "group" => String::new(),
        text => text.unwrap_or_default().to_owned(),
    };
    let fields = ["group", "kind", "namespace", "name", "sectionName"];
    fields.into_iter().all(|field| text(one, field) == text(other, field))
        && one["port"].as_u64() == other["port"].as_u64()
}

fn conditions(
    live: &Value,
    wanted: &[Condition],
    now: Timestamp,
    news: &mut Vec<Condition>,
) -> Vec<Value> {
    let live = live.as_array().map(Vec::as_slice).unwrap_or_default();
    let one = |wanted: &Condition| {
        let old = live.iter().find(|old| old["type"] == wanted.kind).unwrap_or(&Value::Null);
        let same_status = old["status"] == wanted.status;
        if !(news.contains(wanted) || same_status && old["reason"] == wanted.reason) {
            news.push(wanted.clone());
        }
        let since = match old["lastTransitionTime"].as_str().filter(|_| same_status) {
            Some(since) => since.to_owned(),
            None => whole_second(now),
        };
        let fields = [
            ("type", json!(wanted.kind)),
            ("status", json!(wanted.status)),
            ("reason", json!(wanted.reason)),
            ("message", json!(wanted.message)),
            ("observedGeneration", json!(wanted.observed_generation)),
            ("lastTransitionTime", json!(since)),
        ];
        let same = fields.iter().all(|(field, value)| old[*field] == *value);
        match same {
            // As it came, also in the order of its fields.
            true => old.clone(),
            false => Value::Object(Map::from_iter(
                fields.map(|(field, value)| (field.to_owned(), value)),
            )),
        }
    };
    wanted.iter().map(one).collect()
}

/// Times in objects have no fractions.
fn whole_second(now: Timestamp) -> String {
    Timestamp::from_second(now.as_second()).unwrap_or(now).to_string()
}
